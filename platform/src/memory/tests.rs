extern crate std;
use super::*;
use proptest::prelude::*;
use std::vec;

fn region(start: u64, len: u64) -> Region {
    Region::new(start, len).unwrap()
}

/// 2 GiB on each of two chips, and the firmware where it runs.
fn two_chips() -> MemoryMap {
    let mut map = MemoryMap::new(&[region(0, 2 << 30), region(2 << 30, 2 << 30)]);
    map.reserve(region(0x3000_0000, 16 << 20), Owner::Firmware, "firmware")
        .unwrap();
    map
}

#[test]
fn chips_memory_is_one() {
    assert_eq!(two_chips().ram(), [region(0, 4 << 30)]);
    assert!(two_chips().is_ram(&region((2 << 30) - 8, 16)));
}

#[test]
fn gaps_stay() {
    let map = MemoryMap::new(&[region(0, 0x1000), region(0x2000, 0x1000)]);
    assert_eq!(map.ram().len(), 2);
    assert!(!map.is_ram(&region(0xfff, 0x1002)));
}

#[test]
fn a_host_may_not_name_the_firmware() {
    let map = two_chips();
    assert!(map.is_host_ram(0, 4096));
    assert!(map.is_host_ram(0x2fff_f000, 4096));
    assert!(!map.is_host_ram(0x2fff_f000, 4097));
    assert!(!map.is_host_ram(0x3000_0000, 1));
    assert!(!map.is_host_ram(0x30ff_ffff, 1));
    assert!(map.is_host_ram(0x3100_0000, 4096));
    assert!(!map.is_host_ram((4 << 30) - 4095, 4096));
    assert!(!map.is_host_ram(0, 0));
    assert!(!map.is_host_ram(u64::MAX, 4096));
    assert!(!map.is_host_ram(1 << 63, 4096));
}

#[test]
fn a_host_may_name_its_own_image() {
    let mut map = two_chips();
    map.reserve(region(0x2000_0000, 4096), Owner::Host, "payload")
        .unwrap();
    assert!(map.is_host_ram(0x2000_0000, 8192));
}

#[test]
fn conflicts_are_named() {
    let mut map = two_chips();
    let initrd = region(0x2fff_0000, 0x2_0000);
    assert_eq!(
        map.reserve(initrd, Owner::Host, "initrd"),
        Err(MemoryError::Conflict {
            name: "initrd",
            region: initrd,
            other: "firmware",
            other_region: region(0x3000_0000, 16 << 20),
        })
    );
    let beyond = region(4 << 30, 4096);
    let error = map.reserve(beyond, Owner::Host, "initrd").unwrap_err();
    assert_eq!(
        std::format!("{error}"),
        "initrd at 0x100000000..=0x100000fff is not in RAM"
    );
    assert_eq!(map.reserved().len(), 1);
}

#[test]
fn too_many_reservations_are_refused() {
    let mut map = MemoryMap::new(&[region(0, 1 << 30)]);
    for page in 0..MAX_RESERVED as u64 {
        map.reserve(region(page << 12, 4096), Owner::Host, "page")
            .unwrap();
    }
    assert_eq!(
        map.reserve(region(1 << 29, 4096), Owner::Host, "last"),
        Err(MemoryError::Full { name: "last" })
    );
}

#[test]
fn a_free_run_ends_where_something_begins() {
    let map = two_chips();
    let free = map.free_from(0x2000_0000, 1 << 30).unwrap();
    assert_eq!(free.end(), 0x3000_0000);
    assert_eq!(map.free_from(0x2000_0000, 4096).unwrap().len_bytes(), 4096);
    assert_eq!(map.free_from(0x3000_0000, 4096), None);
    assert_eq!(map.free_from(5 << 30, 4096), None);
}

/// Ranges in the low 64 KiB, so that they meet often.
fn small_region() -> impl Strategy<Value = Region> {
    (0_u64..0x1_0000, 1_u64..0x2000).prop_map(|(start, len)| region(start, len))
}

fn small_map() -> impl Strategy<Value = MemoryMap> {
    let ram = vec![
        region(0, 0x4000),
        region(0x4000, 0x3000),
        region(0x9000, 0x7000),
    ];
    let wanted = prop::collection::vec((small_region(), any::<bool>()), 0..12);
    wanted.prop_map(move |wanted| {
        let mut map = MemoryMap::new(&ram);
        for (region, firmware) in wanted {
            let owner = if firmware {
                Owner::Firmware
            } else {
                Owner::Host
            };
            let _ = map.reserve(region, owner, "something");
        }
        map
    })
}

/// Whether one byte is RAM, and not the firmware's, looked up the slow way.
fn is_host_byte(map: &MemoryMap, address: u64) -> bool {
    let byte = region(address, 1);
    map.is_ram(&byte)
        && !map
            .firmware()
            .any(|firmware| firmware.region.contains(&byte))
}

proptest! {
    #[test]
    fn reservations_never_overlap(map in small_map()) {
        for pair in map.reserved().windows(2) {
            prop_assert!(pair[0].region.end() <= pair[1].region.start());
        }
        for reserved in map.reserved() {
            prop_assert!(map.is_ram(&reserved.region));
        }
    }

    #[test]
    fn host_ram_is_host_ram_in_every_byte(map in small_map(), asked in small_region()) {
        let every = (asked.start()..asked.end()).all(|address| is_host_byte(&map, address));
        prop_assert_eq!(map.is_host_ram(asked.start(), asked.len_bytes()), every);
    }

    #[test]
    fn any_address_and_length_is_answered(map in small_map(), address: u64, len: u64) {
        let answer = map.is_host_ram(address, len);
        prop_assert!(!answer || address < 0x1_0000);
    }

    #[test]
    fn the_highest_free_range_is_found(
        map in small_map(),
        len in 1_u64..0x3000,
        shift in 0_u32..13,
    ) {
        let align = 1_u64 << shift;
        let by_search = (0..0x1_0000_u64)
            .rev()
            .filter(|start| start % align == 0)
            .map(|start| region(start, len))
            .find(|region| map.check(*region, "something").is_ok());
        prop_assert_eq!(map.find_free(len, align), by_search);
    }
}
