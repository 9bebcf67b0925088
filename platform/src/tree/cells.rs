//! Values of properties.
use super::TreeError;
use alloc::vec::Vec;
use dtoolkit::Property;
use dtoolkit::fdt::FdtProperty;

/// The value, living as long as the tree.
pub fn value_of<'a>(property: &FdtProperty<'a>) -> &'a [u8] {
    property.value_as::<&[u8]>().unwrap_or_default()
}

/// A value of one cell.
pub fn cell(property: &FdtProperty) -> Option<u32> {
    property.value_as().ok()
}

/// An address of one cell or two.
pub fn address(property: &FdtProperty) -> Option<u64> {
    match property.value_as::<u64>() {
        Ok(address) => Some(address),
        Err(_) => cell(property).map(u64::from),
    }
}

/// Two cells.
pub fn pair(bytes: &[u8; 8]) -> (u32, u32) {
    let both = u64::from_be_bytes(*bytes);
    ((both >> 32) as u32, both as u32)
}

/// An address and a length of two cells each.
pub fn wide_pair(bytes: &[u8; 16]) -> (u64, u64) {
    let both = u128::from_be_bytes(*bytes);
    ((both >> 64) as u64, both as u64)
}

/// Whether a list of strings has this one.
pub fn names(property: &FdtProperty, wanted: &[u8]) -> bool {
    property
        .value()
        .split(|&byte| byte == 0)
        .any(|name| name == wanted)
}

pub const fn missing(node: &'static str, property: &'static str) -> TreeError {
    TreeError::Property { node, property }
}

pub fn push<T>(
    list: &mut Vec<T>,
    item: T,
    limit: usize,
    what: &'static str,
) -> Result<(), TreeError> {
    if list.len() == limit {
        return Err(TreeError::TooMany { what, limit });
    }
    list.push(item);
    Ok(())
}
