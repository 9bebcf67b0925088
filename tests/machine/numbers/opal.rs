//! OPAL's and PAPR's numbers beside the kernel's names for them.
use std::mem::offset_of;

use hcalls::papr;
use platform::cpu::hmi as platform_hmi;
use skiboot_compat::message::Message;
use skiboot_compat::{console, cpu, dump, hmi, ipmi, message, pci, tree};

use super::{Number, numbers};

pub const HYPERCALLS: &[Number<'static>] = numbers! {
    papr::H_CEDE => "H_CEDE",
    papr::H_CONFER => "H_CONFER",
    papr::H_PROD => "H_PROD",
    papr::H_SUCCESS => "H_SUCCESS",
    papr::H_FUNCTION => "H_FUNCTION",
    papr::H_PARAMETER => "H_PARAMETER",
    papr::H_REMOVE => "H_REMOVE",
    papr::H_ENTER => "H_ENTER",
    papr::H_READ => "H_READ",
    papr::H_CLEAR_MOD => "H_CLEAR_MOD",
    papr::H_CLEAR_REF => "H_CLEAR_REF",
    papr::H_PROTECT => "H_PROTECT",
    papr::H_BULK_REMOVE => "H_BULK_REMOVE",
    papr::H_EXACT => "H_EXACT",
    papr::H_READ_4 => "H_READ_4",
    papr::H_AVPN => "H_AVPN",
    papr::H_ANDCOND => "H_ANDCOND",
    papr::H_ZERO_PAGE => "H_ZERO_PAGE",
    papr::H_COPY_PAGE => "H_COPY_PAGE",
    papr::H_PTEG_FULL => "H_PTEG_FULL",
    papr::H_NOT_FOUND => "H_NOT_FOUND",
};

/// Constants of `hcalls::papr` that the kernel has no name for, and where they are from.
pub const NOT_IN_HVCALL: &[(&str, &str)] = &[("papr::ANYONE", "PAPR, H_CONFER: -1")];

