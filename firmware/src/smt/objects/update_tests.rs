//! Updates: what they change, what they leave, and what they are refused for.
extern crate std;
use super::*;
use crate::args::{Answer, DONE, Refused};
use crate::smt::calls::{
    partition_create, partition_destroy, partition_update, vcore_doorbells, vcpu_create,
    vcpu_destroy,
};
use crate::smt::fake_machine::{self, FakeMachine, PARTITION_BYTES, THREADS};
use crate::smt::objects::tests::fingerprint;
use crate::smt::objects::vcore;
use core::sync::atomic::Ordering::Relaxed;
use hcalls::Status;
use hcalls::partition::{LPCR_ILE, MemoryMode, PartitionConfig, Policy, PtidMode};
use zerocopy::FromZeros;

const CONFIG_PAGE: u64 = 40;
const NEW_OFFSET_TB: u64 = 7 << 24;

fn config(machine: &FakeMachine) -> PartitionConfig {
    let mut config = PartitionConfig::new_zeroed();
    config.version.set(hcalls::VERSION);
    config.lpid.set(7);
    config.smt_width.set(4);
    config.ptid_mode.set(PtidMode::Aligned.into());
    config.base.set(machine.base);
    config.rm_len_bytes.set(PARTITION_BYTES);
    config
}

