//! A virtual machine of Linux's KVM, as small programs need it: some memory with a program in it, and a vcpu.
#![allow(dead_code, reason = "each program needs some of it")]

use super::system::{self, Errno, File};

/// KVM's requests (Linux's include/uapi/linux/kvm.h, in POWER's numbers).
pub const CREATE_VM: u64 = 0x2000_ae01;
pub const CREATE_VCPU: u64 = 0x2000_ae41;
pub const SET_MEMORY: u64 = 0x8020_ae46;
pub const RUN: u64 = 0x2000_ae80;
pub const GET_REGISTERS: u64 = 0x4188_ae81;
pub const SET_REGISTERS: u64 = 0x8188_ae82;
pub const GET_REGISTER: u64 = 0x8010_aeab;
pub const SET_REGISTER: u64 = 0x8010_aeac;
const SET_DEBUG: u64 = 0x8108_ae9b;
/// What a debugger asks for: that it is heard at all, single steps, and breakpoints in the guest's memory.
pub const DEBUGGED: u32 = 1;
pub const SINGLE_STEPS: u32 = 2;
pub const BREAKPOINTS: u32 = 0x1_0000;
const GET_SEGMENTS: u64 = 0x44d0_ae83;
const SET_SEGMENTS: u64 = 0x84d0_ae84;
/// More than POWER8 has.
const SLB_PLACES: usize = 64;
pub const ENABLE: u64 = 0x8068_aea3;
/// A virtual machine of the hypervisor mode's, which doesn't fall back to one that needs none.
pub const HYPERVISOR: u64 = 1;
/// The hypercalls of PAPR.
pub const PAPR: u32 = 68;

pub const START: usize = 0x100;
/// Goes round for ever: `b .`.
pub const FOR_EVER: [u32; 1] = [0x4800_0000];
/// MSR\[SF\] and MSR\[LE\].
const SIXTY_FOUR: u64 = 1 << 63;
const LITTLE_ENDIAN: u64 = 1;
/// MSR\[DR\].
const DATA_TRANSLATION: u64 = 0x10;

/// In which order a guest has bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Big,
    Little,
}

impl Order {
    /// An instruction as it is in memory.
    pub fn bytes(self, instruction: u32) -> [u8; 4] {
        match self {
            Self::Big => instruction.to_be_bytes(),
            Self::Little => instruction.to_le_bytes(),
        }
    }
}

/// Of memory: KVM notes what is written there.
pub const NOTES_CHANGES: u32 = 1;

/// Memory as KVM has been given it.
#[repr(C)]
pub struct Region {
    slot: u32,
    flags: u32,
    guest_address: u64,
    len_bytes: u64,
    address: u64,
}

#[repr(C)]
struct Enable {
    what: u32,
    flags: u32,
    args: [u64; 4],
    unused: [u64; 8],
}

#[repr(C)]
struct Registers {
    pc: u64,
    cr_ctr_lr_xer: [u64; 4],
    msr: u64,
    others: [u64; 11],
    gpr: [u64; 32],
}

/// What there is of a vcpu's segments, and which processor it is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    pub pvr: u32,
    unused: u32,
    sdr1: u64,
    /// As `slbmte` has them: RB, with the entry's number, and RS.
    pub slb: [[u64; 2]; SLB_PLACES],
    of_32_bits: [u64; 24],
}

#[repr(C)]
struct Debug {
    control: u32,
    unused: u32,
    breakpoints: [u64; 32],
}

#[repr(C)]
struct OneRegister {
    id: u64,
    address: u64,
}

/// `/dev/kvm`.
pub fn kvm() -> Result<File, Errno> {
    system::open(c"/dev/kvm")
}

/// A machine without memory.
pub fn new(kvm: File) -> Result<File, Errno> {
    kvm.opened(CREATE_VM, HYPERVISOR)
}

/// Gives it so much, with a program at its start, which has room there.
pub fn set_memory(
    vm: File,
    len_bytes: u64,
    program: &[u32],
    order: Order,
) -> Result<Region, Errno> {
    let memory = system::memory(len_bytes)?;
    let mut region = Region {
        slot: 0,
        flags: 0,
        guest_address: 0,
        len_bytes,
        address: memory.expose_provenance() as u64,
    };
    for (index, instruction) in program.iter().enumerate() {
        region.write(START + 4 * index, order.bytes(*instruction));
    }
    vm.exchange(SET_MEMORY, &mut region)?;
    Ok(region)
}

