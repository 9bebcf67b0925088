//! OPAL's calls for flash.
use alloc::vec;
use alloc::vec::Vec;

use hcalls::Status;
use images::boot_args;
use images::host_runtime::cpu;

use crate::check::{Outcome, same};
use crate::lab::{Lab, PATIENCE_TB};
use crate::opal::{address, call, wants};

const POLL_EVENTS: u64 = 10;
const GET_MSG: u64 = 85;
const FLASH_READ: u64 = 110;
const FLASH_WRITE: u64 = 111;
const FLASH_ERASE: u64 = 112;
const IPMI_SEND: u64 = 107;
const IPMI_RECV: u64 = 108;
const LPC_READ: u64 = 67;
const LPC_WRITE: u64 = 68;
/// Spaces of the LPC bus: memory, I/O ports, firmware.
const SPACES: [u64; 3] = [0, 1, 2];
const FIRMWARE: u64 = SPACES[2];
const SPACE_BYTES: u64 = 1 << 28;
/// The host's, for messages.
const TOKEN: u64 = 0x1234_5678_9abc_def0;
/// The event of messages.
const EVENT_MESSAGE: u64 = 0x800;
const ASYNC_COMPLETION: i64 = -15;

const BLOCK_BYTES: u64 = 4096;
/// Nobody's: the last block of the flash's first MiB.
const SCRATCH_AT: u64 = (1 << 20) - BLOCK_BYTES;

/// Flash is read, written and erased, at once or with a message at the end, within its bounds. On a machine
/// without a partition table none of it is supported. The word `flash=BYTES` says that there is one.
pub fn flash(lab: &mut Lab) -> Outcome {
    let Some(bytes) = boot_args::value(lab.boot_args(), "flash") else {
        let mut buffer = [0_u8; 16];
        let args = [0, 0, address(&mut buffer), 16, TOKEN];
        wants("FLASH_READ", FLASH_READ, &args, Status::Unsupported)?;
        return wants("FLASH_ERASE", FLASH_ERASE, &[0; 4], Status::Unsupported);
    };
    let flash_bytes: u64 = bytes.parse().map_err(|_| "flash= is no number")?;
    bounds(flash_bytes)?;
    let begin = read(0, 4096)?;
    same("the table", &begin[..4], &b"PART"[..])?;
    by_the_bus()?;
    let all = read(0, 1 << 20)?;
    for at in (0..all.len()).step_by(4096) {
        let part = read(at as u64, 4096)?;
        ensure!(
            part[..] == all[at..at + 4096],
            "a long call reads something else at {at:#x}"
        );
    }
    let mut written: Vec<u8> = (0..2000_u32).map(|place| (place * 7) as u8).collect();
    change(FLASH_WRITE, SCRATCH_AT + 3, &mut written)?;
    ensure!(
        read(SCRATCH_AT + 3, 2000)? == written,
        "what was written isn't there"
    );
    same("before it", read(SCRATCH_AT, 3)?, vec![0xff; 3])?;
    same("behind it", read(SCRATCH_AT + 2003, 9)?, vec![0xff; 9])?;
    finish(
        "FLASH_ERASE",
        call(FLASH_ERASE, &[0, SCRATCH_AT, BLOCK_BYTES, TOKEN]),
    )?;
    let erased = read(SCRATCH_AT, BLOCK_BYTES as usize)?;
    ensure!(erased.iter().all(|&byte| byte == 0xff), "something is left");
    moved_windows()?;
    // For who looks at the flash afterwards.
    change(FLASH_WRITE, SCRATCH_AT, &mut b"kept".to_vec())
}

/// The host itself asks the BMC to close its window to the flash, or to open one that can't be written: what it
/// reads and writes by calls is the same as before.
fn moved_windows() -> Outcome {
    const CLOSE: &[u8] = &[5, 1, 0];
    const READ: &[u8] = &[4, 1, 0, 0, 1, 0];
    for command in [CLOSE, READ, CLOSE, CLOSE, READ] {
        hiomap(command)?;
        let begin = read(0, 4)?;
        same("the table", &begin[..], &b"PART"[..])?;
        hiomap(command)?;
        change(FLASH_WRITE, SCRATCH_AT + 4, &mut b"once".to_vec())?;
        same("written", read(SCRATCH_AT + 4, 4)?, b"once".to_vec())?;
        hiomap(command)?;
        change(
            FLASH_WRITE,
            SCRATCH_AT + 4,
            &mut b"\xff\xff\xff\xff".to_vec(),
        )?;
    }
    Ok(())
}

/// Sends a command of hiomap to the BMC, and waits for the answer.
fn hiomap(command: &[u8]) -> Outcome {
    let mut request = vec![1, 0x3a << 2, 0x5a];
    request.extend(command);
    let send = [
        0,
        request.as_mut_ptr().expose_provenance() as u64,
        request.len() as u64,
    ];
    wants("IPMI_SEND", IPMI_SEND, &send, Status::Success)?;
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    loop {
        let (mut answer, mut len) = ([0_u8; 64], 64_u64.to_be_bytes());
        let args = [0, address(&mut answer), address(&mut len)];
        match call(IPMI_RECV, &args) {
            0 => {
                return same(
                    "IPMI_RECV",
                    answer[..4].to_vec(),
                    vec![1, 0x3b << 2, 0x5a, 0],
                );
            }
            status => same("IPMI_RECV", status, Status::Empty as i64)?,
        }
        ensure!(cpu::time_base() < limit_tb, "the BMC doesn't answer");
    }
}

