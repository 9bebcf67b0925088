//! Devices behind a host bridge: whatever they say, finding them ends, and what is found holds together.
use platform::chip::pci::scan::sim::{Lie, Sim, SimDevice};
use platform::chip::pci::scan::{MAX_DEPTH, MAX_FUNCTIONS, scan};

const LIES: [Lie; 5] = [
    Lie::None,
    Lie::Noise,
    Lie::Ones,
    Lie::StuckNumbers,
    Lie::Everywhere,
];
const CLASSES: [u32; 4] = [0x06_0400, 0x06_0400, 0x01_0802, 0x02_0000];
/// Bytes that make a device, and what more of its configuration space they change.
const DEVICE_LEN: usize = 6;

pub fn pci(data: &[u8]) {
    let devices: Vec<SimDevice> = data.chunks_exact(DEVICE_LEN).scan(0, device).collect();
    let functions = scan(&Sim::new(devices), 0);
    assert!(functions.len() <= MAX_FUNCTIONS);
    for (place, function) in functions.iter().enumerate() {
        let Some(parent) = function.parent else {
            assert_eq!(place, 0);
            continue;
        };
        let parents = std::iter::successors(Some(parent), |&parent| functions[parent].parent);
        assert!(parent < place && parents.count() < MAX_DEPTH);
        let bridge = functions[parent].bridge.expect("a bridge in front");
        assert_eq!(function.address.bus(), bridge.secondary);
        if let Some(own) = function.bridge {
            assert!(bridge.secondary < own.secondary && own.subordinate <= bridge.subordinate);
        }
    }
}

/// The next device, behind one of those before it; the first is behind none.
fn device(count: &mut usize, bytes: &[u8]) -> Option<SimDevice> {
    let at = |place: usize| usize::from(bytes[place]);
    let parent = (*count > 0).then(|| at(0) % *count);
    *count += 1;
    let class = CLASSES[at(2) % CLASSES.len()];
    let mut device = SimDevice::new(parent, bytes[1] >> 3, class);
    if at(2) & 0x40 != 0 {
        device = device.express(u32::from(bytes[2] >> 4 & 0xf));
    }
    if parent.is_none() {
        device.device = 0;
    } else {
        device.function = bytes[1] & 7;
        device.lie = LIES[at(3) % 16 % LIES.len()];
        // The header, or a capability.
        device.config[at(4) % 24] ^= u32::from(bytes[5]) << (at(3) & 0x18);
    }
    Some(device)
}
