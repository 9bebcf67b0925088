//! Sequences of calls with good, stale and hostile arguments against a model of what there is.
//!
//! For each call the model knows every reason why it has to be refused. A refusal has to name one
//! of them and leave everything as it was; without a reason the call has to succeed.
extern crate std;
use super::*;
use crate::args;
use crate::smt::fake_machine::{self, FakeMachine, PAGE_BYTES, THREADS};
use crate::smt::objects::tests::{assert_consistent, counts, fingerprint};
use asm::sim::random::{self, Random};
use hcalls::VcpuPage;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;
use vcore::Roster;
use zerocopy::IntoBytes;

#[path = "calls_partition_tests.rs"]
mod partitions;
#[path = "calls_running_tests.rs"]
mod running;
use running::Running;

struct Partition {
    lpid: u32,
    width: u64,
    aligned: bool,
    eager: bool,
    /// By number.
    vcores: BTreeMap<u64, u64>,
}

struct VcoreModel {
    partition: u64,
    number: u64,
    /// By slot.
    pages: BTreeMap<u64, u64>,
    /// Takes every step that the vcore's own should take.
    roster: Roster,
}

/// What there is, by handle.
#[derive(Default)]
struct Model {
    partitions: BTreeMap<u64, Partition>,
    vcores: BTreeMap<u64, VcoreModel>,
    /// Handles of what there was.
    stale: Vec<u64>,
}

/// A reason to refuse: a status, and for PARAMETER the argument's number.
type Reason = (Status, u64);
const fn argument(number: u64) -> Reason {
    (Status::Parameter, number)
}

struct Test {
    machine: std::sync::MutexGuard<'static, FakeMachine>,
    random: Random,
    model: Model,
    running: Option<Running>,
}

impl Test {
    fn new(seed: u64) -> Self {
        let machine = fake_machine::machine();
        machine.fill_pool();
        machine.take_ipis();
        assert_eq!(partition_destroy(&[u64::MAX; 8]), DONE);
        assert_eq!(counts(), [0; 3]);
        Self {
            machine,
            random: Random::new(seed),
            model: Model::default(),
            running: None,
        }
    }

    /// Calls, and compares the status with the reasons; true if it succeeded.
    fn call(&mut self, call: fn(&Args) -> Answer, args: &mut Args, reasons: &[Reason]) -> bool {
        let asked = *args;
        let before = (fingerprint(), self.machine.pool());
        let status = args::put(call(args), args);
        assert_consistent();
        let number = if status == Status::Parameter {
            args[1]
        } else {
            0
        };
        if status == Status::Success {
            assert!(reasons.is_empty(), "{asked:x?} has {reasons:?}");
            return true;
        }
        let told = (status, number);
        assert!(
            reasons.contains(&told),
            "{asked:x?}: {told:?}, not {reasons:?}"
        );
        assert!(
            before == (fingerprint(), self.machine.pool()),
            "{asked:x?} left something"
        );
        assert_eq!(self.machine.take_ipis(), 0);
        if number != 0 {
            args[1] = asked[1];
        }
        assert_eq!(asked, *args, "results of a refused call");
        false
    }

    /// A number that means nothing good.
    fn noise(&mut self) -> u64 {
        let bits = self.random.bits();
        let near = self
            .random
            .pick(&[0, 1, 2, 8, 9, 64, 255, 256, u64::MAX, 1 << 63, 1 << 32]);
        self.random.pick(&[bits, near, near])
    }

    /// Mostly one of these; else one of the other kind, one that is no more, or never was.
    fn handle(&mut self, good: Vec<u64>, other_kind: Vec<u64>) -> u64 {
        let mut bad = self.model.stale.clone();
        bad.extend(other_kind);
        bad.extend(
            good.iter()
                .map(|handle| handle ^ 1 << self.random.below(64)),
        );
        bad.push(self.noise());
        match good.is_empty() || self.random.once_in(8) {
            true => self.random.pick(&bad),
            false => self.random.pick(&good),
        }
    }

    fn partition(&mut self) -> u64 {
        let (partitions, vcores) = self.handles();
        self.handle(partitions, vcores)
    }

    fn vcore(&mut self) -> u64 {
        let (partitions, vcores) = self.handles();
        self.handle(vcores, partitions)
    }

