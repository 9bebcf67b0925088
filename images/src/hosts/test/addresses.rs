//! Addresses that OPAL's calls must not touch.
use alloc::format;

use hcalls::Status;
use images::host_runtime::cpu;

use crate::check::{Outcome, same};
use crate::lab::Lab;
use crate::opal::{address, call, wants};

const CONSOLE_WRITE: u64 = 1;
const CONSOLE_READ: u64 = 2;
const RTC_READ: u64 = 3;
const READ_NVRAM: u64 = 7;
const WRITE_NVRAM: u64 = 8;
const HANDLE_INTERRUPT: u64 = 9;
const POLL_EVENTS: u64 = 10;
const GET_XIVE: u64 = 20;
const CONSOLE_WRITE_BUFFER_SPACE: u64 = 25;
const START_CPU: u64 = 41;
const QUERY_CPU_STATUS: u64 = 42;
const CHECK_TOKEN: u64 = 80;
const GET_MSG: u64 = 85;
const SENSOR_READ: u64 = 88;
const REGISTER_DUMP_REGION: u64 = 101;
const IPMI_SEND: u64 = 107;
const IPMI_RECV: u64 = 108;
const PCI_CONFIG_READ_BYTE: u64 = 13;
const PCI_CONFIG_READ_HALF_WORD: u64 = 14;
const PCI_CONFIG_READ_WORD: u64 = 15;
const PCI_EEH_FREEZE_STATUS: u64 = 23;
const GET_MSI_32: u64 = 39;
const GET_MSI_64: u64 = 40;
const PCI_NEXT_ERROR: u64 = 60;
const PCI_GET_PHB_DIAG_DATA2: u64 = 64;
const XSCOM_READ: u64 = 65;
const LPC_READ: u64 = 67;
/// The LPC bus's I/O ports.
const LPC_IO: u64 = 1;
const FLASH_READ: u64 = 110;
const FLASH_WRITE: u64 = 111;
const GET_DEVICE_TREE: u64 = 118;
const SENSOR_READ_U64: u64 = 162;
const HANDLE_HMI2: u64 = 166;
/// Highest token of OPAL's own.
const LAST: u64 = 999;

/// Calls that take no address: those of PCI that aren't above, XSCOM_WRITE, LPC_WRITE, RESYNC_TIMEBASE, TEST, RTC_WRITE, CEC_POWER_DOWN, CEC_REBOOT, SET_XIVE, RETURN_CPU,
/// REINIT_CPUS, CHECK_TOKEN, SYNC_HOST_REBOOT, HANDLE_HMI, UNREGISTER_DUMP_REGION, CONSOLE_FLUSH, FLASH_ERASE, QUIESCE. Then those whose
/// address can't be tried here: GET_MSG looks at it when there is a message, and CEC_REBOOT2 ends
/// the machine.
const NOT_TRIED: [u64; 36] = [
    0, 4, 5, 6, 16, 17, 18, 19, 26, 27, 28, 29, 31, 32, 37, 44, 45, 49, 62, 63, 66, 68, 69, 70, 79,
    80, 87, 96, 97, 98, 102, 112, 117, 158, GET_MSG, 116,
];

/// The interrupt of everything on the LPC bus.
const EXTERNAL: u64 = 0x15;

/// Where no RAM of the host's is: the firmware, its last bytes, past the RAM, devices, addresses
/// that wrap around.
const NO_RAM: [u64; 6] = [
    0x3000_0000,
    0x31ff_fff0,
    0x40_0000_0000,
    0x3_ffff_8000_8000,
    1 << 60,
    u64::MAX - 3,
];

/// A call, and arguments that it refuses.
type Refused<'a> = (u64, &'a [u64]);

