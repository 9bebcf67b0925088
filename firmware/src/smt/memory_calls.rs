//! PARTITION_MEMORY and PARTITION_UNMAP, from their arguments to their answers.
use super::calls::refused;
use super::check;
use super::objects::{Memory, PARTITIONS};
use crate::args::{Answer, Args, DONE, Refused};
use crate::page_table::Map;
use crate::page_table::service::Unmapped;
use crate::page_table::table::len_bytes;
use hcalls::Status;
use hcalls::memory::{
    MAX_MAP_BYTES, MEMORY_FLAGS, MEMORY_LITTLE_ENDIAN, PAGE_SHIFTS, SHADOW_ENTRY_BYTES,
    UNMAP_ENTRIES,
};
use hcalls::registers::{PartitionMemory, PartitionUnmap, PartitionUnmapped};

/// Bytes of an entry of a page table.
const ENTRY_BYTES: u64 = 16;

/// PARTITION_MEMORY: partition, map, its bytes, page shift, shadow, flags.
pub fn partition_memory(args: &Args) -> Answer {
    let asked = PartitionMemory::from_registers(args);
    let mut partitions = PARTITIONS.lock();
    let sdr1 = partitions.sdr1(asked.partition);
    let sdr1 = sdr1.ok_or(Refused::Argument(1))?;
    let memory = match asked.root {
        0 => Memory::default(),
        _ => checked(&asked, sdr1)?,
    };
    let set = partitions.set_memory(asked.partition, memory);
    set.map_err(|refusal| refused(refusal, 1))?;
    DONE
}

fn checked(asked: &PartitionMemory, sdr1: u64) -> Result<Memory, Refused> {
    let page_shift = asked.page_shift as u32;
    if !PAGE_SHIFTS.contains(&page_shift) || asked.page_shift != page_shift.into() {
        return Err(Refused::Argument(4));
    }
    let is_whole = asked.len_bytes.is_multiple_of(1 << page_shift);
    if !is_whole || !(1..=MAX_MAP_BYTES).contains(&asked.len_bytes) {
        return Err(Refused::Argument(3));
    }
    let root_bytes = Map::root_words(asked.len_bytes, page_shift) * 8;
    let root = check::host_ram(asked.root, root_bytes, 8).ok_or(Refused::Argument(2))?;
    let shadow_bytes = len_bytes(sdr1) / ENTRY_BYTES * SHADOW_ENTRY_BYTES;
    let shadow = check::host_ram(asked.shadow, shadow_bytes, 8).ok_or(Refused::Argument(5))?;
    if asked.flags & !MEMORY_FLAGS != 0 {
        return Err(Refused::Argument(6));
    }
    Ok(Memory {
        root,
        len_bytes: asked.len_bytes,
        page_shift,
        shadow,
        is_little: asked.flags & MEMORY_LITTLE_ENDIAN != 0,
    })
}

/// PARTITION_UNMAP: partition, start, bytes, first entry → next entry.
pub fn partition_unmap(args: &Args) -> Answer {
    let asked = PartitionUnmap::from_registers(args);
    let end = asked.start.checked_add(asked.len_bytes);
    let end = end.filter(|&end| end > asked.start);
    let mut partitions = PARTITIONS.lock();
    let sdr1 = partitions.sdr1(asked.partition);
    let entries = len_bytes(sdr1.ok_or(Refused::Argument(1))?) / ENTRY_BYTES;
    let end = end.ok_or(Refused::Argument(3))?;
    if asked.first >= entries {
        return Err(Refused::Argument(4));
    }
    let portion = (asked.first, UNMAP_ENTRIES);
    let unmapped = partitions.unmap(asked.partition, portion, (asked.start, end));
    let next = match unmapped.map_err(|refusal| refused(refusal, 1))? {
        Unmapped::All => 0,
        Unmapped::UpTo(next) => next,
        Unmapped::Stuck(next) => {
            let answer = PartitionUnmapped { next };
            return Err(Refused::With(Status::Busy, answer.to_results()));
        }
    };
    Ok(PartitionUnmapped { next }.to_results())
}
