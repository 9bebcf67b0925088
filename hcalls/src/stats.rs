//! SMT_STATS: counters and times of one vcore and of the core it last ran on.
use num_enum::{IntoPrimitive, TryFromPrimitive};
use zerocopy::big_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// SMT_STATS r5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum StatsAction {
    Snapshot = 0,
    /// Snapshot, then start again at zero.
    Reset = 1,
}

/// How many values [`crate::ExitReason`] has.
pub const REASONS: usize = 16;

/// Big-endian, 8-byte aligned, in RAM; SMT_STATS r3 = vcore, r4 = address, r5 = [`StatsAction`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VcoreStats {
    /// Runs that were started.
    pub runs: U64,
    /// Runs that were refused (busy, constrained, kicked).
    pub refused: U64,
    /// Threads woken by IPI.
    pub woken: U64,
    /// Late joiners.
    pub joined: U64,
    /// Guest entries, those after a served hypercall left out.
    pub entries: U64,
    /// Hypercalls served in the firmware.
    pub served: U64,
    /// Kicks accepted.
    pub kicks: U64,
    /// Time base ticks from each run's call to its return, added up.
    pub run_tb: U64,
    /// Exits by reason.
    pub exits: [U64; REASONS],
}

const _: () = assert!(size_of::<VcoreStats>() == 64 + 8 * REASONS);

#[cfg(test)]
mod tests {
    use super::REASONS;
    use crate::exit::ExitReason;

    #[test]
    fn every_reason_has_a_place() {
        let places = REASONS as u32;
        assert!((0..places).all(|reason| ExitReason::try_from(reason).is_ok()));
        assert!((places..1000).all(|reason| ExitReason::try_from(reason).is_err()));
    }
}
