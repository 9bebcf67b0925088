//! What a host passes, checked: pages, buffers, configurations. Nothing here changes anything.
use super::objects::{self, MAX_LPID, Settings};
use crate::page_table::table::{HTABORG, HTABSIZE, HTABSIZE_MOST, len_bytes};
use alloc::alloc::Layout;
use asm::spr;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use hcalls::partition::{FLAG_REFLECT, FLAGS, LPCR_CHOICE, V1_BYTES};
use hcalls::partition::{MemoryMode, PartitionConfig, Policy, PtidMode};
use hcalls::{VcpuPage, page};
use platform::memory::MemoryMap;
use platform::memory::real;
use spin::Once;
use zerocopy::FromBytes;

/// The machine as far as arguments are checked against it.
static RAM: Once<MemoryMap> = Once::new();
static THREADS_PER_CORE: AtomicU32 = AtomicU32::new(1);
/// The largest pieces of the host's RAM, each by its start and its length.
static SPANS: [[AtomicU64; 2]; 4] = [const { [const { AtomicU64::new(0) }; 2] }; 4];
/// Only even values of LPCR\[RMLS\] work: QEMU takes the field's lowest bit for POWER10's HAIL and
/// sends a guest's interrupts to 0xc000_0000_0000_4000.
static EVEN_RMLS: AtomicBool = AtomicBool::new(false);

/// Bits that a time base offset can't have: TBU40 is the time base's upper 40.
const TB_OFFSET_LOWER: u64 = (1 << 24) - 1;

/// Real addresses end here: POWER8 has 60 bits.
const REAL_LIMIT: u64 = 1 << 60;
/// Bits that a host's kernel has in its pointers to real memory.
const KERNEL_BITS: u64 = 0xc << 60;

/// Notes the machine's memory, the threads of its cores, and whether it is QEMU.
pub fn set_machine(ram: MemoryMap, threads_per_core: usize, is_qemu: bool) {
    for (place, span) in SPANS.iter().zip(ram.host_spans()) {
        place[0].store(span.start(), Relaxed);
        place[1].store(span.len_bytes(), Relaxed);
    }
    RAM.call_once(|| ram);
    EVEN_RMLS.store(is_qemu, Relaxed);
    THREADS_PER_CORE.store(threads_per_core as u32, Relaxed);
}

/// Vcpus that make a vcore: the threads of a core.
pub fn threads_per_core() -> usize {
    THREADS_PER_CORE.load(Relaxed) as usize
}

/// The real address of `len_bytes` of the host's own RAM, aligned; 0xc000… pointers are taken for
/// the real addresses that they stand for.
pub fn host_ram(address: u64, len_bytes: u64, align: u64) -> Option<u64> {
    let real = real_of(address);
    let fits = real.is_multiple_of(align) && len_bytes > 0 && is_host_ram(real, len_bytes);
    fits.then_some(real)
}

/// The same, if it is in one of the pieces that most of the host's memory is in.
#[inline(always)]
pub fn most_host_ram(address: u64, len_bytes: u64) -> Option<u64> {
    let real = real_of(address);
    is_in_span(real, len_bytes).then_some(real)
}

#[inline(always)]
const fn real_of(address: u64) -> u64 {
    if address & KERNEL_BITS == KERNEL_BITS {
        address & !KERNEL_BITS
    } else {
        address
    }
}

/// Whether real memory is the host's, for places that ask often. A length of 0 isn't asked for.
#[inline(always)]
pub fn is_host_ram(real: u64, len_bytes: u64) -> bool {
    is_in_span(real, len_bytes) || is_other_host_ram(real, len_bytes)
}

/// Whether it is in one of the pieces that most of the host's memory is in.
#[inline(always)]
pub fn is_in_span(real: u64, len_bytes: u64) -> bool {
    SPANS.iter().any(|[start, span_bytes]| {
        let before = real.wrapping_sub(start.load(Relaxed));
        let span_bytes = span_bytes.load(Relaxed);
        before < span_bytes && len_bytes <= span_bytes - before
    })
}

#[inline(never)]
fn is_other_host_ram(real: u64, len_bytes: u64) -> bool {
    RAM.get()
        .is_some_and(|ram| real < REAL_LIMIT && ram.is_host_ram(real, len_bytes))
}

