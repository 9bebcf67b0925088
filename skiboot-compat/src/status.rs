//! What calls answer in r3 (OPAL API "opal-api/return-codes").
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// A status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(i64)]
pub enum Status {
    Success = 0,
    /// An argument is wrong.
    Parameter = -1,
    /// Try again.
    Busy = -2,
    /// Only a part was done.
    Partial = -3,
    /// Not as long as something else goes on.
    Constrained = -4,
    Closed = -5,
    /// Hardware doesn't do what it should.
    Hardware = -6,
    /// No such call, or not on this machine.
    Unsupported = -7,
    /// Not allowed.
    Permission = -8,
    NoMem = -9,
    /// Something that the call needs can't be had.
    Resource = -10,
    /// The firmware's own mistake.
    InternalError = -11,
    /// Try again when OPAL_POLL_EVENTS has done some work.
    BusyEvent = -12,
    /// The hardware is frozen after an error.
    HardwareFrozen = -13,
    /// Not in this state.
    WrongState = -14,
    /// Goes on in the background; a message tells how it ends.
    AsyncCompletion = -15,
    /// Nothing there.
    Empty = -16,
    Timeout = -33,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_opals() {
        assert_eq!(i64::from(Status::WrongState), -14);
        assert_eq!(Status::try_from(-33), Ok(Status::Timeout));
        assert!(Status::try_from(1).is_err());
    }
}