/// A partition with two vcores of two vcpus each.
fn partition(machine: &FakeMachine) -> (u64, [&'static Vcore; 2]) {
    machine.fill_pool();
    partition_destroy(&[u64::MAX; 8]).unwrap();
    machine.write(machine.page(CONFIG_PAGE), config(machine));
    let [partition, ..] = partition_create(&[machine.page(CONFIG_PAGE); 8]).unwrap();
    let vcores = [0, 4].map(|id| {
        let make = |id| {
            let args = [partition, id, machine.page(id), 0, 0, 0, 0, 0];
            vcpu_create(&args).unwrap()[0]
        };
        make(id);
        vcore(make(id + 1)).unwrap()
    });
    (partition, vcores)
}

fn update(machine: &FakeMachine, partition: u64, change: impl Fn(&mut PartitionConfig)) -> Answer {
    let mut config = config(machine);
    change(&mut config);
    machine.write(machine.page(CONFIG_PAGE), config);
    partition_update(&[partition, machine.page(CONFIG_PAGE), 0, 0, 0, 0, 0, 0])
}

#[test]
fn an_update_reaches_every_vcore_and_nothing_old_is_left() {
    let machine = fake_machine::machine();
    let (partition, vcores) = partition(&machine);
    let core = &cores::all()[0];
    core.holders.is_new(partition);
    let keys = || vcores.map(|vcore| [0, 1].map(|slot| vcore.keys[slot].load(Relaxed)));
    let before = keys();
    let done = update(&machine, partition, |config| {
        config.lpcr.set(LPCR_ILE);
        config.tb_offset.set(NEW_OFFSET_TB);
        config.policy.set(Policy::Eager.into());
        config.base.set(machine.base + PARTITION_BYTES);
    });
    assert_eq!(done, DONE);
    for (vcore, (before, now)) in vcores.into_iter().zip(before.into_iter().zip(keys())) {
        let rules = &vcore.rules;
        assert_ne!(rules.lpcr.load(Relaxed) & LPCR_ILE, 0);
        assert_eq!(rules.tb_offset.load(Relaxed), NEW_OFFSET_TB);
        assert_eq!(rules.space().rmor, machine.base + PARTITION_BYTES);
        assert!(rules.eager.load(Relaxed));
        assert!(before.iter().zip(now).all(|(before, now)| *before != now));
    }
    assert!(core.holders.is_new(partition), "translations are forgotten");
    // Vcores that are made later have the new settings, too.
    let args = [partition, 8, machine.page(8), 0, 0, 0, 0, 0];
    let later = vcore(vcpu_create(&args).unwrap()[0]).unwrap();
    assert_eq!(later.rules.tb_offset.load(Relaxed), NEW_OFFSET_TB);
    assert!(later.roster.begin(1, 0, true).is_ok());
    assert!(
        vcores
            .iter()
            .all(|vcore| vcore.roster.begin(1, 0, true).is_ok())
    );
    vcores
        .iter()
        .chain([&later])
        .for_each(|vcore| assert!(vcore.roster.try_end(1)));
}

#[test]
fn what_is_for_good_is_refused_and_nothing_changes() {
    type Change = fn(&mut PartitionConfig);
    let machine = fake_machine::machine();
    let (partition, _) = partition(&machine);
    let before = fingerprint();
    let wrong: [Change; 6] = [
        |config| config.lpid.set(8),
        |config| config.smt_width.set(2),
        |config| config.ptid_mode.set(PtidMode::Packed.into()),
        |config| {
            config.memory_mode.set(MemoryMode::Vrma.into());
            config.rm_len_bytes.set(0);
        },
        |config| config.lpcr.set(1),
        |config| config.tb_offset.set(1),
    ];
    for change in wrong {
        assert_eq!(
            update(&machine, partition, change),
            Err(Refused::Argument(2))
        );
    }
    assert_eq!(
        update(&machine, partition ^ 1 << 16, |_| ()),
        Err(Refused::Argument(1))
    );
    assert_eq!(partition_update(&[partition; 8]), Err(Refused::Argument(2)));
    assert_eq!(fingerprint(), before);
}

#[test]
fn a_partition_of_which_a_vcore_runs_is_busy_and_stays_as_it_was() {
    let machine = fake_machine::machine();
    let (partition, vcores) = partition(&machine);
    for running in vcores {
        assert!(running.roster.begin(1, 0, true).is_ok());
        let before = fingerprint();
        let refused = update(&machine, partition, |config| {
            config.tb_offset.set(NEW_OFFSET_TB)
        });
        assert_eq!(refused, Err(Refused::As(Status::Busy)));
        assert_eq!(fingerprint(), before);
        assert!(running.roster.try_end(1));
    }
    let (held, slot) = (vcores[0], [vcores[0].handle(), 0, 0, 0, 0, 0, 0, 0]);
    assert!(held.roster.hold() && !held.roster.hold());
    // While it is held nobody runs it, and no vcpu goes.
    assert!(held.roster.begin(1, 0, true).is_err());
    assert_eq!(vcpu_destroy(&slot), Err(Refused::As(Status::Busy)));
    held.roster.joined();
    assert_eq!(update(&machine, partition, |_| ()), DONE);
}

#[test]
fn doorbells_are_told_and_set_while_nobody_runs() {
    let machine = fake_machine::machine();
    let (_, [vcore, other]) = partition(&machine);
    const { assert!(THREADS >= 4) };
    let call = |action: u64, slots: u64| {
        let handle = vcore.handle();
        vcore_doorbells(&[handle, action, slots, 0, 0, 0, 0, 0]).map(|told| told[0])
    };
    assert_eq!((call(1, 0b11), call(0, 0b11)), (Ok(0), Ok(0b11)));
    assert_eq!((call(1, 0b10), call(0, 0)), (Ok(0b11), Ok(0b10)));
    assert_eq!(other.doorbells.load(Relaxed), 0);
    // Of vcpus that there are; and no other action.
    assert_eq!(call(1, 0b100), Err(Refused::Argument(3)));
    assert_eq!(call(1, u64::MAX), Err(Refused::Argument(3)));
    assert_eq!(call(2, 0), Err(Refused::Argument(2)));
    assert!(vcore.roster.begin(1, 0, true).is_ok());
    assert_eq!(call(0, 0), Err(Refused::As(Status::Busy)));
    assert_eq!(call(1, 1), Err(Refused::As(Status::Busy)));
    assert!(vcore.roster.try_end(1));
    assert_eq!(call(0, 0), Ok(0b10));
    vcore.rules.aligned.store(false, Relaxed);
    assert_eq!(call(1, 1), Err(Refused::Argument(3)));
}
