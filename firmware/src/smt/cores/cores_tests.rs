//! Who has a core's threads, and which they are.
extern crate std;
use super::*;
use crate::smt::fake_machine::{self, PIR, THREADS};
use crate::smt::objects::MAX_PARTITIONS;
use std::vec::Vec;

/// Threads of the machine's core, and numbers around them. Other tests have cores from the end on.
const SERVERS: core::ops::Range<u32> = 0..0x20;

fn is_thread(server: u32) -> bool {
    (PIR..PIR + THREADS as u32).contains(&server)
}

#[test]
fn threads_are_known_by_their_numbers() {
    let machine = fake_machine::machine();
    let core = machine.core;
    assert_eq!((core.pir(), core.threads()), (PIR, THREADS as u32));
    let pirs: Vec<u32> = pirs().filter(|pir| SERVERS.contains(pir)).collect();
    assert_eq!(pirs, (PIR..PIR + THREADS as u32).collect::<Vec<_>>());
    for ptid in 0..THREADS {
        assert_eq!(core.pir_of(ptid), PIR + ptid as u32);
    }
    for server in SERVERS {
        assert_eq!(exists(server.into()), is_thread(server), "{server}");
        assert!(!exists(1 << 32 | u64::from(server)));
        let found = by_pir(server).map(core::ptr::from_ref);
        let wanted = (server == PIR).then_some(core::ptr::from_ref(core));
        assert_eq!(found, wanted, "{server}");
    }
    assert!(all().iter().any(|one| core::ptr::eq(one, core)));
    assert!(at(0).is_none());
    let found = at(core::ptr::from_ref(core) as u64).map(core::ptr::from_ref);
    assert_eq!(found, Some(core::ptr::from_ref(core)));
}

#[test]
fn the_host_has_thread_0_and_the_others_of_a_released_core() {
    let machine = fake_machine::machine();
    for state in [CoreState::Held, CoreState::Fenced, CoreState::Released] {
        machine.core.set_state(state);
        assert_eq!(machine.core.state(), state);
        let released = state == CoreState::Released;
        for server in SERVERS {
            let wanted = server == PIR || released && is_thread(server);
            assert_eq!(is_hosts(server), wanted, "{server}, {state:?}");
        }
    }
    machine.core.set_state(CoreState::Held);
}

#[test]
fn a_core_of_any_width_has_a_bit_for_each_thread() {
    for threads in 1..=8 {
        let core = Core::new();
        core.identity.set(0x20, &[0; 8][..threads]);
        assert_eq!(u32::from(core.thread_mask()), (1 << threads) - 1);
        assert_eq!((core.pir(), core.threads()), (0x20, threads as u32));
    }
}

#[test]
fn ipis_go_to_the_thread_that_is_meant_and_can_be_taken_back() {
    let machine = fake_machine::machine();
    machine.take_ipis();
    for ptid in 0..THREADS {
        machine.core.send_ipi(ptid);
        assert_eq!(machine.take_ipis(), 1 << ptid);
    }
    (0..THREADS).for_each(|ptid| machine.core.send_ipi(ptid));
    machine.core.call_off(0b1010_0101);
    assert_eq!(machine.take_ipis(), 0b0101_1010);
}

/// Thread 0's presenter is the host's: it hears a doorbell instead.
#[test]
fn secondaries_are_called_by_ipi() {
    let machine = fake_machine::machine();
    machine.take_ipis();
    for ptid in 1..THREADS {
        machine.core.call(ptid);
        assert_eq!(machine.take_ipis(), 1 << ptid);
        assert!(!machine.core.run.rung.load(Ordering::Relaxed));
    }
}

/// Each place of the table forgets for itself.
#[test]
fn a_partition_is_new_once_until_it_is_forgotten() {
    let core = Core::new();
    let handle = |index: usize, age: u64| age << 32 | index as u64;
    for age in [1, 2] {
        for index in 0..MAX_PARTITIONS {
            assert!(core.holders.is_new(handle(index, age)), "{index}");
            assert!(!core.holders.is_new(handle(index, age)), "{index}");
        }
    }
    core.holders.forget_partitions();
    assert!((0..MAX_PARTITIONS).all(|index| core.holders.is_new(handle(index, 2))));
}

#[test]
fn the_first_thread_of_the_host_is_told_from_others() {
    let core = Core::new();
    for _ in 0..2 {
        assert!(core.holders.begins_for_host());
        assert!(!core.holders.begins_for_host());
        assert!(!core.holders.begins_for_host());
        core.holders.ends_for_host();
    }
}
