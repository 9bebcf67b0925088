//! What no call of the host's may do, whoever has written it: end with a lock held, or take too long.
use core::fmt;

/// A call that takes 2 to this many ticks of the time base, about a second, is a fault of the
/// firmware's. (What a call takes at most in instructions is a matter of tests: an emulator can stop
/// a thread at any time.)
const LIMIT_TB_SHIFT: u32 = 29;
/// Ticks of the time base in a millisecond.
const MS_TB: u64 = 512_000;

/// How a thread is after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Locks that it still holds: nobody can have them ever after.
    pub locks: u64,
    pub took_tb: u64,
}

impl Ended {
    #[inline(always)]
    pub fn is_fault(self) -> bool {
        self.locks | self.took_tb >> LIMIT_TB_SHIFT != 0
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.locks {
            0 => write!(f, "has taken {} ms", self.took_tb / MS_TB),
            locks => write!(f, "has left {locks} locks held"),
        }
    }
}

#[cfg(target_arch = "powerpc64")]
mod told {
    use super::Ended;
    use platform::cpu::thread;
    use skiboot_compat::calls::Token;

    /// Says once what a call has done wrong; or, with locks, a VCORE_RUN since the call before. The host
    /// goes on, for as long as nobody wants that lock.
    #[cold]
    pub fn complain(token: u64, ended: Ended) {
        if ended.locks == 0 {
            log::warn!("call {token} {ended}");
        } else {
            // The log's own lock may be the one.
            platform::log::emergency(format_args!("call {token} {ended}"));
            thread::forget_locks();
        }
    }

    /// For calls that don't return: as `opal::call` looks after every other one.
    pub fn leaves_no_lock(token: Token) {
        let locks = thread::locks_held();
        if locks != 0 {
            complain(token as u64, Ended { locks, took_tb: 0 });
        }
    }
}

#[cfg(target_arch = "powerpc64")]
pub use told::{complain, leaves_no_lock};

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    const fn ended(locks: u64, took_tb: u64) -> Ended {
        Ended { locks, took_tb }
    }

    #[test]
    fn a_call_that_takes_long_is_a_fault() {
        let second_tb = 1000 * MS_TB;
        for (took_tb, is_fault) in [
            (0, false),
            (second_tb, false),
            (second_tb * 21 / 20, true),
            (60 * second_tb, true),
            (u64::MAX, true),
        ] {
            assert_eq!(ended(0, took_tb).is_fault(), is_fault, "{took_tb}");
        }
        let told = ended(0, 2 * second_tb).to_string();
        assert_eq!(told, "has taken 2000 ms");
    }

    #[test]
    fn a_lock_left_held_is_a_fault() {
        assert!(ended(1, 0).is_fault());
        // One that wasn't its own has been given back.
        assert!(ended(u64::MAX, 0).is_fault());
        assert_eq!(ended(2, 0).to_string(), "has left 2 locks held");
    }
}
