//! What a kicked vcpu's page says, for each reason that it may have had.
extern crate std;
use super::*;
use crate::smt::calls::{
    kick_for_host, partition_create, partition_destroy, vcore_kick, vcpu_create, vcpu_destroy,
    vcpu_set_state,
};
use crate::smt::fake_machine::{self, FakeMachine, PARTITION_BYTES, THREADS};
use crate::smt::objects;
use hcalls::VcpuPage;
use hcalls::partition::{PartitionConfig, Policy};
use vcore::roster::State;
use zerocopy::FromZeros;

const CONFIG_PAGE: u64 = 40;
const TRAP: u32 = 0xc00;

/// A vcore with vcpus in all slots, all runnable.
fn vcore(machine: &FakeMachine) -> &'static Vcore {
    machine.fill_pool();
    partition_destroy(&[u64::MAX; 8]).unwrap();
    let mut config = PartitionConfig::new_zeroed();
    config.version.set(hcalls::VERSION);
    config.lpid.set(7);
    config.smt_width.set(THREADS as u32);
    config.policy.set(Policy::Eager.into());
    config.base.set(machine.base);
    config.rm_len_bytes.set(PARTITION_BYTES);
    machine.write(machine.page(CONFIG_PAGE), config);
    let [partition, ..] = partition_create(&[machine.page(CONFIG_PAGE); 8]).unwrap();
    let mut vcore = 0;
    for slot in 0..THREADS as u64 {
        let args = [partition, slot, machine.page(slot), 0, 0, 0, 0, 0];
        [vcore, ..] = vcpu_create(&args).unwrap();
    }
    vcpu_set_state(&[vcore, 0xff, 0, 0, 0, 0, 0, 0]).unwrap();
    objects::vcore(vcore).unwrap()
}

fn set_reason(machine: &FakeMachine, slot: usize, reason: u32) {
    let mut page: VcpuPage = machine.read(machine.page(slot as u64));
    page.firmware.reason.set(reason);
    page.firmware.trap.set(TRAP);
    page.firmware.kick_cause.set(0x55);
    machine.write(machine.page(slot as u64), page);
}

/// Reason, trap and cause.
fn told(machine: &FakeMachine, slot: usize) -> (u32, u32, u64) {
    let page: VcpuPage = machine.read(machine.page(slot as u64));
    let firmware = page.firmware;
    (
        firmware.reason.get(),
        firmware.trap.get(),
        firmware.kick_cause.get(),
    )
}

#[test]
fn a_reason_for_the_host_stays_and_every_other_is_the_kick() {
    let machine = fake_machine::machine();
    let vcore = vcore(&machine);
    for reason in 0..16 {
        let known = ExitReason::try_from(reason).unwrap();
        let is_others = matches!(
            known,
            ExitReason::None
                | ExitReason::Deadline
                | ExitReason::External
                | ExitReason::Kick
                | ExitReason::Ceded
                | ExitReason::Pulled
        );
        for slot in 0..THREADS {
            set_reason(&machine, slot, reason);
            vcore.causes[slot].store(1 << slot, Relaxed);
            tell_kicks(vcore, 1 << slot, 1 << slot);
            let wanted = if is_others {
                ExitReason::Kick as u32
            } else {
                reason
            };
            assert_eq!(told(&machine, slot), (wanted, TRAP, 1 << slot), "{known:?}");
            assert_eq!(vcore.causes[slot].load(Relaxed), 0);
        }
    }
}

/// What it came out for in an earlier run was told then.
#[test]
fn who_had_no_thread_in_the_run_has_no_other_reason() {
    let machine = fake_machine::machine();
    let vcore = vcore(&machine);
    for reason in 0..16 {
        (0..THREADS).for_each(|slot| set_reason(&machine, slot, reason));
        tell_kicks(vcore, 0b0110_0000, 0b1001_1111);
        for slot in 0..THREADS {
            let wanted = match slot {
                5 | 6 => (ExitReason::Kick as u32, 0, 0),
                _ => (reason, TRAP, 0x55),
            };
            assert_eq!(told(&machine, slot), wanted, "slot {slot}");
        }
    }
}

