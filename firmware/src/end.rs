//! The machine's end: power off and reboot.
use crate::machine;
use crate::smt::cores;
use asm::op;
use hcalls::run::CoreState;
use log::{error, info};
use platform::cpu::{thread, world};
use platform::lpc::bmc::{self, Power};
use platform::lpc::console;

/// Ends the machine, by the BMC if there is one.
pub fn power_off() -> ! {
    finish(Power::Off, "powered off")
}

/// Starts the machine anew.
pub fn reboot() -> ! {
    finish(Power::Reset, "reset")
}

/// Asks the BMC; without one, or if it refuses, the service processor, which can only switch off.
/// In the end this thread sleeps.
fn finish(power: Power, done: &str) -> ! {
    // The machine may be gone before a line that comes later is out.
    match machine::machine().filter(|machine| machine.has_bmc()) {
        Some(machine) => {
            info!("catnap: {done}: the BMC is asked");
            console::drain();
            if let Err(why) = bmc::power(machine, power, op::time_tb) {
                error!("catnap: {why}; the machine ends here");
                console::drain();
                world::call_attention();
            }
        }
        None => {
            info!("catnap: {done}: no BMC, so the machine ends here");
            console::drain();
            world::call_attention();
        }
    }
    if thread::try_current().is_some() {
        let core = cores::of(thread::current());
        thread::take_from_host(core.state() != CoreState::Released);
    }
    thread::stop()
}
