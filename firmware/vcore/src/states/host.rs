//! The steps of a host core that doesn't run the vcore, as `smt::calls` has them.

extern crate std;
use super::flaw::Flaw;
use super::search::Steps;
use super::state::{At, Config, Host, Page, State};
use crate::Slots;
use crate::entry::Request;
use crate::roster::State as Wanted;

/// The host that makes vcpus runnable, and the one that does all else.
pub const JOINER: usize = 0;
pub const OTHER: usize = 1;

/// Host `host` in one state.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub config: &'a Config,
    pub state: &'a State,
    pub host: usize,
}

impl Caller<'_> {
    fn next(&self, host: Host) -> State {
        let mut next = *self.state;
        next.hosts[self.host] = host;
        next
    }

    /// All steps that the host can take next.
    pub fn steps(&self, steps: &mut Steps) {
        match self.state.hosts[self.host] {
            Host::Free => self.calls(steps),
            Host::Raised { slots, generation } => {
                let kicked = self.state.wanted().kicked() & slots;
                let slots = slots & !kicked;
                if kicked == 0 || self.config.is(Flaw::JoinThoughKicked) {
                    let slots = slots | kicked;
                    steps.must("is nobody kicked", self.join(slots, generation));
                } else {
                    let host = Host::BringingOut { slots, generation };
                    steps.must("somebody is kicked", self.next(host));
                }
            }
            Host::BringingOut { slots, generation } => {
                self.request(steps, |host| host.join(slots, generation));
            }
            Host::Joining {
                slots,
                generation,
                core,
            } => self.reserve(steps, slots, generation, core),
            Host::Posting {
                slots,
                generation,
                ptid,
            } => self.post(steps, slots, generation, usize::from(ptid)),
            Host::Joined => {
                let mut next = self.next(Host::Free);
                if !self.config.is(Flaw::BeginWhileJoining) || next.roster & 0xf << 56 != 0 {
                    next.roster(|roster| roster.joined());
                }
                steps.must("joined", next);
            }
            Host::Kicking => self.request(steps, |host| host.next(Host::Free)),
        }
    }

    fn calls(&self, steps: &mut Steps) {
        if self.host == JOINER && self.config.joins {
            self.make_runnable(steps);
        }
        if self.host == OTHER && self.config.kicks {
            self.kick(steps);
        }
        if self.host == OTHER && self.config.changes {
            self.change(steps);
        }
    }

    /// VCPU_SET_STATE to runnable, of one vcpu or of all.
    fn make_runnable(&self, steps: &mut Steps) {
        let absent = self.state.wanted().present() & !self.state.wanted().runnable();
        // Without other runs it makes no difference which one comes first.
        let one = |slot: usize| 1 << slot;
        let mut masks: std::vec::Vec<u8> = match self.config.runs || self.config.aligned {
            true => Slots(absent).map(one).collect(),
            false => Slots(absent).take(1).map(one).collect(),
        };
        if absent.count_ones() > 1 {
            masks.push(absent);
        }
        for mask in masks {
            let mut next = *self.state;
            let change = next.roster(|roster| roster.set_state(mask, Wanted::Runnable));
            let Some(change) = change else { continue };
            if change.running {
                next.hosts[self.host] = Host::Raised {
                    slots: change.queued,
                    generation: change.generation,
                };
            }
            steps.may("VCPU_SET_STATE runnable", next);
        }
    }

    fn join(&self, slots: u8, generation: u16) -> State {
        self.next(match slots {
            0 => Host::Joined,
            _ => Host::Joining {
                slots,
                generation,
                core: self.state.runs_on,
            },
        })
    }

    fn reserve(&self, steps: &mut Steps, slots: u8, generation: u16, core: u8) {
        let mut next = *self.state;
        if !next.entry(|entry| entry.is_open(generation)) {
            return;
        }
        let runs_on = match self.config.is(Flaw::CoreBeforeOpen) {
            true => core,
            false => self.state.runs_on,
        };
        let threads = if runs_on == 0 { 0 } else { self.config.all() };
        let slot = slots.trailing_zeros() as usize;
        let mut wanted = self.config.aligned.then_some(slot);
        let now = self.state.now();
        let used = now.outstanding() | now.entered();
        if self.config.is(Flaw::HighestThread) {
            wanted = Slots(self.config.all() & !used).last();
        }
        let Some(ptid) = next.entry(|entry| entry.reserve(wanted, threads)) else {
            let mine = if self.config.aligned {
                1 << slot
            } else {
                self.config.all()
            };
            if !now.leaving() && now.outstanding() != 0 && used & mine != mine {
                return steps.fail("a vcpu doesn't join, though nobody leaves");
            }
            let slots = slots & !(1 << slot);
            return steps.must("no thread for a joiner", self.join(slots, generation));
        };
        if self.config.symmetric {
            next.swap_slots(slot, ptid);
        }
        next.hosts[self.host] = Host::Posting {
            slots: next.hosts[self.host].slots(),
            generation,
            ptid: ptid as u8,
        };
        if self.config.is(Flaw::IpiBeforeLetter) && ptid != 0 {
            next.cores[usize::from(self.state.runs_on) - 1].send(ptid);
        }
        steps.must("a thread for a joiner", next);
    }

    fn post(&self, steps: &mut Steps, slots: u8, generation: u16, ptid: usize) {
        let Some(core) = usize::from(self.state.runs_on).checked_sub(1) else {
            return steps.fail("nobody knows the core of a reserved thread");
        };
        let first = slots.trailing_zeros() as usize;
        let slot = if self.config.symmetric { ptid } else { first };
        let mut next = self.join(slots & !(1 << slot), generation);
        let core = &mut next.cores[core];
        core.taken |= 1 << ptid;
        let thread = &mut core.threads[ptid];
        (thread.letter, thread.seat) = (slot as u8 + 1, slot as u8 + 1);
        if ptid != 0 && !self.config.is(Flaw::IpiBeforeLetter) {
            core.send(ptid);
        }
        steps.must("a letter for a joiner", next);
    }

    /// Asks everybody out; then what follows.
    fn request(&self, steps: &mut Steps, then: impl Fn(&Caller<'_>) -> State) {
        let core = usize::from(self.state.runs_on).checked_sub(1);
        for state in super::canon::alike(self.config, self.state, core.unwrap_or(0)) {
            let mut next = then(&Caller {
                config: self.config,
                host: self.host,
                state: &state,
            });
            if self.config.is(Flaw::KickWithoutRequest) {
                steps.must("no request", next);
                continue;
            }
            if let Request::Wake(ptid) = next.entry(|entry| entry.request()) {
                let Some(core) = core else {
                    return steps.fail("nobody knows the core of a called thread");
                };
                next.cores[core].send(ptid);
            }
            steps.must("request", next);
        }
    }

    /// VCORE_KICK; in a model of one run there is one.
    fn kick(&self, steps: &mut Steps) {
        let kicked = self.state.pages.iter().any(|page| page.kicked);
        if kicked && !self.config.runs {
            return;
        }
        let present = self.state.wanted().present();
        let each = Slots(present).map(|slot| 1 << slot);
        // All are alike, so that states are fewer.
        let all = self.config.symmetric.then_some(present);
        for mask in all.into_iter().chain(each.filter(|_| all.is_none())) {
            let mut next = *self.state;
            let kick = next.roster(|roster| roster.kick(mask));
            let Some(kick) = kick else { continue };
            for slot in Slots(mask & !kick.interrupted) {
                next.pages[slot].kicked = true;
            }
            if kick.running {
                next.hosts[self.host] = Host::Kicking;
            }
            steps.may("VCORE_KICK", next);
        }
    }

    /// Vcpus are made blocked or busy, and come and go.
    fn change(&self, steps: &mut Steps) {
        for slot in 0..self.config.threads {
            for wanted in [Wanted::Blocked, Wanted::Busy] {
                let mut next = *self.state;
                let changed = next.roster(|roster| roster.set_state(1 << slot, wanted));
                if changed.is_some() {
                    steps.may("VCPU_SET_STATE", next);
                }
            }
            let mut next = *self.state;
            if next.roster(|roster| roster.add(slot)) {
                steps.may("VCPU_CREATE", next);
            } else if next.roster(|roster| roster.remove(slot)) {
                let seat = slot as u8 + 1;
                let mut threads = self.state.cores.iter().flat_map(|core| &core.threads);
                if threads.any(|thread| thread.at != At::Idle && thread.seat == seat) {
                    return steps.fail("a vcpu that runs is destroyed");
                }
                next.pages[slot] = Page::default();
                steps.may("VCPU_DESTROY", next);
            }
        }
    }
}
