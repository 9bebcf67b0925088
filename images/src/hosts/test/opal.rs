//! OPAL's own calls: what hosts of any OPAL firmware ask for.
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::run::RUN_FP_CLEAN;
use images::boot_args;
use images::host_runtime::calls::{self, Refusal};
use images::host_runtime::{cpu, icp};

use crate::check::{Outcome, accepted, refused, same};
use crate::cores::{answer, send};
use crate::lab::{self, Lab, MS_TB, PATIENCE_TB, Wanted};
use crate::watch::Watch;

const READ_NVRAM: u64 = 7;
const WRITE_NVRAM: u64 = 8;
const HANDLE_INTERRUPT: u64 = 9;
const SET_XIVE: u64 = 19;
const GET_XIVE: u64 = 20;
const REINIT_CPUS: u64 = 70;
const CHECK_TOKEN: u64 = 80;
const SYNC_HOST_REBOOT: u64 = 87;
const IPMI_SEND: u64 = 107;
const IPMI_RECV: u64 = 108;
const QUIESCE: u64 = 158;

/// The interrupt of everything on the LPC bus, and a priority that is none.
const EXTERNAL: u64 = 0x15;
const MASKED: u64 = 0xff;
/// The event of the BMC's answers.
const EVENT_IPMI: u64 = 1 << 63;
const NVRAM_BYTES: u64 = 64 * 1024;

/// A call with addresses of live memory, or of none that it may touch; the status.
pub fn call(token: u64, args: &[u64]) -> i64 {
    // SAFETY: callers pass addresses of memory that is theirs for the call, or that the firmware
    // must not touch.
    match unsafe { calls::raw(token, args) } {
        Ok(_) => Status::Success as i64,
        Err(Refusal { status, .. }) => status,
    }
}

pub fn address<T>(of: &mut T) -> u64 {
    (of as *mut T).expose_provenance() as u64
}

pub fn wants(what: &str, token: u64, args: &[u64], status: Status) -> Outcome {
    same(what, call(token, args), status as i64)
}

/// NVRAM holds what is written, within its bounds. On a machine that has it in flash, the word `nvram=BYTES` says how
/// much that is.
pub fn nvram(lab: &mut Lab) -> Outcome {
    let nvram_bytes = match boot_args::value(lab.boot_args(), "nvram") {
        Some(bytes) => bytes.parse().map_err(|_| "nvram= is no number")?,
        None => NVRAM_BYTES,
    };
    let mut wanted = *b"what a host keeps in NVRAM......";
    let len = wanted.len() as u64;
    let mut found = [0_u8; 32];
    let last = nvram_bytes - len;
    for offset in [4096 + 16, last, 4096 + 17] {
        wanted[31] = wanted[31].wrapping_add(1);
        let write = [address(&mut wanted), len, offset];
        wants("WRITE_NVRAM", WRITE_NVRAM, &write, Status::Success)?;
        let read = [address(&mut found), len, offset];
        wants("READ_NVRAM", READ_NVRAM, &read, Status::Success)?;
        same("NVRAM", found, wanted)?;
    }
    for (len, offset) in [
        (len, last + 1),
        (1, nvram_bytes),
        (1, u64::MAX),
        (nvram_bytes + 1, 0),
    ] {
        let past = [address(&mut found), len, offset];
        wants(
            "READ_NVRAM past the end",
            READ_NVRAM,
            &past,
            Status::Parameter,
        )?;
        wants(
            "WRITE_NVRAM past the end",
            WRITE_NVRAM,
            &past,
            Status::Parameter,
        )?;
    }
    Ok(())
}

