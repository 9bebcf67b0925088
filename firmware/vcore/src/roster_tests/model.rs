//! A plain model of what the host wants of each vcpu.
extern crate std;
use super::super::{Change, Kick, Refusal, State};
use crate::{Generation, Mask, Slots};
use std::vec::Vec;

/// A vcpu as the model has it. Who is in none of the others' lists is busy (B7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub present: Vec<usize>,
    /// First come, first served (B14).
    pub queue: Vec<usize>,
    pub blocked: Vec<usize>,
    pub kicked: Vec<usize>,
    pub running: bool,
    pub joining: u32,
    pub dead: bool,
    pub runs: u64,
}

pub fn mask(slots: &[usize]) -> Mask {
    slots.iter().fold(0, |mask, slot| mask | 1 << slot)
}

fn take_out(slots: &mut Vec<usize>, mask: Mask) {
    slots.retain(|slot| mask & 1 << slot == 0);
}

fn put_in(slots: &mut Vec<usize>, mask: Mask) {
    for slot in Slots(mask) {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
}

impl Model {
    pub fn all(&self) -> Mask {
        mask(&self.present)
    }

    /// Nobody is busy, and somebody is runnable (B8).
    pub fn complete(&self) -> bool {
        !self.queue.is_empty() && mask(&self.queue) | mask(&self.blocked) == self.all()
    }

    pub fn add(&mut self, slot: usize) -> bool {
        if self.dead || self.present.contains(&slot) {
            return false;
        }
        self.present.push(slot);
        self.blocked.push(slot);
        true
    }

    pub fn remove(&mut self, slot: usize) -> bool {
        if self.joining > 0 || self.running && self.queue.contains(&slot) {
            return false;
        }
        for list in [
            &mut self.present,
            &mut self.queue,
            &mut self.blocked,
            &mut self.kicked,
        ] {
            take_out(list, 1 << slot);
        }
        true
    }

    pub fn kill(&mut self) -> bool {
        let free = !self.running && self.joining == 0;
        self.dead |= free;
        free
    }

    pub fn begin(
        &mut self,
        runnable: Mask,
        blocked: Mask,
        eager: bool,
    ) -> Result<Vec<usize>, Refusal> {
        if self.running {
            return Err(Refusal::Busy);
        }
        if self.dead {
            return Err(Refusal::Dead);
        }
        if self.joining > 0 {
            return Err(Refusal::Busy);
        }
        if runnable & blocked != 0 || (runnable | blocked) & !self.all() != 0 {
            return Err(Refusal::NoSuchVcpu);
        }
        let would_run = (mask(&self.queue) | runnable) & !blocked;
        let kicked = mask(&self.kicked) & would_run;
        if kicked != 0 {
            take_out(&mut self.queue, kicked);
            take_out(&mut self.blocked, kicked);
            take_out(&mut self.kicked, kicked);
            return Err(Refusal::Kicked(kicked));
        }
        let mut new = self.clone();
        take_out(&mut new.queue, blocked);
        put_in(&mut new.blocked, blocked);
        take_out(&mut new.blocked, runnable);
        put_in(&mut new.queue, runnable);
        if new.queue.is_empty() || !eager && !new.complete() {
            return Err(Refusal::Constrained);
        }
        new.running = true;
        new.runs += 1;
        *self = new;
        Ok(self.queue.clone())
    }

    pub fn end(&mut self, busy: Mask, blocked: Mask) -> Mask {
        let kicked = mask(&self.kicked) & mask(&self.queue);
        take_out(&mut self.queue, busy | blocked | kicked);
        take_out(&mut self.kicked, kicked);
        put_in(&mut self.blocked, blocked & !kicked);
        self.running = false;
        kicked
    }

    pub fn hold(&mut self) -> bool {
        let is_free = !self.running && !self.dead && self.joining == 0;
        self.joining += u32::from(is_free);
        is_free
    }

    pub fn set(&mut self, wanted: Mask, state: State) -> Option<Change> {
        let queued = mask(&self.queue);
        let frozen = self.running && state != State::Runnable && wanted & queued != 0;
        if self.dead || frozen || wanted & !self.all() != 0 {
            return None;
        }
        match state {
            State::Runnable => {
                put_in(&mut self.queue, wanted);
                take_out(&mut self.blocked, wanted);
            }
            State::Blocked => {
                take_out(&mut self.queue, wanted);
                put_in(&mut self.blocked, wanted);
            }
            State::Busy => {
                take_out(&mut self.queue, wanted);
                take_out(&mut self.blocked, wanted);
            }
        }
        let new = mask(&self.queue) & !queued;
        let joins = self.running && new != 0;
        self.joining += u32::from(joins);
        Some(Change {
            queued: new,
            running: joins,
            complete: !self.running && self.complete(),
            generation: (self.runs & 3) as Generation,
        })
    }

    pub fn kick(&mut self, wanted: Mask) -> Option<Kick> {
        if self.dead || wanted & !self.all() != 0 {
            return None;
        }
        let wanted = if wanted == 0 { self.all() } else { wanted };
        let hit = wanted & mask(&self.queue);
        if self.running {
            put_in(&mut self.kicked, wanted);
            return Some(Kick {
                interrupted: 0,
                running: hit != 0,
            });
        }
        take_out(&mut self.queue, hit);
        put_in(&mut self.kicked, wanted & !hit);
        Some(Kick {
            interrupted: hit,
            running: false,
        })
    }
}
