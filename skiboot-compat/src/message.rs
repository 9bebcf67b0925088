//! Messages that a host fetches by OPAL_GET_MSG (OPAL API "opal-messages").

/// Most bytes of a message, as the tree says: type, reserved, eight parameters.
pub const MESSAGE_LEN: usize = 72;

/// A message. All fields are big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Message {
    pub kind: [u8; 4],
    pub reserved: [u8; 4],
    pub params: [[u8; 8]; 8],
}

const _: () = assert!(size_of::<Message>() == MESSAGE_LEN && align_of::<Message>() == 1);
const _: () = assert!(core::mem::offset_of!(Message, params) == 8);

/// Kinds of message.
pub const KIND_ASYNC_COMPLETION: u32 = 0;
pub const KIND_SHUTDOWN: u32 = 3;
/// A hypervisor maintenance interrupt that the host should know of.
pub const KIND_HMI: u32 = 4;

impl Message {
    /// A message of that kind with these parameters.
    #[must_use]
    pub fn new(kind: u32, params: &[u64]) -> Self {
        let mut message = Self {
            kind: kind.to_be_bytes(),
            ..Self::default()
        };
        for (place, param) in message.params.iter_mut().zip(params) {
            *place = param.to_be_bytes();
        }
        message
    }

    /// As it lies in memory.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; MESSAGE_LEN] {
        let mut bytes = [0; MESSAGE_LEN];
        bytes[..4].copy_from_slice(&self.kind);
        bytes[8..].copy_from_slice(self.params.as_flattened());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_follow_the_kind() {
        let message = Message::new(KIND_HMI, &[1, u64::MAX]);
        assert_eq!(message.kind, [0, 0, 0, 4]);
        assert_eq!(message.params[0], [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((message.params[1], message.params[2]), ([0xff; 8], [0; 8]));
        let bytes = message.to_bytes();
        assert_eq!((bytes[3], bytes[15], bytes[16]), (4, 1, 0xff));
    }
}