impl Region {
    /// Writes an instruction, at a multiple of 4 in this memory, while no vcpu runs.
    pub fn write(&mut self, offset: usize, bytes: [u8; 4]) {
        assert!(offset.is_multiple_of(4) && (offset as u64) < self.len_bytes);
        let memory = core::ptr::with_exposed_provenance_mut::<u8>(self.address as usize);
        // SAFETY: within the memory, which is this program's for good.
        unsafe { memory.add(offset).cast::<[u8; 4]>().write_volatile(bytes) };
    }

    /// Has KVM treat it in another way.
    pub fn set_flags(&mut self, vm: File, flags: u32) -> Result<(), Errno> {
        self.flags = flags;
        vm.exchange(SET_MEMORY, self)
    }
}

/// A vcpu that is about to begin with the program.
pub fn vcpu(vm: File, id: u64, order: Order) -> Result<File, Errno> {
    let vcpu = vm.opened(CREATE_VCPU, id)?;
    let mut papr = Enable {
        what: PAPR,
        flags: 0,
        args: [0; 4],
        unused: [0; 8],
    };
    vcpu.exchange(ENABLE, &mut papr)?;
    begin(vcpu, order)?;
    Ok(vcpu)
}

/// Has it go on at the program's start.
pub fn begin(vcpu: File, order: Order) -> Result<(), Errno> {
    let mut registers = registers(vcpu)?;
    registers.pc = START as u64;
    registers.msr = match order {
        Order::Big => SIXTY_FOUR,
        Order::Little => SIXTY_FOUR | LITTLE_ENDIAN,
    };
    vcpu.exchange(SET_REGISTERS, &mut registers)
}

fn registers(vcpu: File) -> Result<Registers, Errno> {
    let mut registers = Registers {
        pc: 0,
        cr_ctr_lr_xer: [0; 4],
        msr: 0,
        others: [0; 11],
        gpr: [0; 32],
    };
    vcpu.exchange(GET_REGISTERS, &mut registers)?;
    Ok(registers)
}

/// Its loads and stores go by the page table from now on, its fetches don't.
pub fn translate_data(vcpu: File) -> Result<(), Errno> {
    let mut registers = registers(vcpu)?;
    registers.msr |= DATA_TRANSLATION;
    vcpu.exchange(SET_REGISTERS, &mut registers)
}

/// Where it is.
pub fn pc(vcpu: File) -> Result<u64, Errno> {
    registers(vcpu).map(|registers| registers.pc)
}

/// Its general purpose registers.
pub fn gpr(vcpu: File) -> Result<[u64; 32], Errno> {
    registers(vcpu).map(|registers| registers.gpr)
}

/// Has a debugger's wishes followed.
pub fn debug(vcpu: File, control: u32) -> Result<(), Errno> {
    let mut debug = Debug {
        control,
        unused: 0,
        breakpoints: [0; 32],
    };
    vcpu.exchange(SET_DEBUG, &mut debug)
}

pub fn segments(vcpu: File) -> Result<Segments, Errno> {
    let mut segments = Segments {
        pvr: 0,
        unused: 0,
        sdr1: 0,
        slb: [[0; 2]; SLB_PLACES],
        of_32_bits: [0; 24],
    };
    vcpu.exchange(GET_SEGMENTS, &mut segments)?;
    Ok(segments)
}

pub fn set_segments(vcpu: File, mut segments: Segments) -> Result<(), Errno> {
    vcpu.exchange(SET_SEGMENTS, &mut segments)
}

pub fn run(vcpu: File) -> Result<u64, Errno> {
    vcpu.request(RUN, 0)
}

/// A register by KVM's number, which says how many bytes it has: they are read or written at the front.
pub fn register(vcpu: File, id: u64, writes: bool, bytes: &mut [u8; 16]) -> Result<(), Errno> {
    let mut about = OneRegister {
        id,
        address: bytes.as_mut_ptr().expose_provenance() as u64,
    };
    let what = if writes { SET_REGISTER } else { GET_REGISTER };
    vcpu.exchange(what, &mut about)
}

const _: () = assert!(size_of::<Registers>() == 392);
const _: () = assert!(core::mem::offset_of!(Registers, gpr) == 136);
