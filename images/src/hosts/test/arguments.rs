//! Arguments that can't be: each call names the wrong one, and nothing changes.
use hcalls::page::{FLAGS, VcpuPage};
use hcalls::partition::{MemoryMode, PartitionConfig};
use hcalls::run::RUN_FLAGS;
use hcalls::{Status, Token};
use images::behaviour::exits;
use images::host_runtime::calls::{self, Partition};
use images::host_runtime::guest;
use images::println;
use zerocopy::IntoBytes;

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::{self, Lab, Wanted};
use crate::objects;

/// Handles of nothing, and of the wrong kind.
const NO_HANDLES: [u64; 5] = [0, 1, 0xffff, 1 << 63, u64::MAX - 1];

/// Where no RAM of the host's is: the firmware, past the RAM, devices, past the real addresses.
const NO_RAM: [u64; 6] = [
    0x3000_0000,
    0x30ff_f000,
    0x40_0000_0000,
    0x3_ffff_8000_8000,
    1 << 60,
    u64::MAX - 0xfff,
];

/// Every call with every kind of wrong argument.
/// B1.
pub fn bad_arguments(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("exits", 2))?;
    lab::start_all(&mut guest, [exits::HYPERCALL, 0]);
    let before = [0, 1].map(|vcpu| objects::copy(guest.page_address(vcpu)));
    let (partition, vcore) = (guest.partition, guest.vcore);
    handles(partition, vcore.0)?;
    partitions(lab)?;
    vcpus(lab, partition)?;
    masks_and_flags(vcore.0)?;
    addresses(vcore.0)?;
    for (vcpu, before) in before.iter().enumerate() {
        let after = objects::copy(guest.page_address(vcpu));
        ensure!(
            before.as_bytes() == after.as_bytes(),
            "vcpu {vcpu}'s page has changed"
        );
    }
    let run = lab::run(&mut guest, 3)?;
    ensure!(
        run.exited != 0 && run.exited & !3 == 0,
        "afterwards a run exits {:#x}",
        run.exited
    );
    Ok(())
}

/// `call` with `good` arguments, of which number `wrong` (from 1) is replaced by each of `values`.
fn each_refused(call: Token, good: &[u64], wrong: usize, values: &[u64]) -> Outcome {
    for &value in values {
        let mut args = [0; 5];
        args[..good.len()].copy_from_slice(good);
        args[wrong - 1] = value;
        // SAFETY: the argument is one that the firmware must not act on.
        let result = unsafe { calls::raw(call.into(), &args[..good.len()]) };
        let what = alloc::format!("{call:?} {args:x?}");
        refused(&what, result, Status::Parameter, wrong as u64)?;
    }
    Ok(())
}

fn handles(partition: Partition, vcore: u64) -> Outcome {
    let no_vcore = [
        &NO_HANDLES[..],
        &[partition.0, vcore ^ 1, vcore ^ 1 << 16, u64::MAX],
    ]
    .concat();
    let no_partition = [
        &NO_HANDLES[..],
        &[vcore, partition.0 ^ 1, partition.0 ^ 1 << 16],
    ]
    .concat();
    each_refused(Token::PartitionDestroy, &[0], 1, &no_partition)?;
    each_refused(
        Token::PartitionUpdate,
        &[partition.0, 0],
        2,
        &[4, 1 << 50, u64::MAX],
    )?;
    each_refused(Token::PartitionMemory, &[0], 1, &no_partition)?;
    // It has no page table of its own.
    each_refused(Token::PartitionMemory, &[0], 1, &[partition.0])?;
    each_refused(Token::PartitionUnmap, &[0, 0, 1, 0], 1, &no_partition)?;
    each_refused(Token::VcoreDoorbells, &[0, 0, 0], 1, &no_vcore)?;
    each_refused(Token::VcoreDoorbells, &[vcore, 0, 0], 2, &[2, u64::MAX])?;
    each_refused(Token::VcoreDoorbells, &[vcore, 1, 0], 3, &[1, u64::MAX])?;
    each_refused(Token::VcpuDestroy, &[0, 0], 1, &no_vcore)?;
    each_refused(Token::VcpuDestroy, &[vcore, 0], 2, &[2, 7, 8, 64, u64::MAX])?;
    each_refused(Token::VcoreRun, &[0, 1, 2, 0, 0], 1, &no_vcore)?;
    each_refused(Token::VcpuSetState, &[0, 1, 1], 1, &no_vcore)?;
    each_refused(Token::VcoreKick, &[0, 1, 0], 1, &no_vcore)?;
    each_refused(Token::SmtStats, &[0, 0x4000_0000, 0], 1, &no_vcore)?;
    each_refused(
        Token::CoreClaim,
        &[0, 0],
        1,
        &[0, 1, 9, 15, 17, 0x1000, 1 << 32 | 8, u64::MAX],
    )?;
    each_refused(Token::CoreClaim, &[8, 0], 2, &[3, 4, u64::MAX])
}

