extern crate std;
use super::*;
use crate::memory::Owner;
use proptest::prelude::*;
use std::string::ToString;
use std::sync::LazyLock;
use std::vec;

mod file;
use file::{Load, elf};

const PF_X: u32 = 1;

const KERNEL: u64 = 0xc000_0000_0000_0000;

/// As Linux's vmlinux is laid out: one segment at file offset 64 KiB, linked high, and .bss.
const LINUX: Load = Load {
    flags: 7,
    offset: 0x1_0000,
    vaddr: KERNEL,
    paddr: 0,
    file_len: 0x2_0000,
    mem_len: 0x5_0000,
};

/// 2 GiB, with firmware and an initial RAM disk where they usually are.
fn map() -> MemoryMap {
    let mut map = MemoryMap::new(&[Region::new(0, 2 << 30).unwrap()]);
    for (start, name, owner) in [
        (0x2800_0000, "initrd", Owner::Host),
        (0x3000_0000, "firmware", Owner::Firmware),
    ] {
        map.reserve(Region::new(start, 16 << 20).unwrap(), owner, name)
            .unwrap();
    }
    map
}

fn region(start: u64, len: u64) -> Region {
    Region::new(start, len).unwrap()
}

fn error_of(file: &[u8]) -> PayloadError {
    examine(file, BASE, &map()).unwrap_err()
}

/// The file with two bytes replaced, big-endian.
fn patched(mut file: Vec<u8>, at: usize, value: u16) -> Vec<u8> {
    file[at..at + 2].copy_from_slice(&value.to_be_bytes());
    file
}

#[test]
fn linux_runs_where_it_lies() {
    let payload = examine(&elf(true, KERNEL, &[LINUX]), BASE, &map()).unwrap();
    assert_eq!(payload.entry, 0x2001_0000);
    let format = Format::Elf {
        little_endian: true,
        in_place: true,
    };
    assert_eq!(payload.format, format);
    assert_eq!(payload.images, [region(0x2001_0000, 0x5_0000)]);
    assert_eq!(payload.zeros, [region(0x2003_0000, 0x3_0000)]);
    assert_eq!(payload.copies, []);
}

#[test]
fn a_flat_file_is_entered_at_its_beginning() {
    let file = vec![0x48; 4096];
    let payload = examine(&file, BASE, &map()).unwrap();
    assert_eq!((payload.entry, payload.format), (BASE, Format::Flat));
}

