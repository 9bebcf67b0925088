//! Steps that need both words, where what one core writes into one of them another looks for
//! there, while it writes into the other: a full barrier between the two on both sides lets at
//! least one of them see the other.

use super::sync::full_barrier;
use super::{Entry, Generation, Mask, Roster, entry::Request};

/// Opens the entry word for a run that `roster` says has begun (B22). From now on other cores may
/// call this core's threads. Answers a thread that must be sent an IPI: a vcpu was kicked since
/// the run began, when the kicker couldn't find the word open, and a joiner was faster than this.
#[inline(always)]
#[must_use]
pub fn open(roster: &Roster, entry: &Entry, generation: Generation, seats: Mask) -> Option<usize> {
    entry.open(generation, seats);
    full_barrier();
    let now = roster.peek();
    if now.kicked() & now.runnable() == 0 {
        return None;
    }
    wake(entry.request())
}

/// Everybody out of a vcore whose roster says that a vcpu in the queue was kicked (B17): either
/// the run's word is open and is asked here, or the runner sees the kick when it opens it.
/// Answers a thread that must be sent an IPI.
#[must_use]
pub fn bring_out(entry: &Entry) -> Option<usize> {
    full_barrier();
    wake(entry.request())
}

fn wake(request: Request) -> Option<usize> {
    match request {
        Request::Wake(ptid) => Some(ptid),
        Request::Noted | Request::NotRunning => None,
    }
}

#[cfg(all(test, not(loom)))]
#[path = "start_tests.rs"]
mod tests;
