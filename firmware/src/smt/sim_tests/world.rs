//! What the hosts know: who has which page, and which kicks are still to be told.
extern crate std;
use super::super::calls;
use super::super::fake_machine::{FakeMachine, PARTITION_BYTES};
use super::super::objects;
use crate::args::{self, Args};
use core::cell::{Cell, RefCell};
use hcalls::partition::{PartitionConfig, Policy, PtidMode};
use hcalls::run::VcpuState;
use hcalls::{Status, VcpuPage};
use platform::memory::real;
use std::vec::Vec;
use zerocopy::{FromZeros, IntoBytes};

pub const LPID: u32 = 5;
/// Where calls find their structures.
const CONFIG_PAGE: u64 = 40;
/// What a host leaves in pages that are its own.
const POISON: u64 = 0x5a5a_5a5a_5a5a_5a5a;

/// One vcpu of the vcore, as the hosts know it.
#[derive(Default)]
pub struct Vcpu {
    pub exists: Cell<bool>,
    making: Cell<bool>,
    page: u64,
    /// The page as it was when the host got it back.
    left: RefCell<Option<Vec<u8>>>,
}

/// One partition with one vcore, in memory that both hosts share.
pub struct World {
    config: u64,
    base: u64,
    pub aligned: bool,
    pub handle: Cell<u64>,
    pub partition: Cell<u64>,
    pub vcpus: Vec<Vcpu>,
    /// Calls of VCORE_RUN that haven't returned, and fences that haven't ended.
    pub runs: Cell<u32>,
    pub next_cause: Cell<u32>,
}

impl World {
    pub fn new(memory: &FakeMachine, vcpus: u64, aligned: bool) -> Self {
        let vcpu = |slot| Vcpu {
            page: memory.page(slot),
            ..Vcpu::default()
        };
        let world = Self {
            config: memory.page(CONFIG_PAGE),
            base: memory.base,
            aligned,
            handle: Cell::new(0),
            partition: Cell::new(0),
            vcpus: (0..vcpus).map(vcpu).collect(),
            runs: Cell::new(0),
            next_cause: Cell::new(0),
        };
        calls::partition_destroy(&[u64::MAX; 8]).unwrap();
        world.make();
        world
    }

    /// Makes the partition and all its vcpus.
    pub fn make(&self) {
        let mut config = PartitionConfig::new_zeroed();
        config.version.set(hcalls::VERSION);
        config.lpid.set(LPID);
        config.smt_width.set(8);
        config.policy.set(Policy::Eager.into());
        let mode = if self.aligned {
            PtidMode::Aligned
        } else {
            PtidMode::Packed
        };
        config.ptid_mode.set(mode.into());
        config.base.set(self.base);
        config.rm_len_bytes.set(PARTITION_BYTES);
        // SAFETY: the machine's memory, of which this page is for nothing else.
        unsafe {
            real::ptr(self.config)
                .cast::<PartitionConfig>()
                .write(config)
        };
        let [partition, ..] = calls::partition_create(&[self.config; 8]).unwrap();
        self.partition.set(partition);
        (0..self.vcpus.len()).for_each(|slot| self.create(slot));
    }

    /// Makes a vcpu that there is not.
    pub fn create(&self, slot: usize) {
        let vcpu = &self.vcpus[slot];
        if vcpu.exists.get() || vcpu.making.replace(true) {
            return;
        }
        vcpu.check_owned();
        *vcpu.left.borrow_mut() = None;
        // SAFETY: the page is the host's.
        unsafe { vcpu.page().write(FakeMachine::vcpu_page()) };
        let mut args: Args = [self.partition.get(), slot as u64, vcpu.page, 0, 0, 0, 0, 0];
        let status = args::put(calls::vcpu_create(&args), &mut args);
        if status == Status::Success {
            self.handle.set(args[1]);
            vcpu.exists.set(true);
            *vcpu.left.borrow_mut() = None;
        } else {
            // Another host ends the vcore, or has ended the partition.
            assert!(
                matches!(status, Status::Busy | Status::Parameter),
                "{status:?}"
            );
            vcpu.note();
        }
        vcpu.making.set(false);
    }