fn masks_and_flags(vcore: u64) -> Outcome {
    let not_there = [4, 0x80, 0x100, 1 << 63, u64::MAX];
    each_refused(Token::VcoreRun, &[vcore, 1, 0, 0, 0], 2, &not_there)?;
    each_refused(Token::VcoreRun, &[vcore, 1, 0, 0, 0], 3, &[0x100, u64::MAX])?;
    let no_flags: alloc::vec::Vec<u64> = (0..64)
        .map(|bit| 1 << bit)
        .filter(|bit| bit & RUN_FLAGS == 0)
        .collect();
    each_refused(Token::VcoreRun, &[vcore, 3, 0, 0, 0], 5, &no_flags)?;
    each_refused(
        Token::VcpuSetState,
        &[vcore, 1, 1],
        2,
        &[0, 4, 0x80, 0x100, 1 << 63, u64::MAX],
    )?;
    each_refused(
        Token::VcpuSetState,
        &[vcore, 1, 1],
        3,
        &[3, 4, 1 << 32, u64::MAX],
    )?;
    each_refused(Token::VcoreKick, &[vcore, 1, 0], 2, &not_there)?;
    each_refused(
        Token::SmtStats,
        &[vcore, 0x4000_0000, 0],
        3,
        &[2, 1 << 32, u64::MAX],
    )
}

fn addresses(vcore: u64) -> Outcome {
    each_refused(Token::SmtStats, &[vcore, 0, 0], 2, &NO_RAM)?;
    each_refused(
        Token::SmtStats,
        &[vcore, 0, 0],
        2,
        &[0x4000_0001, 0x4000_0004],
    )?;
    each_refused(Token::PartitionCreate, &[0], 1, &NO_RAM)?;
    each_refused(Token::PartitionCreate, &[0], 1, &[0x4000_0001, 0x4000_0004])
}

/// A vcpu's page: where it lies, what its first line says; and the vcpu's id.
fn vcpus(lab: &mut Lab, partition: Partition) -> Outcome {
    let page = lab.page()?;
    let bad_pages = [&NO_RAM[..], &[page + 8, page + 0x800]].concat();
    each_refused(Token::VcpuCreate, &[partition.0, 9, 0], 3, &bad_pages)?;
    let spoilers: [fn(&mut VcpuPage); 4] = [
        |page| page.host.magic.set(0x434e_5651),
        |page| page.host.version.set(hcalls::VERSION + 1),
        |page| page.host.flags.set(FLAGS + 1),
        |page| page.host.flags.set(1 << 63),
    ];
    for spoil in spoilers {
        let place = core::ptr::with_exposed_provenance_mut::<VcpuPage>(page as usize);
        // SAFETY: the page was taken for this.
        let made = unsafe {
            place.write(VcpuPage::new());
            spoil(&mut *place);
            calls::vcpu_create(partition, 9, place)
        };
        refused("a page with a wrong first line", made, Status::Parameter, 3)?;
    }
    for id in [1 << 20, 1 << 32, u64::MAX] {
        refused(
            "an id past the limit (B1)",
            objects::vcpu(partition, id, page),
            Status::Parameter,
            2,
        )?;
    }
    for handle in NO_HANDLES {
        let made = objects::vcpu(Partition(handle), 9, page);
        refused("no partition", made, Status::Parameter, 1)?;
    }
    Ok(())
}

/// Makes a configuration wrong in one field.
type Spoiler = fn(&mut PartitionConfig);

