//! Where threads come in from assembly. While the trace is on each entry records, and goes on to the
//! ordinary one.
use crate::args::Args;
use crate::smt::run::seat::Seat;
use crate::smt::run::{self, enter, faults, hypercalls, leave, system_reset, table_hypercalls};
use crate::trace::{Whom, cause, note};
use crate::{epitaph, opal};
use hcalls::trace::Event;
use hcalls::{Token, VcpuPage, papr};
use platform::cpu::thread::{self, Entries};

/// Assembly has these numbers of its own, and none of the crates they are from.
const _: () = {
    use asm::{guest, opal};
    use skiboot_compat::{Status, Token as Opal};
    assert!(opal::RUN_TOKEN == Token::VcoreRun as u64);
    assert!(opal::ENDING_TOKENS[0] == Opal::CecPowerDown as u64);
    assert!(opal::ENDING_TOKENS[1] == Opal::CecReboot as u64);
    assert!(opal::ENDING_TOKENS[2] == Opal::CecReboot2 as u64);
    assert!(opal::INTERNAL_ERROR == Status::InternalError as i64);
    assert!(guest::DATA_STORAGE == faults::DATA_STORAGE);
    assert!(guest::INSTRUCTION_STORAGE == faults::INSTRUCTION_STORAGE);
    let served = [papr::H_CEDE, papr::H_CONFER, papr::H_PROD];
    assert!(papr::H_PROTECT == asm::area::LAST_TABLE_HYPERCALL);
    assert!(papr::H_BULK_REMOVE == guest::BULK_HYPERCALL);
    let mut at = 0;
    while at < served.len() {
        assert!(guest::FIRST_HYPERCALL <= served[at] && served[at] <= guest::LAST_HYPERCALL);
        at += 1;
    }
};

/// While the machine boots: a thread that is called the first time says that it is there.
pub static FIRST: Entries = Entries {
    woken: enter::first_woken,
    fault: epitaph::fault,
    struck: system_reset::struck,
    hypercall: hypercalls::serve,
    table_hypercalls: &table_hypercalls::SERVED,
    storage: faults::serve,
    left: leave::left,
    opal: opal::call,
    run: run::run,
};

/// While the trace is off.
pub static ORDINARY: Entries = Entries {
    woken: enter::woken,
    ..FIRST
};

/// While it is on.
pub static TRACED: Entries = Entries {
    woken,
    hypercall: serve,
    left,
    opal: call,
    run: begin_run,
    ..FIRST
};

extern "C-unwind" fn woken(srr1: u64) -> ! {
    note(Event::Wake, || (Whom::NOBODY, cause(srr1)));
    enter::woken(srr1)
}

extern "C-unwind" fn left(vector: u64, page: *mut VcpuPage) -> ! {
    let seat = Seat::of(thread::current());
    note(Event::Exit, || (seat.whom(), vector as u32));
    leave::left(vector, page)
}

/// Those hypercalls that the firmware doesn't know go on to [`left`], and are told of there.
extern "C-unwind" fn serve(page: *mut VcpuPage) -> u64 {
    let seat = Seat::of(thread::current());
    // SAFETY: assembly passes the page of the guest that this thread has just left.
    let [number, argument] = unsafe { [(*page).gpr[3].get(), (*page).gpr[4].get()] };
    match number {
        papr::H_CEDE => note(Event::Cede, || (seat.whom(), 0)),
        papr::H_PROD => note(Event::Prod, || (seat.whom(), argument as u32)),
        papr::H_CONFER => note(Event::Confer, || (seat.whom(), 0)),
        _ => {}
    }
    let goes_on = hypercalls::serve(page);
    if goes_on != 0 {
        note(Event::Resume, || (seat.whom(), 0));
    }
    goes_on
}

extern "C" fn call(args: &mut Args, token: u64) -> i64 {
    note(Event::CallIn, || (Whom::NOBODY, token as u32));
    let status = opal::call(args, token);
    note(Event::CallOut, || (Whom::NOBODY, status as u32));
    status
}

/// A run that begins tells of its return itself.
extern "C-unwind" fn begin_run(args: &mut Args) -> i64 {
    note(Event::CallIn, || (Whom::NOBODY, Token::VcoreRun as u32));
    let status = run::run(args);
    note(Event::CallOut, || (Whom::NOBODY, status as u32));
    status
}
