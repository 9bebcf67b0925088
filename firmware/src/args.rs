//! A call's registers, as assembly hands them over.
use hcalls::Status;

/// r3–r10; results replace r4–r9.
pub type Args = [u64; 8];

/// Argument `number` (1 for r3) is wrong: r4 says which.
#[cold]
pub fn wrong(args: &mut Args, number: u64) -> Status {
    args[1] = number;
    Status::Parameter
}