    fn handles(&self) -> (Vec<u64>, Vec<u64>) {
        let model = &self.model;
        (
            model.partitions.keys().copied().collect(),
            model.vcores.keys().copied().collect(),
        )
    }

    fn query(&mut self) {
        let index = if self.random.once_in(2) {
            self.random.below(16)
        } else {
            self.noise()
        };
        let reasons = if index > 10 {
            vec![argument(1)]
        } else {
            vec![]
        };
        self.call(smt_query, &mut [index, 0, 0, 0, 0, 0, 0, 0], &reasons);
    }

    fn create_vcpu(&mut self) {
        let handle = self.partition();
        let width = self.model.partitions.get(&handle).map_or(1, |it| it.width);
        let limit = width * MAX_VCORES_PER_PARTITION as u64;
        let far = self
            .random
            .pick(&[limit - 1, limit, limit + 1, u64::MAX, 1 << 32]);
        let id = if self.random.once_in(10) {
            far
        } else {
            self.random.below(3 * width)
        };
        let page = self.machine.page(self.random.below(40));
        let mut args = [handle, id, page, 0, 0, 0, 0, 0];
        let mut reasons = vec![];
        if !self.model.partitions.contains_key(&handle) {
            reasons.push(argument(1));
        } else if id >= limit {
            reasons.push(argument(2));
        }
        let mut used = self
            .model
            .vcores
            .values()
            .flat_map(|vcore| vcore.pages.values());
        if used.any(|it| *it == page) {
            reasons.push((Status::Busy, 0));
        } else if self.random.once_in(8) {
            args[2] = self.bad_page(page);
            reasons.push(argument(3));
        } else if self.random.once_in(8) {
            // As a host's kernel writes it.
            args[2] |= 0xc << 60;
        }
        let (number, slot) = (id / width, id % width);
        let there = self.vcore_of(handle, number);
        if there.is_some_and(|vcore| vcore.pages.contains_key(&slot)) {
            reasons.push((Status::Busy, 0));
        }
        if self.call(vcpu_create, &mut args, &reasons) {
            assert_eq!(args[2], slot);
            self.note_vcpu(handle, args[1], number, slot, page);
        }
        self.machine.write(page, FakeMachine::vcpu_page());
    }

    /// Spoils the page's first line, or answers another address.
    fn bad_page(&mut self, page: u64) -> u64 {
        let mut content = VcpuPage::new();
        match self.random.below(4) {
            0 => content.host.magic.set(self.noise() as u32 | 1 << 31),
            1 => content.host.version.set(hcalls::VERSION + 1),
            2 => content.host.flags.set(1 << (1 + self.random.below(63))),
            _ => return self.machine.bad_address(&self.random, PAGE_BYTES),
        }
        self.machine.write(page, content);
        page
    }

    fn vcore_of(&self, partition: u64, number: u64) -> Option<&VcoreModel> {
        let handle = self.model.partitions.get(&partition)?.vcores.get(&number)?;
        self.model.vcores.get(handle)
    }

    fn note_vcpu(&mut self, partition: u64, handle: u64, number: u64, slot: u64, page: u64) {
        let vcores = &mut self.model.partitions.get_mut(&partition).unwrap().vcores;
        assert_eq!(
            *vcores.entry(number).or_insert(handle),
            handle,
            "one vcore each (B3)"
        );
        assert!(!self.model.stale.contains(&handle));
        let vcore = self
            .model
            .vcores
            .entry(handle)
            .or_insert_with(|| VcoreModel {
                partition,
                number,
                pages: BTreeMap::new(),
                roster: Roster::new(),
            });
        vcore.pages.insert(slot, page);
        // Blocked at first (B4).
        assert!(vcore.roster.add(slot as usize));
    }
}

#[test]
fn any_sequence_is_as_the_model_has_it() {
    for seed in random::seeds(1_500) {
        let mut test = Test::new(seed);
        for _ in 0..120 {
            match test.random.below(24) {
                0 => test.query(),
                1..3 => test.create_partition(),
                3 if test.random.once_in(4) => test.destroy_partition(),
                3..9 => test.create_vcpu(),
                9 => test.destroy_vcpu(),
                10..15 => test.set_state(),
                15..18 => test.kick(),
                18 => test.stats(),
                19..22 => test.begin(),
                22 => test.enter(),
                _ => test.end(),
            }
        }
        test.end();
    }
}
