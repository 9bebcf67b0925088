extern crate std;
use super::interrupts::LSI_MASKED;
use super::*;
use crate::chip::interrupts::Route;
use crate::chip::pci::bridge::FIRST_LSI;
use crate::chip::pci::bridge::tests::bridge;
use crate::memory::region::Region;
use std::boxed::Box;

/// Registers in memory: what was written last stays.
struct Bench {
    registers: Box<[u64; 512]>,
    phb: Phb3,
}

impl Bench {
    fn new() -> Self {
        let mut registers = Box::new([0_u64; 512]);
        let bridge = HostBridge {
            registers: crate::memory::real::address(registers.as_mut_ptr()),
            ..bridge(0, 1)
        };
        // SAFETY: the memory lives as long as the bench.
        let phb = unsafe { Phb3::start(bridge) }.unwrap();
        Self { registers, phb }
    }

    fn get(&self, register: Register) -> u64 {
        let at = &raw const self.registers[register as usize / 8];
        // SAFETY: within the memory; another pointer writes it.
        u64::from_be(unsafe { at.read_volatile() })
    }

    fn set(&mut self, register: Register, value: u64) {
        self.registers[register as usize / 8] = value.to_be();
    }

    /// The table's entry written last, and its value.
    fn entry(&self) -> (u64, u64) {
        (
            self.get(Register::IodaAddress),
            self.get(Register::IodaData),
        )
    }

    /// All that can change by a call: registers, tables, state.
    fn all(&self) -> std::vec::Vec<u64> {
        let words = |at: u64, len_bytes: u64| {
            let words = crate::memory::real::ptr(at).cast::<u64>();
            // SAFETY: within a table.
            (0..len_bytes as usize / 8).map(move |word| unsafe { words.add(word).read_volatile() })
        };
        let tables = &self.phb.tables;
        words(self.phb.bridge.registers, 0x1000)
            .chain(words(tables.rtt_address(), 0x2_0000))
            .chain(words(tables.ivt_address(), 0x8000))
            .chain(words(tables.peltv_address(), 0x2000))
            .chain((0..=255).map(|pe| u64::from(self.phb.frozen(pe))))
            .collect()
    }
}

#[test]
fn a_bridge_gets_its_tables() {
    let bench = Bench::new();
    let at = |register| bench.get(register);
    assert_eq!(at(Register::LsiSourceId), 0x07f8 << 48);
    assert_eq!(at(Register::Config), 0x0082_8000_0000_0000);
    assert_eq!(at(Register::M32Base), 0x3_ff80_8000_0000);
    assert_eq!(at(Register::M32Mask), 0xffff_ffff_8000_0000);
    assert_eq!(at(Register::M32Start), 0x8000_0000);
    let ivt = bench.phb.tables.ivt_address();
    assert_eq!(at(Register::IvtBar), 1 << 63 | ivt | 0x800);
    assert_eq!(at(Register::RtcInvalidate), 1 << 63);
    assert_eq!(LSI_MASKED, 0xff << 32);
}

#[test]
fn a_bridge_that_nobody_answers_for_is_none() {
    let mut registers = Box::new([u64::MAX; 512]);
    let bridge = HostBridge {
        registers: crate::memory::real::address(registers.as_mut_ptr()),
        ..bridge(0, 0)
    };
    // SAFETY: the memory outlives the call.
    let started = unsafe { Phb3::start(bridge) };
    assert!(matches!(started, Err(PciError::Hardware)));
}

#[test]
fn configuration_accesses_are_addressed() {
    let mut bench = Bench::new();
    bench.set(Register::ConfigData, 0x0102_0304_0506_0708);
    let read = |offset, width| bench.phb.read_config(0x0208, offset, width);
    assert_eq!(read(0x10, Width::Word), Ok(0x0403_0201));
    assert_eq!(bench.get(Register::ConfigAddress), 0x8020_8010_0000_0000);
    assert_eq!(read(0x12, Width::Half), Ok(0x0403));
    assert_eq!(read(0xfff, Width::Byte), Ok(4));
    assert_eq!(bench.get(Register::ConfigAddress), 0x8020_8ffc_0000_0000);
    let phb = &bench.phb;
    phb.write_config(0x0208, 4, Width::Half, 0x0506).unwrap();
    assert_eq!(bench.get(Register::ConfigData), 0x0605_0304_0506_0708);
    bench
        .phb
        .write_config(0, 0x18, Width::Word, 0x00ff_0100)
        .unwrap();
    assert_eq!(bench.get(Register::ConfigData) >> 32, 0x0001_ff00);
}

