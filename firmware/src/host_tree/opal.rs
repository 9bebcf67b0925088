//! `/ibm,opal`: what the firmware offers. Each node and property has its reason beside it.
use super::{Handles, HostTreeParams, SmtParams, new_node, range, set, set_cells};
use alloc::format;
use alloc::vec::Vec;
use dtoolkit::model::DeviceTreeNode;
use platform::chip::psi;
use platform::tree::Machine;
use skiboot_compat::ipmi::INTERFACE;
use skiboot_compat::message::MESSAGE_LEN;
use skiboot_compat::tree::{
    INTERRUPT_LEVEL, WRITE_BUFFER_LEN, compatible, fw_features, name, power_mgt, property, smt,
};

/// How often a host polls: nothing but messages waits for it, as devices interrupt.
const HEARTBEAT_MS: u32 = 200;
/// Linux sizes its table of calls under way by this, and complains without it.
const ASYNC_CALLS: u32 = 8;
/// In an associativity the fourth number is the chip, before that come coarser groups.
const REFERENCE_POINTS: [u32; 3] = [4, 4, 2];
/// Event numbers: the places of their bits.
const EVENT_CONSOLE_INPUT: u32 = skiboot_compat::console::EVENT_CONSOLE_INPUT.trailing_zeros();
/// From the end of a nap to the first instruction that the host wanted, and the shortest nap that
/// is worth it, in nanoseconds, as other firmware states them for POWER8.
const NAP_LATENCY_NS: u32 = 4_000;
const NAP_RESIDENCY_NS: u32 = 100_000;

pub fn node(machine: &Machine, params: &HostTreeParams, handles: &Handles) -> DeviceTreeNode {
    let mut opal = new_node(name::OPAL);
    set_cells(&mut opal, 0, 0);
    set(&mut opal, property::COMPATIBLE, compatible::OPAL);
    set(&mut opal, property::OPAL_BASE, params.opal_base);
    set(&mut opal, property::OPAL_ENTRY, params.opal_entry);
    set(
        &mut opal,
        property::OPAL_RUNTIME_SIZE,
        params.opal_runtime_len,
    );
    set(&mut opal, property::MEMCONS, params.memcons);
    set(&mut opal, property::HEARTBEAT_MS, HEARTBEAT_MS);
    set(&mut opal, property::REFERENCE_POINTS, REFERENCE_POINTS);
    set(&mut opal, property::MSG_SIZE, MESSAGE_LEN as u32);
    set(&mut opal, property::MSG_ASYNC_NUM, ASYNC_CALLS);
    if machine.lpc.is_some_and(|lpc| lpc.psi_pcba.is_some()) {
        interrupts(&mut opal, handles);
    }
    opal.add_child(consoles(handles));
    opal.add_child(event(handles));
    opal.add_child(firmware(params));
    opal.add_child(power_management());
    if machine.lpc.is_some_and(|lpc| lpc.rtc_port.is_some()) {
        opal.add_child(rtc());
    }
    if machine.has_bmc() {
        opal.add_child(ipmi(params, handles));
    }
    if machine.is_qemu {
        opal.add_child(qemus_features());
    }
    opal.add_child(nvram(params));
    if let Some(flash) = &params.flash {
        opal.add_child(super::flash::node(flash));
    }
    if !params.chosen.measured.is_empty() {
        opal.add_child(super::flash::measured(&params.chosen.measured));
    }
    opal.add_child(sensors(machine));
    opal.add_child(smt_node(&params.smt));
    opal
}

/// Interrupts whose cause the firmware looks for, so that the host passes them on.
fn interrupts(opal: &mut DeviceTreeNode, handles: &Handles) {
    let isns = psi::FIRST_ISN..psi::FIRST_ISN + psi::SOURCES as u32;
    let cells: Vec<u32> = isns
        .clone()
        .flat_map(|isn| [isn, INTERRUPT_LEVEL])
        .collect();
    let names = psi::SOURCE_NAMES.map(|name| format!("psi:{name}"));
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    set(opal, property::INTERRUPT_PARENT, handles.xics);
    set(opal, property::INTERRUPTS, cells);
    set(opal, property::INTERRUPT_NAMES, names.clone());
    set(opal, property::OPAL_INTERRUPTS, isns.collect::<Vec<u32>>());
    set(opal, property::OPAL_INTERRUPT_NAMES, names);
}

/// Events as interrupts: Linux's drivers ask for them by this node.
fn event(handles: &Handles) -> DeviceTreeNode {
    let mut event = new_node(name::EVENT);
    set(&mut event, property::COMPATIBLE, compatible::EVENT);
    set(&mut event, property::INTERRUPT_CONTROLLER, [0_u8; 0]);
    set(&mut event, property::INTERRUPT_CELLS, 1_u32);
    set(&mut event, property::PHANDLE, handles.event);
    event
}

