//! What a core does next, and what must come of it.
use alloc::string::String;
use core::sync::atomic::Ordering;

use hcalls::partition::{Policy, PtidMode};
use hcalls::run::{ClaimAction, CoreState, VcpuState};
use hcalls::stats::StatsAction;
use hcalls::{Status, Token};
use images::host_runtime::{calls, cpu};
use images::random::Random;

use super::runs;
use super::shared::{self, Shared, Visit};
use crate::check::{Outcome, accepted, same};
use crate::lab::MS_TB;

/// An act: how often it's done, relative to the others; what it's called; and what it does.
type Act = (u64, &'static str, fn(&Shared, &mut Random) -> Outcome);

/// For a core that works with a guest beside others. Refused calls are logged, so they are few.
const ACTS: &[Act] = &[
    (6000, "run", |guest, random| runs::run(guest, random, false)),
    (1500, "make runnable", make_runnable),
    (900, "kick", kick),
    (600, "make idle", make_idle),
    (200, "destroy and create a vcpu", create_again),
    (200, "release and claim the core", claim),
    (1, "nonsense", nonsense),
];

/// For one that is alone with the guest.
const ALONE: &[Act] = &[
    (1, "count", |guest, _| count(guest)),
    (1, "run until all have reported", runs::until_all_reported),
];

/// One act; its name, for the diary.
pub fn act(guest: &Shared, random: &mut Random) -> Result<&'static str, String> {
    match random.below(100) {
        0..96 => act_of(ACTS, guest.visit(), random),
        96..98 => act_of(ALONE, guest.alone()?, random),
        98 => destroy(guest, random).map(|()| "destroy"),
        _ => revive(guest, random).map(|()| "revive"),
    }
}

fn act_of(
    acts: &[Act],
    visit: Option<Visit<'_>>,
    random: &mut Random,
) -> Result<&'static str, String> {
    let Some(visit) = visit else {
        return Ok("wait");
    };
    let mut drawn = random.below(acts.iter().map(|(weight, ..)| weight).sum());
    for (weight, name, act) in acts {
        if drawn < *weight {
            // A guest that is gone is for the core that has destroyed it.
            if !visit.alone || !visit.guest.ending.load(Ordering::SeqCst) {
                act(visit.guest, random).map_err(|why| alloc::format!("{name}: {why}"))?;
            }
            return Ok(name);
        }
        drawn -= weight;
    }
    Ok("nothing")
}

/// Free vcpus, taken: as a mask. Each with the chance of one half.
fn take_some(guest: &Shared, random: &mut Random) -> u64 {
    let wanted = random.bits() & guest.all();
    let taken = guest.each(wanted).filter(|(_, seat)| seat.take());
    taken.map(|(vcpu, _)| 1 << vcpu).sum()
}

/// B9, B26–B28.
fn make_runnable(guest: &Shared, random: &mut Random) -> Outcome {
    let mask = take_some(guest, random);
    if mask == 0 {
        return Ok(());
    }
    guest.each(mask).for_each(|(_, seat)| seat.give());
    match calls::vcpu_set_state(guest.vcore(), mask, VcpuState::Runnable) {
        Ok(set) => {
            same("joined or queued", set.joined | set.queued, mask)?;
            same("joined and queued", set.joined & set.queued, 0)?;
            let joined = set.joined.count_ones().into();
            guest.counts.joined.fetch_add(joined, Ordering::SeqCst);
            Ok(())
        }
        Err(refusal) => {
            guest.each(mask).for_each(|(_, seat)| seat.put_back());
            gone(guest, "VCPU_SET_STATE", refusal)
        }
    }
}

/// B7, B10.
fn make_idle(guest: &Shared, random: &mut Random) -> Outcome {
    let mask = take_some(guest, random);
    if mask == 0 {
        return Ok(());
    }
    let state = match random.once_in(2) {
        true => VcpuState::Blocked,
        false => VcpuState::Busy,
    };
    let set = calls::vcpu_set_state(guest.vcore(), mask, state);
    guest.each(mask).for_each(|(_, seat)| seat.put_back());
    match set {
        Ok(set) => same("put into the queue", set.joined | set.queued, 0),
        Err(refusal) => gone(guest, "VCPU_SET_STATE", refusal),
    }
}

/// B12, B16, B17.
fn kick(guest: &Shared, random: &mut Random) -> Outcome {
    let mask = random.bits() & guest.all();
    // 0 stands for all.
    let whom = if mask == 0 { guest.all() } else { mask };
    guest.begin_answering();
    let remakes_done = guest.remakes_done();
    let mut before = [0; hcalls::MAX_THREADS];
    for (vcpu, seat) in guest.each(whom) {
        before[vcpu] = seat.kick();
    }
    let outcome = match calls::vcore_kick(guest.vcore(), mask, random.below(9)) {
        Ok(left) => {
            guest.counts.kicks.fetch_add(1, Ordering::SeqCst);
            for (vcpu, seat) in guest.each(whom & !left) {
                seat.kicked(before[vcpu]);
            }
            same("left the queue uncalled for", left & !whom, 0)
                .and_then(|()| leave_queue(guest, left))
        }
        // One of them wasn't there just then: nobody is kicked.
        Err(refusal) if refusal.is(Status::Parameter) && !guest.all_were_there(remakes_done) => {
            Ok(())
        }
        Err(refusal) => gone(guest, "VCORE_KICK", refusal),
    };
    guest.end_answering();
    outcome
}

/// Vcpus that have left the queue because of a kick, and without having run.
pub fn leave_queue(guest: &Shared, mask: u64) -> Outcome {
    for (_, seat) in guest.each(mask) {
        seat.regain()?;
        seat.told()?;
        seat.put_back();
    }
    Ok(())
}

