//! The calls on a vcore's vcpus, while it runs and while it doesn't. The test plays the runner and
//! its threads; the roster that goes along with each vcore says what a call has to come to.
use super::*;
use hcalls::stats::VcoreStats;

/// A run by the fake core.
pub struct Running {
    vcore: u64,
    /// By ptid: the slot of each vcpu that was called for it.
    seats: BTreeMap<usize, usize>,
}

fn bits<'a>(items: impl IntoIterator<Item = &'a usize>) -> Mask {
    items.into_iter().fold(0, |mask, bit| mask | 1 << bit)
}

impl Test {
    /// A mask of slots: mostly of vcpus that there are.
    fn mask(&mut self, vcore: u64) -> u64 {
        let present = self.present(vcore);
        match self.random.below(10) {
            0 => self.noise(),
            1 => self.random.bits() & 0xff,
            _ => self.random.bits() & u64::from(present),
        }
    }

    fn present(&self, vcore: u64) -> Mask {
        let vcore = self.model.vcores.get(&vcore);
        vcore.map_or(0, |vcore| vcore.roster.snapshot().present())
    }

    fn rules(&self, vcore: u64) -> &Partition {
        &self.model.partitions[&self.model.vcores[&vcore].partition]
    }

    pub fn destroy_vcpu(&mut self) {
        let handle = self.vcore();
        let slot = if self.random.once_in(8) {
            self.noise()
        } else {
            self.random.below(8)
        };
        let mut reasons = vec![];
        match self.model.vcores.get(&handle) {
            None => reasons.push(argument(1)),
            Some(vcore) if !vcore.pages.contains_key(&slot) => reasons.push(argument(2)),
            Some(vcore) if !vcore.roster.remove(slot as usize) => reasons.push((Status::Busy, 0)),
            Some(_) => {}
        }
        if self.call(
            vcpu_destroy,
            &mut [handle, slot, 0, 0, 0, 0, 0, 0],
            &reasons,
        ) {
            let vcore = self.model.vcores.get_mut(&handle).unwrap();
            vcore.pages.remove(&slot);
            if vcore.pages.is_empty() {
                let partition = self.model.partitions.get_mut(&vcore.partition).unwrap();
                partition.vcores.remove(&vcore.number);
                self.model.vcores.remove(&handle);
                self.model.stale.push(handle);
            }
        }
    }

    pub fn set_state(&mut self) {
        let handle = self.vcore();
        let mask = self.mask(handle);
        let state = if self.random.once_in(10) {
            self.noise()
        } else {
            self.random.below(3)
        };
        let mut reasons = vec![];
        if !self.model.vcores.contains_key(&handle) {
            reasons.push(argument(1));
        } else if mask == 0 || mask & !u64::from(self.present(handle)) != 0 {
            reasons.push(argument(2));
        }
        if state > 2 {
            reasons.push(argument(3));
        }
        let mut change = None;
        if reasons.is_empty() {
            let states = [State::Runnable, State::Blocked, State::Busy];
            let roster = &self.model.vcores[&handle].roster;
            change = roster.set_state(mask as Mask, states[state as usize]);
            if change.is_none() {
                reasons.push((Status::Busy, 0));
            }
        }
        let expected = change.map(|change| (change, self.joiners(handle, &change)));
        let mut args = [handle, mask, state, 0, 0, 0, 0, 0];
        if self.call(vcpu_set_state, &mut args, &reasons) {
            let (change, joiners) = expected.unwrap();
            self.check_change(handle, &change, &joiners, args[1]);
        }
    }

