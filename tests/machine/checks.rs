//! The checks around every call of the host's: with a debugger a call does what no call may. And
//! interrupts that QEMU doesn't make, or seldom at such a moment.
//!
//! (That a call has taken too long is told by the same line of code as a lock left held; what counts
//! as too long is tested on the build host: `firmware::call_faults`.)
use core::mem::offset_of;
use std::time::Duration;

use asm::area::ThreadArea;
use hcalls::exit::ExitReason;
use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End};
use tests::{gdb, images};
use xtask::gdb::Debugger;

use crate::{Outcome, behaviours, trial};

/// OPAL_CHECK_TOKEN, which the host's test makes, CONSOLE_WRITE, and CEC_POWER_DOWN, which ends it.
const CHECK_TOKEN: u64 = 80;
const CONSOLE_WRITE: u64 = 1;
const POWER_DOWN: u64 = 5;
/// What a call in a call in a call answers.
const INTERNAL_ERROR: i64 = -11;
/// The firmware is linked past HRMOR (decision 12); hosts and the debugger use real addresses.
const REAL: u64 = !(1 << 63);
/// PIR of the machine's only thread.
const PIR: u64 = 8;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("checks::lock-left-held", lock_left_held),
        trial("checks::call-in-a-call", call_in_a_call),
        trial("checks::third-call", third_call),
        trial("checks::reset-in-a-call", reset_in_a_call),
        trial("checks::end-in-a-call", end_in_a_call),
        trial("checks::maintenance", maintenance),
        trial("checks::reset-at-srr", reset_at_srr),
        trial("checks::reset-at-hsrr", reset_at_hsrr),
    ]
}

/// The first call finds a lock counted that it doesn't give back: it is told once, and no later call is
/// blamed for it.
fn lock_left_held() -> Outcome {
    let told = format!("call {CHECK_TOKEN} has left 1 locks held");
    let expected = Expected::lines([&*told, "ok check_token", "host: done"]).allow(&*told);
    let lines = run("lock-left-held", "check_token", &expected, |machine| {
        machine.run_to_call(CHECK_TOKEN)?;
        machine.set(offset_of!(ThreadArea, locks), 1)
    })?;
    match lines
        .iter()
        .filter(|line| line.contains("locks held"))
        .count()
    {
        1 => Ok(()),
        count => Err(format!("told {count} times:\n{}", lines.join("\n"))),
    }
}

/// A thread that is in a call makes another: that is answered, and changes nothing for those after it.
fn call_in_a_call() -> Outcome {
    let expected = Expected::lines(["ok check_token", "host: done"]);
    let run = run("call-in-a-call", "check_token", &expected, |machine| {
        machine.run_to_call(CHECK_TOKEN)?;
        machine.set(offset_of!(ThreadArea, in_call), u64::MAX)?;
        machine.run_to_next_call()?;
        machine.set(offset_of!(ThreadArea, in_call), 0)
    });
    run.map(drop)
}

/// Within that one it makes a third: that is answered INTERNAL_ERROR.
fn third_call() -> Outcome {
    let failed = format!("FAILED check_token: CHECK_TOKEN is (44a, {INTERNAL_ERROR:x})");
    let expected = Expected::lines([&*failed, "host: done"]).allow(&*failed);
    let run = run("third-call", "check_token", &expected, |machine| {
        machine.run_to_call(CHECK_TOKEN)?;
        machine.set(offset_of!(ThreadArea, in_call), u64::MAX)?;
        machine.set(offset_of!(ThreadArea, in_nested_call), u64::MAX)?;
        machine.run_to_next_call()?;
        machine.set(offset_of!(ThreadArea, in_call), 0)?;
        machine.set(offset_of!(ThreadArea, in_nested_call), 0)
    });
    run.map(drop)
}

/// A system reset strikes a thread that has the console's lock, in a call of a host that will never go on with
/// it. That host's last words come out all the same, and it can switch the machine off.
fn reset_in_a_call() -> Outcome {
    let late = format!("call {CONSOLE_WRITE} has taken");
    let expected = Expected::lines(["host: thread 0x8: interrupt 0x100"]).allow(&*late);
    let run = run("reset-in-a-call", "check_token", &expected, |machine| {
        machine.run_to_call(CONSOLE_WRITE)?;
        // Calls within the firmware go to a function's local entry, two instructions on.
        let send = symbol("<platform::lpc::terminal::Terminal>::send") + 8;
        machine.debugger.run_to(send)?;
        machine.debugger.monitor("nmi").map(drop)
    });
    run.map(drop)
}

/// Calls that end the machine are carried out all the same: it switches off.
fn end_in_a_call() -> Outcome {
    let expected = Expected::lines(["host: done"]);
    let run = run("end-in-a-call", "check_token", &expected, |machine| {
        machine.run_to_call(POWER_DOWN)?;
        machine.set(offset_of!(ThreadArea, in_call), u64::MAX)
    });
    run.map(drop)
}

