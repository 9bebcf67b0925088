//! A guest of KVM's that does, one thing after the other, what this program asks it for: hypercalls, and stores by
//! its page table. And what KVM tells of it: the pages that were written, and the table as a file.
use super::machine::{self, Order, Region};
use super::shared::{self, EXIT_HYPERCALL, NUMBER, Shared};
use super::system::{Errno, File};

/// Of the page table, whose size is chosen here.
pub const GROUPS: u64 = TABLE_BYTES / 128;
const TABLE_ORDER: u32 = 18;
const TABLE_BYTES: u64 = 1 << TABLE_ORDER;
const MEMORY_BYTES: u64 = 1 << 20;

/// KVM's requests (Linux's include/uapi/linux/kvm.h, in POWER's numbers).
const GET_WRITTEN: u64 = 0x8010_ae42;
const SET_TABLE_SIZE: u64 = 0xc004_aea7;
const OPEN_TABLE: u64 = 0x8020_aeaa;
const WRITES: u64 = 2;

/// The answer to its hypercall, and what else that leaves in the registers from r4 on, say what is to be done: that
/// hypercall; or, if it is 0, a store of r5 at r4.
const GUEST: [u32; 9] = [
    0x3860_0000 | NUMBER as u32, // 00: li 3, NUMBER
    0x4400_0022,                 // 04: sc 1
    0x2c23_0000,                 // 08: cmpdi 3, 0
    0x4182_0010,                 // 0c: beq to 1c
    0x4400_0022,                 // 10: sc 1
    0x7c68_1b78,                 // 14: mr 8, 3
    0x4bff_ffe8,                 // 18: b to 00
    0xf8a4_0000,                 // 1c: std 5, 0(4)
    0x4bff_ffe0,                 // 20: b to 00
];
const SLB_VALID: u64 = 1 << 27;
/// L and LP of an SLB entry: pages of 64 KiB.
const OF_64_KIB: u64 = 0x110;

#[repr(C)]
struct Written {
    slot: u32,
    unused: u32,
    address: u64,
}

#[repr(C)]
struct TableFile {
    flags: u64,
    first: u64,
    unused: [u64; 2],
}