#[test]
fn wrong_configuration_accesses_change_nothing() {
    let bench = Bench::new();
    let before = bench.all();
    for (rid, offset, width, error) in [
        (0x100, 0x1000, Width::Byte, PciError::Argument),
        (0x100, 1, Width::Half, PciError::Argument),
        (0x100, 2, Width::Word, PciError::Argument),
        (8, 0, Width::Word, PciError::Hardware),
        (1, 0, Width::Byte, PciError::Hardware),
    ] {
        assert_eq!(bench.phb.read_config(rid, offset, width), Err(error));
        assert_eq!(bench.phb.write_config(rid, offset, width, 0), Err(error));
    }
    assert_eq!(bench.all(), before);
}

#[test]
fn ids_are_compared_as_asked() {
    let bench = Bench::new();
    let pe = |rid| bench.phb.tables.pe(rid);
    let set = |pe, rid, mask, map| bench.phb.set_pe(pe, Rids { rid, mask }, map);
    set(5, 0x0100, 0xff00, true);
    assert_eq!([0xff, 0x100, 0x1ff, 0x200].map(pe), [255, 5, 5, 255]);
    set(6, 0x0112, 0xffff, true);
    assert_eq!([0x111, 0x112, 0x113].map(pe), [5, 6, 5]);
    set(7, 0x0120, 0xfff8, true);
    assert_eq!([0x11f, 0x120, 0x127, 0x128].map(pe), [5, 7, 7, 5]);
    // The three upper bits of the bus.
    set(8, 0x4000, 0xe000, true);
    assert_eq!([0x3fff, 0x4000, 0x5fff, 0x6000].map(pe), [255, 8, 8, 255]);
    // Taken from those that have it alone.
    set(5, 0x0100, 0xff00, false);
    assert_eq!([0x100, 0x112, 0x120, 0x1ff].map(pe), [255, 6, 7, 255]);
    assert_eq!(bench.get(Register::RtcInvalidate), 1 << 63);
}

#[test]
fn windows_are_entries_of_tables() {
    let bench = Bench::new();
    let phb = &bench.phb;
    let all = phb.bridge.m64;
    assert_eq!(phb.enable_m64(15, false), Err(PciError::Partial));
    phb.set_m64(15, all).unwrap();
    assert_eq!(bench.entry(), (16 << 48 | 15, 0));
    phb.enable_m64(15, false).unwrap();
    assert_eq!(bench.entry(), (16 << 48 | 15, 0xbd00_0000_3fff_0000));
    phb.disable_m64(15).unwrap();
    assert_eq!(bench.entry(), (16 << 48 | 15, 0));
    phb.map_m32(9, 255).unwrap();
    assert_eq!(bench.entry(), (17 << 48 | 255, 9 << 48));
    phb.map_dma_real(9, 19, SECOND_WINDOW, 0x8000_0000).unwrap();
    assert_eq!(bench.entry(), (9 << 48 | 19, 0x80_1000));
    phb.map_dma_real(9, 19, 0, 0).unwrap();
    assert_eq!(bench.entry(), (9 << 48 | 19, 0));
    let tce = TceWindow {
        table: 0x1000_0000,
        level_bytes: 0x1_0000,
        levels: 1,
        page_bytes: 0x1000,
    };
    phb.map_dma(9, 18, Some(&tce)).unwrap();
    assert_eq!(bench.entry(), (9 << 48 | 18, 0x1_0000_0000 | 5 << 8 | 1));
}

