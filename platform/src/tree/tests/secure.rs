//! Secure boot.
use super::*;

/// The machine of a tree with a node of secure boot with those properties.
fn with(properties: &[(&str, &[u8])]) -> Result<Machine, TreeError> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(TWO_CORES).unwrap());
    let mut node = DeviceTreeNode::new("ibm,secureboot").unwrap();
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new(*name, *value).unwrap());
    }
    tree.root.add_child(node);
    read(&tree.to_dtb())
}

const SOFTROM: (&str, &[u8]) = ("compatible", b"ibm,secureboot-v1-softrom\0");
const ENABLED: (&str, &[u8]) = ("secure-enabled", b"");
const SHA512: (&str, &[u8]) = ("hash-algo", b"sha512\0");

#[test]
fn a_machine_may_want_signatures() {
    assert_eq!(read(TWO_CORES).unwrap().secure_boot, SecureBoot::default());
    let hash: [u8; 64] = core::array::from_fn(|index| index as u8);
    let of = |properties: &[(&str, &[u8])]| with(properties).unwrap().secure_boot;
    let wanted = SecureBoot {
        is_enforced: true,
        key_hash: Some(hash),
    };
    assert_eq!(
        of(&[SOFTROM, SHA512, ENABLED, ("hw-key-hash", &hash)]),
        wanted
    );
    let offered = SecureBoot {
        is_enforced: false,
        ..wanted
    };
    assert_eq!(of(&[SOFTROM, ("hw-key-hash", &hash)]), offered);
    assert_eq!(
        of(&[("compatible", b"a,thing\0"), ("hw-key-hash", &hash)]),
        SecureBoot::default()
    );
}

#[test]
fn what_is_wanted_must_be_understood() {
    let refused = |property| {
        Err(TreeError::Property {
            node: "ibm,secureboot",
            property,
        })
    };
    assert_eq!(with(&[ENABLED]), refused("compatible"));
    let other = ("hash-algo", &b"sha256\0"[..]);
    assert_eq!(with(&[SOFTROM, ENABLED, other]), refused("hash-algo"));
    let short = ("hw-key-hash", &[0; 63][..]);
    assert_eq!(with(&[SOFTROM, ENABLED, short]), refused("hw-key-hash"));
}
