extern crate std;
use super::*;
use platform::chip::pci::HostBridge;
use platform::chip::pci::phb3::SECOND_WINDOW;
use platform::memory::real;
use std::boxed::Box;
use std::vec::Vec;

/// A bridge whose registers are memory.
struct Bench {
    registers: Box<[u64; 512]>,
    phb: Phb3,
}

const M64: u64 = 0x3_d000_0000_0000;
const M64_LEN: u64 = 64 << 30;

impl Bench {
    fn new() -> Self {
        let mut registers = Box::new([0_u64; 512]);
        let bridge = HostBridge {
            chip: 0,
            index: 0,
            registers: real::address(registers.as_mut_ptr()),
            m32: Region::new(0x3_ff80_0000_0000, 0x8000_0000).unwrap(),
            m64: Region::new(M64, M64_LEN).unwrap(),
            is_qemu: true,
        };
        // SAFETY: the memory lives as long as the bench.
        let phb = unsafe { Phb3::start(bridge) }.unwrap();
        Self { registers, phb }
    }

    /// All registers: each change of a table on the chip shows in them.
    fn registers(&self) -> Vec<u64> {
        let first = self.registers.as_ptr();
        // SAFETY: within the memory, which the bridge's driver writes by another pointer.
        (0..512)
            .map(|place| unsafe { first.add(place).read_volatile() })
            .collect()
    }

    /// A call that is refused, and changes nothing.
    fn refuses<T: core::fmt::Debug>(&self, call: impl Fn(&Phb3) -> Answer<T>) -> Status {
        let before = self.registers();
        let frozen = |pe| self.phb.frozen(pe);
        let frozen_before: Vec<u8> = (0..=255).map(frozen).collect();
        let why = call(&self.phb).unwrap_err();
        assert_eq!(self.registers(), before);
        assert!((0..=255).map(frozen).eq(frozen_before));
        why
    }
}

const HUGE: [u64; 4] = [256, 0x1_0000, 1 << 32, u64::MAX];

#[test]
fn pes_are_below_256() {
    let bench = Bench::new();
    let bus = Compared {
        rid: 0x100,
        bus: 7,
        device: 0,
        function: 0,
    };
    let tables = Tables {
        levels: 1,
        address: 0x1000_0000,
        level_bytes: 0x1_0000,
        page_bytes: 0x1000,
    };
    let ram = |address, _| Some(address);
    for pe in HUGE {
        let window = pe.wrapping_mul(2);
        for why in [
            bench.refuses(|phb| set_pe(phb, pe, bus, 1)),
            bench.refuses(|phb| set_peltv(phb, pe, 0, 1)),
            bench.refuses(|phb| set_peltv(phb, 0, pe, 1)),
            bench.refuses(|phb| map_mmio(phb, pe, 1, 0, 0)),
            bench.refuses(|phb| map_dma(phb, pe, window, tables, ram)),
            bench.refuses(|phb| map_dma_real(phb, pe, window, 0, 0)),
            bench.refuses(|phb| set_msi_pe(phb, pe, 0)),
            bench.refuses(|phb| set_frozen(phb, pe, 3, true)),
            bench.refuses(|phb| frozen(phb, pe)),
            bench.refuses(|_| inject(pe, 0, 0)),
        ] {
            assert_eq!(why, Status::Parameter, "{pe:#x}");
        }
    }
}

#[test]
fn requester_ids_are_compared_by_what_is_known() {
    let bench = Bench::new();
    let good = Compared {
        rid: 0x100,
        bus: 7,
        device: 1,
        function: 1,
    };
    set_pe(&bench.phb, 1, good, 1).unwrap();
    set_pe(&bench.phb, 1, good, 0).unwrap();
    for bus in pci::BUS_3_BITS..=pci::BUS_7_BITS {
        set_pe(&bench.phb, 1, Compared { bus, ..good }, 1).unwrap();
    }
    for wrong in [
        Compared {
            rid: 0x1_0000,
            ..good
        },
        Compared { bus: 1, ..good },
        Compared { bus: 8, ..good },
        Compared { device: 2, ..good },
        Compared {
            function: 2,
            ..good
        },
    ] {
        let why = bench.refuses(|phb| set_pe(phb, 1, wrong, 1));
        assert_eq!(why, Status::Parameter, "{wrong:?}");
    }
    let why = bench.refuses(|phb| set_pe(phb, 1, good, 2));
    assert_eq!(why, Status::Parameter);
}

