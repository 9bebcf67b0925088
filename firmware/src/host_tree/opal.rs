//! `/ibm,opal`: what the firmware offers. Each node and property has its reason beside it.
use super::writer::Writer;
use super::{Handles, HostTreeParams, SmtParams, range, set_cells};
use alloc::format;
use alloc::vec::Vec;
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

pub fn add(tree: &mut Writer, machine: &Machine, params: &HostTreeParams, handles: &Handles) {
    tree.node(name::OPAL, |opal| {
        describe(opal, params);
        if machine.lpc.is_some_and(|lpc| lpc.psi_pcba.is_some()) {
            interrupts(opal, handles);
        }
        consoles(opal, handles);
        event(opal, handles);
        firmware(opal, params);
        power_management(opal);
        if machine.lpc.is_some_and(|lpc| lpc.rtc_port.is_some()) {
            rtc(opal);
        }
        if machine.has_bmc() {
            ipmi(opal, params, handles);
        }
        if machine.is_qemu {
            qemus_features(opal);
        }
        nvram(opal, params);
        if let Some(flash) = &params.flash {
            super::flash::add(opal, flash);
        }
        if !params.chosen.measured.is_empty() {
            super::flash::add_measured(opal, &params.chosen.measured);
        }
        sensors(opal, machine);
        smt_node(opal, &params.smt);
    });
}

fn describe(opal: &mut Writer, params: &HostTreeParams) {
    set_cells(opal, 0, 0);
    opal.set(property::COMPATIBLE, compatible::OPAL);
    opal.set(property::OPAL_BASE, params.opal_base);
    opal.set(property::OPAL_ENTRY, params.opal_entry);
    opal.set(property::OPAL_RUNTIME_SIZE, params.opal_runtime_len);
    opal.set(property::MEMCONS, params.memcons);
    opal.set(property::HEARTBEAT_MS, HEARTBEAT_MS);
    opal.set(property::REFERENCE_POINTS, REFERENCE_POINTS);
    opal.set(property::MSG_SIZE, MESSAGE_LEN as u32);
    opal.set(property::MSG_ASYNC_NUM, ASYNC_CALLS);
}

/// Interrupts whose cause the firmware looks for, so that the host passes them on.
fn interrupts(opal: &mut Writer, handles: &Handles) {
    let isns = psi::FIRST_ISN..psi::FIRST_ISN + psi::SOURCES as u32;
    let cells: Vec<u32> = isns
        .clone()
        .flat_map(|isn| [isn, INTERRUPT_LEVEL])
        .collect();
    let names = psi::SOURCE_NAMES.map(|name| format!("psi:{name}"));
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    opal.set(property::INTERRUPT_PARENT, handles.xics);
    opal.set(property::INTERRUPTS, cells);
    opal.set(property::INTERRUPT_NAMES, names.as_slice());
    opal.set(property::OPAL_INTERRUPTS, isns.collect::<Vec<u32>>());
    opal.set(property::OPAL_INTERRUPT_NAMES, names.as_slice());
}

/// Events as interrupts: Linux's drivers ask for them by this node.
fn event(tree: &mut Writer, handles: &Handles) {
    tree.node(name::EVENT, |event| {
        event.set(property::COMPATIBLE, compatible::EVENT);
        event.set(property::INTERRUPT_CONTROLLER, [0_u8; 0]);
        event.set(property::INTERRUPT_CELLS, 1_u32);
        event.set(property::PHANDLE, handles.event);
    });
}

/// The terminal, which tells of input by an event.
fn consoles(tree: &mut Writer, handles: &Handles) {
    tree.node(name::CONSOLES, |consoles| {
        set_cells(consoles, 1, 0);
        consoles.node(name::SERIAL, |serial| {
            serial.set(property::COMPATIBLE, compatible::CONSOLE);
            serial.set(property::DEVICE_TYPE, "serial");
            serial.set("reg", 0_u32);
            serial.set(property::WRITE_BUFFER_SIZE, WRITE_BUFFER_LEN);
            serial.set(property::INTERRUPT_PARENT, handles.event);
            serial.set(property::INTERRUPTS, EVENT_CONSOLE_INPUT);
        });
    });
}

