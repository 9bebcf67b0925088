//! A guest as a host has it: a partition with one vcore, its memory, and its vcpus' pages.
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use hcalls::exit::ExitReason;
use hcalls::page::{FLAG_FP, PAGE_BYTES, VcpuPage};
use hcalls::partition::{LPCR_ILE, MemoryMode, PartitionConfig, Policy, PtidMode};
use hcalls::{MAX_THREADS, Status};

use super::calls::{self, Partition, Refusal, Vcore};
use super::hpt::{self, PageTable};
use super::{cpu, icp, real_memory};
use crate::guest_image::{self, BadImage, GuestImage};
use crate::ram::Ram;

/// Every guest's memory: a size of LPCR\[RMLS\] that QEMU, too, gets right (SMT_QUERY says which).
pub const MEMORY_BYTES: u64 = 256 << 20;

/// MSR bits of a new vcpu (Power ISA 2.07 Book III-S 3.2.1): 64-bit mode, recoverable, byte order.
const MSR_SF: u64 = 1 << 63;
const MSR_RI: u64 = 1 << 1;
const MSR_LE: u64 = 1;
/// PPR\[PRI\] = medium.
const PPR_MEDIUM: u64 = 4 << (63 - 13);
/// The farthest that a decrementer reaches, in ticks.
const DECREMENTER_MOST_TB: u64 = 0x7fff_ffff;

/// What a new guest is to be.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub lpid: u32,
    /// As many vcpus, with ids from 0, in a vcore of that width: 1, 2, 4 or 8.
    pub vcpus: u32,
    pub ptid_mode: PtidMode,
    pub policy: Policy,
    /// RMOR, or VRMA by a page table that maps the same memory to the same addresses.
    pub memory_mode: MemoryMode,
    /// What its time base is ahead of the host's; a multiple of 2^24.
    pub tb_offset: u64,
    /// The guest uses floating point or vectors.
    pub uses_fp: bool,
    /// LPCR bits beside ILE, which the image asks for.
    pub lpcr: u64,
    /// The configuration's flags.
    pub flags: u64,
}

/// Why a guest did not come to be.
#[derive(Debug)]
pub enum SetupError {
    NoMemory,
    Image(BadImage),
    Call(&'static str, Refusal),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => f.write_str("no memory left"),
            Self::Image(bad) => bad.fmt(f),
            Self::Call(name, refusal) => write!(f, "{name}: {refusal}"),
        }
    }
}

/// A guest. Its memory and pages are the host's while no run of it is going on.
pub struct Guest {
    pub partition: Partition,
    pub vcore: Vcore,
    pub image: GuestImage,
    config: PartitionConfig,
    /// Real addresses of the guest's memory.
    memory: Range<u64>,
    /// In VRMA mode.
    table: Option<PageTable>,
    /// Real addresses of the vcpu pages, by vcpu.
    pages: Vec<u64>,
    /// Slot in the vcore, by vcpu; as many as there are pages.
    slots: [u64; MAX_THREADS],
}

impl Guest {
    /// Takes memory, loads `file` and makes the partition and its vcpus, all blocked still.
    pub fn create(setup: &Setup, file: &[u8], ram: &mut Ram) -> Result<Self, SetupError> {
        let memory = ram
            .take(MEMORY_BYTES, MEMORY_BYTES)
            .ok_or(SetupError::NoMemory)?;
        let page_bytes = PAGE_BYTES as u64;
        let pages = ram
            .take(page_bytes * u64::from(setup.vcpus), page_bytes)
            .ok_or(SetupError::NoMemory)?;
        // SAFETY: just taken, and used by nobody else.
        let bytes = unsafe { real_memory(memory.clone()) };
        let image = guest_image::load(file, bytes).map_err(SetupError::Image)?;
        let table = match setup.memory_mode {
            MemoryMode::Rmor => None,
            MemoryMode::Vrma => Some(table(&memory, ram)?),
        };
        let mut config = config(setup, &memory, image.little_endian);
        if let Some(table) = &table {
            config.memory_mode = u32::from(MemoryMode::Vrma).into();
            config.base = table.sdr1().into();
            config.rm_len_bytes = hpt::VRMASD.into();
        }
        let partition = calls::partition_create(&config)
            .map_err(|refusal| SetupError::Call("PARTITION_CREATE", refusal))?;
        let mut guest = Self {
            partition,
            vcore: Vcore(0),
            image,
            config,
            memory,
            table,
            pages: Vec::new(),
            slots: [0; MAX_THREADS],
        };
        for id in 0..u64::from(setup.vcpus) {
            guest.add_vcpu(id, pages.start + id * page_bytes, setup)?;
        }
        Ok(guest)
    }