/// A vcpu page that VCPU_CREATE may take.
pub fn vcpu_page(address: u64) -> Option<u64> {
    let real = host_ram(address, page::PAGE_BYTES as u64, page::PAGE_BYTES as u64)?;
    // SAFETY: the host's RAM, a page long; it is only read.
    let host = unsafe { (*real::ptr(real).cast::<VcpuPage>()).host };
    let good = host.magic.get() == page::MAGIC
        && is_version(host.version.get())
        && host.flags.get() & !page::FLAGS == 0;
    good.then_some(real)
}

/// Why a partition's configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The structure itself isn't in the host's RAM.
    Address,
    /// A version that this firmware doesn't speak.
    Version,
    /// The named field.
    Field(&'static str),
}

/// A version whose structures are understood.
fn is_version(version: u32) -> bool {
    (hcalls::LOWEST_VERSION..=hcalls::VERSION).contains(&version)
}

/// Reads and checks PARTITION_CREATE's configuration.
pub fn partition(address: u64) -> Result<Settings, Refusal> {
    let len_bytes = size_of::<PartitionConfig>();
    let first = copy::<V1_BYTES>(address).ok_or(Refusal::Address)?;
    let mut bytes = [0; size_of::<PartitionConfig>()];
    bytes[..V1_BYTES].copy_from_slice(&first);
    let config = PartitionConfig::read_from_bytes(&bytes).map_err(|_| Refusal::Address)?;
    if config.version.get() <= 1 {
        return settings(&config);
    }
    // What version 2 has added, the first part as it was read: it can't change under the checks.
    let rest = copy::<{ size_of::<PartitionConfig>() - V1_BYTES }>(address + V1_BYTES as u64);
    bytes[V1_BYTES..len_bytes].copy_from_slice(&rest.ok_or(Refusal::Address)?);
    let config = PartitionConfig::read_from_bytes(&bytes).map_err(|_| Refusal::Address)?;
    settings(&config)
}

/// A copy of the host's memory at an address that is a multiple of 8.
fn copy<const LEN: usize>(address: u64) -> Option<[u8; LEN]> {
    let real = host_ram(address, LEN as u64, 8)?;
    // SAFETY: the host's RAM, that long.
    Some(unsafe { real::ptr(real).cast::<[u8; LEN]>().read_volatile() })
}

/// In each partition's LPCR: page faults are the hypervisor's, HDEC interrupts, and a napping thread wakes by
/// whatever its guest would want.
const LPCR_ALWAYS: u64 = spr::lpcr::VPM1
    | spr::lpcr::HDICE
    | spr::lpcr::PECE_EXTERNAL
    | spr::lpcr::PECE_DECREMENTER
    | spr::lpcr::PECE_DOORBELL
    | spr::lpcr::PECE_HV_DOORBELL;

fn field(is_good: bool, name: &'static str) -> Result<(), Refusal> {
    is_good.then_some(()).ok_or(Refusal::Field(name))
}

/// Checks a configuration field by field.
pub fn settings(config: &PartitionConfig) -> Result<Settings, Refusal> {
    if !is_version(config.version.get()) {
        return Err(Refusal::Version);
    }
    let lpid = config.lpid.get();
    field((1..=MAX_LPID).contains(&lpid), "lpid")?;
    let width = config.smt_width.get() as usize;
    field(
        width.is_power_of_two() && width <= threads_per_core(),
        "smt_width",
    )?;
    let ptid =
        PtidMode::try_from(config.ptid_mode.get()).map_err(|_| Refusal::Field("ptid_mode"))?;
    let policy = Policy::try_from(config.policy.get()).map_err(|_| Refusal::Field("policy"))?;
    let mode = MemoryMode::try_from(config.memory_mode.get())
        .map_err(|_| Refusal::Field("memory_mode"))?;
    field(config.lpcr.get() & !LPCR_CHOICE == 0, "lpcr")?;
    let tb_offset = config.tb_offset.get();
    field(tb_offset & TB_OFFSET_LOWER == 0, "tb_offset")?;
    let flags = config.flags.get();
    field(flags & !FLAGS == 0, "flags")?;
    field(flags == 0 || mode == MemoryMode::Vrma, "flags")?;
    let base = config.base.get();
    let memory = match mode {
        MemoryMode::Rmor => rmor(base, config.rm_len_bytes.get())?,
        MemoryMode::Vrma => vrma(base, config.rm_len_bytes.get())?,
    };
    let aligned = ptid == PtidMode::Aligned;
    Ok(Settings {
        lpid,
        lpcr: config.lpcr.get() | memory.lpcr | LPCR_ALWAYS,
        rmor: memory.rmor,
        sdr1: memory.sdr1,
        hfscr: facilities(aligned),
        segments: mode == MemoryMode::Vrma,
        reflects: flags & FLAG_REFLECT != 0,
        width,
        aligned,
        tb_offset,
        eager: policy == Policy::Eager,
        memory: objects::Memory::default(),
    })
}

