//! Messages to and from the BMC (OPAL API "opal-ipmi-send-recv-107-108"): version, network function
//! and LUN, command, then data; of a response, the data begin with the completion code.

/// The only interface.
pub const INTERFACE: u64 = 0;
/// First byte of a message.
pub const VERSION: u8 = 1;
/// Bytes before the data.
pub const HEADER_LEN: usize = 3;
