//! Threads that are alike but for their number.
//!
//! In a symmetric model, whose core is packed, slot and ptid of a vcpu are the same, and so are the parts of any two
//! secondaries that have been called: of states that differ by an exchange of such threads one is
//! as good as another. The firmware prefers a thread by its number in one place only, where a kick
//! picks the highest: there each thread has to be the highest once ([`alike`]).

extern crate std;
use super::state::{Config, Page, State, Thread};
use crate::Mask;
use std::vec::Vec;

/// Everything about one thread and its vcpu. Order matters only in that there is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    thread: Thread,
    page: Page,
    words: u64,
}

/// Bits 0 to 7 of each field that a mask of threads or slots is in.
const ROSTER_FIELDS: [u32; 4] = {
    use crate::roster::snapshot::{BLOCKED, KICKED, PRESENT, RUNNABLE};
    [PRESENT.0, RUNNABLE.0, BLOCKED.0, KICKED.0]
};
const ENTRY_FIELDS: [u32; 6] = {
    use crate::entry::{CALLED, CEDED, ENTERED, EXITED, OUTSTANDING, PRODDED};
    [
        EXITED.0,
        OUTSTANDING.0,
        ENTERED.0,
        CEDED.0,
        CALLED.0,
        PRODDED.0,
    ]
};

/// Secondaries that may be exchanged: those that have been called, which are the first ones.
fn exchangeable(state: &State) -> core::ops::Range<usize> {
    let end = 8 - state.cores[0].taken.leading_zeros() as usize;
    1..end.max(1)
}

fn gather(state: &State, ptid: usize) -> Part {
    let core = &state.cores[0];
    let masks = core.masks();
    let masks = masks.into_iter().chain(hosts_masks(state));
    let roster = ROSTER_FIELDS
        .into_iter()
        .map(|at| (state.roster >> at) as Mask);
    let entry = ENTRY_FIELDS
        .into_iter()
        .map(|at| (state.entry >> at) as Mask);
    let bits = masks.chain(roster).chain(entry);
    let words = bits.fold(0, |words, mask| words << 1 | u64::from(mask >> ptid & 1));
    let mut thread = core.threads[ptid];
    // Their own number, or none.
    thread.letter = u8::from(thread.letter != 0);
    thread.seat = u8::from(thread.seat != 0);
    Part {
        thread,
        page: state.pages[ptid],
        words,
    }
}

fn hosts_masks(state: &State) -> impl Iterator<Item = Mask> {
    state.hosts.into_iter().map(|host| host.slots())
}

/// The state with the parts of the threads from `first` on replaced.
fn scatter(state: &State, first: usize, parts: &[Part]) -> State {
    let mut next = *state;
    let end = first + parts.len();
    let part = |ptid: usize| (first..end).contains(&ptid).then(|| parts[ptid - first]);
    let parts: [Option<Part>; 8] = core::array::from_fn(part);
    // In the order of `gather`, from the end.
    let mut place = 0;
    let mut mask = |old: Mask| {
        let bit = |ptid: usize, part: &Option<Part>| match part {
            Some(part) => (part.words >> place & 1) as Mask,
            None => old >> ptid & 1,
        };
        let new = parts.iter().enumerate();
        let new = new.fold(0, |new, (ptid, part)| new | bit(ptid, part) << ptid);
        place += 1;
        new
    };
    for at in ENTRY_FIELDS.into_iter().rev() {
        let new = mask((state.entry >> at) as Mask);
        next.entry = next.entry & !(0xff << at) | u64::from(new) << at;
    }
    for at in ROSTER_FIELDS.into_iter().rev() {
        let new = mask((state.roster >> at) as Mask);
        next.roster = next.roster & !(0xff << at) | u64::from(new) << at;
    }
    for host in next.hosts.iter_mut().rev() {
        let slots = mask(host.slots());
        host.set_slots(slots);
    }
    let core = &mut next.cores[0];
    core.hdec = mask(core.hdec);
    core.ceded = mask(core.ceded);
    core.late = mask(core.late);
    core.exited = mask(core.exited);
    core.taken = mask(core.taken);
    core.called = mask(core.called);
    for (ptid, part) in parts.into_iter().enumerate() {
        if let Some(part) = part {
            next.pages[ptid] = part.page;
            let thread = &mut core.threads[ptid];
            *thread = part.thread;
            thread.letter *= ptid as u8 + 1;
            thread.seat *= ptid as u8 + 1;
        }
    }
    next.sort_queue();
    next
}

/// The one that stands for all states like this one.
pub fn canonical(config: &Config, state: &State) -> State {
    if !config.symmetric {
        return *state;
    }
    let range = exchangeable(state);
    let mut parts: Vec<Part> = range.clone().map(|ptid| gather(state, ptid)).collect();
    if parts.is_sorted() {
        let mut same = *state;
        same.sort_queue();
        return same;
    }
    parts.sort_unstable();
    scatter(state, range.start, &parts)
}

/// States like this one in which each thread in turn is the highest.
pub fn alike(config: &Config, state: &State, core: usize) -> Vec<State> {
    let range = exchangeable(state);
    if !config.symmetric || core != 0 || range.len() < 2 {
        return std::vec![*state];
    }
    let parts: Vec<Part> = range.clone().map(|ptid| gather(state, ptid)).collect();
    let last = parts.len() - 1;
    let with_last = |other: usize| {
        let mut parts = parts.clone();
        parts.swap(other, last);
        scatter(state, range.start, &parts)
    };
    // Two that are the same need not both be tried.
    let tried = (0..=last)
        .filter(|other| parts.iter().position(|part| *part == parts[*other]) == Some(*other));
    tried.map(with_last).collect()
}
