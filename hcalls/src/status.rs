//! Status codes (r3), with OPAL's values (OPAL API "Return codes").
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// What a call answers in r3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(i64)]
pub enum Status {
    /// Done.
    Success = 0,
    /// CHECK_TOKEN: the call is served.
    Present = 1,
    /// An argument is wrong; r4 holds its number, 1 for r3.
    Parameter = -1,
    /// The object is at work elsewhere, or another host core was faster.
    Busy = -2,
    /// A thread never came back: the core is fenced, r5 holds the mask of its ptids.
    Partial = -3,
    /// The partition's policy isn't met: not all vcpus are runnable or blocked.
    Constrained = -4,
    /// Something in the machine does not answer.
    Hardware = -6,
    /// No such call, feature or version here.
    Unsupported = -7,
    /// No room for another object.
    Resource = -10,
    /// Nothing was taken just now; try again.
    BusyEvent = -12,
    /// Not on this thread or not in this state: not thread 0, or its siblings aren't held.
    WrongState = -14,
    /// A vcpu was kicked before the run: no guest instruction ran.
    Empty = -16,
}
