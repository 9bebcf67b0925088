//! Whole call sequences with runs in them, through the steps that ship, on the simulated machine
//! ([`asm::sim`]): what the bytes say is called on one core, what its guests do, and what another core
//! calls meanwhile. After each call everything that must hold is looked at.
use core::cell::Cell;
use std::rc::Rc;

use asm::{op, sim, spr};
use firmware::smt::calls;
use firmware::smt::fake_machine::{self, FakeMachine, PARTITION_BYTES, THREADS};
use firmware::smt::objects::{self, Vcore};
use hcalls::partition::{PartitionConfig, Policy, PtidMode};
use hcalls::run::RUN_FLAGS;
use hcalls::stats::VcoreStats;
use hcalls::{Status, VcpuPage};
use zerocopy::FromZeros;

use crate::Input;
use crate::guests::Program;
use crate::other_core::Other;
use crate::threads::{self, CORES, HOSTS_LPCR};

const LPID: u64 = 5;
/// Pages of the pool: vcpus have the first ones, by slot.
const CONFIG_PAGE: u64 = 40;
const STATS_PAGE: u64 = 44;
/// What a run may answer; PARTIAL would be a thread that never came back.
const RUN_STATUSES: [Status; 5] = [
    Status::Success,
    Status::Parameter,
    Status::Busy,
    Status::Constrained,
    Status::Empty,
];

/// The target.
pub fn runs(data: &[u8]) {
    let machine = fake_machine::machine();
    let mut host = Host::new(&machine, Input(data));
    while let Some(which) = host.input.byte() {
        match which % 8 {
            0..=2 => host.run(),
            3 => host.set_state(),
            4 => host.kick(),
            5 => host.destroy(),
            6 => host.create(),
            _ => host.let_be(),
        }
        host.look();
    }
    // Destroyed as a whole, and nothing is left of it.
    assert_eq!(
        crate::carry_out(calls::partition_destroy, &mut [u64::MAX; 8]),
        Status::Success
    );
    assert!(objects::vcore(host.vcore).is_none());
}

/// A host with one partition of one vcore.
struct Host<'a> {
    machine: &'a FakeMachine,
    input: Input<'a>,
    partition: u64,
    /// The last one's handle.
    vcore: u64,
}

impl<'a> Host<'a> {
    fn new(machine: &'a FakeMachine, mut input: Input<'a>) -> Self {
        threads::core();
        machine.fill_pool();
        let kind = input.byte().unwrap_or(0);
        let (aligned, eager) = (kind & 1 != 0, kind & 2 != 0);
        let mut config = PartitionConfig::new_zeroed();
        config.version.set(hcalls::VERSION);
        config.lpid.set(LPID as u32);
        config.smt_width.set(THREADS as u32);
        config.ptid_mode.set(
            if aligned {
                PtidMode::Aligned
            } else {
                PtidMode::Packed
            }
            .into(),
        );
        config.policy.set(
            if eager {
                Policy::Eager
            } else {
                Policy::Complete
            }
            .into(),
        );
        config.base.set(machine.base);
        config.rm_len_bytes.set(PARTITION_BYTES);
        machine.write(machine.page(CONFIG_PAGE), config);
        let mut args = [machine.page(CONFIG_PAGE); 8];
        assert_eq!(
            crate::carry_out(calls::partition_create, &mut args),
            Status::Success
        );
        let mut host = Self {
            machine,
            input,
            partition: args[1],
            vcore: 0,
        };
        (0..=u64::from(kind >> 5)).for_each(|slot| host.create_in(slot));
        host
    }

