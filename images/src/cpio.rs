//! A reader of cpio archives in the "newc" format, the one of initial RAM disks.

/// An entry: a name and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Without a leading `/` or `./`.
    pub name: &'a str,
    pub data: &'a [u8],
}

/// The archive breaks off or isn't one.
#[derive(Debug, PartialEq, Eq)]
pub struct BadArchive {
    /// Where the entry begins that can't be read.
    pub offset: usize,
}

/// Magic, then 13 numbers of 8 hexadecimal digits.
const HEADER_BYTES: usize = 6 + 13 * 8;
const MAGIC: &[u8] = b"070701";
/// Which of the 13 numbers say how long the data and the name with its final NUL are.
const FILE_SIZE: usize = 6;
const NAME_SIZE: usize = 11;
/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

/// The entries of an archive, up to its trailer.
pub fn entries(archive: &[u8]) -> Entries<'_> {
    Entries {
        archive,
        offset: Some(0),
    }
}

/// The data of the first entry of that name.
pub fn find<'a>(archive: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, BadArchive> {
    for entry in entries(archive) {
        let entry = entry?;
        if entry.name == name {
            return Ok(Some(entry.data));
        }
    }
    Ok(None)
}

pub struct Entries<'a> {
    archive: &'a [u8],
    /// Where the next entry begins; none when there is no more to read.
    offset: Option<usize>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BadArchive>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset.take()?;
        match read_entry(self.archive, offset) {
            None => Some(Err(BadArchive { offset })),
            Some((entry, _)) if entry.name == TRAILER => None,
            Some((entry, next)) => {
                self.offset = Some(next);
                Some(Ok(entry))
            }
        }
    }
}

/// The entry at `offset` and where the next one begins.
fn read_entry(archive: &[u8], offset: usize) -> Option<(Entry<'_>, usize)> {
    let name_at = offset.checked_add(HEADER_BYTES)?;
    let header = archive.get(offset..name_at)?;
    if !header.starts_with(MAGIC) {
        return None;
    }
    let name_end = name_at.checked_add(number(header, NAME_SIZE)?)?;
    let name = archive.get(name_at..name_end)?.strip_suffix(&[0])?;
    let name = core::str::from_utf8(name).ok()?;
    let name = name
        .strip_prefix("./")
        .or(name.strip_prefix('/'))
        .unwrap_or(name);
    let data_at = name_end.checked_next_multiple_of(4)?;
    let data_end = data_at.checked_add(number(header, FILE_SIZE)?)?;
    let data = archive.get(data_at..data_end)?;
    Some((Entry { name, data }, data_end.checked_next_multiple_of(4)?))
}

fn number(header: &[u8], index: usize) -> Option<usize> {
    let digits = &header[MAGIC.len() + 8 * index..][..8];
    let digits = core::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    usize::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, data) in entries.iter().chain(&[(TRAILER, &b""[..])]) {
            archive.extend(MAGIC);
            for index in 0..13 {
                let number = match index {
                    FILE_SIZE => data.len(),
                    NAME_SIZE => name.len() + 1,
                    _ => 0,
                };
                archive.extend(format!("{number:08x}").bytes());
            }
            archive.extend(name.bytes());
            archive.push(0);
            archive.resize(archive.len().next_multiple_of(4), 0);
            archive.extend(*data);
            archive.resize(archive.len().next_multiple_of(4), 0);
        }
        archive
    }

    #[test]
    fn finds_by_name() {
        let archive = archive(&[
            ("input", b"12345"),
            ("./guest.be", b""),
            ("guest.le", b"xyz"),
        ]);
        assert_eq!(find(&archive, "input"), Ok(Some(&b"12345"[..])));
        assert_eq!(find(&archive, "guest.be"), Ok(Some(&b""[..])));
        assert_eq!(find(&archive, "guest.le"), Ok(Some(&b"xyz"[..])));
        assert_eq!(find(&archive, "other"), Ok(None));
        assert_eq!(entries(&archive).count(), 3);
    }

    #[test]
    fn every_cut_is_noticed() {
        let whole = archive(&[("input", b"12345"), ("guest", b"xyz")]);
        let trailer_at = whole.len() - HEADER_BYTES - 12;
        for len in 0..trailer_at + HEADER_BYTES {
            let last = entries(&whole[..len]).last();
            assert!(matches!(last, Some(Err(_))), "cut to {len}");
        }
    }

    #[test]
    fn a_length_past_the_end_is_noticed() {
        let mut archive = archive(&[("input", b"12345")]);
        archive[6 + 8 * FILE_SIZE..][..8].copy_from_slice(b"ffffffff");
        assert_eq!(find(&archive, "input"), Err(BadArchive { offset: 0 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            flips in proptest::collection::vec((0usize..400, any::<u8>()), 0..8),
        ) {
            let mut archive = archive(&[("input", b"12345"), ("guest", &[7; 100])]);
            for (at, byte) in flips {
                let len = archive.len();
                archive[at % len] = byte;
            }
            prop_assert!(entries(&archive).count() <= 4);
        }
    }
}
