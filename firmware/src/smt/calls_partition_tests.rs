//! Partitions made of good configurations and of such with one wrong field; one or all destroyed.
use super::*;
use crate::smt::fake_machine::PARTITION_BYTES;
use hcalls::partition::{FLAG_REFLECT, LPCR_AIL_3, LPCR_ILE, V1_BYTES};
use hcalls::partition::{MemoryMode, PartitionConfig};
use zerocopy::FromZeros;

impl Test {
    pub fn create_partition(&mut self) {
        let random = &mut self.random;
        let lpid = 1 + random.below(6) as u32;
        let width = random.pick(&[1, 2, 4, 8]);
        let (aligned, eager) = (random.once_in(2), random.once_in(2));
        let mut config = PartitionConfig::new_zeroed();
        config.version.set(hcalls::VERSION);
        config.lpid.set(lpid);
        config.smt_width.set(width);
        config.ptid_mode.set(u32::from(aligned));
        config.policy.set(u32::from(eager));
        config
            .base
            .set(self.machine.base + random.below(2) * PARTITION_BYTES);
        config.rm_len_bytes.set(PARTITION_BYTES);
        config
            .lpcr
            .set(random.pick(&[0, LPCR_ILE, LPCR_ILE | LPCR_AIL_3]));
        if random.once_in(4) {
            config.memory_mode.set(MemoryMode::Vrma.into());
            config.rm_len_bytes.set(random.below(32));
            config.flags.set(random.below(2) * FLAG_REFLECT);
        }
        let mut reasons = vec![];
        if self.random.once_in(3) {
            reasons.push(self.spoil(&mut config));
        }
        if self.model.partitions.values().any(|it| it.lpid == lpid) {
            reasons.push((Status::Busy, 0));
        }
        let mut address = self.machine.page(40) + 8 * self.random.below(400);
        self.machine.write(address, config);
        if self.random.once_in(10) {
            address = self.machine.bad_address(&self.random, V1_BYTES as u64);
            reasons = vec![argument(1)];
        }
        let mut args = [address; 8];
        if self.call(partition_create, &mut args, &reasons) {
            let partition = Partition {
                lpid,
                width: width.into(),
                aligned,
                eager,
                vcores: BTreeMap::new(),
            };
            assert!(self.model.partitions.insert(args[1], partition).is_none());
        }
    }

    /// Makes one field wrong.
    fn spoil(&mut self, config: &mut PartitionConfig) -> Reason {
        let random = &mut self.random;
        let huge = random.pick(&[1 << 11, 1 << 16, u32::MAX]);
        match random.below(13) {
            0 => {
                config
                    .version
                    .set(random.pick(&[0, hcalls::VERSION + 1, huge]));
                return (Status::Unsupported, 0);
            }
            1 => config.lpid.set(random.pick(&[0, huge])),
            2 => config.smt_width.set(random.pick(&[0, 3, 5, 16, huge])),
            3 => config.ptid_mode.set(random.pick(&[2, huge])),
            4 => config.policy.set(random.pick(&[2, huge])),
            5 => config.memory_mode.set(random.pick(&[2, huge])),
            6 => config
                .lpcr
                .set(random.pick(&[1, 1 << 63, u64::MAX, 1 << 3])),
            7 => config.tb_offset.set(random.pick(&[1, 1 << 23, u64::MAX])),
            8 => config
                .base
                .set(config.base.get() + random.pick(&[32, PAGE_BYTES])),
            9 => config
                .base
                .set(self.machine.base + random.pick(&[2, 3, 4]) * PARTITION_BYTES),
            10 => config
                .base
                .set(random.pick(&[0, 1 << 50, 1 << 60, !0xff_ffff])),
            11 => config.flags.set(random.pick(&[2, 1 << 63, u64::MAX])),
            _ => config
                .rm_len_bytes
                .set(random.pick(&[32, 1 << 20, 512 << 20, u64::MAX, 1 << 40])),
        }
        argument(1)
    }

    pub fn destroy_partition(&mut self) {
        let handle = if self.random.once_in(6) {
            u64::MAX
        } else {
            self.partition()
        };
        let doomed: Vec<u64> = match handle {
            u64::MAX => self.model.partitions.keys().copied().collect(),
            handle => vec![handle],
        };
        let mut reasons = vec![];
        if doomed
            .iter()
            .any(|handle| !self.model.partitions.contains_key(handle))
        {
            reasons.push(argument(1));
        }
        let running = |vcore: &&VcoreModel| vcore.roster.snapshot().running();
        let own = |vcore: &&VcoreModel| doomed.contains(&vcore.partition);
        if self
            .model
            .vcores
            .values()
            .filter(own)
            .any(|vcore| running(&vcore))
        {
            reasons.push((Status::Busy, 0));
        }
        if self.call(partition_destroy, &mut [handle; 8], &reasons) {
            self.model
                .partitions
                .retain(|handle, _| !doomed.contains(handle));
            let gone = |vcore: &VcoreModel| doomed.contains(&vcore.partition);
            let vcores = self.model.vcores.iter();
            let stale = vcores
                .filter(|(_, vcore)| gone(vcore))
                .map(|(handle, _)| *handle);
            self.model.stale.extend(stale.chain(doomed.iter().copied()));
            self.model.vcores.retain(|_, vcore| !gone(vcore));
        }
    }
}
