//! Machines stopped before their first instruction.
use xtask::gdb::{self, Debugger};
use xtask::socket;

use crate::images;
use crate::qemu::{Boot, Running};

/// Starts a machine that waits before its first instruction. `name` is the trial's own.
///
/// # Errors
/// The debugger stub doesn't answer.
pub fn start(boot: &Boot, name: &str) -> Result<(Running, Debugger), String> {
    let socket = images::scratch_path(&format!("{name}.gdb"));
    let mut boot = boot.clone();
    let listens = socket::listens(&socket);
    boot.extra.extend(["-S".into(), "-gdb".into(), listens]);
    let running = boot.start();
    let debugger = gdb::connect(&socket, boot.limit)?;
    Ok((running, debugger))
}
