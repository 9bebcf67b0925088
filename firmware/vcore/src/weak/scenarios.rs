//! What is explored.

extern crate std;
use super::explore::{Scenario, catches, holds};
use super::flaw::Flaw;
use super::host::{self, Outcome};
use super::machine::{Act, Core, Machine, Script, letter};
use super::seat;
use crate::Mask;
use crate::roster::Refusal;
use loom::thread::{self, JoinHandle};
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn secondary(core: &Rc<Core>, ptid: usize) -> JoinHandle<()> {
    let core = core.clone();
    thread::spawn(move || seat::secondary(&core, ptid))
}

fn apart<T: 'static>(
    machine: &Rc<Machine>,
    work: impl FnOnce(&Machine) -> T + 'static,
) -> JoinHandle<T> {
    let machine = machine.clone();
    thread::spawn(move || work(&machine))
}

/// The calling thread is the runner, `others` are those of its threads and of other cores.
fn finish(machine: &Machine, others: Vec<JoinHandle<()>>) {
    machine.cores.iter().for_each(|core| core.finish());
    others.into_iter().for_each(|other| other.join().unwrap());
    machine.assert_quiet();
}

fn machine(flaw: Option<Flaw>, slots: Mask, script: super::machine::Script) -> Rc<Machine> {
    let threads = slots.count_ones() as usize;
    Rc::new(Machine::new(flaw, 1, threads, slots, script))
}

/// A kick of a vcpu at any time of a run that nothing else ends (B12, B17).
fn kick_against_start(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[], &[Act::External], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let kicker = apart(&machine, |machine| host::kick(machine, 1));
    let ran = host::run(&core, 0b11, false);
    finish(&machine, vec![sibling, kicker]);
    assert_eq!(
        machine.vcore.roster.snapshot().kicked(),
        0,
        "a kick is lost"
    );
    told(ran)
}

/// The thread that the kicker calls leaves by itself.
fn kick_against_exit(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[], &[Act::Exit], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let kicker = apart(&machine, |machine| host::kick(machine, 0));
    let ran = host::run(&core, 0b11, false);
    finish(&machine, vec![sibling, kicker]);
    let now = machine.vcore.roster.snapshot();
    assert_eq!(now.kicked(), 0, "a kick is lost");
    assert_eq!(now.runnable() & 1, 0, "the kicked one is still queued");
    format!("{ran:?}")
}

/// What a run came to in which vcpu 1 was kicked, or 0 where there is no other.
fn told(ran: Result<Outcome, Refusal>) -> String {
    let late = match ran {
        Ok(outcome) => {
            assert_eq!(outcome.kicked.count_ones(), 1, "a kick isn't told");
            outcome.did_not_run
        }
        Err(refusal) => return format!("{refusal:?}"),
    };
    format!("kicked, and {} did not run", late.count_ones())
}

/// A vcpu becomes runnable while another leaves: it runs, comes too late, or stays queued (B26,
/// B27, B28, B37).
fn join_against_exit(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[Act::Exit], &[], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let joiner = apart(&machine, |machine| {
        host::make_runnable(machine, 1, false);
    });
    let ran = host::run(&core, 0b01, false).expect("nobody hinders it");
    finish(&machine, vec![sibling, joiner]);
    came_to(&machine, ran)
}

/// The same where the joiner's thread is the runner's own.
fn join_the_runner(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[], &[Act::Exit], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let joiner = apart(&machine, |machine| {
        host::make_runnable(machine, 0, true);
    });
    let ran = host::run(&core, 0b10, true).expect("nobody hinders it");
    finish(&machine, vec![sibling, joiner]);
    came_to(&machine, ran)
}

/// Of vcpus 0 and 1, who did what. Each is accounted for, and in the right state.
fn came_to(machine: &Machine, ran: Outcome) -> String {
    let now = machine.vcore.roster.snapshot();
    assert!(!now.running());
    assert_eq!(
        now.runnable(),
        0b11 & !(ran.exited | ran.ceded | ran.kicked)
    );
    assert_eq!(now.blocked(), ran.ceded & !ran.kicked);
    let entries = |slot| machine.vcore.read_page(slot).entries;
    let entered = ran.all() & !ran.did_not_run;
    for slot in 0..2 {
        assert_eq!(entries(slot), u32::from(entered >> slot & 1), "vcpu {slot}");
    }
    format!("{ran:x?}")
}

/// A vcpu joins, and the first one is kicked: all come out.
fn kick_against_join(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[], &[], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let joiner = apart(&machine, |machine| {
        host::make_runnable(machine, 1, false);
    });
    let kicker = apart(&machine, |machine| host::kick(machine, 0));
    let ran = host::run(&core, 0b01, false);
    finish(&machine, vec![sibling, joiner, kicker]);
    told(ran)
}

/// The same where the kick comes between the begin of the run and the opening of its word.
fn kick_before_join(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[], &[], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let joiner = apart(&machine, |machine| {
        host::make_runnable(machine, 1, false);
    });
    let queue = machine.vcore.roster.begin(0b01, 0, true);
    host::kick(&machine, 0);
    let ran = host::carry_out(&core, queue.expect("nobody hinders it"), false);
    finish(&machine, vec![sibling, joiner]);
    told(Ok(ran))
}