/// The terminal, which tells of input by an event.
fn consoles(handles: &Handles) -> DeviceTreeNode {
    let mut serial = new_node(name::SERIAL);
    set(&mut serial, property::COMPATIBLE, compatible::CONSOLE);
    set(&mut serial, property::DEVICE_TYPE, "serial");
    set(&mut serial, "reg", 0_u32);
    set(&mut serial, property::WRITE_BUFFER_SIZE, WRITE_BUFFER_LEN);
    set(&mut serial, property::INTERRUPT_PARENT, handles.event);
    set(&mut serial, property::INTERRUPTS, EVENT_CONSOLE_INPUT);
    let mut consoles = new_node(name::CONSOLES);
    set_cells(&mut consoles, 1, 0);
    consoles.add_child(serial);
    consoles
}

/// Linux shows the version at boot, and the symbols and `exports` as files.
fn firmware(params: &HostTreeParams) -> DeviceTreeNode {
    let mut exports = new_node(name::EXPORTS);
    for (name, region) in params.exports {
        set(&mut exports, name, range(region));
    }
    let mut firmware = new_node(name::FIRMWARE);
    set(&mut firmware, property::COMPATIBLE, compatible::FIRMWARE);
    set(&mut firmware, property::VERSION, params.version);
    if let Some(symbols) = &params.symbol_map {
        set(&mut firmware, property::SYMBOL_MAP, range(symbols));
    }
    firmware.add_child(exports);
    firmware
}

/// Linux naps when it has nothing to do if this says so, and spins otherwise.
fn power_management() -> DeviceTreeNode {
    let mut node = new_node(name::POWER_MGT);
    let flags = power_mgt::FLAG_NAP | power_mgt::FLAG_LOSES_USER_CONTEXT;
    set(&mut node, power_mgt::NAMES, "nap");
    set(&mut node, power_mgt::FLAGS, flags);
    set(&mut node, power_mgt::LATENCIES_NS, NAP_LATENCY_NS);
    set(&mut node, power_mgt::RESIDENCIES_NS, NAP_RESIDENCY_NS);
    node
}

/// Linux's clock driver binds to this.
fn rtc() -> DeviceTreeNode {
    let mut rtc = new_node(name::RTC);
    set(&mut rtc, property::COMPATIBLE, compatible::RTC);
    rtc
}

/// Linux's driver for the BMC binds to this.
fn ipmi(params: &HostTreeParams, handles: &Handles) -> DeviceTreeNode {
    let mut ipmi = new_node(name::IPMI);
    set(&mut ipmi, property::COMPATIBLE, compatible::IPMI);
    set(&mut ipmi, property::IPMI_INTERFACE, INTERFACE as u32);
    set(&mut ipmi, property::INTERRUPT_PARENT, handles.event);
    set(&mut ipmi, property::INTERRUPTS, params.ipmi_event);
    ipmi
}

/// What is so of the processors that QEMU makes: they execute one instruction after the other, and have neither
/// caches nor anything else that would tell of what wasn't executed. Of other machines nothing is said, and
/// hosts take the worst for granted.
fn qemus_features() -> DeviceTreeNode {
    let needless = [
        fw_features::NEEDS_FLUSH_FOR_USER,
        fw_features::NEEDS_FLUSH_FOR_GUEST,
        fw_features::NEEDS_BARRIER,
    ];
    let mut features = new_node(fw_features::NAME);
    for (names, state) in [
        (&needless[..], fw_features::DISABLED),
        (&[fw_features::COUNT_CACHE_FLUSH], fw_features::ENABLED),
    ] {
        for name in names {
            let mut feature = new_node(name);
            set(&mut feature, state, [0_u8; 0]);
            features.add_child(feature);
        }
    }
    features
}

/// Settings of the host's, and of the firmware's for hosts to change.
fn nvram(params: &HostTreeParams) -> DeviceTreeNode {
    let mut nvram = new_node(name::NVRAM);
    set(&mut nvram, property::COMPATIBLE, compatible::NVRAM);
    set(&mut nvram, property::NVRAM_BYTES, params.nvram_bytes);
    nvram
}

/// The temperature of each core, which Linux shows in /sys/class/hwmon.
fn sensors(machine: &Machine) -> DeviceTreeNode {
    let mut sensors = new_node(name::SENSORS);
    set(&mut sensors, property::COMPATIBLE, compatible::SENSOR);
    set_cells(&mut sensors, 1, 0);
    for core in &machine.cores {
        let mut sensor = new_node(&format!("core-temp@{:x}", core.pir));
        set(&mut sensor, property::COMPATIBLE, compatible::SENSOR);
        set(&mut sensor, "reg", core.pir);
        set(&mut sensor, property::SENSOR_DATA, core.pir);
        set(&mut sensor, property::SENSOR_TYPE, "temp");
        set(&mut sensor, property::LABEL, "Core");
        set(&mut sensor, property::PIR, core.pir);
        sensors.add_child(sensor);
    }
    sensors
}

fn smt_node(params: &SmtParams) -> DeviceTreeNode {
    let mut node = new_node(smt::NAME);
    set(&mut node, property::COMPATIBLE, smt::COMPATIBLE);
    set(&mut node, smt::VERSIONS, params.versions);
    set(&mut node, smt::TOKENS, params.tokens);
    set(&mut node, smt::WIDTHS, params.widths);
    set(&mut node, smt::PAGE_BYTES, params.page_bytes);
    set(&mut node, smt::FEATURES, params.features);
    node
}
