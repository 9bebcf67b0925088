//! What the test host and its guests agree on: which behaviour a guest shows (its first argument,
//! r5), and the steps that it reports with [`crate::guest_calls::H_REPORT`].

/// `guest-exits`: how to come out.
pub mod exits {
    /// H_REPORT with step [`STEP`].
    pub const HYPERCALL: u64 = 0;
    /// A hypercall number that nobody serves, [`UNKNOWN_NUMBER`]; then STEP with the answer.
    pub const UNKNOWN_HYPERCALL: u64 = 1;
    /// Instruction 0, which never is one.
    pub const ILLEGAL: u64 = 2;
    /// A load from past the guest's memory.
    pub const DATA_OUTSIDE: u64 = 3;
    /// A branch to past the guest's memory.
    pub const FETCH_OUTSIDE: u64 = 4;
    /// `trap`.
    pub const TRAP: u64 = 5;
    /// Instructions and registers that are the hypervisor's.
    pub const HRFID: u64 = 6;
    pub const NAP: u64 = 7;
    pub const READ_HSPRG0: u64 = 8;
    pub const WRITE_LPCR: u64 = 9;
    pub const WRITE_LPIDR: u64 = 10;
    pub const WRITE_HDEC: u64 = 11;
    pub const CACHE_INHIBITED_STORE: u64 = 12;
    /// `msgsndp`, which a guest in packed mode can't use.
    pub const DOORBELL: u64 = 13;
    /// MSR[HV] set by `mtmsrd`, which must have no effect; then STEP with the MSR.
    pub const SET_HV: u64 = 14;
    /// The same by `rfid`.
    pub const RFID_TO_HV: u64 = 15;
    /// It spins.
    pub const SPIN: u64 = 16;
    /// STEP with the decrementer.
    pub const READ_DEC: u64 = 17;
    /// Enters a page past the guest's memory, with the second argument as the entry's second doubleword; STEP with
    /// the answer, and then as [`DATA_OUTSIDE`], STEP with what is read.
    pub const ENTER_OUTSIDE: u64 = 18;
    /// Enters, reads, protects and removes pages of its own, as often as the second argument says, beside all
    /// siblings; STEP with how many answers were wrong.
    pub const WORK_ON_TABLE: u64 = 19;
    /// One hypercall on the page table, as often as the second argument says, between STEPs: of an entry that is
    /// there, H_READ; H_ENTER and H_REMOVE in turn.
    pub const READ_ENTRY: u64 = 20;
    pub const ENTER_REMOVE: u64 = 21;
    /// As [`DATA_OUTSIDE`], as often as the second argument says, between STEPs.
    pub const FAULTS: u64 = 22;
    /// A store where [`DATA_OUTSIDE`] loads; STEP, if that goes.
    pub const STORE_OUTSIDE: u64 = 23;
    /// Counts in a doubleword of its own where [`DATA_OUTSIDE`] loads, for ever.
    pub const COUNT_OUTSIDE: u64 = 24;

    pub const STEP: u64 = 0x1234;
    /// In the range of the platform's own calls, but no one's.
    pub const UNKNOWN_NUMBER: u64 = 0xfff0;
}

/// `guest-calls`: which hypercalls to make.
pub mod calls {
    /// H_REPORT of [`STEP`] and a count, for ever.
    pub const REPORT_FOR_EVER: u64 = 0;
    /// H_CEDE for ever; H_REPORT of STEP after each.
    pub const CEDE_FOR_EVER: u64 = 1;
    /// Vcpu 0 and 1 prod each other by turns, as often as their second argument (r6) says; others are
    /// done at once.
    pub const PING_PONG: u64 = 2;
    /// H_PROD of itself, then H_CEDE; H_PROD and H_CONFER of vcpus that there are and that there
    /// aren't. H_REPORT of STEP and the four answers.
    pub const ANSWERS: u64 = 3;
    /// Vcpu 0 makes one call as often as its second argument (r6) says, then H_REPORT of STEP; for
    /// ever. The others spin. First: H_PROD of itself.
    pub const PROD: u64 = 4;
    /// H_PROD of itself, then H_CEDE.
    pub const PROD_CEDE: u64 = 8;
    /// H_CONFER to anyone.
    pub const CONFER: u64 = 9;
    /// H_PROD of vcpu 1, which is in the guest.
    pub const PROD_OTHER: u64 = 10;
    /// Sets its priority to [`PRIORITY_LOW`], then H_PROD of itself, H_CEDE, and H_CONFER to anyone. H_REPORT of
    /// STEP and what PPR is after each.
    pub const PRIORITY: u64 = 15;
    /// In PPR: low.
    pub const PRIORITY_LOW: u64 = 2 << (63 - 13);
    /// H_REPORT of STEP, the index and the hardware thread (TIR) once, then spin.
    pub const REPORT_THEN_SPIN: u64 = 5;
    /// Vcpu 0 does as [`REPORT_FOR_EVER`], the others spin.
    pub const FIRST_REPORTS: u64 = 6;

    /// Vcpu 0 waits until every vcpu is in the guest, then H_REPORT of STEP and a count; for ever.
    pub const ALL_THEN_REPORT: u64 = 7;