/// What a guest may use beside floating point, VMX and VSX. Doorbells name hardware threads, which
/// mean nothing to a guest in packed mode. Transactional memory no guest gets: it could call the
/// firmware with a transaction suspended, and nothing there may nap or return in that state.
fn facilities(aligned: bool) -> u64 {
    use spr::hfscr::{BHRB, DSCR, EBB, MSGP, PM, TAR};
    DSCR | PM | BHRB | EBB | TAR | if aligned { MSGP } else { 0 }
}

struct Memory {
    lpcr: u64,
    rmor: u64,
    sdr1: u64,
}

/// Sizes that LPCR\[RMLS\] can say, with its value (POWER8 User's Manual, "Real Mode Limit").
const RM_SIZES: [(u64, u64); 6] = [
    (64 << 20, 3),
    (128 << 20, 7),
    (256 << 20, 4),
    (1 << 30, 2),
    (16 << 30, 1),
    (256 << 30, 0),
];

/// Those that work on this machine.
pub fn real_mode_sizes() -> impl Iterator<Item = (u64, u64)> {
    let even = EVEN_RMLS.load(Relaxed);
    RM_SIZES
        .into_iter()
        .filter(move |(_, rmls)| !even || rmls % 2 == 0)
}

/// Real mode by offset: the memory must be the host's, all of it.
fn rmor(base: u64, len_bytes: u64) -> Result<Memory, Refusal> {
    let rmls = real_mode_sizes().find(|(size, _)| *size == len_bytes);
    let (_, rmls) = rmls.ok_or(Refusal::Field("rm_len_bytes"))?;
    let base = host_ram(base, len_bytes, len_bytes).ok_or(Refusal::Field("base"))?;
    Ok(Memory {
        lpcr: rmls << spr::lpcr::RMLS_SHIFT,
        rmor: base,
        sdr1: empty_table(),
    })
}

/// SDR1 of a partition without a page table of its own: one without entries, of the smallest size,
/// so that a guest that turns relocation on finds nothing.
fn empty_table() -> u64 {
    #[repr(C, align(0x4_0000))]
    struct Table([u64; 0x8000]);
    static TABLE: Once<u64> = Once::new();
    *TABLE.call_once(|| {
        // SAFETY: the layout's size isn't 0; the memory is given to nobody else, for good.
        let table = unsafe { alloc::alloc::alloc_zeroed(Layout::new::<Table>()) };
        assert!(!table.is_null(), "no memory for an empty page table");
        real::address(table)
    })
}

/// Real mode through the hashed page table whose address and size are SDR1's (Power ISA 2.07 Book
/// III-S 5.7.7.2). What its entries lead to is the host's business.
fn vrma(sdr1: u64, vrmasd: u64) -> Result<Memory, Refusal> {
    let sound = sdr1 & !(HTABORG | HTABSIZE) == 0 && sdr1 & HTABSIZE <= HTABSIZE_MOST;
    let len_bytes = if sound { len_bytes(sdr1) } else { 1 };
    let table = host_ram(sdr1 & HTABORG, len_bytes, len_bytes);
    if !sound || table.is_none() {
        return Err(Refusal::Field("base"));
    }
    if vrmasd >= 1 << 5 {
        return Err(Refusal::Field("rm_len_bytes"));
    }
    let lpcr = spr::lpcr::VPM0 | vrmasd << spr::lpcr::VRMASD_SHIFT;
    Ok(Memory {
        lpcr,
        rmor: 0,
        sdr1,
    })
}