    /// Makes the partition anew, without vcpus, if it is there or not.
    pub fn clear(&mut self) -> calls::Result<()> {
        match calls::partition_destroy(self.partition) {
            Err(refusal) if !refusal.is(Status::Parameter) => return Err(refusal),
            _ => {}
        }
        self.partition = calls::partition_create(&self.config)?;
        Ok(())
    }

    /// Makes the partition and its vcpus anew, whichever of them were destroyed.
    pub fn revive(&mut self) -> calls::Result<()> {
        self.clear()?;
        for (id, &address) in self.pages.iter().enumerate() {
            let page = core::ptr::with_exposed_provenance_mut(address as usize);
            // SAFETY: the page was this vcpu's before, and is no one else's.
            let made = unsafe { calls::vcpu_create(self.partition, id as u64, page) };
            (self.vcore, self.slots[id]) = made?;
        }
        Ok(())
    }

    /// The same with another ptid mode and another policy.
    pub fn revive_as(&mut self, ptid_mode: PtidMode, policy: Policy) -> calls::Result<()> {
        self.config.ptid_mode = u32::from(ptid_mode).into();
        self.config.policy = u32::from(policy).into();
        self.revive()
    }

    /// Gives the partition that there is another time base.
    pub fn update(&mut self, tb_offset: u64) -> calls::Result<()> {
        self.config.tb_offset.set(tb_offset);
        calls::partition_update(self.partition, &self.config)
    }

    fn add_vcpu(&mut self, id: u64, address: u64, setup: &Setup) -> Result<(), SetupError> {
        let page = core::ptr::with_exposed_provenance_mut::<VcpuPage>(address as usize);
        // SAFETY: this vcpu's part of the pages that were taken; it is given to one vcpu only.
        let made = unsafe {
            page.write(VcpuPage::new());
            if setup.uses_fp {
                (*page).host.flags.set(FLAG_FP);
            }
            calls::vcpu_create(self.partition, id, page)
        };
        let (vcore, slot) = made.map_err(|refusal| SetupError::Call("VCPU_CREATE", refusal))?;
        self.vcore = vcore;
        self.slots[self.pages.len()] = slot;
        self.pages.push(address);
        self.start_vcpu(id as usize, setup.vcpus.into(), [0, 0]);
        Ok(())
    }

    /// Sets vcpu `index` to the guest's entry, with `args` in r5 and r6.
    pub fn start_vcpu(&mut self, index: usize, vcpus: u64, args: [u64; 2]) {
        let (entry, little_endian) = (self.image.entry, self.image.little_endian);
        let now_tb = cpu::time_base().wrapping_add(self.config.tb_offset.get());
        let page = self.page_mut(index);
        page.pc.set(entry);
        page.msr
            .set(MSR_SF | MSR_RI | if little_endian { MSR_LE } else { 0 });
        for (register, value) in [(3, index as u64), (4, vcpus), (5, args[0]), (6, args[1])] {
            page.gpr[register].set(value);
        }
        page.sprs.ctrl.set(1);
        page.sprs.ppr.set(PPR_MEDIUM);
        page.sprs
            .dec_expires_tb
            .set(now_tb.wrapping_add(DECREMENTER_MOST_TB));
    }

    /// The partition's LPID.
    pub fn lpid(&self) -> u32 {
        self.config.lpid.get()
    }

    /// How many vcpus there are.
    pub fn vcpus(&self) -> usize {
        self.pages.len()
    }

    /// The bit of vcpu `index` in masks.
    pub fn slot_mask(&self, index: usize) -> u64 {
        1 << self.slots[index]
    }

    /// All vcpus' bits.
    pub fn all_slots(&self) -> u64 {
        (0..self.vcpus()).map(|index| self.slot_mask(index)).sum()
    }

