//! What is to be booted, from flash: the kernel of partition BOOTKERNEL, the RAM disk of ROOTFS.
//!
//! They go where a loader would have put them. What is packed is read elsewhere first; nothing is unpacked
//! or run before its container's hash has been compared, and its signatures, where they are demanded.

use crate::flash::{self, Open};
use crate::host_tree::Measured;
use crate::secure::Demand;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use asm::op;
use hcalls::trace::TB_HZ;
use log::{info, warn};
use platform::flash::device::Flash;
use platform::flash::image::{self, Image};
use platform::flash::table::{self, Partition};
use platform::memory::real;
use platform::memory::region::Region;
use platform::memory::{MemoryMap, Owner};
use platform::payload::{INITRD_BASE, MAX_INITRD_LEN, MAX_LEN, forget_code};
use skiboot_compat::entry::KERNEL_BASE;

const KERNEL: &str = "BOOTKERNEL";
const RAM_DISK: &str = "ROOTFS";
/// For unpacking: as much as `xz -9` may want.
const DICTIONARY_BYTES: u64 = 64 << 20;
/// How often the console hears how far reading has come: each 5 s.
const PROGRESS_TB: u64 = 5 * TB_HZ;

/// What came from flash, the kernel at its usual place.
pub struct Loaded {
    pub initrd: Option<Region>,
    /// In the order in which they were read.
    pub measured: Vec<Measured>,
}

/// What images are held against, and what was found.
struct Verifier<'a> {
    flash: &'a Flash,
    demand: Demand,
    measured: Vec<Measured>,
}

/// Loads the kernel and, if there is one, the RAM disk. `None`: flash has no kernel, which is an error if
/// it `must`. Whatever an error leaves in memory is nobody's.
pub fn load(memory: &mut MemoryMap, must: bool, demand: Demand) -> Result<Option<Loaded>, String> {
    let Some(Open {
        flash, partitions, ..
    }) = flash::flash()
    else {
        return match must {
            true => Err(flash::why_none().to_string()),
            false => Ok(None),
        };
    };
    let kernel = match table::find(partitions, KERNEL) {
        Some(kernel) => kernel,
        None if must => return Err(format!("flash: has no partition {KERNEL}")),
        None => return Ok(None),
    };
    let mut verifier = Verifier {
        flash,
        demand,
        measured: Vec::new(),
    };
    let mut initrd = None;
    if let Some(partition) = table::find(partitions, RAM_DISK) {
        let place = memory.free_from(INITRD_BASE, MAX_INITRD_LEN);
        let region = load_one(&mut verifier, partition, place, memory)?;
        let reserved = memory.reserve(region, Owner::Host, "the initrd");
        reserved.map_err(|why| why.to_string())?;
        initrd = Some(region);
    }
    let place = memory.free_from(KERNEL_BASE, MAX_LEN);
    let kernel = load_one(&mut verifier, kernel, place, memory)?;
    // It may run where it lies, and this thread has just written it.
    forget_code(kernel.start(), kernel.len_bytes());
    let measured = verifier.measured;
    Ok(Some(Loaded { initrd, measured }))
}

/// Puts what a partition holds at the beginning of `place`; answers which part of that it takes.
fn load_one(
    verifier: &mut Verifier,
    partition: &Partition,
    place: Option<Region>,
    memory: &MemoryMap,
) -> Result<Region, String> {
    let name = partition.name;
    let place = place.ok_or_else(|| format!("{name}: there is no memory where it goes"))?;
    let image = Image::find(partition, |at, to| verifier.flash.read(at, to));
    let image = image.map_err(|why| why.to_string())?;
    let no_room = || {
        format!(
            "{name}: {} bytes are more than there is room for",
            image.len_bytes
        )
    };
    if !image.is_packed {
        let taken = Region::new(place.start(), image.len_bytes).filter(|all| place.contains(all));
        let taken = taken.ok_or_else(no_room)?;
        read(verifier, &image, partition, taken)?;
        return Ok(taken);
    }
    let aside = memory.find_free(image.len_bytes + DICTIONARY_BYTES, 4096);
    let aside = aside.filter(|aside| !aside.overlaps(&place));
    let (packed, dictionary) = aside
        .and_then(|aside| {
            let packed = Region::new(aside.start(), image.len_bytes)?;
            Some((packed, Region::between(packed.end(), aside.end())?))
        })
        .ok_or_else(no_room)?;
    read(verifier, &image, partition, packed)?;
    unpack(partition, packed, dictionary, place)
}

