//! NVRAM: partitions that hosts keep settings in (PAPR, "NVRAM"; the form that Linux reads).
//!
//! A partition begins with a header of 16 bytes: signature, checksum, length in blocks of 16 bytes
//! (big-endian, header included), name of 12. The firmware's own holds settings `name=value`, each
//! ended by a zero, behind one another.

use crate::memory::zero::clear;

/// Bytes of a block, and of a header.
const BLOCK: usize = 16;
const NAME_LEN: usize = 12;

/// Signatures.
const SYSTEM: u8 = 0x70;
const FIRMWARE: u8 = 0x51;
const FREE: u8 = 0x7f;

/// The firmware's own partition comes first.
pub const OWN_NAME: &[u8] = b"catnap";
/// Bytes of it, header included.
pub const OWN_BYTES: usize = 4096;
/// Open to anyone, for hosts' tools.
const COMMON_NAME: &[u8] = b"common";
const COMMON_BYTES: usize = 4096;
const FREE_NAME: &[u8] = &[b'w'; NAME_LEN];

/// Whether partitions follow each other up to the end, each with a right checksum.
#[must_use]
pub fn is_valid(nvram: &[u8]) -> bool {
    let mut rest = nvram;
    while !rest.is_empty() {
        match partition(rest) {
            Some((_, _, behind)) => rest = behind,
            None => return false,
        }
    }
    !nvram.is_empty()
}

/// Makes empty partitions, over whatever was there. The length is a multiple of 16, and at most a
/// MiB, for which lengths in headers suffice.
pub fn format(nvram: &mut [u8]) {
    clear(nvram);
    let (own, rest) = nvram.split_at_mut(OWN_BYTES.min(nvram.len()));
    write_header(own, FIRMWARE, OWN_NAME);
    let (common, free) = rest.split_at_mut(COMMON_BYTES.min(rest.len()));
    write_header(common, SYSTEM, COMMON_NAME);
    write_header(free, FREE, FREE_NAME);
}

/// Makes a partition for skiboot as well, with one setting of its, in what [`format`] has left free.
pub fn format_for_skiboot(nvram: &mut [u8], setting: &[u8]) {
    let free = nvram
        .get_mut(OWN_BYTES + COMMON_BYTES..)
        .unwrap_or_default();
    let Some((theirs, free)) = free.split_at_mut_checked(OWN_BYTES) else {
        return;
    };
    theirs.fill(0);
    write_header(theirs, FIRMWARE, b"ibm,skiboot");
    let len = setting.len().min(theirs.len() - BLOCK);
    theirs[BLOCK..BLOCK + len].copy_from_slice(&setting[..len]);
    write_header(free, FREE, FREE_NAME);
}

/// The firmware's setting of that name.
#[must_use]
pub fn setting<'a>(nvram: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut rest = nvram;
    while let Some((header, content, behind)) = partition(rest) {
        if header.name() == OWN_NAME {
            let settings = content.split(|&byte| byte == 0);
            let mut settings = settings.take_while(|setting| !setting.is_empty());
            let name = name.as_bytes();
            return settings.find_map(|setting| setting.strip_prefix(name)?.strip_prefix(b"="));
        }
        rest = behind;
    }
    None
}

/// Whether the end of NVRAM, `len_bytes` behind `before`, is content of a free partition that begins in
/// `before`.
#[must_use]
pub fn is_free_to_end(before: &[u8], len_bytes: usize) -> bool {
    let mut rest = before;
    while let Some(header) = rest.first_chunk::<BLOCK>() {
        let len = usize::from(u16::from_be_bytes([header[2], header[3]])) * BLOCK;
        if header[1] != checksum(header) || len < BLOCK {
            return false;
        }
        match rest.split_at_checked(len) {
            Some((_, behind)) => rest = behind,
            None => return header[0] == FREE && len == rest.len() + len_bytes,
        }
    }
    false
}

struct Header<'a>(&'a [u8; BLOCK]);

impl Header<'_> {
    fn name(&self) -> &[u8] {
        let name = &self.0[BLOCK - NAME_LEN..];
        let len = name.iter().position(|&byte| byte == 0);
        &name[..len.unwrap_or(NAME_LEN)]
    }
}

