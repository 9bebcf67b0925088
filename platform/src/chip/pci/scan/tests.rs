extern crate std;
use super::sim::{Lie, Sim, SimDevice};
use super::*;
use std::vec;

const NVME: u32 = 0x01_0802;
const ETHERNET: u32 = 0x02_0000;
const BRIDGE: u32 = 0x06_0400;
const UPSTREAM: u32 = 5;
const TO_PCI: u32 = 7;

fn root_port() -> SimDevice {
    SimDevice::new(None, 0, BRIDGE).express(u32::from(ROOT_PORT))
}

/// Behind the root port alone.
fn plugged(device: SimDevice) -> Sim {
    Sim::new(vec![root_port(), device])
}

fn places(functions: &[Function]) -> Vec<(u8, u8, u8, Option<usize>)> {
    functions
        .iter()
        .map(|function| {
            let at = function.address;
            (at.bus(), at.device(), at.function(), function.parent)
        })
        .collect()
}

fn buses(function: &Function) -> (u8, u8, u8) {
    let bridge = function.bridge.unwrap();
    (bridge.primary, bridge.secondary, bridge.subordinate)
}

#[test]
fn an_empty_slot_keeps_all_buses() {
    let sim = Sim::new(vec![root_port()]);
    let functions = scan(&sim, 3);
    assert_eq!(places(&functions), [(0, 0, 0, None)]);
    assert_eq!(buses(&functions[0]), (0, 1, 0xff));
    assert_eq!(functions[0].address.segment(), 3);
    assert_eq!(sim.word(0, BUS_NUMBERS), 0x00ff_0100);
    // Known at once: the port is read, and one address behind it.
    assert!(sim.reads() < 16, "{}", sim.reads());
}

#[test]
fn a_device_is_found_and_described() {
    let mut nvme = SimDevice::new(Some(0), 0, NVME).express(0);
    nvme.config[1] |= 6;
    let sim = plugged(nvme);
    let functions = scan(&sim, 0);
    assert_eq!(places(&functions), [(0, 0, 0, None), (1, 0, 0, Some(0))]);
    assert_eq!(buses(&functions[0]), (0, 1, 1));
    let nvme = functions[1];
    assert_eq!((nvme.vendor, nvme.device, nvme.revision), (0x1b36, 0x10, 2));
    assert_eq!((nvme.class, nvme.pin, nvme.bridge), (NVME, 1, None));
    assert!(nvme.is_express);
    assert_eq!(sim.word(1, COMMAND_STATUS) & 0xffff, 0, "it may do DMA");
}

#[test]
fn a_switch_has_a_bus_for_each_port_and_more_for_an_empty_one() {
    let mut devices = vec![root_port()];
    devices.push(SimDevice::new(Some(0), 0, BRIDGE).express(UPSTREAM));
    for port in 0..3 {
        let downstream = SimDevice::new(Some(1), port, BRIDGE);
        devices.push(downstream.express(u32::from(DOWNSTREAM_PORT)));
    }
    devices.push(SimDevice::new(Some(2), 0, NVME));
    devices.push(SimDevice::new(Some(4), 0, ETHERNET));
    let functions = scan(&Sim::new(devices), 0);
    let found = places(&functions);
    assert_eq!(found[1..3], [(1, 0, 0, Some(0)), (2, 0, 0, Some(1))]);
    assert_eq!(found[3..5], [(3, 0, 0, Some(2)), (2, 1, 0, Some(1))]);
    assert_eq!(found[5..], [(2, 2, 0, Some(1)), (9, 0, 0, Some(5))]);
    let buses: Vec<_> = functions
        .iter()
        .filter(|function| function.bridge.is_some())
        .map(buses)
        .collect();
    assert_eq!(
        buses,
        [(0, 1, 9), (1, 2, 9), (2, 3, 3), (2, 4, 8), (2, 9, 9)]
    );
}

#[test]
fn devices_behind_a_legacy_bridge_have_any_number() {
    let mut devices = vec![root_port()];
    devices.push(SimDevice::new(Some(0), 0, BRIDGE).express(TO_PCI));
    devices.push(SimDevice::new(Some(1), 2, ETHERNET));
    devices.push(SimDevice::new(Some(1), 31, NVME));
    let functions = scan(&Sim::new(devices), 0);
    let found = places(&functions);
    assert_eq!(found[2..], [(2, 2, 0, Some(1)), (2, 31, 0, Some(1))]);
    assert!(!functions[2].is_express);
    // A link has one device, whatever answers to other numbers.
    let functions = scan(&plugged(SimDevice::new(Some(0), 1, NVME)), 0);
    assert_eq!(functions.len(), 1);
}