fn read(
    verifier: &mut Verifier,
    image: &Image,
    partition: &Partition,
    to: Region,
) -> Result<(), String> {
    let name = partition.name;
    let since_tb = op::time_tb();
    let mut told_tb = since_tb;
    let progress = |done_bytes: u64| {
        let now_tb = op::time_tb();
        if now_tb.wrapping_sub(told_tb) > PROGRESS_TB {
            told_tb = now_tb;
            let percent = done_bytes * 100 / image.len_bytes;
            info!(
                "catnap: flash: {name}: {percent} % of {} KiB",
                image.len_bytes >> 10
            );
        }
    };
    // SAFETY: free RAM, of which nobody else knows.
    let bytes = unsafe { memory_of(to) };
    let corrected = image.read(bytes, |at, to| verifier.flash.read(at, to), progress);
    let corrected = corrected.map_err(|why| why.to_string())?;
    if corrected > 0 {
        warn!("catnap: flash: {name}: {corrected} wrong bits were corrected");
    }
    let vouched = verifier.verify(image, bytes)?;
    let took_ms = milliseconds_since(since_tb);
    let kib = image.len_bytes >> 10;
    info!("catnap: flash: {name}: {kib} KiB in {took_ms} ms, {vouched}");
    Ok(())
}

impl Verifier<'_> {
    /// Holds an image whose hash is right, if it has one, against what is demanded. Answers who vouches
    /// for it.
    fn verify(&mut self, image: &Image, bytes: &[u8]) -> Result<&'static str, String> {
        if let Demand::Signed(trusted) = self.demand {
            let checked = image.check_signatures(trusted.as_ref());
            checked.map_err(|why| why.to_string())?;
        }
        let is_signed = self.demand.is_signed();
        self.measured.push(Measured {
            name: image.name(),
            sha512: image.measure(bytes),
            has_container: image.has_container(),
            is_signed,
        });
        Ok(match (is_signed, image.has_container()) {
            (true, _) => "its container's hash holds, and its signatures",
            (false, true) => "its container's hash holds",
            (false, false) => "no container vouches for it",
        })
    }
}

fn unpack(
    partition: &Partition,
    packed: Region,
    dictionary: Region,
    place: Region,
) -> Result<Region, String> {
    let name = partition.name;
    let since_tb = op::time_tb();
    // SAFETY: free RAM, of which nobody else knows; the three are apart.
    let unpacked =
        unsafe { image::unpack(memory_of(packed), memory_of(place), memory_of(dictionary)) };
    let len = unpacked.map_err(|why| format!("{name}: {why}"))? as u64;
    let took_ms = milliseconds_since(since_tb);
    info!(
        "catnap: flash: {name}: unpacked to {} KiB in {took_ms} ms",
        len >> 10
    );
    Region::new(place.start(), len).ok_or_else(|| format!("{name}: is empty"))
}

fn milliseconds_since(since_tb: u64) -> u64 {
    op::time_tb().wrapping_sub(since_tb) / (TB_HZ / 1000)
}

/// # Safety
/// The region is RAM that nobody else uses while the slice lives.
unsafe fn memory_of(region: Region) -> &'static mut [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        core::slice::from_raw_parts_mut(real::ptr(region.start()), region.len_bytes() as usize)
    }
}
