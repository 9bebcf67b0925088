//! The machine's LPC bus, and the lock that orders all use of it.

use crate::cpu::lock::{Lock, LockGuard};
use crate::lpc::Lpc;
use crate::lpc::terminal::Terminal;

/// What is on the machine's LPC bus.
pub struct Bus {
    pub lpc: Option<Lpc>,
    pub(crate) terminal: Terminal,
}

static BUS: Lock<Bus> = Lock::new(Bus {
    lpc: None,
    terminal: Terminal::new(),
});

/// The bus, for as long as the guard lives. The console is silent meanwhile.
pub fn lock() -> LockGuard<'static, Bus> {
    BUS.lock()
}