#[test]
fn functions_are_looked_for_when_the_first_says_so() {
    let mut first = SimDevice::new(Some(0), 0, NVME);
    let mut third = SimDevice::new(Some(0), 0, ETHERNET);
    third.function = 2;
    let sim = Sim::new(vec![root_port(), first.clone(), third.clone()]);
    assert_eq!(scan(&sim, 0).len(), 2);
    first.config[3] |= 0x80 << 16;
    let functions = scan(&Sim::new(vec![root_port(), first, third]), 0);
    assert_eq!(functions[2].address.function(), 2);
    assert_eq!(functions.len(), 3);
}

/// Each costs itself; the root port stays.
#[test]
fn devices_that_contradict_themselves_are_left_out() {
    let device = |class| SimDevice::new(Some(0), 0, class);
    let with = |mut device: SimDevice, change: fn(&mut SimDevice)| {
        change(&mut device);
        device
    };
    let liars = [
        with(device(NVME), |d| d.config[0] = 0x0001_0001),
        with(device(NVME), |d| d.config[3] = 2 << 16),
        with(device(NVME), |d| d.config[3] = 0x55 << 16),
        with(device(NVME), |d| d.config[3] = 1 << 16),
        with(device(BRIDGE), |d| d.config[3] = 0),
        with(device(NVME), |d| d.lie = Lie::Ones),
        with(device(BRIDGE), |d| d.lie = Lie::StuckNumbers),
        // A capability that is its own next one, two in a circle, one within the header.
        with(device(NVME).express(0), |d| d.config[0x12] = 0x4805),
        with(device(NVME).express(0), |d| {
            d.config[0x12] = 0x5005;
            d.config[0x14] = 0x4805;
        }),
        with(device(NVME).express(0), |d| d.config[0x0d] = 0x10),
    ];
    for liar in liars {
        let sim = plugged(liar.clone());
        assert_eq!(scan(&sim, 0).len(), 1, "{liar:?}");
    }
}

#[test]
fn a_pin_that_is_none_is_none() {
    let mut device = SimDevice::new(Some(0), 0, NVME);
    device.config[15] = 0x0500;
    assert_eq!(scan(&plugged(device), 0)[1].pin, 0);
}

#[test]
fn bridges_behind_bridges_end_somewhere() {
    let mut devices = vec![root_port()];
    for parent in 0..40 {
        devices.push(SimDevice::new(Some(parent), 0, BRIDGE));
    }
    let functions = scan(&Sim::new(devices), 0);
    assert_eq!(functions.len(), MAX_DEPTH - 1);
}

#[test]
fn buses_end_somewhere() {
    let mut devices = vec![root_port()];
    devices.push(SimDevice::new(Some(0), 0, BRIDGE).express(TO_PCI));
    for middle in 0..32 {
        let parent = devices.len();
        devices.push(SimDevice::new(Some(1), middle, BRIDGE));
        devices.extend((0..16).map(|device| SimDevice::new(Some(parent), device, BRIDGE)));
    }
    let functions = scan(&Sim::new(devices), 0);
    // 255 buses behind the root bus; each bridge that was found has one.
    assert_eq!(functions.len(), 255);
    assert_eq!(buses(&functions[0]), (0, 1, 0xff));
}

/// What answers to every number costs no more than the limit.
#[test]
fn one_device_is_not_thousands() {
    let mut devices = vec![root_port()];
    devices.push(SimDevice::new(Some(0), 0, BRIDGE).express(TO_PCI));
    let mut everywhere = SimDevice::new(Some(1), 0, NVME);
    everywhere.config[3] = 0x80 << 16;
    everywhere.lie = Lie::Everywhere;
    devices.push(everywhere);
    assert_eq!(scan(&Sim::new(devices), 0).len(), 2 + 32 * 8);
    let mut everywhere = SimDevice::new(Some(0), 0, BRIDGE);
    everywhere.config[3] |= 0x80 << 16;
    everywhere.lie = Lie::Everywhere;
    assert!(scan(&plugged(everywhere), 0).len() <= MAX_FUNCTIONS);
}

#[test]
fn noise_ends() {
    let mut noise = SimDevice::new(Some(0), 0, BRIDGE);
    noise.lie = Lie::Noise;
    let sim = plugged(noise);
    let functions = scan(&sim, 0);
    assert_eq!(functions[0].address, PciAddress::new(0, 0, 0, 0));
    assert!(functions.len() <= MAX_FUNCTIONS);
}
