//! The archive that the payload gets as its initrd: cpio in the "newc" form.
//!
//! An entry is a header of "070701" and 13 fields of eight hexadecimal digits, the name with a
//! closing NUL, and the content; name and content are each padded to a multiple of four bytes.
//! The entry "TRAILER!!!" ends the archive.

/// What an archive can hold.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// A regular file, readable by all.
    File(&'a [u8]),
    /// The same, and executable.
    Program(&'a [u8]),
    Folder,
    /// A symbolic link to this path.
    Link(&'a str),
    /// A character device with these numbers.
    Device(u32, u32),
}

impl<'a> Content<'a> {
    const fn mode(&self) -> u32 {
        match self {
            Self::File(_) => 0o100_644,
            Self::Program(_) => 0o100_755,
            Self::Folder => 0o40_755,
            Self::Link(_) => 0o120_777,
            Self::Device(..) => 0o20_600,
        }
    }

    const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::File(bytes) | Self::Program(bytes) => bytes,
            Self::Link(path) => path.as_bytes(),
            Self::Folder | Self::Device(..) => &[],
        }
    }

    const fn device(&self) -> (u32, u32) {
        match self {
            Self::Device(major, minor) => (*major, *minor),
            _ => (0, 0),
        }
    }
}

/// Pack files, in this order.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let files = entries
        .iter()
        .map(|(name, bytes)| (*name, Content::File(bytes)));
    pack(files)
}

/// Pack anything, in this order; folders come before what is in them.
pub fn pack<'a>(entries: impl Iterator<Item = (&'a str, Content<'a>)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (inode, (name, content)) in (1..).zip(entries) {
        push(&mut out, inode, content.mode(), name, &content);
    }
    push(&mut out, 0, 0, "TRAILER!!!", &Content::File(&[]));
    out
}

fn push(out: &mut Vec<u8>, inode: u32, mode: u32, name: &str, content: &Content) {
    let links = 1;
    let name_bytes = name.len() as u32 + 1;
    let (major, minor) = content.device();
    let content = content.bytes();
    // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name, check
    let fields = [
        inode,
        mode,
        0,
        0,
        links,
        0,
        content.len() as u32,
        0,
        0,
        major,
        minor,
        name_bytes,
        0,
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(content);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte for byte what the form says for a one-file archive.
    #[test]
    fn one_small_file() {
        let made = archive(&[("input", b"abcde")]);
        let mut wanted = b"070701".to_vec();
        wanted.extend(b"00000001000081a40000000000000000000000010000000000000005");
        wanted.extend(b"000000000000000000000000000000000000000600000000");
        wanted.extend(b"input\0");
        wanted.extend(b"abcde\0\0\0");
        assert_eq!(&made[..wanted.len()], wanted);
        let trailer = &made[wanted.len()..];
        assert_eq!(&trailer[110..120], b"TRAILER!!!");
        assert_eq!(made.len() % 4, 0);
    }

    #[test]
    fn every_part_starts_at_a_multiple_of_four() {
        for name_len in 1..9 {
            for content_len in 0..9 {
                let name = "n".repeat(name_len);
                let content = vec![b'c'; content_len];
                let made = archive(&[(&name, &content)]);
                let at = (110 + name_len + 1).next_multiple_of(4);
                assert_eq!(&made[at..at + content_len], content);
                let trailer = (at + content_len).next_multiple_of(4);
                assert_eq!(&made[trailer..trailer + 6], b"070701");
            }
        }
    }

    #[test]
    fn what_is_no_file_has_its_own_mode() {
        let entries = [
            ("d", Content::Folder),
            ("l", Content::Link("busybox")),
            ("c", Content::Device(5, 1)),
        ];
        let made = pack(entries.into_iter());
        let field = |entry: usize, n: usize| {
            let from = [0, 112, 232][entry] + 6 + 8 * n;
            str::from_utf8(&made[from..from + 8]).unwrap()
        };
        assert_eq!(
            [field(0, 1), field(1, 1), field(2, 1)],
            ["000041ed", "0000a1ff", "00002180"]
        );
        assert_eq!(
            (field(1, 6), &made[224..231]),
            ("00000007", &b"busybox"[..])
        );
        assert_eq!((field(2, 9), field(2, 10)), ("00000005", "00000001"));
    }

    /// A reader that follows sizes alone ends exactly at the end.
    #[test]
    fn sizes_and_names_add_up() {
        let long = vec![7u8; 70_000];
        let made = archive(&[("input", &long), ("guest.be", b""), ("guest.le", b"x")]);
        let mut at = 0;
        let mut names = Vec::new();
        while at < made.len() {
            let field = |n: usize| {
                let from = at + 6 + 8 * n;
                usize::from_str_radix(str::from_utf8(&made[from..from + 8]).unwrap(), 16).unwrap()
            };
            let (size, name_len) = (field(6), field(11));
            names.push(String::from_utf8(made[at + 110..at + 109 + name_len].to_vec()).unwrap());
            at = (at + 110 + name_len).next_multiple_of(4);
            at = (at + size).next_multiple_of(4);
        }
        assert_eq!(names, ["input", "guest.be", "guest.le", "TRAILER!!!"]);
        assert_eq!(at, made.len());
    }
}