/// The run's end answers kicks that came meanwhile: of who had a thread, and of who hadn't.
#[test]
fn the_end_of_a_run_tells_every_kick_once() {
    let machine = fake_machine::machine();
    let core = machine.core;
    for kicked in 0..=u8::MAX {
        let vcore = vcore(&machine);
        vcore.roster.begin(0, 0xc0, true).unwrap();
        // Slots 0 to 5, from the highest thread down.
        let letters = (0..6).map(|slot| seat::letter(vcore, 5 - slot));
        core.run.seating.assign_packed(letters);
        for slot in 0..THREADS {
            set_reason(&machine, slot, ExitReason::Hypercall as u32);
        }
        if kicked != 0 {
            vcore.roster.kick(kicked).unwrap();
        }
        let answered = end(vcore, core, 0b1, 0b10);
        assert_eq!(seated(core), 0x3f);
        let after = vcore.roster.snapshot();
        assert!(!after.running());
        assert_eq!(answered & !kicked, 0);
        // Those of the run are answered; those that were blocked before have theirs for later.
        assert_eq!(answered & 0x3f, kicked & 0x3f, "{kicked:#x}");
        assert_eq!(after.runnable(), 0b11_1100 & !kicked);
        for slot in Slots(answered & 0x3f) {
            assert_eq!(told(&machine, slot).0, ExitReason::Hypercall as u32);
            assert_eq!(told(&machine, slot).2, 0);
        }
    }
}

fn kick(vcore: &Vcore, slots: u64, cause: u64) -> u64 {
    let args = [vcore.handle(), slots, cause, 0, 0, 0, 0, 0];
    vcore_kick(&args).unwrap()[0]
}

/// A kick of a vcpu that there is not leaves the others no cause.
#[test]
fn a_refused_kick_has_no_cause() {
    let machine = fake_machine::machine();
    let vcore = vcore(&machine);
    vcpu_destroy(&[vcore.handle(), 7, 0, 0, 0, 0, 0, 0]).unwrap();
    vcore_kick(&[vcore.handle(), 0xff, 4, 0, 0, 0, 0, 0]).unwrap_err();
    // As if it had gone just after the call has looked.
    assert_eq!(kick_for_host(vcore, 0xff, 4), None);
    let causes = vcore.causes.each_ref().map(|cause| cause.load(Relaxed));
    assert_eq!(causes, [0; THREADS]);
}

/// A kick that its own call answers leaves no cause for the next one; one that waits keeps its own.
#[test]
fn causes_are_told_with_the_kick_that_they_are_of() {
    let machine = fake_machine::machine();
    let vcore = vcore(&machine);
    let causes = || vcore.causes.each_ref().map(|cause| cause.load(Relaxed));
    // In the queue: answered at once. Blocked: waits.
    vcore.roster.set_state(0b100, State::Blocked).unwrap();
    assert_eq!(kick(vcore, 0b110, 0x30), 0b010);
    assert_eq!(causes()[..4], [0, 0, 0x30, 0]);
    // Another one for the same vcpus, of which neither is in the queue now.
    assert_eq!(kick(vcore, 0b110, 0x41), 0);
    assert_eq!(causes()[..4], [0, 0x41, 0x71, 0]);
    // All: those in the queue leave it, the others' kicks stay.
    assert_eq!(kick(vcore, 0, 0x2), 0b1111_1001);
    assert_eq!(causes()[..4], [0, 0x43, 0x73, 0]);
    set_reason(&machine, 2, 0);
    tell_kicks(vcore, 0b100, 0);
    assert_eq!(told(&machine, 2), (ExitReason::Kick as u32, 0, 0x73));
    assert_eq!(causes()[..4], [0, 0x43, 0, 0]);
}
