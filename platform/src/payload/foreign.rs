//! Files that people take for kernels, and that no processor can run as they are.

/// How a file begins, and what it is then.
const KNOWN: [(&[u8], &str); 19] = [
    (b"\x1f\x8b", "packed by gzip"),
    (b"\xfd7zXZ\0", "packed by xz"),
    (b"\x5d\0\0", "packed by lzma"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd"),
    (b"BZh", "packed by bzip2"),
    (b"\x04\x22\x4d\x18", "packed by lz4"),
    (b"\x02\x21\x4c\x18", "packed by lz4"),
    (b"\x89LZO", "packed by lzop"),
    (b"PK\x03\x04", "a zip file"),
    (b"\x17\x08\x20\x11", "in a signed container"),
    (b"\x27\x05\x19\x56", "a U-Boot image"),
    (b"\xd0\x0d\xfe\xed", "a device tree"),
    (b"MZ", "a PE file"),
    (b"\x01\xdf", "an XCOFF file"),
    (b"\x01\xf7", "an XCOFF file"),
    (b"07070", "a cpio archive"),
    (b"!<arch>", "an archive"),
    (b"hsqs", "a file system"),
    (b"#!", "a script"),
];

/// Primary opcodes that POWER8 has no instruction for (Power ISA 2.07 Book I, appendix F).
const RESERVED_OPCODES: [u8; 5] = [0, 1, 5, 6, 9];

/// What is wrong with a file that isn't ELF, if that can be told by its first bytes.
pub fn why_foreign(file: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| file.starts_with(magic)) {
        return Some(what);
    }
    let &[first, ..] = file else {
        return Some("empty");
    };
    let no_code = RESERVED_OPCODES.contains(&(first >> 2)) || file.starts_with(&[0xff; 4]);
    no_code.then_some("no code: POWER8 has no such first instruction")
}