    fn vcore(&self) -> Option<&'static Vcore> {
        objects::vcore(self.vcore)
    }

    fn present(&self) -> u8 {
        self.vcore()
            .map_or(0, |vcore| vcore.roster.snapshot().present())
    }

    fn byte(&mut self) -> u8 {
        self.input.byte().unwrap_or(0)
    }

    /// A mask of slots: as a rule of vcpus that there are.
    fn mask(&mut self) -> u64 {
        let mask = self.byte();
        let any = self.byte() % 16 == 15;
        u64::from(if any { mask } else { mask & self.present() })
    }

    fn page(&self, slot: u64) -> VcpuPage {
        self.machine.read(self.machine.page(slot))
    }

    fn create(&mut self) {
        let slot = u64::from(self.byte() % THREADS as u8);
        self.create_in(slot);
    }

    fn create_in(&mut self, slot: u64) {
        let there = self.present() >> slot & 1 != 0;
        let mut args = [self.partition, slot, self.machine.page(slot), 0, 0, 0, 0, 0];
        if !there {
            let mut page = FakeMachine::vcpu_page();
            page.sprs.dec_expires_tb.set(u64::MAX >> 1);
            self.machine.write(args[2], page);
        }
        let status = crate::carry_out(calls::vcpu_create, &mut args);
        match there {
            true => assert_eq!(status, Status::Busy),
            false => {
                assert_eq!((status, args[2]), (Status::Success, slot));
                self.vcore = args[1];
            }
        }
    }

    fn destroy(&mut self) {
        let slot = u64::from(self.byte() % THREADS as u8);
        let there = self.present() >> slot & 1 != 0;
        let status = crate::carry_out(
            calls::vcpu_destroy,
            &mut [self.vcore, slot, 0, 0, 0, 0, 0, 0],
        );
        let wanted = if there {
            Status::Success
        } else {
            Status::Parameter
        };
        assert_eq!(status, wanted);
    }

    fn set_state(&mut self) {
        let (mask, state) = (self.mask(), u64::from(self.byte() % 4));
        let good = mask != 0 && mask & !u64::from(self.present()) == 0 && state < 3;
        let status = crate::carry_out(
            calls::vcpu_set_state,
            &mut [self.vcore, mask, state, 0, 0, 0, 0, 0],
        );
        let wanted = if good {
            Status::Success
        } else {
            Status::Parameter
        };
        assert_eq!(status, wanted);
        let queued = |vcore: &Vcore| u64::from(vcore.roster.snapshot().runnable()) & mask;
        if let Some(vcore) = self.vcore().filter(|_| good) {
            assert_eq!(queued(vcore), if state == 0 { mask } else { 0 });
        }
    }

    fn kick(&mut self) {
        let (mask, cause) = (self.mask(), u64::from(self.byte()));
        let there = self.present();
        let good = there != 0 && mask & !u64::from(there) == 0;
        let mut args = [self.vcore, mask, cause, 0, 0, 0, 0, 0];
        let status = crate::carry_out(calls::vcore_kick, &mut args);
        let wanted = if good {
            Status::Success
        } else {
            Status::Parameter
        };
        assert_eq!(status, wanted);
        assert!(!good || args[1] & !u64::from(there) == 0);
    }

    /// What the host writes into a page that is its own.
    fn let_be(&mut self) {
        let slot = u64::from(self.byte() % THREADS as u8);
        let mut page = self.page(slot);
        match self.byte() % 4 {
            0 => page.firmware.prodded.set(1),
            1 => page.host.pending.set(hcalls::page::PENDING_EXTERNAL),
            2 => page.host.pending.set(0),
            _ => page.sprs.dec_expires_tb.set(op::time_tb()),
        }
        self.machine.write(self.machine.page(slot), page);
    }

    /// What holds whenever no call is under way.
    fn look(&self) {
        let Some(vcore) = self.vcore() else { return };
        let (roster, entry) = (vcore.roster.snapshot(), vcore.entry.snapshot());
        assert!(!roster.running());
        assert_eq!(roster.runnable() & roster.blocked(), 0);
        assert_eq!(
            (roster.runnable() | roster.blocked()) & !roster.present(),
            0
        );
        assert_eq!((entry.outstanding(), entry.called() & !1), (0, 0));
        let mut queue: Vec<usize> = roster.queue().collect();
        queue.sort_unstable();
        let wanted = (0..THREADS).filter(|slot| roster.runnable() >> slot & 1 != 0);
        assert!(queue.into_iter().eq(wanted), "{roster:?}");
        for slot in 0..THREADS as u64 {
            assert_eq!(self.page(slot).firmware.owner.get(), 0, "slot {slot}");
        }
    }

    fn stats(&self) -> VcoreStats {
        let at = self.machine.page(STATS_PAGE);
        let mut args = [self.vcore, at, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            crate::carry_out(calls::smt_stats, &mut args),
            Status::Success
        );
        self.machine.read(at)
    }
}

