//! Regions of memory for dumps: numbers of a host's. Those below are the firmware's.

pub const HOST_FIRST: u32 = 0x80;
pub const HOST_LAST: u32 = 0xff;
