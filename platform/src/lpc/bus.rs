//! The machine's LPC bus, and the lock that orders all use of it.

use crate::chip::xscom;
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

/// The bus, even if whoever has it, or is in an access of it, doesn't give it back within a second of the
/// clock `now_tb`.
///
/// # Safety
/// The machine is about to end, and nobody will go on with the bus.
pub unsafe fn lock_or_break(now_tb: fn() -> u64) -> LockGuard<'static, Bus> {
    // A second: far more than anybody needs for an access.
    let limit_tb = now_tb() + hcalls::trace::TB_HZ;
    // SAFETY: the caller's promise. Whoever holds the bus's lock breaks the other, and nobody else.
    unsafe {
        let bus = BUS.lock_or_break(|| now_tb() > limit_tb);
        xscom::break_lock(now_tb);
        bus
    }
}
