//! What OPAL's calls answer.
use skiboot_compat::status::Status;

/// What r3 holds on return: a number that isn't negative, or why the call is refused.
pub type Answer = Result<i64, Status>;

/// Done, and there is nothing to say.
pub const DONE: Answer = Ok(0);