/// Linux shows the version at boot, and the symbols and `exports` as files.
fn firmware(tree: &mut Writer, params: &HostTreeParams) {
    tree.node(name::FIRMWARE, |firmware| {
        firmware.set(property::COMPATIBLE, compatible::FIRMWARE);
        firmware.set(property::VERSION, params.version);
        if let Some(symbols) = &params.symbol_map {
            firmware.set(property::SYMBOL_MAP, range(symbols));
        }
        firmware.node(name::EXPORTS, |exports| {
            for (name, region) in params.exports {
                exports.set(name, range(region));
            }
        });
    });
}

/// Linux naps when it has nothing to do if this says so, and spins otherwise.
fn power_management(tree: &mut Writer) {
    let flags = power_mgt::FLAG_NAP | power_mgt::FLAG_LOSES_USER_CONTEXT;
    tree.node(name::POWER_MGT, |node| {
        node.set(power_mgt::NAMES, "nap");
        node.set(power_mgt::FLAGS, flags);
        node.set(power_mgt::LATENCIES_NS, NAP_LATENCY_NS);
        node.set(power_mgt::RESIDENCIES_NS, NAP_RESIDENCY_NS);
    });
}

/// Linux's clock driver binds to this.
fn rtc(tree: &mut Writer) {
    tree.node(name::RTC, |rtc| {
        rtc.set(property::COMPATIBLE, compatible::RTC)
    });
}

/// Linux's driver for the BMC binds to this.
fn ipmi(tree: &mut Writer, params: &HostTreeParams, handles: &Handles) {
    tree.node(name::IPMI, |ipmi| {
        ipmi.set(property::COMPATIBLE, compatible::IPMI);
        ipmi.set(property::IPMI_INTERFACE, INTERFACE as u32);
        ipmi.set(property::INTERRUPT_PARENT, handles.event);
        ipmi.set(property::INTERRUPTS, params.ipmi_event);
    });
}

/// What is so of the processors that QEMU makes: they execute one instruction after the other, and have neither
/// caches nor anything else that would tell of what wasn't executed. Of other machines nothing is said, and
/// hosts take the worst for granted.
fn qemus_features(tree: &mut Writer) {
    let needless = [
        fw_features::NEEDS_FLUSH_FOR_USER,
        fw_features::NEEDS_FLUSH_FOR_GUEST,
        fw_features::NEEDS_BARRIER,
    ];
    tree.node(fw_features::NAME, |features| {
        for (names, state) in [
            (&needless[..], fw_features::DISABLED),
            (&[fw_features::COUNT_CACHE_FLUSH], fw_features::ENABLED),
        ] {
            for name in names {
                features.node(name, |feature| feature.set(state, [0_u8; 0]));
            }
        }
    });
}

/// Settings of the host's, and of the firmware's for hosts to change.
fn nvram(tree: &mut Writer, params: &HostTreeParams) {
    tree.node(name::NVRAM, |nvram| {
        nvram.set(property::COMPATIBLE, compatible::NVRAM);
        nvram.set(property::NVRAM_BYTES, params.nvram_bytes);
    });
}

/// The temperature of each core, which Linux shows in /sys/class/hwmon.
fn sensors(tree: &mut Writer, machine: &Machine) {
    tree.node(name::SENSORS, |sensors| {
        sensors.set(property::COMPATIBLE, compatible::SENSOR);
        set_cells(sensors, 1, 0);
        for core in &machine.cores {
            sensors.node(format!("core-temp@{:x}", core.pir), |sensor| {
                sensor.set(property::COMPATIBLE, compatible::SENSOR);
                sensor.set("reg", core.pir);
                sensor.set(property::SENSOR_DATA, core.pir);
                sensor.set(property::SENSOR_TYPE, "temp");
                sensor.set(property::LABEL, "Core");
                sensor.set(property::PIR, core.pir);
            });
        }
    });
}

fn smt_node(tree: &mut Writer, params: &SmtParams) {
    tree.node(smt::NAME, |node| {
        node.set(property::COMPATIBLE, smt::COMPATIBLE);
        node.set(smt::VERSIONS, params.versions);
        node.set(smt::TOKENS, params.tokens);
        node.set(smt::WIDTHS, params.widths);
        node.set(smt::PAGE_BYTES, params.page_bytes);
        node.set(smt::FEATURES, params.features);
    });
}