impl Host<'_> {
    fn run(&mut self) {
        let (runnable, blocked) = (self.mask(), self.mask());
        let blocked = blocked & !runnable;
        let flags = u64::from(self.byte()) & RUN_FLAGS;
        let deadline_tb = sim::FIRST_TB + (100 << (self.byte() % 5));
        let seed = u64::from(self.byte());
        let program = Program::new(|| self.byte());
        let calls = (0..self.byte() % 4).map(|_| [self.byte(), self.byte(), self.byte()]);
        let other = Rc::new(Other {
            calls: calls.collect(),
            named: Cell::new(0),
        });
        let mut args = [self.vcore, runnable, blocked, deadline_tb, flags, 0, 0, 0];
        let Some(vcore) = self.vcore() else {
            let status = self.on_threads(&mut args, seed, program, &other);
            return assert_eq!(status, Status::Parameter as i64);
        };
        let before = (vcore.roster.snapshot(), self.stats(), self.others_memory());
        let status = self.on_threads(&mut args, seed, program, &other);
        let found = RUN_STATUSES.iter().find(|known| **known as i64 == status);
        let status = *found.unwrap_or_else(|| panic!("status {status}"));
        assert_eq!(
            self.others_memory(),
            before.2,
            "memory that no run was given"
        );
        // The vcore went away with its last vcpu.
        let Some(vcore) = self.vcore() else { return };
        let named = other.named.get();
        let after = vcore.roster.snapshot();
        if status == Status::Success {
            let began = before.0.runnable() & !blocked as u8 | runnable as u8;
            self.ended(&args, began, named, after.runnable());
            self.counted(&before.1);
        } else if status != Status::Empty {
            let same = (before.0.runnable() ^ after.runnable()) & !named;
            assert_eq!(same, 0, "{status:?} has changed the queue");
        }
    }

    /// Nobody is lost: who was queued, and isn't told of, is queued still.
    fn ended(&self, args: &[u64; 8], began: u8, named: u8, queued: u8) {
        let [exited, absent, ceded] = [args[1], args[2], args[3] & 0xff].map(|mask| mask as u8);
        assert_eq!((exited & absent, exited & ceded, absent & ceded), (0, 0, 0));
        assert_eq!((exited | absent | ceded) & !(began | named), 0);
        let still = began & !(exited | ceded);
        assert_eq!(
            (queued ^ still) & !named,
            0,
            "{args:x?} of {began:#x}, {named:#x}: {queued:#x}"
        );
    }

    /// Each thread that was called has left once, for one reason.
    fn counted(&self, before: &VcoreStats) {
        let after = self.stats();
        let seats = threads::core().run.seating.taken();
        assert_eq!(after.runs.get(), before.runs.get() + 1);
        let total = |stats: &VcoreStats| stats.exits.iter().map(|count| count.get()).sum::<u64>();
        let left = total(&after) - total(before);
        assert_eq!(left, u64::from(seats.count_ones()));
        let woken = after.woken.get() - before.woken.get();
        assert_eq!(woken, u64::from((seats & !1).count_ones()));
        assert!(after.entries.get() - before.entries.get() <= left);
    }

    /// What of the host's memory no run may change: pages of no vcpu, and the host's line in those of vcpus.
    fn others_memory(&self) -> Vec<u8> {
        let mut pool = self.machine.pool();
        let firmwares = size_of::<hcalls::page::HostLine>()..size_of::<VcpuPage>();
        for slot in 0..THREADS {
            let at = slot * size_of::<VcpuPage>();
            pool[at + firmwares.start..at + firmwares.end].fill(0);
        }
        let at = STATS_PAGE as usize * size_of::<VcpuPage>();
        pool[at..at + size_of::<VcoreStats>()].fill(0);
        pool
    }

    /// Calls VCORE_RUN on thread 0 of one core, while the other's host calls what it does.
    fn on_threads(
        &self,
        args: &mut [u64; 8],
        seed: u64,
        program: Program,
        other: &Rc<Other>,
    ) -> i64 {
        let first_page = self.machine.page(0);
        let guest = Box::new(move |page: *mut u8| {
            assert_eq!(spr::read::<{ spr::LPIDR }>(), LPID);
            let slot = (page.addr() as u64 - first_page) / size_of::<VcpuPage>() as u64;
            // SAFETY: the page of the vcpu that this thread runs.
            program.go_on(slot as usize, unsafe { &mut *page.cast::<VcpuPage>() })
        });
        let answer = Rc::new(Cell::new((0, *args)));
        let answered = Rc::clone(&answer);
        let runner: Box<dyn FnOnce()> = Box::new(move || {
            let (_, mut args) = answered.get();
            let status = sim::call_run(&mut args);
            // The host has its registers again.
            assert_eq!(spr::read::<{ spr::LPIDR }>(), 0);
            assert_eq!(spr::read::<{ spr::HRMOR }>(), 0);
            assert_eq!(spr::read::<{ spr::LPCR }>(), HOSTS_LPCR);
            answered.set((status, args));
        });
        let (other, vcore) = (Rc::clone(other), self.vcore);
        let caller: Box<dyn FnOnce()> = Box::new(move || other.carry_out(vcore));
        let machine = sim::Machine::new(seed, &CORES, guest);
        machine.run(threads::begin, vec![(0, runner), (1, caller)]);
        let (status, answered) = answer.get();
        *args = answered;
        status
    }
}