/// The first partition's header and content, and what is behind it.
fn partition(nvram: &[u8]) -> Option<(Header<'_>, &[u8], &[u8])> {
    let header: &[u8; BLOCK] = nvram.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]])) * BLOCK;
    if header[1] != checksum(header) {
        return None;
    }
    let (whole, behind) = nvram.split_at_checked(len)?;
    Some((Header(header), whole.get(BLOCK..)?, behind))
}

/// The sum of the header's other bytes, carries added again.
fn checksum(header: &[u8; BLOCK]) -> u8 {
    let others = header.iter().enumerate().filter(|(place, _)| *place != 1);
    others.fold(0, |sum: u8, (_, &byte)| {
        let (sum, carry) = sum.overflowing_add(byte);
        sum + u8::from(carry)
    })
}

fn write_header(partition: &mut [u8], signature: u8, name: &[u8]) {
    let blocks = (partition.len() / BLOCK) as u16;
    let Some(header) = partition.first_chunk_mut::<BLOCK>() else {
        return;
    };
    header.fill(0);
    header[0] = signature;
    header[2..4].copy_from_slice(&blocks.to_be_bytes());
    header[4..4 + name.len()].copy_from_slice(name);
    header[1] = checksum(header);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn skiboot_has_a_partition_beside_ours() {
        let mut nvram = std::vec![0xa5; 65536];
        format(&mut nvram);
        format_for_skiboot(&mut nvram, b"bootargs=quiet");
        assert!(is_valid(&nvram));
        let (header, content, free) = partition(&nvram[8192..]).unwrap();
        assert_eq!(
            (header.name(), &content[..16]),
            (&b"ibm,skiboot"[..], &b"bootargs=quiet\0\0"[..])
        );
        assert_eq!(free.len(), 65536 - 12288);
        assert!(is_free_to_end(&nvram[..60000], 5536));
        let mut small = [0; 8192];
        format(&mut small);
        format_for_skiboot(&mut small, b"bootargs=quiet");
        assert!(is_valid(&small));
    }
    use std::vec;
    use std::vec::Vec;

    const BYTES: usize = 64 * 1024;

    fn formatted() -> Vec<u8> {
        let mut nvram = vec![0xa5; BYTES];
        assert!(!is_valid(&nvram));
        format(&mut nvram);
        nvram
    }

    #[test]
    fn fresh_nvram_has_three_partitions() {
        let nvram = formatted();
        assert!(is_valid(&nvram));
        assert_eq!(
            &nvram[..4],
            [0x51, checksum(nvram.first_chunk().unwrap()), 1, 0]
        );
        let (free, _, behind) = partition(&nvram[8192..]).unwrap();
        assert_eq!((free.0[0], free.name()), (FREE, FREE_NAME));
        assert!(behind.is_empty());
        assert_eq!(setting(&nvram, "threads"), None);
    }

    /// The header of a free rest of 15 MiB, as Linux's own code sums it up.
    #[test]
    fn the_checksum_folds_its_carries() {
        let mut header = *b"\x7f\0\x00\x0fwwwwwwwwwwww";
        // 0x7f + 0x0f + 12 × 0x77 = 0x622; 0x22 + 6.
        assert_eq!(checksum(&header), 0x28);
        header[1] = 0xee;
        assert_eq!(checksum(&header), 0x28);
    }

    #[test]
    fn settings_are_found_by_their_whole_name() {
        let mut nvram = formatted();
        let text = b"other.threads=x\0threads=host\0threads=later\0\0threads2=y\0";
        nvram[16..16 + text.len()].copy_from_slice(text);
        assert_eq!(setting(&nvram, "threads"), Some(&b"host"[..]));
        assert_eq!(setting(&nvram, "thread"), None);
        assert_eq!(setting(&nvram, "threads2"), None);
    }

    #[test]
    fn a_changed_byte_of_a_header_is_noticed() {
        for place in 0..16 {
            let mut nvram = formatted();
            nvram[4096 + place] ^= 1;
            assert!(!is_valid(&nvram), "{place}");
        }
        assert!(!is_valid(&[]));
        assert!(!is_valid(&formatted()[..BYTES - 16]));
    }
}
