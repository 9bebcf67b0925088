//! What a host does on thread 0 of a core, and what must be so whenever a call has returned.
extern crate std;
use super::super::core_claim;
use super::super::{calls, cores::Core, cores::record::OWES_IPI};
use super::world::World;
use super::{CORES, HOSTS_LPCR, simulated_cores};
use crate::args::{self, Args};
use asm::sim::random::Random;
use asm::sim::{call_run, hart, machine};
use asm::{op, spr};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use hcalls::Status;
use hcalls::page::PENDING_EXTERNAL;
use hcalls::run::{ClaimAction, CoreState, KICK_GUEST, VcpuState};
use hcalls::trace::TB_HZ;
use std::rc::Rc;

/// What schedules have come to: an exploration in which it never does shows nothing.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    Ran,
    Kicked,
    Refused,
    Busy,
    Fenced,
    Joined,
    Released,
    Destroyed,
    NotDestroyed,
    Begun,
    Came,
}

/// How often, by [`Seen`].
pub static SEEN: [AtomicU64; Seen::Came as usize + 1] =
    [const { AtomicU64::new(0) }; Seen::Came as usize + 1];

fn saw(what: Seen) {
    SEEN[what as usize].fetch_add(1, Relaxed);
}

fn saw_run(status: i64) {
    for (known, what) in [
        (Status::Success, Seen::Ran),
        (Status::Empty, Seen::Kicked),
        (Status::Constrained, Seen::Refused),
        (Status::Busy, Seen::Busy),
        (Status::Partial, Seen::Fenced),
    ] {
        if status == known as i64 {
            saw(what);
        }
    }
}

/// What a run's call has answered.
pub struct Answer {
    pub status: i64,
    pub args: Args,
}

/// One core's host.
pub struct Host {
    pub place: usize,
    pub world: Rc<World>,
}