/// Three threads, of which one leaves, one sets the hypervisor decrementer again and one cedes.
fn leave_against_tick(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b111, [&[Act::Exit], &[Act::Tick], &[Act::Cede]]);
    let core = machine.cores[0].clone();
    let siblings = vec![secondary(&core, 1), secondary(&core, 2)];
    let ran = host::run(&core, 0b111, false).expect("nobody hinders it");
    finish(&machine, siblings);
    assert_eq!(ran.all(), 0b111, "someone is forgotten");
    format!("{ran:x?}")
}

/// One vcpu prods another that cedes, naps until the decrementer, and cedes again (L3).
fn prod_against_cede(flaw: Option<Flaw>) -> String {
    let script: Script = [
        &[Act::Prod(1), Act::Exit],
        &[Act::CedeBriefly, Act::Cede],
        &[],
    ];
    let machine = machine(flaw, 0b11, script);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let ran = host::run(&core, 0b11, false).expect("nobody hinders it");
    finish(&machine, vec![sibling]);
    came_to(&machine, ran)
}

/// Both cede, one after it has prodded the other: the last one brings the vcore out.
fn all_cede(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b11, [&[Act::Cede], &[Act::Prod(0), Act::Cede], &[]]);
    let core = machine.cores[0].clone();
    let sibling = secondary(&core, 1);
    let ended = apart(&machine, |machine| host::kick(machine, 1));
    let ran = host::run(&core, 0b11, false);
    finish(&machine, vec![sibling, ended]);
    match ran {
        Ok(ran) => came_to(&machine, ran),
        Err(refusal) => format!("{refusal:?}"),
    }
}

/// A vcpu that isn't there is prodded while another takes the thread that it had in an earlier
/// run.
fn prod_against_join(flaw: Option<Flaw>) -> String {
    let machine = machine(flaw, 0b111, [&[Act::Prod(1), Act::Exit], &[], &[]]);
    let core = machine.cores[0].clone();
    core.seating.assign_aligned([(1, letter(1))].into_iter());
    core.seating.take_letter(1);
    let sibling = secondary(&core, 1);
    let joiner = apart(&machine, |machine| {
        host::make_runnable(machine, 2, false);
    });
    let ran = host::run(&core, 0b001, false).expect("nobody hinders it");
    finish(&machine, vec![sibling, joiner]);
    format!("{ran:x?}")
}

/// Two cores want to run the vcore while a vcpu of it is kicked (B25).
fn two_runners(flaw: Option<Flaw>) -> String {
    let machine = Rc::new(Machine::new(flaw, 2, 1, 0b1, [&[Act::Exit], &[], &[]]));
    let other = apart(&machine, |machine| {
        let _ = host::run(&machine.cores[1], 0b1, false);
    });
    let kicker = apart(&machine, |machine| host::kick(machine, 0));
    let ran = host::run(&machine.cores[0], 0b1, false);
    finish(&machine, vec![other, kicker]);
    format!("{ran:x?}")
}

/// B12.
#[test]
fn a_kick_is_never_lost() {
    holds("kick against start", kick_against_start, 2, 4);
    holds("kick against exit", kick_against_exit, 2, 9);
}

/// B27.
#[test]
fn a_joiner_runs_or_stays_queued() {
    holds("join against exit", join_against_exit, 2, 3);
}

#[test]
fn a_joiner_can_have_the_runners_thread() {
    holds("join the runner", join_the_runner, 2, 3);
}

#[test]
fn a_kick_brings_joiners_out() {
    holds("kick against join", kick_against_join, 1, 3);
    holds("kick before join", kick_before_join, 2, 2);
}

/// B30, L2.
#[test]
fn the_first_to_leave_brings_all_out() {
    holds("leave against tick", leave_against_tick, 2, 6);
}

#[test]
fn no_prod_is_lost() {
    holds("prod against cede", prod_against_cede, 3, 3);
}

#[test]
fn the_last_to_cede_brings_all_out() {
    holds("all cede", all_cede, 2, 10);
}

#[test]
fn only_who_is_meant_is_prodded() {
    holds("prod against join", prod_against_join, 2, 3);
}

/// B25.
#[test]
fn one_core_runs_a_vcore() {
    holds("two runners", two_runners, 3, 6);
}

/// Each flaw, where it shows, and how.
#[test]
fn flaws_are_caught() {
    use Flaw::*;
    let flaws: [(Flaw, Scenario, &str); 16] = [
        (OpenRelaxed, join_against_exit, "a joiner was refused"),
        (AssignAfterOpen, join_against_exit, "a joiner was refused"),
        (NoBarrierAtOpen, kick_against_start, "deadlock"),
        (NoBarrierAtKick, kick_against_start, "deadlock"),
        (OpenForgetsToCall, kick_before_join, "deadlock"),
        (CoreBeforeOpen, join_against_exit, "a joiner was refused"),
        (LetterRelaxed, join_the_runner, "who has no seat"),
        (FindRelaxed, prod_against_join, "another vcpu was prodded"),
        (EnterUnchecked, kick_against_start, "deadlock"),
        (ReportRelaxed, kick_against_start, "Causality violation"),
        (ReportUncalled, kick_against_exit, "an IPI is left over"),
        (NoBarrierAfterPoll, kick_against_start, "deadlock"),
        (LookBeforePoll, kick_against_start, "deadlock"),
        (NoBarrierBeforeHdec, leave_against_tick, "deadlock"),
        (NoBarrierAfterHdec, leave_against_tick, "deadlock"),
        (TellAfterEnd, two_runners, "Causality violation"),
    ];
    for (flaw, scenario, why) in flaws {
        catches(flaw, scenario, 2, why);
    }
}