/// A guest's illegal instruction brings it to the vector for that; the debugger moves the thread on to the
/// one for maintenance, which finds all as it would. The host is told of that, and not of the instruction.
/// L8.
fn maintenance() -> Outcome {
    const EMULATION_ASSISTANCE: u64 = 0xe40;
    const MAINTENANCE: u64 = 0xe60;
    let (told, wanted) = (
        ExitReason::Maintenance as u32,
        ExitReason::EmulationAssist as u32,
    );
    let (told, wanted) = (
        format!("({told:x}, {MAINTENANCE:x})"),
        format!("({wanted:x}, {EMULATION_ASSISTANCE:x})"),
    );
    let failed = format!("FAILED exits: case 2: reason and vector is {told}, not {wanted}");
    let expected = Expected::lines([&*failed, "host: done"]).allow(&*failed);
    let run = run("maintenance", "exits", &expected, |machine| {
        machine.debugger.run_to(EMULATION_ASSISTANCE)?;
        machine.debugger.set_pc(MAINTENANCE)
    });
    run.map(drop)
}

/// A system reset strikes where a guest's hypercall has just come in, and takes its SRR0 and SRR1: it leaves
/// as one that was struck itself.
/// L8.
fn reset_at_srr() -> Outcome {
    const HYPERCALL: u64 = 0xc00;
    let (told, wanted) = (ExitReason::SystemReset as u32, ExitReason::Hypercall as u32);
    let failed = format!(
        "FAILED exits: case 0: reason and vector is ({told:x}, 100), not ({wanted:x}, {HYPERCALL:x})"
    );
    let expected = Expected::lines([&*failed, "host: done"]).allow(&*failed);
    let run = run("reset-at-srr", "exits", &expected, |machine| {
        machine.debugger.run_to(HYPERCALL)?;
        machine.debugger.monitor("nmi").map(drop)
    });
    run.map(drop)
}

/// The same where an interrupt has just come in by HSRR0 and HSRR1, which it leaves alone: the guest comes
/// out for what it has done.
/// L8.
fn reset_at_hsrr() -> Outcome {
    const EMULATION_ASSISTANCE: u64 = 0xe40;
    let expected = Expected::lines(["ok exits", "host: done"]);
    let run = run("reset-at-hsrr", "exits", &expected, |machine| {
        machine.debugger.run_to(EMULATION_ASSISTANCE)?;
        machine.debugger.monitor("nmi").map(drop)
    });
    run.map(drop)
}

/// A machine with one thread, which `disturb` has stopped, and the behaviour that its host shows.
fn run(
    name: &str,
    behaviour: &str,
    expected: &Expected,
    disturb: impl FnOnce(&mut Machine) -> Outcome,
) -> Result<Vec<String>, String> {
    let boot = Boot {
        payload: Some(images::path("testhost")),
        initrd: Some(behaviours::initrd()),
        bootargs: format!("test={behaviour}"),
        limit: Duration::from_secs(60),
        ..Boot::new(1, 1)
    };
    let (running, debugger) = gdb::start(&boot, name)?;
    let mut machine = Machine {
        debugger,
        entry: symbol("opal_entry") & REAL,
        is_at_entry: false,
    };
    disturb(&mut machine)?;
    machine.debugger.detach()?;
    running.check(&End::Off, expected)
}

struct Machine {
    debugger: Debugger,
    /// Real address of OPAL's entry.
    entry: u64,
    /// It is stopped there.
    is_at_entry: bool,
}

impl Machine {
    /// Runs until the host makes its next call.
    fn run_to_next_call(&mut self) -> Outcome {
        // A machine that is where it shall stop doesn't go on: it makes a step first.
        if self.is_at_entry {
            self.debugger.run_to(self.entry + 4)?;
        }
        self.is_at_entry = true;
        self.debugger.run_to(self.entry)
    }

    /// Runs until the host makes that call.
    fn run_to_call(&mut self, token: u64) -> Outcome {
        loop {
            self.run_to_next_call()?;
            let registers = self.debugger.monitor("info registers")?;
            let (_, after) = registers.split_once("GPR00 ").ok_or("no r0")?;
            let r0 = after.split_whitespace().next().unwrap_or_default();
            if u64::from_str_radix(r0, 16) == Ok(token) {
                return Ok(());
            }
        }
    }

    /// Sets a word of the thread's area.
    fn set(&mut self, offset: usize, value: u64) -> Outcome {
        let place = (symbol("opal_areas") & REAL) + 8 * PIR;
        let area = self.debugger.read(place, 8)?;
        let area = area.try_into().map_err(|_| "8 bytes")?;
        let area = u64::from_be_bytes(area) & REAL;
        let place = area + offset as u64;
        self.debugger.write(place, &value.to_be_bytes())
    }
}

/// The linked address of a symbol of the firmware's.
fn symbol(name: &str) -> u64 {
    let map = String::from_utf8(images::read("catnap.map")).expect("the map is text");
    let mut rows = map.lines().map(|row| row.split(' ').collect::<Vec<_>>());
    let row = rows.find(|row| row.get(2..).is_some_and(|words| words.join(" ") == name));
    let row = row.unwrap_or_else(|| panic!("no {name} in catnap.map"));
    u64::from_str_radix(row[0], 16).expect("a row begins with an address")
}
