//! GDB at a guest of KVM's, by QEMU's stub: it reads registers, stops at a breakpoint, and steps.
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::qemu::{Boot, End};
use xtask::guest::{self, Job, Scenario};
use xtask::{linux, process, setup};

use super::{HOST, LIMIT, boot};
use crate::Outcome;

/// Where a system call of a program's gets into a Linux guest, with address translation.
const SYSTEM_CALL: u64 = 0xc000_0000_0000_4c00;
/// QEMU's monitor writes this file when the debugger is about to leave.
const DONE: &str = "monitor pmemsave 0 16 \"/tmp/debugged\"";
/// While nobody listens yet.
const PAUSE: Duration = Duration::from_secs(2);

pub fn trial() -> Trial {
    crate::trial("guest-matrix::debugged", debugged).with_ignored_flag(true)
}

fn debugged() -> Outcome {
    setup::ensure_gdb().map_err(|error| format!("{error:#}"))?;
    let mut job = Job::checked(HOST, 4, 1);
    job.scenario = Scenario::Debugged;
    let port = free_port()?;
    let mut boot: Boot = boot("debugged", &job, 1)?;
    boot.extra.extend(network(port));
    let expected = ["check: ok counts", "check: ok counts-on", guest::DONE];
    let expected = linux::FORBIDDEN
        .into_iter()
        .fold(Expected::lines(expected), Expected::forbid);
    let running = boot.start();
    let debugger = thread::spawn(move || debug(port));
    let checked = running.check(&End::Off, &expected).map(drop);
    let said = debugger.join().expect("the debugger's thread");
    checked.map_err(|why| format!("{said}\n{why}"))?;
    judge(&said)
}

/// Of this machine's: nobody's now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}

/// The host's network, where its port 1234 is one of this machine's.
fn network(port: u16) -> [String; 8] {
    let forward = format!("user,id=net0,hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:1234");
    [
        "-device",
        "pnv-phb,chip-id=0,index=0,id=phb0",
        "-device",
        "pnv-phb-root-port,bus=phb0,id=pcie.0",
        "-netdev",
        &forward,
        "-device",
        "virtio-net-pci,bus=pcie.0,netdev=net0,romfile=",
    ]
    .map(String::from)
}

/// What GDB has said, when it was there; or why it never was.
fn debug(port: u16) -> String {
    let until = Instant::now() + LIMIT;
    loop {
        match gdb(port) {
            Err(error) if Instant::now() > until => return error,
            Err(_) => thread::sleep(PAUSE),
            Ok(said) => return said,
        }
    }
}

fn gdb(port: u16) -> Result<String, String> {
    let target = format!("target remote 127.0.0.1:{port}");
    let stop = format!("break *{SYSTEM_CALL:#x}");
    let mut gdb = Command::new(setup::GDB);
    gdb.args(["-q", "-nx", "-batch"]);
    let orders = [
        "set pagination off",
        "set architecture powerpc:common64",
        "set endian little",
        "set remotetimeout 120",
        &target,
        "info threads",
        "info registers pc msr r1",
        &stop,
        "continue",
        "info registers pc",
        "set scheduler-locking on",
        "stepi",
        "info registers pc",
        "stepi",
        "info registers pc",
        "x/1xw $pc",
        "delete",
        "set scheduler-locking off",
        DONE,
        "detach",
    ];
    for order in orders {
        gdb.args(["-ex", order]);
    }
    let said = process::output(&mut gdb).map_err(|error| format!("{error:#}"))?;
    match said.contains("Breakpoint 1 at") {
        true => Ok(said),
        false => Err(said),
    }
}

/// Where it was at last: at the system call, and behind its first and its second instruction.
fn judge(said: &str) -> Outcome {
    let places: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("pc "))
        .collect();
    let expected = [0, 4, 8].map(|offset| format!("{:#x}", SYSTEM_CALL + offset));
    let is_there = |(place, expected): (&&str, &String)| place.contains(expected);
    match places.get(1..) {
        Some(stops) if stops.len() == 3 && stops.iter().zip(&expected).all(is_there) => Ok(()),
        _ => Err(format!("it should have been at {expected:?}:\n{said}")),
    }
}
