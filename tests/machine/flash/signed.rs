//! What must be signed is booted if it is, and refused with the reason if not.
use std::sync::OnceLock;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End};
use tests::{gdb, images};
use xtask::flat;
use xtask::pnor::format;
use xtask::pnor::keys::Keys;

use super::{CONTAINER_BYTES, KERNEL_AT, boot, changed, flash_of, packed};
use crate::payloads::{REFUSAL, code};
use crate::{Outcome, trial};

const DEMANDED: &str = "what is booted must be signed, as a setting says";
const SIGNED: &str = "its container's hash holds, and its signatures";
/// Where QEMU puts the tree, and where that has its size.
const TREE: u64 = 0x100_0000;
const SIZE_AT: usize = 4;

/// Keys of this process's own.
fn keys(name: &str) -> Keys {
    Keys::ensure(&images::scratch_path(name)).expect("keys can be made")
}

fn mine() -> &'static Keys {
    static MINE: OnceLock<Keys> = OnceLock::new();
    MINE.get_or_init(|| keys("mine.pem"))
}

fn signed() -> Vec<u8> {
    flash_of(format::contained(&packed(), Some(mine())), false)
}

/// A machine that demands signatures by a setting, with firmware that trusts those keys.
fn demanding(name: &str, flash: Vec<u8>, keys: &Keys) -> Boot {
    let mut lid = images::read("catnap.lid");
    let trusted = flat::trust(&mut lid, &images::read("catnap.elf"), &keys.hash());
    trusted.expect("the image has a place for that");
    let lid = images::scratch_file(&format!("{name}.lid"), &lid);
    let mut boot = boot(name, flash);
    boot.extra
        .extend(["-bios".into(), lid.display().to_string()]);
    boot.payload = Some(images::scratch_file(&format!("signed-{name}"), &code()));
    boot.bootargs = "catnap.secure=on".into();
    boot
}

/// Name, the flash, and the reason.
type Refused = (&'static str, fn() -> Vec<u8>, &'static str);

const REFUSED: [Refused; 5] = [
    (
        "unsigned",
        || flash_of(format::contained(&packed(), None), false),
        "BOOTKERNEL: container is not signed",
    ),
    (
        "uncontained",
        || flash_of(packed(), false),
        "BOOTKERNEL: has no container, so nobody has signed it",
    ),
    (
        "signed-by-others",
        || {
            flash_of(
                format::contained(&packed(), Some(&keys("others.pem"))),
                false,
            )
        },
        "BOOTKERNEL: container is signed by hardware keys that this machine doesn't trust",
    ),
    (
        "signed-once",
        || changed(signed(), KERNEL_AT + SOFTWARE_SIGNATURE_AT, 1),
        "BOOTKERNEL: signature by software key 0 is wrong",
    ),
    (
        "signed-and-changed",
        || changed(signed(), KERNEL_AT + CONTAINER_BYTES + 9, 1),
        "BOOTKERNEL: payload is not what its container's hash was made of",
    ),
];

/// Behind hardware keys, the prefix, its signatures, one software key and the software's header; the
/// last byte of the signature's first half.
const SOFTWARE_SIGNATURE_AT: usize = 30 + 3 * 132 + 98 + 3 * 132 + 132 + 98 + 65;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("flash::signed", || {
            let expected = Expected::lines([DEMANDED, SIGNED, "catnap: to the host"]);
            let boot = demanding("signed", signed(), mine());
            boot.check(&End::Off, &expected).map(drop)
        }),
        trial("flash::signed-but-in-memory", || {
            let boot = demanding("signed-but-in-memory", vec![0xff; 1 << 20], mine());
            refused(
                &boot,
                DEMANDED,
                "payload: lies in memory, where nobody has signed it",
            )
        }),
        trial("flash::signed-by-strap", || {
            let said = [
                "must be signed, as the machine says",
                SIGNED,
                "catnap: to the host",
            ];
            let hash = mine().hash();
            strapped("by-strap", Some(hash), &Expected::lines(said))
        }),
        trial("flash::signed-for-nobody", || {
            let reason =
                "BOOTKERNEL: must be signed, but neither the firmware nor the machine's tree";
            let expected = Expected::lines([reason])
                .allow(REFUSAL)
                .forbid("to the host");
            strapped("for-nobody", None, &expected)
        }),
    ];
    trials.extend(REFUSED.map(|(name, flash, reason)| {
        trial(format!("flash::{name}"), move || {
            refused(&demanding(name, flash(), mine()), DEMANDED, reason)
        })
    }));
    trials
}

fn refused(boot: &Boot, demanded: &str, reason: &str) -> Outcome {
    let expected = Expected::lines([demanded, reason]);
    let expected = expected.allow(REFUSAL).forbid("to the host");
    boot.check(&End::Off, &expected).map(drop)
}

/// A machine whose tree demands signatures, by keys with that hash.
fn strapped(name: &str, key_hash: Option<[u8; 64]>, expected: &Expected) -> Outcome {
    let (running, mut debugger) = gdb::start(&boot(name, signed()), name)?;
    let header = debugger.read(TREE, SIZE_AT + 4)?;
    let size = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let tree = debugger.read(TREE, size as usize)?;
    let mut model = DeviceTree::from_fdt(&Fdt::new(&tree).expect("QEMU's tree"));
    let mut node = DeviceTreeNode::new("ibm,secureboot").expect("a name");
    let mut add = |name, value: &[u8]| {
        node.add_property(DeviceTreeProperty::new(name, value).expect("a name"));
    };
    add("compatible", b"ibm,secureboot-v1-softrom\0");
    add("hash-algo", b"sha512\0");
    add("secure-enabled", b"");
    if let Some(hash) = key_hash {
        add("hw-key-hash", &hash);
    }
    model.root.add_child(node);
    debugger.write(TREE, &model.to_dtb())?;
    debugger.detach()?;
    running.check(&End::Off, expected).map(drop)
}