/// All of such a window is one PE's, from when it is given to it until it is switched off.
#[test]
fn a_window_is_one_pes() {
    let bench = Bench::new();
    let phb = &bench.phb;
    let part = |len| Region::new(phb.bridge.m64.start(), len).unwrap();
    phb.give_m64(3, 0xa5).unwrap();
    assert_eq!(phb.enable_m64(3, true), Err(PciError::Partial));
    assert_eq!(phb.set_m64(3, part(16 << 20)), Err(PciError::Argument));
    phb.set_m64(3, part(32 << 20)).unwrap();
    assert_eq!(phb.enable_m64(3, false), Err(PciError::Argument));
    phb.enable_m64(3, true).unwrap();
    let entry = 0xfd00_0005_3fff_ffe5;
    assert_eq!(bench.entry(), (16 << 48 | 3, entry));
    assert_eq!(phb.give_m64(3, 1), Err(PciError::Partial));
    phb.disable_m64(3).unwrap();
    assert_eq!(phb.enable_m64(3, true), Err(PciError::Argument));
    phb.set_m64(3, part(16 << 20)).unwrap();
    assert_eq!(phb.give_m64(3, 1), Err(PciError::Argument));
    phb.enable_m64(3, false).unwrap();
    phb.set_m64(3, part(32 << 20)).unwrap();
    // Set, it is off.
    phb.give_m64(3, 1).unwrap();
}

#[test]
fn wrong_windows_change_nothing() {
    let bench = Bench::new();
    let phb = &bench.phb;
    let before = bench.all();
    let part = |start: u64, len| Region::new(phb.bridge.m64.start() + start, len).unwrap();
    for (window, region) in [
        (16, phb.bridge.m64),
        (u64::MAX, phb.bridge.m64),
        (0, part(0, 128 << 30)),
        (0, part(0, 3 << 30)),
        (0, part(1 << 29, 1 << 30)),
        (0, part(0, 1 << 19)),
        (0, part(1 << 20, 3 << 20)),
        (0, Region::new(0, 1 << 30).unwrap()),
    ] {
        assert_eq!(phb.set_m64(window, region), Err(PciError::Argument));
    }
    for window in [16, u64::MAX] {
        assert_eq!(phb.enable_m64(window, false), Err(PciError::Argument));
        assert_eq!(phb.disable_m64(window), Err(PciError::Argument));
        assert_eq!(phb.give_m64(window, 1), Err(PciError::Argument));
    }
    assert_eq!(phb.map_m32(0, 256), Err(PciError::Argument));
    assert_eq!(phb.map_dma(9, 17, None), Err(PciError::Argument));
    assert_eq!(phb.map_dma(9, 20, None), Err(PciError::Argument));
    let real = phb.map_dma_real(9, 19, 0, 0x8000_0000);
    assert_eq!(real, Err(PciError::Argument));
    assert_eq!(bench.all(), before);
}

const ROUTE: Route = Route {
    server: 0x88 << 2,
    priority: 5,
};
const OFF: Route = Route {
    priority: 0xff,
    ..ROUTE
};

#[test]
fn interrupts_have_routes() {
    let bench = Bench::new();
    for source in [0, 31, FIRST_LSI - 1] {
        assert_eq!(bench.phb.route(source).priority, 0xff);
        bench.phb.set_route(source, ROUTE);
        assert_eq!(bench.phb.route(source), ROUTE);
    }
    bench.phb.set_route(FIRST_LSI + 3, ROUTE);
    assert_eq!(bench.entry(), (2 << 48 | 3, 0x0002_2005 << 32));
    assert_eq!(bench.phb.route(FIRST_LSI + 3), ROUTE);
    let before = bench.all();
    bench.phb.set_route(2048, ROUTE);
    assert_eq!(bench.phb.route(u32::MAX).priority, 0xff);
    assert_eq!(bench.phb.set_msi_pe(FIRST_LSI, 1), Err(PciError::Argument));
    assert_eq!(bench.phb.msi(FIRST_LSI, false), Err(PciError::Argument));
    assert_eq!(bench.phb.end_msi(FIRST_LSI), Err(PciError::Argument));
    assert_eq!(bench.all(), before);
}

#[test]
fn an_msi_is_ended() {
    let bench = Bench::new();
    let ive = bench.phb.tables.ive(3).unwrap();
    bench.phb.set_route(3, ROUTE);
    bench.phb.set_msi_pe(3, 9).unwrap();
    // As the bridge does when it sends one: P, in the present generation.
    ive.p.store(3 << 1 | 1, Relaxed);
    bench.phb.end_msi(3).unwrap();
    assert_eq!(ive.p.load(Relaxed), 0, "a generation past the last");
    assert_eq!(bench.get(Register::FfiRequest), 0);
    assert_eq!(u16::from_be(ive.pe.load(Relaxed)), 9);
    assert_eq!(bench.phb.route(3), ROUTE);
    // It has come again meanwhile.
    ive.p.store(1, Relaxed);
    ive.q.store(1, Relaxed);
    bench.phb.end_msi(3).unwrap();
    assert_eq!((ive.p.load(Relaxed), ive.q.load(Relaxed)), (1 << 1, 0));
    assert_eq!(bench.get(Register::FfiRequest), 3 << 4);
}