pub const NUMBERS: &[Number<'static>] = numbers! {
    console::EVENT_CONSOLE_OUTPUT => "OPAL_EVENT_CONSOLE_OUTPUT",
    console::EVENT_CONSOLE_INPUT => "OPAL_EVENT_CONSOLE_INPUT",
    console::EVENT_RTC => "OPAL_EVENT_RTC",
    console::EVENT_MESSAGE => "OPAL_EVENT_MSG_PENDING",
    cpu::THREAD_INACTIVE => "OPAL_THREAD_INACTIVE",
    cpu::THREAD_STARTED => "OPAL_THREAD_STARTED",
    cpu::THREAD_UNAVAILABLE => "OPAL_THREAD_UNAVAILABLE",
    cpu::REINIT_HILE_BIG_ENDIAN => "OPAL_REINIT_CPUS_HILE_BE",
    cpu::REINIT_HILE_LITTLE_ENDIAN => "OPAL_REINIT_CPUS_HILE_LE",
    cpu::REINIT_MMU_HASH => "OPAL_REINIT_CPUS_MMU_HASH",
    cpu::REBOOT_NORMAL => "OPAL_REBOOT_NORMAL",
    cpu::REBOOT_PLATFORM_ERROR => "OPAL_REBOOT_PLATFORM_ERROR",
    cpu::REBOOT_FULL_IPL => "OPAL_REBOOT_FULL_IPL",
    cpu::REBOOT_MPIPL => "OPAL_REBOOT_MPIPL",
    cpu::REBOOT_FAST => "OPAL_REBOOT_FAST",
    cpu::QUIESCE_HOLD => "QUIESCE_HOLD",
    cpu::QUIESCE_REJECT => "QUIESCE_REJECT",
    cpu::QUIESCE_LOCK_BREAK => "QUIESCE_LOCK_BREAK",
    cpu::QUIESCE_RESUME => "QUIESCE_RESUME",
    cpu::QUIESCE_RESUME_FAST_REBOOT => "QUIESCE_RESUME_FAST_REBOOT",
    dump::HOST_FIRST => "OPAL_DUMP_REGION_HOST_START",
    dump::HOST_LAST => "OPAL_DUMP_REGION_HOST_END",
    hmi::FLAG_NEW_EVENT => "OPAL_HMI_FLAGS_NEW_EVENT",
    hmi::VERSION => "OpalHMIEvt_V1",
    hmi::SEVERITY_NONE => "OpalHMI_SEV_NO_ERROR",
    hmi::SEVERITY_FATAL => "OpalHMI_SEV_FATAL",
    hmi::RECOVERED => "OpalHMI_DISPOSITION_RECOVERED",
    hmi::NOT_RECOVERED => "OpalHMI_DISPOSITION_NOT_RECOVERED",
    ipmi::VERSION => "OPAL_IPMI_MSG_FORMAT_VERSION_1",
    ipmi::HEADER_LEN => "sizeof(struct opal_ipmi_msg)",
    message::MESSAGE_LEN => "sizeof(struct opal_msg)",
    message::KIND_ASYNC_COMPLETION => "OPAL_MSG_ASYNC_COMP",
    message::KIND_SHUTDOWN => "OPAL_MSG_SHUTDOWN",
    message::KIND_HMI => "OPAL_MSG_HMI_EVT",
    pci::FREEZE_MMIO => "OPAL_EEH_ACTION_SET_FREEZE_MMIO",
    pci::FREEZE_DMA => "OPAL_EEH_ACTION_SET_FREEZE_DMA",
    pci::FREEZE_ALL => "OPAL_EEH_ACTION_SET_FREEZE_ALL",
    pci::WINDOW_M32 => "OPAL_M32_WINDOW_TYPE",
    pci::WINDOW_M64 => "OPAL_M64_WINDOW_TYPE",
    pci::WINDOW_IO => "OPAL_IO_WINDOW_TYPE",
    pci::M64_DISABLE => "OPAL_DISABLE_M64",
    pci::M64_ENABLE_SPLIT => "OPAL_ENABLE_M64_SPLIT",
    pci::M64_ENABLE_NON_SPLIT => "OPAL_ENABLE_M64_NON_SPLIT",
    pci::BUS_ANY => "OpalPciBusAny",
    pci::BUS_3_BITS => "OpalPciBus3Bits",
    pci::BUS_7_BITS => "OpalPciBus7Bits",
    pci::BUS_ALL => "OpalPciBusAll",
    pci::COMPARE_DEVICE => "OPAL_COMPARE_RID_DEVICE_NUMBER",
    pci::COMPARE_FUNCTION => "OPAL_COMPARE_RID_FUNCTION_NUMBER",
    pci::UNMAP_PE => "OPAL_UNMAP_PE",
    pci::MAP_PE => "OPAL_MAP_PE",
    pci::REMOVE_PE => "OPAL_REMOVE_PE_FROM_DOMAIN",
    pci::ADD_PE => "OPAL_ADD_PE_TO_DOMAIN",
    pci::RESET_COMPLETE => "OPAL_RESET_PHB_COMPLETE",
    pci::RESET_LINK => "OPAL_RESET_PCI_LINK",
    pci::RESET_ERROR => "OPAL_RESET_PHB_ERROR",
    pci::RESET_HOT => "OPAL_RESET_PCI_HOT",
    pci::RESET_FUNDAMENTAL => "OPAL_RESET_PCI_FUNDAMENTAL",
    pci::RESET_TABLES => "OPAL_RESET_PCI_IODA_TABLE",
    pci::RESET_END => "OPAL_DEASSERT_RESET",
    pci::RESET_BEGIN => "OPAL_ASSERT_RESET",
    pci::NO_ERROR => "OPAL_EEH_NO_ERROR",
    pci::NO_SEVERITY => "OPAL_EEH_SEV_NO_ERROR",
    pci::LAST_ERROR_KIND => "OPAL_ERR_INJECT_TYPE_IOA_BUS_ERR64",
    pci::LAST_ERROR_FUNCTION => "OPAL_ERR_INJECT_FUNC_IOA_DMA_WR_TARGET",
    pci::DIAG_VERSION => "OPAL_PHB_ERROR_DATA_VERSION_1",
    pci::DIAG_PHB3 => "OPAL_PHB_ERROR_DATA_TYPE_PHB3",
    pci::DIAG_LEN => "sizeof(struct OpalIoPhb3ErrorData)",
    pci::LPC_MEMORY => "OPAL_LPC_MEM",
    pci::LPC_IO => "OPAL_LPC_IO",
    pci::LPC_FIRMWARE => "OPAL_LPC_FW",
    tree::power_mgt::FLAG_NAP => "OPAL_PM_NAP_ENABLED",
};

/// Layouts: of messages, and of what one tells of a hypervisor maintenance interrupt.
pub const LAYOUTS: &[Number<'static>] = &[
    (
        "message::Message::kind",
        offset_of!(Message, kind) as u64,
        "offsetof(struct opal_msg, msg_type)",
    ),
    (
        "message::Message::reserved",
        offset_of!(Message, reserved) as u64,
        "offsetof(struct opal_msg, reserved)",
    ),
    (
        "message::Message::params",
        offset_of!(Message, params) as u64,
        "offsetof(struct opal_msg, params)",
    ),
];

/// The kernel has these in a source file. That it reads the log shows that they are right.
const LOG: &str = "shown by the check `msglog` of Linux's boots";