    /// The threads that vcpus which become runnable get at once: the lowest ones, or their own,
    /// if nobody has begun to leave (B26, B28), and none of them was kicked (B12).
    fn joiners(&self, handle: u64, change: &Change) -> BTreeMap<usize, usize> {
        let mut joiners = BTreeMap::new();
        if !change.running {
            return joiners;
        }
        let entry = objects::vcore(handle).unwrap().entry.snapshot();
        let kicked = self.model.vcores[&handle].roster.snapshot().kicked();
        if entry.leaving() || entry.outstanding() == 0 || kicked & change.queued != 0 {
            return joiners;
        }
        let mut free = !(entry.outstanding() | entry.entered());
        for slot in Slots(change.queued) {
            let ptid = match self.rules(handle).aligned {
                true => slot,
                false => free.trailing_zeros() as usize,
            };
            if ptid < THREADS && free & 1 << ptid != 0 {
                free &= !(1 << ptid);
                joiners.insert(ptid, slot);
            }
        }
        joiners
    }

    fn check_change(
        &mut self,
        handle: u64,
        change: &Change,
        joiners: &BTreeMap<usize, usize>,
        told: u64,
    ) {
        let joined = bits(joiners.values());
        let queued = change.queued & !joined;
        let complete = u64::from(change.complete) << 16;
        assert_eq!(told, complete | u64::from(queued) << 8 | u64::from(joined));
        let vcore = objects::vcore(handle).unwrap();
        let core = self.machine.core;
        for (ptid, slot) in joiners {
            let letter = core::ptr::from_ref(vcore) as u64 | *slot as u64;
            assert_eq!(core.run.seating.seat(*ptid), letter);
            assert_eq!(core.run.seating.take_letter(*ptid), letter);
            self.running.as_mut().unwrap().seats.insert(*ptid, *slot);
        }
        if change.running {
            let model = &self.model.vcores[&handle].roster;
            model.joined();
            let kicked = model.snapshot().kicked() & change.queued != 0;
            // A kicked vcpu doesn't join: it brings the vcore out instead.
            assert!(!kicked || vcore.entry.snapshot().leaving());
            if kicked {
                self.machine.take_ipis();
                return;
            }
        }
        // The runner needs no IPI.
        assert_eq!(self.machine.take_ipis(), bits(joiners.keys()) & !1);
    }

    pub fn kick(&mut self) {
        let handle = self.vcore();
        let mask = self.mask(handle);
        let mut reasons = vec![];
        if !self.model.vcores.contains_key(&handle) {
            reasons.push(argument(1));
        } else if mask & !u64::from(self.present(handle)) != 0 {
            reasons.push(argument(2));
        }
        let entry = objects::vcore(handle).map(|vcore| vcore.entry.snapshot());
        let mut args = [handle, mask, 0, 0, 0, 0, 0, 0];
        if self.call(vcore_kick, &mut args, &reasons) {
            let (entry, roster) = (entry.unwrap(), &self.model.vcores[&handle].roster);
            let kick = roster.kick(mask as Mask).unwrap();
            assert_eq!(args[1], u64::from(kick.interrupted));
            let comes_out = kick.running && !entry.leaving() && entry.outstanding() != 0;
            let awake = entry.entered() & !entry.exited() & !entry.ceded() & !entry.called();
            let sent = self.machine.take_ipis();
            let one_of = if awake != 0 { awake } else { entry.ceded() };
            let wanted = u32::from(comes_out && one_of != 0);
            assert_eq!(sent.count_ones(), wanted, "an IPI to a thread in the guest");
            assert_eq!(sent & !one_of, 0);
            let leaving = objects::vcore(handle).unwrap().entry.snapshot().leaving();
            assert!(!comes_out || leaving);
        }
    }