/// B1, B4, B6.
fn create_again(guest: &Shared, random: &mut Random) -> Outcome {
    // Two cores may be at it; a vcore without vcpus is gone.
    if guest.vcpus < 4 {
        return Ok(());
    }
    let vcpu = random.below(guest.vcpus as u64) as usize;
    let seat = &guest.seats[vcpu];
    if !seat.take() {
        return Ok(());
    }
    guest.begin_answering();
    guest.begin_remake();
    let outcome = match calls::vcpu_destroy(guest.vcore(), vcpu as u64) {
        Ok(()) => {
            seat.answered();
            shared::create_again(guest, vcpu, seat)
        }
        // Somebody else is just joining.
        Err(refusal) if refusal.is(Status::Busy) => Ok(()),
        Err(refusal) => gone(guest, "VCPU_DESTROY", refusal),
    };
    guest.end_remake();
    guest.end_answering();
    seat.put_back();
    outcome
}

/// Only this thread of the core runs anything, so that it can't be refused.
fn claim(_: &Shared, _: &mut Random) -> Outcome {
    let pir = cpu::pir().into();
    for (action, wanted) in [
        (ClaimAction::Release, CoreState::Released),
        (ClaimAction::Claim, CoreState::Held),
    ] {
        let state = accepted("CORE_CLAIM", calls::core_claim(pir, action))?;
        same("the core's state", state, wanted)?;
    }
    Ok(())
}

/// Calls whose first argument is nobody's handle.
fn nonsense(guest: &Shared, random: &mut Random) -> Outcome {
    const TOKENS: [Token; 6] = [
        Token::PartitionDestroy,
        Token::VcpuCreate,
        Token::VcpuDestroy,
        Token::VcpuSetState,
        Token::VcoreKick,
        Token::SmtStats,
    ];
    let token = TOKENS[random.below(TOKENS.len() as u64) as usize];
    let handle = guest.vcore().0 ^ 1 << (16 + random.below(47));
    let args = [handle, random.bits(), random.bits(), 0, 0];
    // SAFETY: no call takes an address before it has found whose it is to be.
    let found = unsafe { calls::raw(token.into(), &args) };
    match found {
        Err(refusal) if refusal.is(Status::Parameter) => Ok(()),
        other => Err(alloc::format!("{token:?} of {handle:#x}: {other:x?}")),
    }
}

/// L7: everything that the firmware has counted is what was done.
fn count(guest: &Shared) -> Outcome {
    let action = StatsAction::Reset;
    let stats = accepted("SMT_STATS", calls::smt_stats(guest.vcore(), action))?;
    let counts = &guest.counts;
    let hypercall = hcalls::exit::ExitReason::Hypercall as usize;
    for (what, found, wanted) in [
        ("runs", stats.runs, &counts.runs),
        ("refused", stats.refused, &counts.refused),
        ("joined", stats.joined, &counts.joined),
        ("kicks", stats.kicks, &counts.kicks),
        ("hypercalls", stats.exits[hypercall], &counts.hypercalls),
    ] {
        same(what, found.get(), wanted.load(Ordering::SeqCst))?;
    }
    // Whoever has entered has come out; who hasn't is told by reason 0.
    let exits: u64 = stats.exits[1..].iter().map(|count| count.get()).sum();
    same("exits", exits, stats.entries.get())?;
    counts.clear();
    Ok(())
}

/// While others may run it (B6).
fn destroy(guest: &Shared, random: &mut Random) -> Outcome {
    let Some(visit) = guest.visit() else {
        return Ok(());
    };
    if guest.ending.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let destroyed = calls::partition_destroy(guest.partition());
    drop(visit);
    let outcome = match destroyed {
        Ok(()) => revive_alone(guest, random),
        Err(refusal) if refusal.is(Status::Busy) => Ok(()),
        Err(refusal) => Err(alloc::format!("PARTITION_DESTROY: {refusal}")),
    };
    guest.ending.store(false, Ordering::SeqCst);
    outcome
}

fn revive_alone(guest: &Shared, random: &mut Random) -> Outcome {
    let limit_tb = cpu::time_base() + 30_000 * MS_TB;
    loop {
        if let Some(_alone) = guest.alone()? {
            return anew(guest, random);
        }
        ensure!(cpu::time_base() < limit_tb, "never alone");
        cpu::relax();
    }
}

/// With another policy and another ptid mode.
fn revive(guest: &Shared, random: &mut Random) -> Outcome {
    match guest.alone()? {
        Some(_alone) if !guest.ending.load(Ordering::SeqCst) => anew(guest, random),
        _ => Ok(()),
    }
}

fn anew(guest: &Shared, random: &mut Random) -> Outcome {
    let ptid_mode = match random.once_in(2) {
        true => PtidMode::Packed,
        false => PtidMode::Aligned,
    };
    let policy = match random.once_in(3) {
        true => Policy::Complete,
        false => Policy::Eager,
    };
    guest.revive(ptid_mode, policy)
}

/// A refusal that is right only if somebody destroys the guest at this moment.
pub fn gone(guest: &Shared, what: &str, refusal: calls::Refusal) -> Outcome {
    let ending = guest.ending.load(Ordering::SeqCst);
    let gone = refusal.is(Status::Parameter) || refusal.is(Status::Busy);
    ensure!(ending && gone, "{what}: {refusal}");
    Ok(())
}

/// When all cores are through.
pub fn last(guest: &Shared, random: &mut Random) -> Outcome {
    let alone = guest.alone()?;
    ensure!(alone.is_some(), "somebody is still there");
    runs::until_all_reported(guest, random)?;
    count(guest)
}
