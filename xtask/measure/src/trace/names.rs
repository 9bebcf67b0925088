//! Names of what records have as numbers.
use hcalls::exit::ExitReason;
use hcalls::trace::{Event, Record};
use skiboot_compat::calls::CALLS;

use super::timeline::{State, Vcpu};

pub fn of_state(state: State) -> String {
    match state {
        State::Host => "host".into(),
        State::Firmware => "firmware".into(),
        State::Guest(vcpu) => of_vcpu(vcpu),
        State::Ceded(vcpu) => format!("{} in H_CEDE", of_vcpu(vcpu)),
        State::Nap => "nap".into(),
        State::Lost => "written over".into(),
    }
}

/// With the vcore, where it's about a vcpu: its number is the lower part of its handle.
pub fn with_vcore(name: &str, state: State) -> String {
    match state {
        State::Guest(vcpu) | State::Ceded(vcpu) => format!("vcore {} {name}", vcpu.vcore),
        _ => name.into(),
    }
}

fn of_vcpu(vcpu: Vcpu) -> String {
    format!("vcpu {}", vcpu.slot)
}

/// A call's name, by its token.
pub fn of_call(token: u32) -> String {
    if let Ok(own) = hcalls::Token::try_from(u64::from(token)) {
        return capitals(&format!("{own:?}"));
    }
    let opal = CALLS
        .iter()
        .find(|call| call.token as u64 == u64::from(token));
    opal.map_or_else(|| format!("call {token}"), |call| call.name.into())
}

/// `VCORE_RUN` of `VcoreRun`.
fn capitals(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

/// What an interrupt is for, by its vector (Power ISA 2.07 Book III-S 6.5).
pub fn vector(vector: u32) -> String {
    let name = match vector {
        0x100 => "system reset",
        0x200 => "machine check",
        0x500 => "external",
        0x700 => "program",
        0x900 => "decrementer",
        0x980 => "HDEC",
        0xc00 => "hypercall",
        0xe00 => "data storage",
        0xe20 => "instruction storage",
        0xe40 => "emulation assistance",
        0xe60 => "maintenance",
        0xe80 => "doorbell",
        0xf80 => "facility unavailable",
        _ => return format!("vector {vector:#x}"),
    };
    name.into()
}

/// What ended a nap: SRR1 42:45 (Power ISA 2.07 Book III-S 6.5.1).
pub fn cause(cause: u32) -> String {
    let name = match cause {
        0b0011 => "a doorbell",
        0b0101 => "a hypervisor doorbell",
        0b0110 => "the decrementer",
        0b1000 => "an IPI",
        0b1010 => "maintenance",
        0b0100 => "a system reset",
        _ => return format!("cause {cause:#x}"),
    };
    name.into()
}

/// An event that takes no time.
pub fn of_mark(event: Event, record: &Record) -> String {
    let (slot, arg) = (record.slot, record.arg.get());
    match event {
        Event::WorldIn => format!(
            "the core is the firmware's, for LPID {}: threads {:#04x}",
            arg >> 16,
            arg & 0xff
        ),
        Event::WorldOut => "the core is the host's".into(),
        Event::Call => format!("calls thread {arg:#x}"),
        Event::Taken => "takes the call".into(),
        Event::Pull => format!("brings out threads {:#04x}", arg & 0xff),
        Event::Kick => format!("kicks slots {:#04x}, cause {:#x}", arg & 0xff, arg >> 8),
        Event::Join => format!("vcpu {slot} joins, on thread {arg}"),
        Event::Left => {
            let reason = ExitReason::try_from(arg);
            let reason = reason.map_or_else(|_| arg.to_string(), |it| format!("{it:?}"));
            format!("vcpu {slot} is out: {reason}")
        }
        Event::Fence => format!("threads {arg:#04x} never came back"),
        other => format!("{other:?} {arg:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    #[test]
    fn calls_have_their_names() {
        assert_eq!(of_call(1106), "VCORE_RUN");
        assert_eq!(of_call(10), "OPAL_POLL_EVENTS");
        assert_eq!(of_call(999), "call 999");
    }

    #[test]
    fn numbers_without_a_name_are_told() {
        assert_eq!(vector(0x980), "HDEC");
        assert_eq!(vector(0x1700), "vector 0x1700");
        assert_eq!(cause(8), "an IPI");
        assert_eq!(cause(1), "cause 0x1");
    }

    #[test]
    fn marks_tell_whom_they_are_about() {
        let mut record = Record::new_zeroed();
        (record.slot, record.arg) = (6, 0x108.into());
        let of = |event| of_mark(event, &record);
        assert_eq!(of(Event::Kick), "kicks slots 0x08, cause 0x1");
        assert_eq!(of(Event::Join), "vcpu 6 joins, on thread 264");
        assert_eq!(of(Event::Left), "vcpu 6 is out: 264");
    }
}