#[test]
fn windows_are_of_known_kinds() {
    let bench = Bench::new();
    let set = |kind| move |phb: &Phb3| set_window(phb, kind, 15, M64, 0, M64_LEN);
    assert_eq!(bench.refuses(set(1)), Status::Unsupported);
    assert_eq!(bench.refuses(set(3)), Status::Unsupported);
    assert_eq!(bench.refuses(set(4)), Status::Parameter);
    let pci = |phb: &Phb3| set_window(phb, 2, 15, M64, 0x1000, M64_LEN);
    assert_eq!(bench.refuses(pci), Status::Parameter);
    let nothing = |phb: &Phb3| set_window(phb, 2, 15, M64, 0, 0);
    assert_eq!(bench.refuses(nothing), Status::Parameter);
    let early = |phb: &Phb3| enable_window(phb, 2, 15, 1);
    assert_eq!(bench.refuses(early), Status::Partial);
    set(2)(&bench.phb).unwrap();
    enable_window(&bench.phb, 2, 15, 1).unwrap();
    enable_window(&bench.phb, 2, 15, 0).unwrap();
    let how = |how| move |phb: &Phb3| enable_window(phb, 2, 15, how);
    assert_eq!(bench.refuses(how(2)), Status::Parameter);
    assert_eq!(bench.refuses(how(3)), Status::Parameter);
    let map = |kind, window| move |phb: &Phb3| map_mmio(phb, 1, kind, window, 0);
    assert_eq!(bench.refuses(map(1, 1)), Status::Parameter);
    assert_eq!(bench.refuses(map(3, 0)), Status::Unsupported);
    assert_eq!(bench.refuses(map(0, 0)), Status::Parameter);
    assert_eq!(bench.refuses(map(2, 16)), Status::Parameter);
    let segment = |phb: &Phb3| map_mmio(phb, 1, 2, 15, 1);
    assert_eq!(bench.refuses(segment), Status::Parameter);
    map(2, 15)(&bench.phb).unwrap();
    enable_window(&bench.phb, 2, 15, 2).unwrap();
    assert_eq!(bench.refuses(map(2, 15)), Status::Partial);
    assert_eq!(bench.refuses(how(1)), Status::Parameter);
}

/// Tables lie in the host's memory, whole.
#[test]
fn tables_are_the_hosts() {
    let bench = Bench::new();
    let tables = Tables {
        levels: 1,
        address: 0xc000_0000_1000_0000,
        level_bytes: 0x1_0000,
        page_bytes: 0x1000,
    };
    let asked = core::cell::Cell::new((0, 0));
    let ram = |address, len| {
        asked.set((address, len));
        Some(0x1000_0000)
    };
    map_dma(&bench.phb, 3, 6, tables, ram).unwrap();
    assert_eq!(asked.get(), (tables.address, 0x1_0000));
    let why = bench.refuses(|phb| map_dma(phb, 3, 6, tables, |_, _| None));
    assert_eq!(why, Status::Parameter);
    // A window is closed without any.
    let closed = Tables {
        level_bytes: 0,
        ..tables
    };
    map_dma(&bench.phb, 3, 6, closed, |_, _| None).unwrap();
    let other = bench.refuses(|phb| map_dma_real(phb, 3, 5, SECOND_WINDOW, 0x8000_0000));
    assert_eq!(other, Status::Parameter);
}

#[test]
fn msis_are_one_at_a_time() {
    let bench = Bench::new();
    let one = msi(&bench.phb, 3, 1, false).unwrap();
    assert_eq!((one.address, one.data), (1 << 60, 3));
    for (number, count) in [(3, 0), (3, 2), (0x7f8, 1), (1 << 32, 1)] {
        let why = bench.refuses(|phb| msi(phb, number, count, false));
        assert_eq!(why, Status::Parameter);
    }
    // By number within the bridge, and by global number.
    end_msi(&bench.phb, 3).unwrap();
    end_msi(&bench.phb, 0x803).unwrap();
    for number in [0x7f8, 0xfff, 0x1000, u64::MAX] {
        assert_eq!(bench.refuses(|phb| end_msi(phb, number)), Status::Parameter);
    }
}

#[test]
fn resets_have_scopes() {
    let bench = Bench::new();
    set_frozen(&bench.phb, 1, 3, true).unwrap();
    for scope in [1, 3, 4, 5] {
        reset(&bench.phb, scope, 1).unwrap();
        reset(&bench.phb, scope, 0).unwrap();
    }
    assert_eq!(frozen(&bench.phb, 1), Ok(3));
    for (scope, state, why) in [
        (0, 1, Status::Parameter),
        (2, 1, Status::Unsupported),
        (7, 1, Status::Parameter),
        (6, 2, Status::Parameter),
    ] {
        assert_eq!(bench.refuses(|phb| reset(phb, scope, state)), why);
    }
    reset(&bench.phb, 6, 1).unwrap();
    assert_eq!(frozen(&bench.phb, 1), Ok(0));
}

#[test]
fn parts_that_freeze_are_known() {
    let bench = Bench::new();
    for parts in [0, 4, 256 + 1] {
        let why = bench.refuses(|phb| set_frozen(phb, 1, parts, true));
        assert_eq!(why, Status::Parameter);
    }
    set_frozen(&bench.phb, 1, 2, true).unwrap();
    assert_eq!(frozen(&bench.phb, 1), Ok(2));
    set_frozen(&bench.phb, 1, 3, false).unwrap();
    assert_eq!(frozen(&bench.phb, 1), Ok(0));
}

#[test]
fn errors_are_not_made() {
    for (kind, function, why) in [
        (0, 0, Status::Unsupported),
        (1, 19, Status::Unsupported),
        (2, 0, Status::Parameter),
        (0, 20, Status::Parameter),
    ] {
        assert_eq!(inject(0, kind, function), Err(why));
    }
}

#[test]
fn ids_and_offsets_of_configuration_space_have_limits() {
    let bench = Bench::new();
    for (rid, offset) in [(0x1_0000, 0), (0x100, 0x1000), (0x100, 1 << 32), (0x100, 2)] {
        let read = |phb: &Phb3| read_config(phb, rid, offset, Width::Word);
        assert_eq!(bench.refuses(read), Status::Parameter);
        let write = |phb: &Phb3| write_config(phb, rid, offset, Width::Word, 0);
        assert_eq!(bench.refuses(write), Status::Parameter);
    }
    let beside = |phb: &Phb3| read_config(phb, 8, 0, Width::Word);
    assert_eq!(bench.refuses(beside), Status::Hardware);
}
