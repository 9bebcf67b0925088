//! Locks between the host's cores.
use spin::RelaxStrategy;
use spin::mutex::TicketMutex;

/// A lock that is taken in the order in which it was asked for.
pub type Lock<T> = TicketMutex<T, Relax>;

/// Waits with a priority hint.
pub struct Relax;

impl RelaxStrategy for Relax {
    fn relax() {
        super::cpu::relax();
    }
}
