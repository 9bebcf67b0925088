//! Two races that have been there: each in many schedules that go straight for it.
extern crate std;
use super::Bench;
use super::guests;
use super::host::Host;
use super::world::World;
use asm::sim::machine;
use core::cell::Cell;
use hcalls::Status;
use hcalls::run::VcpuState;
use hcalls::trace::TB_HZ;
use std::boxed::Box;
use std::rc::Rc;

const SCHEDULES: u64 = 300;

/// Both cores' hosts; the programs get theirs.
fn hosts(bench: &Bench, vcpus: u64, aligned: bool) -> [Host; 2] {
    let world = Rc::new(World::new(&bench.memory, vcpus, aligned));
    [0, 1].map(|place| Host {
        place,
        world: Rc::clone(&world),
    })
}

/// A run that a kick refuses writes to the vcpu's page; the vcpu must not go before that.
#[test]
fn a_vcpu_whose_kick_refuses_a_run_keeps_its_page_until_it_is_told() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        let [runner, destroyer] = hosts(&bench, 2, false);
        let kicked = Rc::new(Cell::new(false));
        let seen = Rc::clone(&kicked);
        let run: Box<dyn FnOnce()> = Box::new(move || {
            runner.kick(0b11);
            kicked.set(true);
            let answer = runner.run(0b11, 0, 400);
            assert!(answer.status != Status::Partial as i64);
            runner.world.check();
        });
        let destroy: Box<dyn FnOnce()> = Box::new(move || {
            while !seen.get() {
                asm::op::relax();
            }
            while destroyer.world.destroy(0) == Status::Busy {
                asm::op::relax();
            }
            destroyer.world.check();
        });
        bench.run(seed, guests::any, [run, destroy].into());
    }
}

/// A core is fenced only once its run is leaving: nobody may join it afterwards.
#[test]
fn nobody_joins_a_run_whose_core_is_fenced() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES / 3 {
        let [runner, joiner] = hosts(&bench, 4, true);
        let over = Rc::new(Cell::new(false));
        let seen = Rc::clone(&over);
        let run: Box<dyn FnOnce()> = Box::new(move || {
            // No vcpu for thread 0, and the only thread comes late by 15 s: with the deadline past, or far.
            let late = &machine().harts[1];
            late.delay_until(machine().now_tb() + 15 * TB_HZ);
            let answer = runner.run(0b0010, 0, seed % 2 * 60 * TB_HZ);
            assert_eq!(answer.status, Status::Partial as i64);
            over.set(true);
        });
        let join: Box<dyn FnOnce()> = Box::new(move || {
            while !seen.get() {
                let _ = joiner.world.set_state(0b1000, VcpuState::Runnable);
                asm::op::relax();
            }
        });
        bench.run(seed, guests::waits, [run, join].into());
    }
}

/// A thread that something else has woken parks for the host before its IPI has come: that must not be left.
#[test]
fn a_thread_that_wakes_by_itself_leaves_no_ipi_behind() {
    let bench = Bench::new();
    for seed in 0..SCHEDULES {
        let [host, _] = hosts(&bench, 1, false);
        let over = Rc::new(Cell::new(false));
        let seen = Rc::clone(&over);
        let release: Box<dyn FnOnce()> = Box::new(move || {
            host.release_and_claim();
            over.set(true);
        });
        let disturb: Box<dyn FnOnce()> = Box::new(move || {
            while !seen.get() {
                let harts = &machine().harts;
                harts[1 + machine().random().below(7) as usize].disturb();
                asm::op::relax();
            }
        });
        bench.run(seed, guests::waits, [release, disturb].into());
    }
}