impl Host {
    pub fn core(&self) -> &'static Core {
        simulated_cores()[self.place]
    }

    /// VCORE_RUN of all vcpus in `mask`, for as long.
    pub fn run(&self, mask: u64, blocked: u64, ticks: u64) -> Answer {
        let world = &self.world;
        world.lend();
        let deadline_tb = op::time_tb().wrapping_add(ticks);
        let mut args = [world.handle.get(), mask, blocked, deadline_tb, 0, 0, 0, 0];
        let status = call_run(&mut args);
        let began = [Status::Success, Status::Partial].map(|status| status as i64);
        self.check_returned(began.contains(&status));
        saw_run(status);
        let answer = Answer { status, args };
        if status == Status::Partial as i64 {
            self.end_fence();
        }
        world.have_back();
        answer
    }

    /// The host has its registers again, and nothing of the firmware's is on its way to it.
    fn check_returned(&self, began: bool) {
        let thread = hart();
        assert_eq!(spr::read::<{ spr::LPIDR }>(), 0);
        assert_eq!(spr::read::<{ spr::HRMOR }>(), 0);
        assert_eq!(spr::read::<{ spr::LPCR }>(), HOSTS_LPCR);
        if thread.icp.ipi_sent() {
            // SAFETY: this is the core's thread 0, and its run is over.
            let owes = unsafe { self.core().run.record.get().afterwards } & OWES_IPI != 0;
            assert!(owes && began, "an IPI of the firmware's reaches the host");
            thread.icp.take();
        }
        assert!(!self.core().run.rung.load(Relaxed));
        thread.icp.lower();
    }

    /// A core was fenced: its run is over for everybody else, and its threads are asked until they answer.
    fn end_fence(&self) {
        assert_eq!(self.core().state(), CoreState::Fenced);
        let vcore = self.world.vcore().expect("it is the core's still");
        assert!(
            vcore.entry.snapshot().leaving(),
            "a core is fenced whose run is open"
        );
        for _ in 0..20 {
            let args = self.claim(ClaimAction::Claim);
            if args[1] == CoreState::Held as u64 {
                saw(Seen::Came);
                return;
            }
        }
        panic!("a fence without end");
    }

    pub fn claim(&self, action: ClaimAction) -> Args {
        let pir = u64::from(CORES[self.place].0);
        let mut args = [pir, action as u64, 0, 0, 0, 0, 0, 0];
        let _ = args::put(core_claim::claim(&args), &mut args);
        args
    }

    /// The secondaries go to the host and come back.
    pub fn release_and_claim(&self) {
        let args = self.claim(ClaimAction::Release);
        if args[1] != CoreState::Released as u64 {
            return;
        }
        saw(Seen::Released);
        let mut args = [self.world.handle.get(), 0xff, 0, 0, 0, 0, 0, 0];
        assert_eq!(call_run(&mut args), Status::WrongState as i64);
        self.take_back();
    }

    /// As long as it takes. Threads that never come fence the core for good.
    fn take_back(&self) {
        for _ in 0..20 {
            self.claim(ClaimAction::Claim);
            if self.core().state() != CoreState::Released {
                return;
            }
        }
        panic!("threads that stay the host's");
    }

    /// A kick with a cause of its own.
    pub fn kick(&self, mask: u64) {
        let cause = 1 << self.world.next_cause.get();
        self.world
            .next_cause
            .set((self.world.next_cause.get() + 1) % 60);
        let _ = calls::vcore_kick(&[self.world.handle.get(), mask, cause, 0, 0, 0, 0, 0]);
    }

    /// Something waits for the guests.
    pub fn interrupt(&self, mask: u64) {
        let vcpus = self.world.vcpus.iter().enumerate();
        for (_, vcpu) in vcpus.filter(|(slot, vcpu)| vcpu.exists.get() && mask & 1 << slot != 0) {
            // SAFETY: the host's line of a page that exists.
            unsafe { (*vcpu.page()).host.pending.set(PENDING_EXTERNAL) };
        }
        self.world.pages_changed();
        let _ = calls::vcore_kick(&[self.world.handle.get(), mask, KICK_GUEST, 0, 0, 0, 0, 0]);
    }

    /// Anything, once.
    pub fn act(&self, random: &Random) {
        let world = &self.world;
        world.check();
        let vcpus = world.vcpus.len() as u64;
        let mask = random.below(1 << vcpus);
        match random.below(20) {
            0..8 => {
                let ticks = [0, 40, 400, 4_000, 40_000][random.below(5) as usize];
                let blocked = if random.once_in(4) {
                    mask & random.below(1 << vcpus)
                } else {
                    0
                };
                self.run(mask & !blocked, blocked, ticks);
            }
            8..11 => {
                if world.set_state(mask, VcpuState::Runnable).1 & 0xff != 0 {
                    saw(Seen::Joined);
                }
            }
            11 => drop(world.set_state(mask, VcpuState::Blocked)),
            12 => drop(world.set_state(mask, VcpuState::Busy)),
            13 | 14 => self.kick(mask),
            15 => self.interrupt(mask),
            16 => saw(match world.destroy(random.below(vcpus) as usize) {
                Status::Success => Seen::Destroyed,
                _ => Seen::NotDestroyed,
            }),
            17 if random.once_in(4) => self.begin_anew(),
            17 => world.create(random.below(vcpus) as usize),
            18 if random.once_in(3) => self.release_and_claim(),
            _ => disturb(random),
        }
    }

    /// The partition ends, if nobody runs it, and another one begins.
    fn begin_anew(&self) {
        if self.world.destroy_all() == Status::Success {
            saw(Seen::Begun);
            self.world.make();
        }
    }
}

/// The machine's share: late threads, system resets, maintenance, devices of the host's.
fn disturb(random: &Random) {
    let machine = machine();
    let place = random.below(machine.harts.len() as u64) as usize;
    let hart = &machine.harts[place];
    match random.below(4) {
        0 if hart.ptid != 0 => {
            // Too late for its run, or only a little.
            let too_late = random.once_in(2);
            let ticks = if too_late {
                12 * TB_HZ
            } else {
                1 << random.below(16)
            };
            hart.delay_until(machine.now_tb() + ticks);
        }
        1 => hart.reset(),
        2 => hart.disturb(),
        _ if hart.ptid == 0 => hart.icp.raise(0x1234, 5 * random.below(2) as u8),
        _ => {}
    }
}