    /// Ends a vcpu, whose page is the host's again.
    pub fn destroy(&self, slot: usize) -> Status {
        let mut args: Args = [self.handle.get(), slot as u64, 0, 0, 0, 0, 0, 0];
        let status = args::put(calls::vcpu_destroy(&args), &mut args);
        if status == Status::Success {
            self.vcpus[slot].is_gone();
        }
        status
    }

    /// Ends the partition, and all pages are the host's.
    pub fn destroy_all(&self) -> Status {
        let mut args: Args = [self.partition.get(), 0, 0, 0, 0, 0, 0, 0];
        let status = args::put(calls::partition_destroy(&args), &mut args);
        if status == Status::Success {
            self.vcpus.iter().for_each(Vcpu::is_gone);
        }
        status
    }

    /// The status, and which vcpus have joined or are queued.
    pub fn set_state(&self, mask: u64, state: VcpuState) -> (Status, u64) {
        let mut args = [self.handle.get(), mask, state as u64, 0, 0, 0, 0, 0];
        let status = args::put(calls::vcpu_set_state(&args), &mut args);
        (
            status,
            if status == Status::Success {
                args[1]
            } else {
                0
            },
        )
    }

    pub fn present(&self) -> u64 {
        let slots = self.vcpus.iter().enumerate();
        slots
            .filter(|(_, vcpu)| vcpu.exists.get())
            .fold(0, |mask, (slot, _)| mask | 1 << slot)
    }

    pub fn vcore(&self) -> Option<&'static objects::Vcore> {
        objects::vcore(self.handle.get())
    }

    /// The pages are the firmware's while a run goes on, or may.
    pub fn lend(&self) {
        self.runs.set(self.runs.get() + 1);
        if self.runs.get() == 1 {
            self.vcpus.iter().for_each(Vcpu::check_owned);
        }
    }

    pub fn have_back(&self) {
        self.runs.set(self.runs.get() - 1);
        if self.runs.get() == 0 {
            self.pages_changed();
        }
    }

    /// Pages of vcpus that nobody runs are the host's to write.
    pub fn pages_changed(&self) {
        if self.runs.get() == 0 {
            let there = self.vcpus.iter().filter(|vcpu| vcpu.exists.get());
            there.for_each(Vcpu::note);
        }
    }

    /// Pages that are the host's are as it has left them.
    pub fn check(&self) {
        let gone = self
            .vcpus
            .iter()
            .filter(|vcpu| !vcpu.exists.get() || self.runs.get() == 0);
        gone.for_each(Vcpu::check_owned);
    }
}

impl Vcpu {
    pub fn page(&self) -> *mut VcpuPage {
        real::ptr(self.page).cast()
    }

    /// The page by what stands in it now.
    pub fn content(&self) -> VcpuPage {
        // SAFETY: the machine's memory; one thread of the build host's alone runs.
        unsafe { self.page().read() }
    }

    /// The vcpu is no more, and the host does with its page what it likes.
    fn is_gone(&self) {
        self.exists.set(false);
        let words = size_of::<VcpuPage>() / 8;
        // SAFETY: the page is the host's.
        unsafe { core::slice::from_raw_parts_mut(self.page().cast::<u64>(), words) }.fill(POISON);
        self.note();
    }

    fn bytes(&self) -> Vec<u8> {
        self.content().as_bytes().to_vec()
    }

    fn note(&self) {
        *self.left.borrow_mut() = Some(self.bytes());
    }

    fn check_owned(&self) {
        if let Some(left) = &*self.left.borrow() {
            let now = self.bytes();
            let wrong = left.iter().zip(&now).position(|(left, now)| left != now);
            assert_eq!(
                wrong, None,
                "the firmware wrote to a page that it had given back"
            );
        }
    }
}