/// Flash lies at the beginning of the LPC bus's firmware space.
fn by_the_bus() -> Outcome {
    for (at, len, told) in [
        (0, 1, *b"\0\0\0P"),
        (1, 1, *b"\0\0\0A"),
        (1, 2, *b"\0\0AR"),
        (0, 4, *b"PART"),
    ] {
        let mut value = [0xff; 4];
        let args = [0, FIRMWARE, at, address(&mut value), len];
        wants("LPC_READ", LPC_READ, &args, Status::Success)?;
        same("flash by the bus", value, told)?;
    }
    let args = [0, FIRMWARE, SCRATCH_AT + 1, 0x1234_5678, 2];
    wants("LPC_WRITE", LPC_WRITE, &args, Status::Success)?;
    same(
        "written",
        read(SCRATCH_AT, 4)?,
        vec![0xff, 0x56, 0x78, 0xff],
    )?;
    let args = [0, FIRMWARE, SCRATCH_AT, u64::MAX, 4];
    wants("LPC_WRITE", LPC_WRITE, &args, Status::Success)?;
    nowhere()
}

/// Spaces, addresses and lengths that aren't there.
fn nowhere() -> Outcome {
    let mut value = [0_u8; 4];
    let value = address(&mut value);
    let limits = SPACES.map(|space| if space == 1 { 1 << 16 } else { SPACE_BYTES });
    for (space, limit) in SPACES.into_iter().zip(limits) {
        for (at, len) in [(limit, 1), (limit - 1, 2), (limit - 3, 4), (u64::MAX, 1)] {
            let args = [0, space, at, value, len];
            wants("past the end", LPC_READ, &args, Status::Parameter)?;
            wants("past the end", LPC_WRITE, &args, Status::Parameter)?;
        }
        for len in [0, 3, 5, 8, u64::MAX] {
            let args = [0, space, 0, value, len];
            wants("a length", LPC_READ, &args, Status::Parameter)?;
        }
    }
    wants("a space", LPC_READ, &[0, 3, 0, value, 1], Status::Parameter)
}

fn bounds(flash_bytes: u64) -> Outcome {
    let mut buffer = [0_u8; 16];
    let at = address(&mut buffer);
    for (id, offset, buffer, len) in [
        (1, 0, at, 16),
        (u64::MAX, 0, at, 16),
        (0, flash_bytes - 15, at, 16),
        (0, flash_bytes, at, 1),
        (0, u64::MAX, at, 1),
        (0, u64::MAX - 7, at, 16),
        (0, 0, 0x3000_0000, 16),
        (0, 0, 1 << 60, 16),
        (0, 0, at, u64::MAX),
    ] {
        for token in [FLASH_READ, FLASH_WRITE] {
            let args = [id, offset, buffer, len, TOKEN];
            wants("a range that isn't there", token, &args, Status::Parameter)?;
        }
    }
    for (id, offset, len) in [
        (1, 0, BLOCK_BYTES),
        (0, 1, BLOCK_BYTES),
        (0, 0, BLOCK_BYTES - 1),
        (0, flash_bytes, BLOCK_BYTES),
        (0, !(BLOCK_BYTES - 1), BLOCK_BYTES),
    ] {
        let args = [id, offset, len, TOKEN];
        wants("an odd block", FLASH_ERASE, &args, Status::Parameter)?;
    }
    let nothing = [0, flash_bytes, at, 0, TOKEN];
    wants("nothing", FLASH_READ, &nothing, Status::Success)
}

fn read(at_bytes: u64, len: usize) -> Result<Vec<u8>, alloc::string::String> {
    let mut bytes = vec![0; len];
    change(FLASH_READ, at_bytes, &mut bytes)?;
    Ok(bytes)
}

fn change(token: u64, at_bytes: u64, bytes: &mut [u8]) -> Outcome {
    let buffer = bytes.as_mut_ptr().expose_provenance() as u64;
    let args = [0, at_bytes, buffer, bytes.len() as u64, TOKEN];
    finish("FLASH_READ or FLASH_WRITE", call(token, &args))
}

/// A call that goes on has a message sent at the end; another one has to wait meanwhile.
fn finish(what: &str, status: i64) -> Outcome {
    if status != ASYNC_COMPLETION {
        return same(what, status, Status::Success as i64);
    }
    let mut buffer = [0_u8; 16];
    let args = [0, 0, address(&mut buffer), 16, TOKEN];
    wants("another meanwhile", FLASH_READ, &args, Status::Busy)?;
    let mut message = [0_u8; 72];
    let limit_tb = cpu::time_base() + PATIENCE_TB;
    loop {
        let mut events = [0_u8; 8];
        wants(
            "POLL_EVENTS",
            POLL_EVENTS,
            &[address(&mut events)],
            Status::Success,
        )?;
        let events = u64::from_be_bytes(events);
        ensure!(
            events & EVENT_MESSAGE != 0,
            "nothing is to come: {events:#x}"
        );
        match call(GET_MSG, &[address(&mut message), 72]) {
            0 => break,
            status => same("GET_MSG", status, Status::Resource as i64)?,
        }
        ensure!(cpu::time_base() < limit_tb, "{what} doesn't end");
    }
    let word = |at: usize| u64::from_be_bytes(core::array::from_fn(|place| message[at + place]));
    same("the message", (word(0), word(8), word(16)), (0, TOKEN, 0))
}
