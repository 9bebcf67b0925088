//! Other settings for a partition that there is.
use super::vcores::VCORES;
use super::{INDEX_MASK, Memory, Partition, Partitions, Refusal, Settings, Vcore};
use crate::smt::cores;

impl Settings {
    /// Whether a partition with these can have those: what its vcpus' places and the rights of its guests
    /// come from stays.
    fn may_become(&self, new: &Self) -> bool {
        let fixed = |it: &Self| (it.lpid, it.width, it.aligned, it.segments, it.hfscr);
        fixed(self) == fixed(new)
    }
}

impl Partitions {
    /// Gives a partition other settings. Nothing is changed when a vcore of it runs, or when one setting is
    /// for good. What cores have kept of the old ones, and translated by its page table, they forget with
    /// its next run there.
    pub fn update(&mut self, partition: u64, settings: Settings) -> Result<(), Refusal> {
        let old = self.find(partition).ok_or(Refusal::NoSuch)?.settings;
        if !old.may_become(&settings) {
            return Err(Refusal::Fixed);
        }
        // The memory's shadow is of one table.
        let memory = match settings.sdr1 == old.sdr1 {
            true => old.memory,
            false => Memory::default(),
        };
        self.change(partition, Settings { memory, ..settings })
    }

    /// Makes checked settings those of a partition that there is.
    pub(super) fn change(&mut self, partition: u64, settings: Settings) -> Result<(), Refusal> {
        hold(partition)?;
        own(partition).for_each(|vcore| vcore.renew(&settings));
        for core in cores::all() {
            core.holders.forget_partition(partition);
        }
        self.table[(partition & INDEX_MASK) as usize] = Some(Partition {
            handle: partition,
            settings,
        });
        // A run that begins from now on finds the rest.
        own(partition).for_each(|vcore| vcore.roster.joined());
        Ok(())
    }
}

fn own(partition: u64) -> impl Iterator<Item = &'static Vcore> {
    VCORES
        .iter()
        .filter(move |vcore| vcore.handle() != 0 && vcore.is_of(partition))
}

/// Holds all vcores of a partition, or none of them if one runs.
fn hold(partition: u64) -> Result<(), Refusal> {
    let Some(stop) = own(partition).position(|vcore| !vcore.roster.hold()) else {
        return Ok(());
    };
    let held = own(partition).take(stop);
    held.for_each(|vcore| vcore.roster.joined());
    Err(Refusal::Busy)
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