/// An interrupt can be had by the host's threads, and by none that the firmware holds: that one
/// would wake in the host's vectors.
/// H2.
pub fn interrupt_routes(lab: &mut Lab) -> Outcome {
    let own = u64::from(cpu::pir());
    let set = |server: u64, priority| [EXTERNAL, server << 2, priority];
    for &core in &lab.machine.cores {
        let core = u64::from(core);
        wants(
            "a core's thread 0",
            SET_XIVE,
            &set(core, 5),
            Status::Success,
        )?;
        let mut found = [0_u8; 3];
        let at = address(&mut found);
        wants(
            "GET_XIVE",
            GET_XIVE,
            &[EXTERNAL, at, at + 2],
            Status::Success,
        )?;
        let [high, low, priority] = found;
        same(
            "route",
            (u16::from_be_bytes([high, low]), priority),
            ((core << 2) as u16, 5),
        )?;
        for ptid in 1..8 {
            let held = set(core + ptid, 5);
            wants("a thread that is held", SET_XIVE, &held, Status::Parameter)?;
        }
    }
    wants("no thread", SET_XIVE, &set(2000, 5), Status::Parameter)?;
    wants(
        "no priority",
        SET_XIVE,
        &[EXTERNAL, own << 2, 256],
        Status::Parameter,
    )?;
    wants(
        "the firmware's priority",
        SET_XIVE,
        &set(own, 0),
        Status::Parameter,
    )?;
    wants("masked", SET_XIVE, &set(own, MASKED), Status::Success)
}

/// Asks the BMC who it is. Its answer interrupts.
fn ask_bmc() -> Outcome {
    const GET_DEVICE_ID: [u8; 3] = [1, 0x06 << 2, 1];
    let mut request = GET_DEVICE_ID;
    let args = [0, address(&mut request), 3];
    wants("IPMI_SEND", IPMI_SEND, &args, Status::Success)?;
    wants("a second request", IPMI_SEND, &args, Status::Busy)
}

/// Fetches the answer, which takes the interrupt away.
fn hear_bmc() -> Result<Vec<u8>, String> {
    let mut events = [0_u8; 8];
    let args = [EXTERNAL, address(&mut events)];
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    while u64::from_be_bytes(events) & EVENT_IPMI == 0 {
        wants("HANDLE_INTERRUPT", HANDLE_INTERRUPT, &args, Status::Success)?;
        ensure!(cpu::time_base() < limit_tb, "the BMC doesn't answer");
    }
    let (mut response, mut len) = ([0_u8; 64], 3_u64.to_be_bytes());
    let args = [0, address(&mut response), address(&mut len)];
    wants("too short", IPMI_RECV, &args, Status::Resource)?;
    len = 64_u64.to_be_bytes();
    wants("IPMI_RECV", IPMI_RECV, &args, Status::Success)?;
    let kept = response[..u64::from_be_bytes(len) as usize].to_vec();
    len = 64_u64.to_be_bytes();
    wants(
        "nothing more",
        IPMI_RECV,
        &[0, args[1], address(&mut len)],
        Status::Empty,
    )?;
    Ok(kept)
}

/// The BMC's answer interrupts the thread that the host has named; a guest that runs there comes
/// out, and the interrupt is still there for the host (L6).
pub fn device(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let own = u64::from(cpu::pir());
    while icp::drop_pending().is_some() {}
    for _ in 0..10 {
        wants(
            "SET_XIVE",
            SET_XIVE,
            &[EXTERNAL, own << 2, 5],
            Status::Success,
        )?;
        ask_bmc()?;
        // The firmware sends and receives when somebody looks; the answer is there at once.
        let run = guest.run(0xff, 0, cpu::time_base() + PATIENCE_TB, RUN_FP_CLEAN);
        let run = accepted("VCORE_RUN", run)?;
        same(
            "who left first, and why",
            run.first_reason,
            ExitReason::External,
        )?;
        same("exited", run.exited, 0)?;
        let source = icp::drop_pending().ok_or("the interrupt is lost")?;
        same("source", u64::from(source), EXTERNAL)?;
        let response = hear_bmc()?;
        // Version, function, command, completion code, and who it is.
        same(
            "response",
            response.get(..4),
            Some(&[1, 0x07 << 2, 1, 0][..]),
        )?;
        wants(
            "SET_XIVE",
            SET_XIVE,
            &[EXTERNAL, own << 2, MASKED],
            Status::Success,
        )?;
        while icp::drop_pending().is_some() {}
    }
    Ok(())
}