/// Constants of `skiboot-compat` that these headers have no name for, and where they are from.
pub const NOT_IN_OPAL_API: &[(&str, &str)] = &[
    ("console::TERMINAL", "this firmware's only one"),
    ("cpu::POWER_DOWN_NORMAL", "OPAL API, opal-cec-power-down-5"),
    (
        "cpu::POWER_DOWN_IMMEDIATE",
        "OPAL API, opal-cec-power-down-5",
    ),
    ("cpu::QUIESCE_ALL", "OPAL API, opal-quiesce"),
    ("entry::R6", "ePAPR 1.1 section 5.4"),
    ("entry::KERNEL_BASE", "OPAL API, boot"),
    ("ipmi::INTERFACE", "this firmware's only one"),
    ("memcons::MAGIC", LOG),
    ("memcons::OUT_POS_WRAPPED", LOG),
    ("memcons::OUT_POS_MASK", LOG),
    ("memcons::MAGIC_OFFSET", LOG),
    ("memcons::OBUF_PHYS_OFFSET", LOG),
    ("memcons::IBUF_PHYS_OFFSET", LOG),
    ("memcons::OBUF_SIZE_OFFSET", LOG),
    ("memcons::IBUF_SIZE_OFFSET", LOG),
    ("memcons::OUT_POS_OFFSET", LOG),
    ("memcons::IN_PROD_OFFSET", LOG),
    ("memcons::IN_CONS_OFFSET", LOG),
    ("pci::NO_PE", "-1, as the kernel initializes it"),
    ("tree::pci::REGISTERS_LEN", "PHB3's registers, QEMU"),
    ("tree::INTERRUPT_LEVEL", "OPAL API, interrupt-controller"),
    ("tree::WRITE_BUFFER_LEN", "this firmware's own"),
    (
        "tree::power_mgt::FLAG_LOSES_USER_CONTEXT",
        "the kernel's description of power-mgt",
    ),
    ("calls::VENDOR_TOKENS", "the OPAL API's text"),
    ("calls::Call::token", "of this crate alone"),
    ("calls::Call::name", "of this crate alone"),
    ("calls::Call::arguments", "of this crate alone"),
    ("calls::Call::section", "of this crate alone"),
];

/// What a condition's kind in a message is in the kernel, in the order of HMER's bits.
const CONDITIONS: [(u32, &str); 9] = [
    (0, "OpalHMI_ERROR_MALFUNC_ALERT"),
    (2, "OpalHMI_ERROR_PROC_RECOV_DONE"),
    (3, "OpalHMI_ERROR_PROC_RECOV_MASKED"),
    (4, "OpalHMI_ERROR_TFAC"),
    (5, "OpalHMI_ERROR_TFMR_PARITY"),
    (11, "OpalHMI_ERROR_PROC_RECOV_DONE_AGAIN"),
    (16, "OpalHMI_ERROR_SCOM_FIR"),
    (17, "OpalHMI_ERROR_DEBUG_TRIG_FIR"),
    (20, "OpalHMI_ERROR_HYP_RESOURCE"),
];

/// Kinds of the conditions that the platform knows; those that no list has are compared with nothing
/// that could be right.
pub fn conditions() -> Vec<Number<'static>> {
    let all = platform_hmi::conditions(u64::MAX);
    let number = |condition: platform_hmi::Condition| {
        let bit = condition.bit.leading_zeros();
        let theirs = CONDITIONS.iter().find(|(of, _)| *of == bit);
        let theirs = theirs.map_or("-1", |(_, theirs)| theirs);
        ("a condition of HMER", u64::from(condition.kind), theirs)
    };
    all.map(number).collect()
}

/// The kernel's name of a status: `BusyEvent` is OPAL_BUSY_EVENT.
pub fn name(status: &str) -> String {
    let mut name = String::from("OPAL");
    for letter in status.chars() {
        if letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Names in the device tree that Debian's kernel itself doesn't look for, and who does, or where they
/// are from.
pub const NOT_IN_KERNEL: &[(&str, &str)] = &[
    ("/ibm,opal/consoles/serial@0", "found by stdout-path"),
    ("serial@0", "found by stdout-path"),
    ("reserved-memory", "found by its path"),
    ("power-mgt", "found by its path"),
    ("ibm,firmware-versions", "read by tools, by its path"),
    ("ibm,phb-index", "OPAL API, pci"),
    ("ipmi", "found by `compatible`"),
    ("interrupt-controller@0", "found by `compatible`"),
    ("ibm,ipmi-interface-id", "the module ipmi_powernv"),
    ("/ibm,opal/flash@0", "found by `compatible`"),
    ("flash@0", "found by `compatible`"),
    (
        "ibm,system-flash",
        "OPAL API, flash; programs of opal-utils",
    ),
    ("ibm,flash-block-size", "the module powernv_flash"),
    ("no-erase", "OPAL API, flash"),
    ("measured", "the firmware's own, docs/design/flash.md"),
    (
        "hash-algo",
        "the firmware's own; so named in ibm,secureboot",
    ),
    ("contained", "the firmware's own"),
    ("fixed-partitions", "the module ofpart"),
    ("reserved-names", "OPAL API, reserved-memory"),
    ("#write-buffer-size", "OPAL API, consoles"),
    ("ibm,opal-v2", "OPAL API, ibm,opal"),
    ("ibm,opal-firmware", "OPAL API, ibm,opal/firmware"),
    ("ibm,opal-xics", "OPAL API, interrupt-controller"),
];