    /// H_REPORT of STEP, the index and the time base, for ever.
    pub const TELL_TIME: u64 = 11;
    /// Nothing.
    pub const SPIN: u64 = 12;
    /// H_REPORT of STEP, the index, the decrementer, for ever.
    pub const TELL_DEC: u64 = 13;
    /// Sets the decrementer to its second argument (r6), then H_REPORT of STEP, the index and the time
    /// base; for ever.
    pub const SET_DEC: u64 = 14;

    pub const STEP: u64 = 0x2345;
}

/// `guest-registers`: how often which registers hold, and which one does not.
pub mod registers {
    /// A hypercall with every register filled; r4 alone is this.
    pub const STEP_FULL: u64 = 0x3456;
    /// A register has changed: a kind, its number, what it was and what it is.
    pub const STEP_CHANGED: u64 = 0x3457;
    /// All rounds are through.
    pub const STEP_DONE: u64 = 0x3458;
    /// Rounds with a hypercall, and as many in which the guest only spins.
    pub const ROUNDS: u64 = 8;
    /// Second argument of a guest without a page table: the firmware doesn't keep its SLB.
    pub const SEGMENTS_LOST: u64 = 1;

    pub const KIND_GPR: u64 = 0;
    /// 0 = CR, 1 = LR, 2 = CTR, 3 = XER.
    pub const KIND_USER: u64 = 1;
    pub const KIND_SPR: u64 = 2;
    /// Twice the number of the VSR, plus 1 for its second doubleword.
    pub const KIND_VSR: u64 = 3;
    /// 0 = FPSCR, 1 and 2 = VSCR.
    pub const KIND_FP_STATUS: u64 = 4;
    /// Twice the number of the entry, plus 1 for its second doubleword.
    pub const KIND_SLB: u64 = 5;
}

/// `guest-doorbell`: which behaviour, if not the one of [`interrupts`], which is 0.
pub mod doorbell {
    /// Vcpu 0 rings all others while they have interrupts off: STEP_RUNG. When it goes on they let
    /// interrupts in: STEP_HEARD and how many came.
    pub const KEPT: u64 = 1;
    /// Vcpu 0 reports STEP_SEEN and what it reads in DPDES.
    pub const LOOK: u64 = 2;

    pub const STEP_RUNG: u64 = 0x5678;
    pub const STEP_HEARD: u64 = 0x5679;
    pub const STEP_SEEN: u64 = 0x567a;
}

/// `guest-dec`, `guest-external`, `guest-doorbell`: interrupts that the guest takes.
pub mod interrupts {
    /// `guest-external`: how to wait for them, if not 0: spinning; spinning with interrupts off most
    /// of the time; in H_CEDE. Or not at all.
    pub const SPIN: u64 = 1;
    pub const OFF_FOR_A_TIME: u64 = 2;
    pub const CEDE: u64 = 3;
    pub const IDLE: u64 = 4;
    /// How many are awaited.
    pub const COUNT: u64 = 10;
    /// An interrupt came: how many there were so far.
    pub const STEP_TAKEN: u64 = 0x4567;
    /// The guest stands with interrupts off.
    pub const STEP_OFF: u64 = 0x4568;
    /// All have come: how many there were; `guest-dec` also: the most ticks that one was late.
    pub const STEP_DONE: u64 = 0x4569;
    /// An interrupt came when it must not have: what was wrong, by number.
    pub const STEP_WRONG: u64 = 0x456a;
    /// `guest-dec`: ticks from arming to the interrupt.
    pub const DEC_TB: u64 = 51_200;
}

/// `guest-timeline`: who does what, by vcpu; all others spin.
pub mod timeline {
    /// Works, prods [`PRODDED`], waits until all late joiners are there, and reports STEP.
    pub const PRODDER: u64 = 0;
    /// H_CEDE until it's prodded.
    pub const PRODDED: u64 = 1;
    /// H_CEDE until its decrementer expires.
    pub const TIMED: u64 = 2;
    /// From this one on: they join late. How many these are.
    pub const FIRST_LATE: u64 = 6;
    pub const LATE: u64 = 2;

    /// What is done between two things to be seen: some microseconds, in ticks.
    pub const STEP_TB: u64 = 2048;
    pub const STEP: u64 = 0x789a;
}

/// `guest-soak`: what it reports, and what the host answers.
pub mod soak {
    /// The vcpu and how many reports it made before; the answer is [`answer`] of both.
    pub const STEP: u64 = 0x6789;
    /// Something has changed: which ([`WRONG_ANSWER`] or the number of a register), what it is, and
    /// what it was.
    pub const STEP_WRONG: u64 = 0x678a;
    pub const WRONG_ANSWER: u64 = 99;
    /// A hypercall that nobody serves.
    pub const NOBODYS_NUMBER: u64 = 0xfff0;
    /// Second argument (r6): the page at [`NOWHERE`] leads to where nothing answers.
    pub const HAS_NOWHERE: u64 = 1;
    pub const NOWHERE: u64 = 1 << 32;
    /// The farthest a decrementer is set for a nap: 50 µs.
    pub const LONGEST_NAP_TB: u64 = 25_600;

    /// A number that differs from report to report.
    pub fn answer(index: u64, count: u64) -> u64 {
        (index << 48 ^ count).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
