//! Two hosts that do anything to one vcore, in seeded schedules.
extern crate std;
use super::guests;
use super::host::{Host, SEEN};
use super::world::World;
use super::{Bench, simulated_cores};
use asm::sim::{Faults, machine};
use core::sync::atomic::Ordering::Relaxed;
use hcalls::Status;
use hcalls::run::{CoreState, VcpuState};
use std::boxed::Box;
use std::rc::Rc;

/// Schedules in the test command, and acts of each host in one.
const SCHEDULES: u64 = 1_000;
const ACTS: u64 = 12;
/// Runs after which all vcpus of a quiet vcore have come out.
const ENOUGH: usize = 40;

/// One schedule; panics if anything is wrong.
fn explore(bench: &Bench, seed: u64) {
    let vcpus = [1, 2, 3, 4, 8][(seed % 5) as usize];
    let world = Rc::new(World::new(&bench.memory, vcpus, seed.is_multiple_of(3)));
    let finished = Rc::new(core::cell::Cell::new(0));
    let program = |place: usize| -> Box<dyn FnOnce()> {
        let host = Host {
            place,
            world: Rc::clone(&world),
        };
        let finished = Rc::clone(&finished);
        Box::new(move || {
            let late = seed.is_multiple_of(4);
            let lost = if seed % 16 == 3 { 40 } else { 0 };
            let faults = Faults {
                lost_ipi: lost,
                late_ipi: if late { 3 } else { 0 },
            };
            machine().faults.set(faults);
            let random = machine().random();
            for _ in 0..ACTS {
                host.act(random);
            }
            finished.set(finished.get() + 1);
            if finished.get() == 2 {
                machine().faults.set(Faults::default());
                drain(&host);
            }
        })
    };
    bench.run(seed, guests::any, [program(0), program(1)].into());
    check_quiet(&world);
}

/// The last host left: every kick is told.
fn drain(host: &Host) {
    let world = &host.world;
    for _ in 0..ENOUGH {
        let Some(vcore) = world
            .vcore()
            .filter(|_| host.core().state() == CoreState::Held)
        else {
            return;
        };
        if vcore.roster.snapshot().kicked() == 0 {
            return;
        }
        let present = world.present();
        let _ = world.set_state(present, VcpuState::Runnable);
        let answer = host.run(present, 0, 4_000);
        let good = [Status::Success, Status::Empty, Status::Partial];
        assert!(good.iter().any(|good| *good as i64 == answer.status));
    }
    panic!("kicks that nobody is told of");
}

/// Nothing of any run is left.
fn check_quiet(world: &World) {
    world.check();
    for core in simulated_cores() {
        for ptid in 0..8 {
            assert!(!core.run.seating.has_letter(ptid), "a letter is left");
        }
        assert_eq!(core.holders.owing.load(Relaxed), 0);
        assert_eq!(core.holders.parked.load(Relaxed), 0);
    }
    if let Some(vcore) = world.vcore() {
        let entry = vcore.entry.snapshot();
        assert_eq!(
            (entry.outstanding(), entry.called(), entry.ceded()),
            (0, 0, 0)
        );
        assert!(!vcore.roster.snapshot().running());
        assert_eq!(vcore.core.load(Relaxed), 0);
    }
}

#[test]
fn whatever_two_hosts_do_no_schedule_breaks_anything() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        bench.explore(seed);
    }
    let seen = SEEN.each_ref().map(|count| count.load(Relaxed));
    assert!(
        seen.iter().all(|count| *count > 10),
        "hardly seen: {seen:?}"
    );
}

impl Bench {
    fn explore(&self, seed: u64) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| explore(self, seed)));
        if let Err(failure) = result {
            std::eprintln!("schedule {seed} fails");
            std::panic::resume_unwind(failure);
        }
    }
}