#[test]
fn an_msi_that_came_while_it_was_off_is_sent_when_it_is_on() {
    let bench = Bench::new();
    let ive = bench.phb.tables.ive(5).unwrap();
    bench.phb.set_route(5, OFF);
    ive.q.store(1, Relaxed);
    bench.phb.set_route(5, ROUTE);
    assert_eq!(bench.get(Register::FfiRequest), 5 << 4);
    assert_eq!(ive.q.load(Relaxed), 0);
    // What is under way isn't sent twice, and is forgotten when it is switched off.
    ive.p.store(1, Relaxed);
    ive.q.store(1, Relaxed);
    bench.phb.set_route(5, ROUTE);
    assert_eq!(ive.q.load(Relaxed), 1);
    bench.phb.set_route(5, OFF);
    assert_eq!((ive.p.load(Relaxed), ive.q.load(Relaxed)), (0, 0));
}

/// Otherwise a bridge that keeps its lock would keep the host in the call.
#[test]
fn a_lock_that_is_never_free_is_given_up() {
    let mut bench = Bench::new();
    bench.set(Register::FfiLock, 1 << 63);
    let ive = bench.phb.tables.ive(3).unwrap();
    ive.q.store(1, Relaxed);
    bench.phb.end_msi(3).unwrap();
    assert_eq!(bench.get(Register::FfiRequest), 0);
}

#[test]
fn msis_have_addresses() {
    let phb = Bench::new().phb;
    let msi = |source, is_32_bit| phb.msi(source, is_32_bit).unwrap();
    let expected = Msi {
        address: 1 << 60 | 0x200,
        data: 3,
    };
    assert_eq!(msi(0x23, false), expected);
    assert_eq!(msi(0x23, true).address, 0xffff_0200);
}

#[test]
fn parts_of_a_pe_are_frozen() {
    let bench = Bench::new();
    bench.phb.set_frozen(7, 3, true);
    bench.phb.set_frozen(7, 2, false);
    assert_eq!([6, 7, 8].map(|pe| bench.phb.frozen(pe)), [0, 1, 0]);
}

#[test]
fn a_reset_forgets_all() {
    let bench = Bench::new();
    let before = bench.all();
    let phb = &bench.phb;
    phb.set_pe(
        5,
        Rids {
            rid: 0x100,
            mask: 0xff00,
        },
        true,
    );
    phb.set_child(5, 6, true);
    phb.set_route(3, ROUTE);
    phb.set_frozen(7, 3, true);
    phb.set_m64(15, phb.bridge.m64).unwrap();
    phb.give_m64(14, 1).unwrap();
    phb.clear_tables();
    assert_eq!(phb.enable_m64(15, false), Err(PciError::Partial));
    assert_eq!(phb.enable_m64(14, false), Err(PciError::Partial));
    let after = bench.all();
    // But for registers that take orders.
    assert_eq!(after[0x1000 / 8..], before[0x1000 / 8..]);
}

#[test]
fn a_reset_of_the_bus_is_begun_and_ended() {
    let bench = Bench::new();
    bench.phb.reset_bus(true);
    assert_eq!(bench.get(Register::ConfigAddress), 0x8000_003c_0000_0000);
    assert_eq!(bench.get(Register::ConfigData) >> 32, 0x0000_4000);
    let number = |place: u8| Function {
        address: PciAddress::new(0, place, 0, 0),
        vendor: 1,
        device: 1,
        class: 0x06_0400,
        revision: 0,
        pin: 0,
        is_express: true,
        parent: place.checked_sub(1).map(usize::from),
        bridge: Some(Bridge {
            primary: place,
            secondary: place + 1,
            subordinate: 9,
            is_link: true,
        }),
    };
    bench.phb.note_functions(&[number(0), number(1), number(2)]);
    bench.phb.reset_bus(false);
    // The last that was told its numbers.
    assert_eq!(bench.get(Register::ConfigAddress), 0x8020_0018_0000_0000);
    assert_eq!(bench.get(Register::ConfigData) >> 32, 0x0203_0900);
}
