//! How a test says that something isn't as it must be.
use alloc::string::String;
use core::fmt::Debug;

use hcalls::Status;
use images::host_runtime::calls;

/// What a test comes to; the error says what was wrong.
pub type Outcome = Result<(), String>;

/// Returns from the test with a text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(alloc::format!($($text)+));
        }
    };
}

/// Wants `found` to be `wanted`.
pub fn same<T: PartialEq + Debug>(what: &str, found: T, wanted: T) -> Outcome {
    ensure!(found == wanted, "{what} is {found:x?}, not {wanted:x?}");
    Ok(())
}

/// Wants a call to be refused with `status`; with `Parameter`, argument `argument` has to be named.
pub fn refused<T: Debug>(
    what: &str,
    found: calls::Result<T>,
    status: Status,
    argument: u64,
) -> Outcome {
    match found {
        Ok(value) => Err(alloc::format!("{what}: {value:x?}, not {status:?}")),
        Err(refusal) => {
            ensure!(refusal.is(status), "{what}: {refusal}, not {status:?}");
            let named = status != Status::Parameter || refusal.argument == argument;
            ensure!(named, "{what}: {refusal}, not argument {argument}");
            Ok(())
        }
    }
}

/// Wants a call to succeed.
pub fn accepted<T>(what: &str, found: calls::Result<T>) -> Result<T, String> {
    found.map_err(|refusal| alloc::format!("{what}: {refusal}"))
}
