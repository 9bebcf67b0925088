//! The machine that the firmware runs on, once its tree has been read.
use platform::tree::Machine;
use spin::Once;

static MACHINE: Once<Machine> = Once::new();

/// Keeps it, for good.
pub fn keep(machine: Machine) -> &'static Machine {
    MACHINE.call_once(|| machine)
}

/// The machine; none before it has been read.
pub fn machine() -> Option<&'static Machine> {
    MACHINE.get()
}
