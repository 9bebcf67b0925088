//! Hypervisor maintenance: what a message tells (OPAL API "opal-messages", OPAL_MSG_HMI_EVT), and
//! flags of OPAL_HANDLE_HMI2.
use crate::message::{KIND_HMI, Message};

/// HANDLE_HMI2: there is a new message.
pub const FLAG_NEW_EVENT: u64 = 1 << 63;

/// Of the message's layout.
pub const VERSION: u8 = 1;
/// Severities.
pub const SEVERITY_NONE: u8 = 0;
pub const SEVERITY_FATAL: u8 = 3;
/// Dispositions.
pub const RECOVERED: u8 = 0;
pub const NOT_RECOVERED: u8 = 1;

/// The message of one condition: its kind, whether all is well again, HMER and TFMR.
#[must_use]
pub fn message(kind: u8, recovered: bool, hmer: u64, tfmr: u64) -> Message {
    let (severity, disposition) = match recovered {
        true => (SEVERITY_NONE, RECOVERED),
        false => (SEVERITY_FATAL, NOT_RECOVERED),
    };
    let head = u64::from_be_bytes([VERSION, severity, kind, disposition, 0, 0, 0, 0]);
    Message::new(KIND_HMI, &[head, hmer, tfmr])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_how_it_ended() {
        let bytes = message(4, false, 1, 2).to_bytes();
        assert_eq!(&bytes[..8], [0, 0, 0, 4, 0, 0, 0, 0]);
        assert_eq!(&bytes[8..12], [1, 3, 4, 1]);
        assert_eq!((bytes[23], bytes[31]), (1, 2));
    }
}
