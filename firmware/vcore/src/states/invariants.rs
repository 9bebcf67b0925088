//! What must be so in every state.

use super::flaw::Flaw;
use super::state::{At, Config, Core, Host, Runner, State, Thread};
use crate::{Mask, Slots};

type Held = Result<(), &'static str>;

fn hold(condition: bool, otherwise: &'static str) -> Held {
    if condition { Ok(()) } else { Err(otherwise) }
}

fn threads(core: &Core, which: impl Fn(&Thread) -> bool) -> Mask {
    let mask = |mask, (ptid, thread)| mask | u8::from(which(thread)) << ptid;
    core.threads.iter().enumerate().fold(0, mask)
}

/// In every state.
pub fn check(config: &Config, state: &State) -> Held {
    let merged = state.cores.iter().any(|core| core.merged);
    hold(!merged, "two IPIs have become one")?;
    roster(config, state)?;
    one_core(state)?;
    one_thread_for_each_page(state)?;
    if let Some(core) = state.in_run()
        && state.cores[core].runner != Runner::Opening
    {
        run(config, state, core)?;
    }
    kicks(state)
}

/// Counts add up: queued, blocked and busy vcpus are those there are, and the queue has each of
/// its vcpus once (B4, B6, B7, B14, B18).
fn roster(config: &Config, state: &State) -> Held {
    let now = state.wanted();
    hold(now.runnable() & now.blocked() == 0, "queued and blocked")?;
    let known = (now.runnable() | now.blocked() | now.kicked()) & !now.present();
    hold(known == 0, "a vcpu that isn't there")?;
    let queue = now.queue().fold(0, |mask: Mask, slot| mask | 1 << slot);
    hold(
        queue == now.runnable(),
        "the queue isn't that of the queued",
    )?;
    let joining = |host: &&Host| {
        let joining = [Host::Free, Host::Kicking];
        !joining.contains(host)
    };
    let telling = |core: &&Core| matches!(core.runner, Runner::Refusing(_));
    let joining = state.hosts.iter().filter(joining).count();
    let joining = joining + state.cores.iter().filter(telling).count();
    let counted = state.roster >> 56 & 0xf == joining as u64;
    hold(
        counted || config.is(Flaw::BeginWhileJoining),
        "joiners are counted wrongly",
    )
}

/// B25.
fn one_core(state: &State) -> Held {
    let busy = |core: &&Core| !matches!(core.runner, Runner::Free | Runner::TellingLate(_));
    let running = state.cores.iter().filter(busy).count();
    hold(running <= 1, "two cores run the vcore")?;
    hold(
        (running == 1) == state.wanted().running(),
        "running, or not?",
    )
}

fn one_thread_for_each_page(state: &State) -> Held {
    let mut used: Mask = 0;
    for thread in state.cores.iter().flat_map(|core| &core.threads) {
        if thread.at == At::Idle {
            continue;
        }
        let slot = 1 << (thread.seat - 1);
        hold(used & slot == 0, "two threads use a page")?;
        used |= slot;
    }
    Ok(())
}

/// Of a run whose word is open.
fn run(config: &Config, state: &State, core: usize) -> Held {
    let this = &state.cores[core];
    let now = state.now();
    let at_work = threads(this, |thread| thread.at != At::Idle);
    hold(
        at_work & !now.outstanding() == 0,
        "a thread isn't waited for (B31)",
    )?;
    hold(
        now.entered() & !(now.outstanding() | now.exited()) == 0,
        "entered, and lost",
    )?;
    hold(
        now.exited() & !now.entered() == 0,
        "left without having entered",
    )?;
    hold(
        now.ceded() & (now.exited() | !now.entered()) == 0,
        "ceded, but not in the guest",
    )?;
    hold(now.ceded() & now.prodded() == 0, "a prodded vcpu naps")?;
    // Threads that were called or reserved, and they alone.
    let reserved = state
        .hosts
        .iter()
        .fold(0, |mask, host| mask | host.reserved());
    let known = now.outstanding() | now.entered() | this.taken;
    hold(
        known == this.taken | reserved,
        "a thread is busy that nobody has called",
    )?;
    if !config.aligned {
        let count = (this.taken | reserved).count_ones();
        let lowest = (0xff_u32 >> (8 - count)) as Mask;
        hold(
            this.taken | reserved == lowest,
            "packed threads aren't the lowest (B14)",
        )?;
    }
    let queued = state.wanted().runnable();
    let sits = |ptid: usize| 1 << (this.threads[ptid].seat - 1);
    let sitting = Slots(this.taken).fold(0, |mask: Mask, ptid| mask | sits(ptid));
    hold(
        sitting & !queued == 0,
        "a vcpu has a thread and isn't queued",
    )?;
    who_is_inside(this, now)?;
    calls(this, now)
}

