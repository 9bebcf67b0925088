//! A call's registers, as assembly hands them over, and what becomes of them.
use hcalls::Status;
use hcalls::registers::{Arguments, Results, Wrong};

/// r3–r10; results replace r4–r9.
pub type Args = Arguments;

/// What a call of catnap's own answers: r4–r9, or why it is refused.
pub type Answer = Result<Results, Refused>;

/// There is nothing to say.
pub const DONE: Answer = Ok([0; 6]);

/// A call isn't carried out, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The argument with this number, 1 for r3, is wrong.
    Argument(u64),
    As(Status),
    /// There are results all the same.
    With(Status, Results),
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Argument(wrong.0)
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        Self::As(status)
    }
}

/// A call's one result.
pub const fn one(result: u64) -> Results {
    [result, 0, 0, 0, 0, 0]
}

/// Puts an answer into the registers that the host finds; r3's is returned.
pub fn put(answer: Answer, args: &mut Args) -> Status {
    let (status, results) = match answer {
        Ok(results) => (Status::Success, results),
        Err(Refused::With(status, results)) => (status, results),
        Err(Refused::As(status)) => return status,
        Err(Refused::Argument(number)) => {
            args[1] = number;
            return Status::Parameter;
        }
    };
    args[1..=results.len()].copy_from_slice(&results);
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_registers() {
        const ASKED: Args = [1, 2, 3, 4, 5, 6, 7, 8];
        const TOLD: Results = [11, 12, 13, 14, 15, 16];
        const ALL: Args = [1, 11, 12, 13, 14, 15, 16, 8];
        for (answer, status, registers) in [
            (Ok(TOLD), Status::Success, ALL),
            (
                Err(Refused::With(Status::Partial, TOLD)),
                Status::Partial,
                ALL,
            ),
            (Err(Status::Busy.into()), Status::Busy, ASKED),
            (
                Err(Wrong(3).into()),
                Status::Parameter,
                [1, 3, 3, 4, 5, 6, 7, 8],
            ),
        ] {
            let mut args = ASKED;
            assert_eq!(put(answer, &mut args), status);
            assert_eq!(args, registers);
        }
    }
}
