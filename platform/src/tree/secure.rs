//! What the machine's tree says of secure boot (OPAL API "device-tree/ibm,secureboot").
use super::cells::{missing, names, value_of};
use super::{KEY_HASH_BYTES, SecureBoot, TreeError};
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node, Property};

const NODE: &str = "ibm,secureboot";
const COMPATIBLE: [&[u8]; 4] = [
    b"ibm,secureboot",
    b"ibm,secureboot-v1",
    b"ibm,secureboot-v1-softrom",
    b"ibm,secureboot-v2",
];

/// Reads `/ibm,secureboot`. A node that asks for security in a way that isn't understood ends the boot.
pub fn secure_boot(node: &FdtNode) -> Result<SecureBoot, TreeError> {
    let mut found = SecureBoot::default();
    let mut is_known = false;
    for property in node.properties() {
        match property.name() {
            "compatible" => is_known = COMPATIBLE.iter().any(|name| names(&property, name)),
            "secure-enabled" => found.is_enforced = true,
            "hw-key-hash" => {
                let hash = <[u8; KEY_HASH_BYTES]>::try_from(value_of(&property));
                found.key_hash = Some(hash.map_err(|_| missing(NODE, "hw-key-hash"))?);
            }
            "hash-algo" if property.value() != b"sha512\0" => {
                return Err(missing(NODE, "hash-algo"));
            }
            _ => {}
        }
    }
    match (is_known, found.is_enforced) {
        (true, _) => Ok(found),
        (false, true) => Err(missing(NODE, "compatible")),
        (false, false) => Ok(SecureBoot::default()),
    }
}