/// Packed kernels, images of other machines, archives, noise: none of them is entered.
#[test]
fn what_is_no_code_is_refused_by_its_first_bytes() {
    let files: [(&[u8], &str); 8] = [
        (b"\x1f\x8b\x08\0\0\0\0\0", "packed by gzip"),
        (b"\xfd7zXZ\0\0\x04", "packed by xz"),
        (b"\x28\xb5\x2f\xfd\x04\0", "packed by zstd"),
        (b"BZh91AY&SY", "packed by bzip2"),
        (b"MZ\0\0", "a PE file"),
        (b"\x17\x08\x20\x11", "in a signed container"),
        (b"\xff\xff\xff\xff", "no such first instruction"),
        (b"\x00\x01\x02\x03", "no such first instruction"),
    ];
    for (start, what) in files {
        let mut file = start.to_vec();
        file.resize(4096, 0x60);
        let error = error_of(&file);
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// Instructions with which kernels begin: a branch, nop, `tdi 0,0,0x48` (which is a branch read in the other
/// byte order), `mflr`, `li`, `lis`, `mr`.
#[test]
fn kernels_first_instructions_are_none_of_these() {
    for word in [
        0x4800_0100u32,
        0x6000_0000,
        0x0800_0048,
        0x7c08_02a6,
        0x3800_0005,
        0x3d20_0001,
        0x7d02_4378,
    ] {
        let file = word.to_be_bytes().repeat(16);
        assert_eq!(examine(&file, BASE, &map()).unwrap().format, Format::Flat);
    }
}

#[test]
fn nothing_is_no_payload() {
    assert_eq!(error_of(&[0; 4096]), PayloadError::None(BASE));
    assert_eq!(error_of(&[]), PayloadError::None(BASE));
    assert_eq!(error_of(b"ab"), PayloadError::None(BASE));
    assert_eq!(
        error_of(&[0; 8]).to_string(),
        "no payload at 0x20000000: give one with -kernel"
    );
}

#[test]
fn a_bss_of_its_own_follows_the_rest() {
    let bss = Load {
        flags: 6,
        offset: 0x777,
        vaddr: KERNEL + 0x10_0000,
        file_len: 0,
        mem_len: 0x1000,
        ..LINUX
    };
    let payload = examine(&elf(false, KERNEL, &[LINUX, bss]), BASE, &map()).unwrap();
    assert_eq!(payload.images[1], region(0x2011_0000, 0x1000));
    assert_eq!(payload.zeros[1], region(0x2011_0000, 0x1000));
}

/// Code and data that don't lie in the file as they are linked.
const SPREAD: [Load; 2] = [
    Load {
        flags: 5,
        offset: 0x1000,
        vaddr: 0x40_0000,
        paddr: 0x40_0000,
        file_len: 0x100,
        mem_len: 0x100,
    },
    Load {
        flags: 6,
        offset: 0x2000,
        vaddr: 0x80_0000,
        paddr: 0x50_0000,
        file_len: 0x100,
        mem_len: 0x300,
    },
];

#[test]
fn spread_segments_are_copied() {
    let payload = examine(&elf(false, 0x40_0010, &SPREAD), BASE, &map()).unwrap();
    assert_eq!(payload.entry, 0x40_0010);
    let format = Format::Elf {
        little_endian: false,
        in_place: false,
    };
    assert_eq!(payload.format, format);
    let copy = |from, to| Copy {
        from: BASE + from,
        to,
        len_bytes: 0x100,
    };
    assert_eq!(
        payload.copies,
        [copy(0x1000, 0x40_0000), copy(0x2000, 0x50_0000)]
    );
    assert_eq!(payload.zeros, [region(0x50_0100, 0x200)]);
}

#[test]
fn placing_copies_and_clears() {
    // The build host's heap plays the machine's memory: file, then room for the segments.
    let mut memory = vec![0xee_u8; 0x6_0000];
    let base = crate::memory::real::address(memory.as_mut_ptr());
    let at = |paddr: u64| Load {
        paddr: base + paddr,
        ..SPREAD[1]
    };
    let data = at(0x5_0000);
    let code = Load {
        flags: PF_X,
        vaddr: 0x100,
        mem_len: 0x100,
        ..at(0x4_8000)
    };
    let mut file = elf(false, 0x100, &[code, data]);
    file[0x2000..0x2100].fill(0xab);
    memory[..file.len()].copy_from_slice(&file);
    let map = MemoryMap::new(&[region(base, memory.len() as u64)]);
    let payload = examine(&file, base, &map).unwrap();
    // SAFETY: the map is of `memory`, which holds the file.
    unsafe { payload.place() };
    assert_eq!(payload.entry, base + 0x4_8000);
    assert_eq!(memory[0x4_8000..0x4_8100], [0xab; 0x100]);
    assert_eq!(memory[0x5_0000..0x5_0100], [0xab; 0x100]);
    assert_eq!(memory[0x5_0100..0x5_0300], [0; 0x200]);
    assert_eq!(memory[0x5_0300], 0xee);
}

#[test]
fn wrong_headers_are_refused() {
    let good = elf(false, KERNEL, &[LINUX]);
    assert_eq!(error_of(&good[..63]), PayloadError::Truncated);
    assert_eq!(error_of(&good[..64 + 55]), PayloadError::Truncated);
    assert_eq!(
        error_of(&patched(good.clone(), 4, 0x0102)),
        PayloadError::Class(1)
    );
    assert_eq!(
        error_of(&patched(good.clone(), 5, 0x0301)),
        PayloadError::Encoding(3)
    );
    assert_eq!(
        error_of(&patched(good.clone(), 16, 1)),
        PayloadError::Type(1)
    );
    assert_eq!(
        error_of(&patched(good.clone(), 18, 62)),
        PayloadError::Machine(62)
    );
    assert_eq!(
        error_of(&patched(good.clone(), 54, 32)),
        PayloadError::HeaderSize(32)
    );
    assert_eq!(
        error_of(&patched(good.clone(), 56, 0)),
        PayloadError::SegmentCount(0)
    );
    assert_eq!(
        error_of(&elf(false, KERNEL, &[LINUX; 65])),
        PayloadError::SegmentCount(65)
    );
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let error = |load| error_of(&elf(false, KERNEL, &[load]));
    let outside = Load {
        offset: 0x3_0000,
        ..LINUX
    };
    assert_eq!(error(outside), PayloadError::Segment(0));
    let wrapping_file = Load {
        offset: u64::MAX,
        ..LINUX
    };
    assert_eq!(error(wrapping_file), PayloadError::Segment(0));
    let wrapping = Load {
        vaddr: u64::MAX - 5,
        ..LINUX
    };
    assert_eq!(error(wrapping), PayloadError::Segment(0));
    let smaller_than_its_file = Load {
        mem_len: 1,
        ..LINUX
    };
    assert_eq!(error(smaller_than_its_file), PayloadError::Segment(0));
    let twice = error_of(&elf(false, KERNEL, &[LINUX, LINUX]));
    assert!(matches!(twice, PayloadError::Overlap(..)));
    let onto_the_file = Load {
        paddr: BASE + 0x1000,
        ..SPREAD[1]
    };
    let error = error_of(&elf(false, 0x40_0000, &[SPREAD[0], onto_the_file]));
    assert!(matches!(error, PayloadError::Overlap(..)));
}

#[test]
fn a_bss_that_meets_something_is_refused() {
    for (mem_len, other) in [(0x0800_0000, "initrd"), (0x1000_0000, "initrd")] {
        let load = Load { mem_len, ..LINUX };
        let PayloadError::Memory(MemoryError::Conflict { other: met, .. }) =
            error_of(&elf(true, KERNEL, &[load]))
        else {
            panic!("no conflict");
        };
        assert_eq!(met, other);
    }
    let onto_the_firmware = Load {
        paddr: 0x3000_1000,
        ..SPREAD[1]
    };
    let error = error_of(&elf(false, 0x40_0000, &[SPREAD[0], onto_the_firmware]));
    assert!(error.to_string().contains("meets firmware"), "{error}");
    let nowhere = Load {
        paddr: KERNEL,
        ..SPREAD[1]
    };
    let error = error_of(&elf(false, 0x40_0000, &[SPREAD[0], nowhere]));
    assert!(error.to_string().contains("not in RAM"), "{error}");
}

#[test]
fn an_entry_outside_code_is_refused() {
    for entry in [0, KERNEL - 4, KERNEL + 0x2_0000, KERNEL + 2, u64::MAX] {
        let file = elf(true, entry, &[LINUX]);
        assert_eq!(error_of(&file), PayloadError::Entry(entry));
    }
    let data = Load { flags: 6, ..LINUX };
    let file = elf(true, KERNEL, &[data]);
    assert_eq!(error_of(&file), PayloadError::Entry(KERNEL));
}

#[test]
fn the_window_ends_at_the_initrd() {
    assert_eq!(window(&map(), BASE).unwrap(), region(BASE, MAX_LEN));
    assert_eq!(
        window(&map(), 0x3000_0000),
        Err(PayloadError::None(0x3000_0000))
    );
}

/// A payload that was accepted touches only what it may, and starts in what it has.
fn assert_sound(payload: &Payload, map: &MemoryMap) {
    for image in &payload.images {
        assert!(map.check(*image, "payload").is_ok());
    }
    for pair in payload.images.windows(2) {
        assert!(pair[0].end() <= pair[1].start());
    }
    let inside = |region: Region| payload.images.iter().any(|image| image.contains(&region));
    assert!(inside(region(payload.entry, 1)) && payload.entry.is_multiple_of(4));
    assert!(payload.zeros.iter().all(|&zero| inside(zero)));
    for copy in &payload.copies {
        assert!(inside(region(copy.to, copy.len_bytes)));
        assert!(copy.from >= BASE && copy.from + copy.len_bytes <= BASE + 0x4_0000);
    }
}

/// Files to be mutated: each kind in each byte order.
static FILES: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    [
        elf(false, KERNEL, &[LINUX]),
        elf(true, KERNEL, &[LINUX]),
        elf(false, 0x40_0000, &SPREAD),
        elf(true, 0x40_0000, &SPREAD),
    ]
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn mutated_files_are_run_or_refused(
        kind in 0_usize..4,
        mutations in prop::collection::vec((0_usize..64 + 2 * 56, any::<u8>()), 0..6),
    ) {
        let mut file = FILES[kind].clone();
        for (at, byte) in mutations {
            file[at] = byte;
        }
        let map = map();
        match examine(&file, BASE, &map) {
            Ok(payload) if payload.format == Format::Flat => {
                prop_assert_ne!(&file[..4], b"\x7fELF");
            }
            Ok(payload) => assert_sound(&payload, &map),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