fn who_is_inside(this: &Core, now: crate::entry::Snapshot) -> Held {
    let inside = threads(this, |thread| {
        !matches!(
            thread.at,
            At::Idle | At::Entering | At::Late | At::Reporting
        )
    });
    hold(
        inside & !now.entered() == 0,
        "in the guest without having entered (B27)",
    )?;
    let dozing = threads(this, |thread| matches!(thread.at, At::Dozing | At::Waking));
    hold(
        dozing & !(now.ceded() | now.called()) == 0,
        "naps unknown to others",
    )?;
    hold(now.ceded() & !dozing == 0, "ceded and awake")
}

/// Whoever sets `called` sends exactly one IPI, and it is taken before the report.
fn calls(this: &Core, now: crate::entry::Snapshot) -> Held {
    let sent = threads(this, |thread| thread.ipi);
    hold(
        now.called() & !sent == 0,
        "called, but no IPI is on its way",
    )?;
    let inside = now.entered() & now.outstanding();
    hold(
        sent & inside & !now.called() == 0,
        "an IPI that nobody has called for",
    )
}

/// What is left of a run when its runner sees that all have reported (B31, B32, B35).
pub fn run_is_over(state: &State, core: usize) -> Held {
    let this = &state.cores[core];
    let quiet = |thread: &Thread| thread.at == At::Idle && !thread.ipi && thread.letter == 0;
    hold(
        this.threads.iter().all(quiet),
        "something is left of the run",
    )?;
    let seats = Slots(this.taken).map(|ptid| this.threads[ptid].seat);
    let slots = seats.fold(0, |mask: Mask, seat| mask | 1 << (seat - 1));
    hold(
        slots.count_ones() == this.taken.count_ones(),
        "a vcpu had two threads",
    )?;
    let told = [this.exited, this.late, this.ceded];
    let all = told.iter().fold(0, |all, mask| all | mask);
    let count: u32 = told.iter().map(|mask| mask.count_ones()).sum();
    hold(
        all.count_ones() == count && all & !slots == 0,
        "fates don't add up",
    )?;
    hold(
        all & !state.wanted().runnable() == 0,
        "a vcpu that ran isn't queued",
    )?;
    for slot in Slots(slots) {
        let page = state.pages[slot];
        hold(page.owed == page.prodded, "a prod is lost")?;
        let lost = page.prodded && this.ceded & 1 << slot != 0;
        hold(!lost, "a vcpu that was prodded is told as ceded")?;
    }
    Ok(())
}

/// Until its owner was told, a kick is in the roster (B12, B16, B17).
fn kicks(state: &State) -> Held {
    let owed = state.pages.iter().enumerate();
    let owed = owed.fold(0, |mask: Mask, (slot, page)| {
        mask | u8::from(page.kicked) << slot
    });
    let late = state.cores.iter().fold(0, |mask, core| match core.runner {
        Runner::TellingLate(kicked) => mask | kicked,
        _ => mask,
    });
    hold(
        owed & !(state.wanted().kicked() | late) == 0,
        "a kick is lost",
    )
}