/// A partition's configuration, field by field.
fn partitions(lab: &mut Lab) -> Outcome {
    let memory = lab.spare_memory()?;
    let setup = lab.setup(&Wanted::new("", 8));
    let good = guest::config(&setup, &memory, false);
    let spoilers: [(&str, Spoiler); 19] = [
        ("lpid 0", |config| config.lpid.set(0)),
        ("lpid 2^16", |config| config.lpid.set(1 << 16)),
        ("memory mode", |config| config.memory_mode.set(2)),
        ("width 0", |config| config.smt_width.set(0)),
        ("width 3", |config| config.smt_width.set(3)),
        ("width 16", |config| config.smt_width.set(16)),
        ("ptid mode", |config| config.ptid_mode.set(2)),
        ("policy", |config| config.policy.set(2)),
        ("base in the firmware", |config| {
            config.base.set(0x3000_0000)
        }),
        ("base past the RAM", |config| config.base.set(1 << 40)),
        ("base unaligned", |config| {
            config.base.set(config.base.get() + 4096)
        }),
        ("length 0", |config| config.rm_len_bytes.set(0)),
        ("length of no RMLS", |config| {
            config.rm_len_bytes.set(512 << 20)
        }),
        ("length past the RAM", |config| {
            config.rm_len_bytes.set(256 << 30)
        }),
        ("LPCR bits", |config| config.lpcr.set(1)),
        ("time base offset", |config| config.tb_offset.set(1)),
        ("flags that there aren't", |config| {
            config.flags.set(hcalls::partition::FLAGS + 1);
        }),
        ("a flag of page tables without one", |config| {
            config.flags.set(hcalls::partition::FLAG_REFLECT);
        }),
        ("table in the firmware", |config| {
            config.memory_mode.set(MemoryMode::Vrma.into());
            config.base.set(0x3000_0000);
        }),
    ];
    for (what, spoil) in spoilers {
        let mut config = good;
        spoil(&mut config);
        refused(what, calls::partition_create(&config), Status::Parameter, 1)?;
    }
    let mut later = good;
    later.version.set(hcalls::VERSION + 1);
    refused(
        "a later version",
        calls::partition_create(&later),
        Status::Unsupported,
        0,
    )?;
    let made = accepted("the same without a fault", calls::partition_create(&good))?;
    accepted("PARTITION_DESTROY", calls::partition_destroy(made))?;
    // Version 1 ends before the flags: what lies there counts for nothing.
    let mut first = good;
    first.version.set(hcalls::LOWEST_VERSION);
    first.flags.set(u64::MAX);
    let made = accepted("the first version", calls::partition_create(&first))?;
    accepted("PARTITION_DESTROY", calls::partition_destroy(made))
}

/// Calls that write to no address that they are given, so that they can be given any.
const HARMLESS: [Token; 4] = [
    Token::SmtQuery,
    Token::VcpuCreate,
    Token::VcpuSetState,
    Token::VcoreKick,
];

/// Those calls with arguments picked at random: each has to come back with a status that there is,
/// and afterwards all works as before.
pub fn random_arguments(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("exits", 2))?;
    lab::start_all(&mut guest, [exits::HYPERCALL, 0]);
    let handles = [guest.vcore.0, guest.partition.0];
    let small = [0, 1, 2, 3, 7, 8, 0xff, 0x100];
    let large = [0x3000_0000, 0x4000_0000, 1 << 60, 1 << 63, u64::MAX];
    let values = [&handles[..], &small, &large].concat();
    let mut state = 1u64;
    let mut draw = |limit: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    let mut accepted_calls = 0;
    for _ in 0..5000 {
        let token = HARMLESS[draw(HARMLESS.len())];
        let args = [(); 5].map(|()| values[draw(values.len())]);
        // SAFETY: see `HARMLESS`; a page that a call takes would be written by a run only, and
        // there is none.
        match unsafe { calls::raw(token.into(), &args) } {
            Ok(_) => accepted_calls += 1,
            Err(refusal) => {
                let known = Status::try_from(refusal.status).is_ok();
                ensure!(known, "{token:?} {args:x?}: status {}", refusal.status);
            }
        }
    }
    println!("random_arguments: {accepted_calls} of 5000 calls were accepted");
    // Kicks may have been left over: they refuse one run.
    let _ = guest.run(3, 0, 0, 0);
    let run = lab::run(&mut guest, 3)?;
    same("afterwards a run exits", run.exited & !3, 0)
}