    pub fn stats(&mut self) {
        let handle = self.vcore();
        let action = if self.random.once_in(8) {
            self.noise()
        } else {
            self.random.below(2)
        };
        let mut address = self.machine.page(44) + 8 * self.random.below(200);
        let mut reasons = vec![];
        if !self.model.vcores.contains_key(&handle) {
            reasons.push(argument(1));
        }
        if self.random.once_in(8) {
            let len_bytes = size_of::<VcoreStats>() as u64;
            address = self.machine.bad_address(&self.random, len_bytes);
            reasons.push(argument(2));
        }
        if action > 1 {
            reasons.push(argument(3));
        }
        let mut before = self.machine.pool();
        if self.call(
            smt_stats,
            &mut [handle, address, action, 0, 0, 0, 0, 0],
            &reasons,
        ) {
            let told: [u8; size_of::<VcoreStats>()] = self.machine.read(address);
            let at = (address - self.machine.base) as usize;
            before[at..at + told.len()].copy_from_slice(&told);
            assert!(before == self.machine.pool(), "it wrote elsewhere");
            if action == 1 {
                let mut args = [handle, address, 0, 0, 0, 0, 0, 0];
                assert!(self.call(smt_stats, &mut args, &[]));
                assert!(
                    self.machine
                        .read::<VcoreStats>(address)
                        .as_bytes()
                        .iter()
                        .all(|it| *it == 0)
                );
            }
        }
    }

    /// A run of a vcore begins, as VCORE_RUN has it.
    pub fn begin(&mut self) {
        let handle = self.vcore();
        let Some(vcore) = objects::vcore(handle).filter(|_| self.running.is_none()) else {
            return;
        };
        let runnable = self.mask(handle) as Mask;
        let blocked = self.mask(handle) as Mask & !runnable;
        let (eager, aligned) = (self.rules(handle).eager, self.rules(handle).aligned);
        let begun = vcore.roster.begin(runnable, blocked, eager);
        let roster = &self.model.vcores[&handle].roster;
        assert_eq!(begun, roster.begin(runnable, blocked, eager));
        if let Err(vcore::roster::Refusal::Kicked(_)) = begun {
            vcore.roster.told();
            roster.told();
        }
        let Ok(queue) = begun else { return };
        let mut seats = BTreeMap::new();
        for (place, slot) in queue.queue().enumerate() {
            assert!(
                seats
                    .insert(if aligned { slot } else { place }, slot)
                    .is_none()
            );
        }
        vcore
            .core
            .store(core::ptr::from_ref(self.machine.core) as u64, Relaxed);
        vcore.entry.open(queue.generation(), bits(seats.keys()));
        self.running = Some(Running {
            vcore: handle,
            seats,
        });
    }

    /// A thread enters the guest, cedes, or begins to leave.
    pub fn enter(&mut self) {
        let Some(running) = &self.running else { return };
        let entry = &objects::vcore(running.vcore).unwrap().entry;
        let ptids: Vec<usize> = running.seats.keys().copied().collect();
        let ptid = self.random.pick(&ptids);
        if entry.snapshot().entered() & 1 << ptid == 0 {
            entry.enter(ptid);
        } else if self.random.once_in(2) {
            entry.cede(ptid);
        } else {
            entry.leave(ptid);
        }
    }

    /// All threads report, and the run is over.
    pub fn end(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        let vcore = objects::vcore(running.vcore).unwrap();
        let mut exited = 0;
        for (ptid, slot) in running.seats {
            if vcore.entry.enter(ptid) || vcore.entry.snapshot().entered() & 1 << ptid != 0 {
                vcore.entry.leave(ptid);
                exited |= self.random.below(2) as Mask & 1 << slot;
            }
            vcore.entry.answered(ptid);
            vcore.entry.report(ptid);
        }
        assert_eq!(
            vcore.entry.snapshot().outstanding(),
            0,
            "someone joined unnoticed"
        );
        vcore.core.store(0, Relaxed);
        let roster = &self.model.vcores[&running.vcore].roster;
        let told = roster.end(exited, 0, 0).err().unwrap_or(0);
        assert_eq!(vcore.roster.end(exited, 0, 0).err().unwrap_or(0), told);
        for roster in [&vcore.roster, roster] {
            assert_eq!(roster.end(exited, 0, told), Ok(()));
        }
        self.machine.take_ipis();
    }
}