    /// The vcpus whose bits are in `mask`.
    pub fn vcpus_of(&self, mask: u64) -> impl Iterator<Item = usize> + use<> {
        let slots = self.slots;
        (0..self.vcpus()).filter(move |&index| mask >> slots[index] & 1 != 0)
    }

    /// Vcpu `index`'s page.
    pub fn page(&self, index: usize) -> &VcpuPage {
        let page = core::ptr::with_exposed_provenance(self.pages[index] as usize);
        // SAFETY: a page of this guest's; outside of a run nobody else writes to it, and a run
        // needs `&mut self`.
        unsafe { &*page }
    }

    /// Vcpu `index`'s page, for changes.
    pub fn page_mut(&mut self, index: usize) -> &mut VcpuPage {
        let page = core::ptr::with_exposed_provenance_mut(self.pages[index] as usize);
        // SAFETY: as `page`, and `&mut self` lets nobody else have a reference.
        unsafe { &mut *page }
    }

    /// Real address of vcpu `index`'s page.
    pub fn page_address(&self, index: usize) -> u64 {
        self.pages[index]
    }

    /// Real addresses of the guest's memory.
    pub fn memory_range(&self) -> Range<u64> {
        self.memory.clone()
    }

    /// The page table of a guest in VRMA mode.
    pub fn table(&mut self) -> Option<&mut PageTable> {
        self.table.as_mut()
    }

    /// `len_bytes` of the guest's memory at guest real `address`: none unless all of them are there.
    pub fn bytes(&mut self, address: u64, len_bytes: u64) -> Option<&mut [u8]> {
        let start = self.memory.start.checked_add(address)?;
        let end = start.checked_add(len_bytes)?;
        // SAFETY: this guest's memory, and `&mut self` lets nobody else have a reference.
        (end <= self.memory.end).then(|| unsafe { real_memory(start..end) })
    }

    /// Runs the vcore on this core. See [`calls::vcore_run`].
    pub fn run(
        &mut self,
        runnable: u64,
        blocked: u64,
        deadline_tb: u64,
        flags: u64,
    ) -> calls::Result<calls::Run> {
        // SAFETY: `&mut self`: no reference to a page or to the memory is alive.
        let run = unsafe { calls::vcore_run(self.vcore, runnable, blocked, deadline_tb, flags) };
        // Another host would open its interrupts now.
        if run.is_ok_and(|run| run.first_reason != ExitReason::Hypercall) {
            icp::drop_ipi();
        }
        run
    }

    /// Destroys the partition. The memory is not used again.
    pub fn destroy(self) -> calls::Result<()> {
        calls::partition_destroy(self.partition)
    }
}

/// A page table that maps `memory` to guest real 0 and on.
fn table(memory: &Range<u64>, ram: &mut Ram) -> Result<PageTable, SetupError> {
    let range = ram
        .take(hpt::TABLE_BYTES, hpt::TABLE_BYTES)
        .ok_or(SetupError::NoMemory)?;
    // SAFETY: just taken, and used by nobody else.
    let mut table = PageTable::new(range.clone(), unsafe { real_memory(range) });
    for real in memory.clone().step_by(hpt::PAGE_BYTES as usize) {
        let mapped = table.map(real - memory.start, real);
        assert!(mapped, "a group for each page");
    }
    Ok(table)
}

/// A partition in RMOR mode whose real 0 is where `memory` begins.
pub fn config(setup: &Setup, memory: &Range<u64>, little_endian: bool) -> PartitionConfig {
    PartitionConfig {
        version: hcalls::VERSION.into(),
        lpid: setup.lpid.into(),
        memory_mode: u32::from(MemoryMode::Rmor).into(),
        smt_width: setup.vcpus.into(),
        ptid_mode: u32::from(setup.ptid_mode).into(),
        policy: u32::from(setup.policy).into(),
        base: memory.start.into(),
        rm_len_bytes: (memory.end - memory.start).into(),
        lpcr: (setup.lpcr | if little_endian { LPCR_ILE } else { 0 }).into(),
        tb_offset: setup.tb_offset.into(),
        flags: setup.flags.into(),
    }
}