/// A host that is about to go finds its guests brought out and gone, whoever runs them (kexec).
/// H1.
pub fn sync_reboot(lab: &mut Lab) -> Outcome {
    let guest = lab.guest(&Wanted::new("loop", 8))?;
    let runs = Watch::of(&guest);
    send(lab, &guest, |errand| {
        let deadline_tb = cpu::time_base() + PATIENCE_TB;
        // SAFETY: nobody has a reference to that guest's pages or memory meanwhile.
        let run = unsafe { calls::vcore_run(errand.vcore, 0xff, 0, deadline_tb, RUN_FP_CLEAN) };
        let run = accepted("VCORE_RUN", run)?;
        ensure!(
            cpu::time_base() < deadline_tb,
            "nobody brought the vcore out: {run:?}"
        );
        Ok(())
    })?;
    runs.wait_for_any()?;
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    let mut busy = 0;
    loop {
        match call(SYNC_HOST_REBOOT, &[]) {
            0 => break,
            status => same("SYNC_HOST_REBOOT", status, Status::Busy as i64)?,
        }
        busy += 1;
        ensure!(cpu::time_base() < limit_tb, "the vcore doesn't come out");
    }
    ensure!(busy > 0, "the vcore hasn't run");
    answer()?;
    let run = calls::vcpu_destroy(guest.vcore, 0);
    refused("a vcpu that is gone", run, Status::Parameter, 1)?;
    // A new host begins; it isn't alone, so that its interrupts stay as they are.
    wants("REINIT_CPUS", REINIT_CPUS, &[1], Status::WrongState)?;
    wants("both byte orders", REINIT_CPUS, &[3], Status::Parameter)?;
    wants("what isn't there", REINIT_CPUS, &[16], Status::Unsupported)?;
    let mut again = lab.guest(&Wanted::new("loop", 8))?;
    lab::run_for(&mut again, 0xff, MS_TB).map(drop)
}

static HELD: AtomicU64 = AtomicU64::new(0);

/// While one thread has quiesced the firmware, others' calls wait; or are answered BUSY.
/// H3.
pub fn quiesce(lab: &mut Lab) -> Outcome {
    const HOLD: u64 = 1;
    const REJECT: u64 = 2;
    const RESUME: u64 = 4;
    const ALL: u64 = u64::MAX;
    let guest = lab.guest(&Wanted::new("loop", 1))?;
    for _ in 0..20 {
        wants("hold", QUIESCE, &[HOLD, ALL], Status::Success)?;
        HELD.store(1, Ordering::Release);
        send_unless_held(lab, &guest)?;
        cpu::wait_until(cpu::time_base() + MS_TB);
        same(
            "the other core's call is held",
            HELD.load(Ordering::Acquire),
            1,
        )?;
        wants("resume", QUIESCE, &[RESUME, ALL], Status::Success)?;
        answer()?;
        same("and has gone on", HELD.load(Ordering::Acquire), 2)?;
    }
    wants("reject", QUIESCE, &[REJECT, ALL], Status::Success)?;
    send(lab, &guest, |_| {
        wants("another's call", CHECK_TOKEN, &[1], Status::Busy)
    })?;
    answer()?;
    wants("resume", QUIESCE, &[RESUME, ALL], Status::Success)?;
    wants("no such thing", QUIESCE, &[9, ALL], Status::Parameter)?;
    wants("nobody", QUIESCE, &[HOLD, 2000], Status::Parameter)
}

/// The other core makes a call and notes when it's back.
fn send_unless_held(lab: &Lab, guest: &images::host_runtime::guest::Guest) -> Outcome {
    send(lab, guest, |_| {
        wants("TEST", 0, &[0], Status::Success)?;
        HELD.store(2, Ordering::Release);
        Ok(())
    })
}