/// What went wrong.
pub enum Fault {
    /// The kernel refused this.
    Refused(&'static str, Errno),
    /// Was found, and should be.
    Differs(&'static str, u64, u64),
}

fn refused(what: &'static str) -> impl Fn(Errno) -> Fault {
    move |errno| Fault::Refused(what, errno)
}

pub struct Answer {
    pub status: u64,
    pub r4: u64,
}

pub struct Driven {
    vm: File,
    vcpu: File,
    shared: Shared,
    /// The page table, from which changes are read.
    table: File,
}

impl Driven {
    /// The guest waits for what it is to do.
    pub fn new() -> Result<Self, Fault> {
        let kvm = machine::kvm().map_err(refused("/dev/kvm"))?;
        let vm = machine::new(kvm).map_err(refused("a VM"))?;
        let memory = machine::set_memory(vm, MEMORY_BYTES, &GUEST, Order::Big);
        let mut memory: Region = memory.map_err(refused("its memory"))?;
        let noted = memory.set_flags(vm, machine::NOTES_CHANGES);
        noted.map_err(refused("a log of its memory"))?;
        let sized = vm.exchange(SET_TABLE_SIZE, &mut { TABLE_ORDER });
        sized.map_err(refused("a page table"))?;
        let vcpu = machine::vcpu(vm, 0, Order::Big).map_err(refused("a vcpu"))?;
        machine::translate_data(vcpu).map_err(refused("its registers"))?;
        let shared = Shared::of(kvm, vcpu).map_err(refused("its exits"))?;
        let guest = Self {
            vm,
            vcpu,
            shared,
            table: open(vm, 0)?,
        };
        guest.run()?;
        Ok(guest)
    }

    /// Gives it one segment: where it begins, and its number.
    pub fn set_segment(&self, [start, number]: [u64; 2]) -> Result<(), Fault> {
        let mut segments = machine::segments(self.vcpu).map_err(refused("its segments"))?;
        segments.slb[0] = [start | SLB_VALID, number << 12 | OF_64_KIB];
        machine::set_segments(self.vcpu, segments).map_err(refused("a segment"))
    }

    /// Until it waits again.
    fn run(&self) -> Result<(), Fault> {
        shared::run(self.vcpu).map_err(refused("a run"))?;
        let told = self.shared.told();
        match (told.exit_reason, told.number) {
            (EXIT_HYPERCALL, NUMBER) => Ok(()),
            (EXIT_HYPERCALL, number) => Err(Fault::Differs("a hypercall", number, NUMBER)),
            (reason, _) => {
                let [reason, expected] = [reason, EXIT_HYPERCALL].map(u64::from);
                Err(Fault::Differs("an exit", reason, expected))
            }
        }
    }

    fn asks(&self, what: u64, arguments: [u64; 4]) -> Result<[u64; 9], Fault> {
        let mut args = [0; 9];
        args[..arguments.len()].copy_from_slice(&arguments);
        self.shared.answer(what);
        self.shared.set_args(args);
        self.run()?;
        Ok(self.shared.told().args)
    }

    /// A hypercall of the guest's, with r4 to r7.
    pub fn call(&self, number: u64, arguments: [u64; 4]) -> Result<Answer, Fault> {
        let [r4, _, _, _, status, ..] = self.asks(number, arguments)?;
        Ok(Answer { status, r4 })
    }

    /// A store of the guest's.
    pub fn store(&self, address: u64) -> Result<(), Fault> {
        self.asks(0, [address, 1, 0, 0]).map(drop)
    }

    /// A bit for each page that was written since this was last asked for.
    pub fn written(&self) -> Result<u64, Fault> {
        let mut pages = 0_u64;
        let mut log = Written {
            slot: 0,
            unused: 0,
            address: (&raw mut pages).expose_provenance() as u64,
        };
        let asked = self.vm.exchange(GET_WRITTEN, &mut log);
        asked.map_err(refused("the log"))?;
        // SAFETY: this function's own, and written by the kernel: one bit for each of 16 pages, in whole
        // doublewords.
        Ok(unsafe { (&raw const pages).read_volatile() })
    }

    /// What the file tells of an entry, of all that it has to tell. None: nothing.
    pub fn told_of(&self, index: u64) -> Result<Option<[u64; 2]>, Fault> {
        let mut last = None;
        let mut room = [0; 4096];
        loop {
            let len = self.table.read(&mut room).map_err(refused("the table"))?;
            if len == 0 {
                return Ok(last);
            }
            let mut rest = &room[..len];
            while let Some((record, after)) = record(rest) {
                last = record.entry(index).or(last);
                rest = after;
            }
        }
    }

    /// Puts an entry there.
    pub fn write_entry(&self, index: u64, [first, second]: [u64; 2]) -> Result<(), Fault> {
        let mut record = [0; 24];
        record[..4].copy_from_slice(&(index as u32).to_le_bytes());
        record[4..6].copy_from_slice(&1_u16.to_le_bytes());
        record[8..16].copy_from_slice(&first.to_be_bytes());
        record[16..].copy_from_slice(&second.to_be_bytes());
        let written = open(self.vm, WRITES)?.write(&record);
        match written.map_err(refused("an entry by the file"))? {
            24 => Ok(()),
            len => Err(Fault::Differs("an entry by the file", len as u64, 24)),
        }
    }
}

fn open(vm: File, flags: u64) -> Result<File, Fault> {
    let mut about = TableFile {
        flags,
        first: 0,
        unused: [0; 2],
    };
    let opened = vm.opened_by(OPEN_TABLE, &mut about);
    opened.map_err(refused("the table's file"))
}

/// So many entries from one on, and after them so many that aren't there.
struct Record<'a> {
    first: u64,
    entries: &'a [u8],
    absent: u64,
}

/// The first record, and what comes after it.
fn record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *header;
    let entries = usize::from(u16::from_le_bytes([e, f]));
    let (entries, rest) = rest.split_at_checked(entries * 16)?;
    let record = Record {
        first: u64::from(u32::from_le_bytes([a, b, c, d])),
        entries,
        absent: u64::from(u16::from_le_bytes([g, h])),
    };
    Some((record, rest))
}

impl Record<'_> {
    fn entry(&self, index: u64) -> Option<[u64; 2]> {
        let at = index.checked_sub(self.first)?;
        let entries = self.entries.as_chunks::<16>().0;
        if let Some(entry) = entries.get(at as usize) {
            let halves = entry.as_chunks::<8>().0;
            return Some([0, 1].map(|half| u64::from_be_bytes(halves[half])));
        }
        (at < entries.len() as u64 + self.absent).then_some([0; 2])
    }
}