/// Calls with one bad address each.
fn with_address(bad: u64, good: u64, len: u64, each: impl FnMut(Refused) -> Outcome) -> Outcome {
    let pir = u64::from(cpu::pir());
    let calls: [Refused; 37] = [
        (CONSOLE_WRITE, &[0, bad, good]),
        (CONSOLE_WRITE, &[0, len, bad]),
        (CONSOLE_READ, &[0, bad, good]),
        (CONSOLE_READ, &[0, len, bad]),
        (RTC_READ, &[bad, good]),
        (RTC_READ, &[good, bad]),
        (READ_NVRAM, &[bad, 16, 0]),
        (WRITE_NVRAM, &[bad, 16, 0]),
        (HANDLE_INTERRUPT, &[EXTERNAL, bad]),
        (POLL_EVENTS, &[bad]),
        (GET_XIVE, &[EXTERNAL, bad, good]),
        (GET_XIVE, &[EXTERNAL, good, bad]),
        (CONSOLE_WRITE_BUFFER_SPACE, &[0, bad]),
        (START_CPU, &[pir, bad]),
        (QUERY_CPU_STATUS, &[pir, bad]),
        (SENSOR_READ, &[pir, 0, bad]),
        (SENSOR_READ_U64, &[pir, 0, bad]),
        (IPMI_SEND, &[0, bad, 8]),
        (IPMI_RECV, &[0, good, bad]),
        (IPMI_RECV, &[0, bad, len]),
        (PCI_CONFIG_READ_BYTE, &[0, 0, 0, bad]),
        (PCI_CONFIG_READ_HALF_WORD, &[0, 0, 0, bad]),
        (PCI_CONFIG_READ_WORD, &[0, 0, 0, bad]),
        (PCI_EEH_FREEZE_STATUS, &[0, 0, bad, good, 0]),
        (GET_MSI_32, &[0, 0, 0, 1, bad, good]),
        (GET_MSI_64, &[0, 0, 0, 1, good, bad]),
        (PCI_NEXT_ERROR, &[0, bad, good, good]),
        (PCI_GET_PHB_DIAG_DATA2, &[0, bad, 0x1128]),
        (XSCOM_READ, &[0, 0xf_000f, bad]),
        (LPC_READ, &[0, LPC_IO, 0x3fd, bad, 1]),
        (FLASH_READ, &[0, 0, bad, 16, 0]),
        (FLASH_WRITE, &[0, 0, bad, 16, 0]),
        (HANDLE_HMI2, &[bad]),
        (REGISTER_DUMP_REGION, &[0x80, bad, 16]),
        (GET_DEVICE_TREE, &[0, bad, 16]),
        (QUERY_CPU_STATUS, &[bad, good]),
        (SENSOR_READ, &[bad, 0, good]),
    ];
    calls.into_iter().try_for_each(each)
}

/// Addresses that aren't the host's RAM are refused by every call that takes one.
pub fn opal_addresses(_lab: &mut Lab) -> Outcome {
    let (mut words, mut len) = ([0_u64; 16], 16_u64.to_be());
    let (good, len) = (address(&mut words), address(&mut len));
    for bad in NO_RAM {
        with_address(bad, good, len, |(token, args)| {
            let what = format!("call {token} with {args:x?}");
            wants(&what, token, args, Status::Parameter)
        })?;
    }
    let others: [Refused; 3] = [
        (READ_NVRAM, &[good, u64::MAX, 0]),
        (CONSOLE_WRITE, &[1, good, good]),
        (GET_XIVE, &[EXTERNAL + 1, good, good]),
    ];
    for (token, args) in others {
        let what = format!("call {token} with {args:x?}");
        wants(&what, token, args, Status::Parameter)?;
    }
    words = [0; 16];
    words[0] = u64::MAX;
    let endless = [0, address(&mut words), good];
    wants(
        "a text without end",
        CONSOLE_WRITE,
        &endless,
        Status::Parameter,
    )?;
    wants("no message", GET_MSG, &[good, 128], Status::Resource)?;
    wants("a short buffer", GET_MSG, &[good, 71], Status::Parameter)?;
    // Nothing of that has hurt.
    none_is_left_out()
}

/// Every call that is served is among those above, or takes no address.
fn none_is_left_out() -> Outcome {
    for token in 0..=LAST {
        let mut tried = false;
        with_address(0, 0, 0, |(of, _)| {
            tried |= of == token;
            Ok(())
        })?;
        let known = tried || NOT_TRIED.contains(&token);
        let served = call(CHECK_TOKEN, &[token]) == Status::Present as i64;
        same(&format!("whether call {token} is served"), served, known)?;
    }
    Ok(())
}
