//! The calls of OPAL: token (r0), name, number of arguments (from r3 on), section of the OPAL API.
//!
//! All addresses are real. What a call answers beside its status it stores, big-endian, at the
//! addresses it is given.
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub token: Token,
    pub name: &'static str,
    /// How many arguments, from r3 on.
    pub arguments: u8,
    /// Where the OPAL API describes it.
    pub section: &'static str,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $token:ident = $number:literal, $name:literal, $arguments:literal,
       $section:literal;)+) => {
        /// Tokens of OPAL's calls.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[derive(IntoPrimitive, TryFromPrimitive)]
        #[repr(u64)]
        pub enum Token {
            $($(#[$doc])* #[doc = concat!("\n\nOPAL API \"", $section, "\".")] $token = $number,)+
        }

        /// All calls, in order of token.
        pub const CALLS: &[Call] = &[
            $(Call {
                token: Token::$token,
                name: $name,
                arguments: $arguments,
                section: $section,
            },)+
        ];
    };
}

calls! {
    /// Nothing: shows that calls work.
    Test = 0, "OPAL_TEST", 1, "opal-test-0";
    /// Terminal, address of a length, buffer: bytes to a terminal.
    ConsoleWrite = 1, "OPAL_CONSOLE_WRITE", 3, "opal-console-read-write-1-2";
    /// Terminal, address of a length, buffer: bytes from a terminal.
    ConsoleRead = 2, "OPAL_CONSOLE_READ", 3, "opal-console-read-write-1-2";
    /// Addresses of date and time of day.
    RtcRead = 3, "OPAL_RTC_READ", 2, "opal-rtc-read-3";
    /// Date and time of day.
    RtcWrite = 4, "OPAL_RTC_WRITE", 2, "opal-rtc-write-4";
    /// Kind of power-off.
    CecPowerDown = 5, "OPAL_CEC_POWER_DOWN", 1, "opal-cec-power-down-5";
    /// Starts the machine anew.
    CecReboot = 6, "OPAL_CEC_REBOOT", 0, "opal-cec-reboot-6-116";
    /// Buffer, its length, offset: from non-volatile memory.
    ReadNvram = 7, "OPAL_READ_NVRAM", 3, "opal-nvram";
    /// Buffer, its length, offset: to non-volatile memory.
    WriteNvram = 8, "OPAL_WRITE_NVRAM", 3, "opal-nvram";
    /// Source number, address of an event mask: an interrupt that is the firmware's.
    HandleInterrupt = 9, "OPAL_HANDLE_INTERRUPT", 2, "opal-handle-interrupt";
    /// Address of an event mask.
    PollEvents = 10, "OPAL_POLL_EVENTS", 1, "opal-poll-events";
    /// PHB, bus/device/function, offset, address of the value.
    PciConfigReadByte = 13, "OPAL_PCI_CONFIG_READ_BYTE", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// As above, two bytes.
    PciConfigReadHalfWord = 14, "OPAL_PCI_CONFIG_READ_HALF_WORD", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// As above, four bytes.
    PciConfigReadWord = 15, "OPAL_PCI_CONFIG_READ_WORD", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// PHB, bus/device/function, offset, value.
    PciConfigWriteByte = 16, "OPAL_PCI_CONFIG_WRITE_BYTE", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// As above, two bytes.
    PciConfigWriteHalfWord = 17, "OPAL_PCI_CONFIG_WRITE_HALF_WORD", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// As above, four bytes.
    PciConfigWriteWord = 18, "OPAL_PCI_CONFIG_WRITE_WORD", 4,
        "opal-pci-config-read-write-13-14-15-16-17-18";
    /// Source, server number times four, priority.
    SetXive = 19, "OPAL_SET_XIVE", 3, "opal-set-xive-19";
    /// Source, addresses of server number times four and of priority.
    GetXive = 20, "OPAL_GET_XIVE", 3, "opal-get-xive-20";
    /// PHB, PE, addresses of state, error type and PHB status.
    PciEehFreezeStatus = 23, "OPAL_PCI_EEH_FREEZE_STATUS", 5, "opal-pci-eeh-freeze-status-23";
    /// Terminal, address of a length.
    ConsoleWriteBufferSpace = 25, "OPAL_CONSOLE_WRITE_BUFFER_SPACE", 2,
        "opal-console-write-buffer-space";
    /// PHB, PE, what to clear.
    PciEehFreezeClear = 26, "OPAL_PCI_EEH_FREEZE_CLEAR", 3, "opal-pci-eeh-freeze-clear-26";
    /// PHB, kind of window, window, on or off.
    PciPhbMmioEnable = 27, "OPAL_PCI_PHB_MMIO_ENABLE", 4, "opal-pci-phb-mmio-enable-27";
    /// PHB, kind of window, window, address, PCI address, length.
    PciSetPhbMemWindow = 28, "OPAL_PCI_SET_PHB_MEM_WINDOW", 6, "opal-pci-set-phb-mem-window-28";
    /// PHB, PE, kind of window, window, segment.
    PciMapPeMmioWindow = 29, "OPAL_PCI_MAP_PE_MMIO_WINDOW", 5, "opal-pci-map-pe-mmio-window-29";
    /// PHB, PE, bus/device/function, three comparisons, map or unmap.
    PciSetPe = 31, "OPAL_PCI_SET_PE", 7, "opal-pci-set-pe-31";
    /// PHB, parent PE, child PE, add or remove.
    PciSetPeltv = 32, "OPAL_PCI_SET_PELTV", 4, "opal-pci-set-peltv-32";
    /// PHB, PE, interrupt.
    PciSetXivePe = 37, "OPAL_PCI_SET_XIVE_PE", 3, "opal-pci-set-xive-pe-37";
    /// PHB, MVE, interrupt, range, addresses of address and data.
    GetMsi32 = 39, "OPAL_GET_MSI_32", 6, "opal-get-msi-39-40";
    /// As above, 64-bit address.
    GetMsi64 = 40, "OPAL_GET_MSI_64", 6, "opal-get-msi-39-40";
    /// Server number, real address: a thread begins there.
    StartCpu = 41, "OPAL_START_CPU", 2, "opal-start-cpu-41";
    /// Server number, address of a byte.
    QueryCpuStatus = 42, "OPAL_QUERY_CPU_STATUS", 2, "opal-query-cpu-status-42";
    /// PHB, PE, window, levels, table, its length, page size.
    PciMapPeDmaWindow = 44, "OPAL_PCI_MAP_PE_DMA_WINDOW", 7, "opal-pci-map-pe-dma-window-44";
    /// PHB, PE, window, first address, length.
    PciMapPeDmaWindowReal = 45, "OPAL_PCI_MAP_PE_DMA_WINDOW_REAL", 5,
        "opal-pci-map-pe-dma-window-real-45";
    /// PHB or slot, scope, assert or not.
    PciReset = 49, "OPAL_PCI_RESET", 3, "opal-pci-reset-49";
    /// PHB, addresses of a PE, of what happened, and of how bad it is: the next error.
    PciNextError = 60, "OPAL_PCI_NEXT_ERROR", 4, "opal-pci-next-error-60";
    /// PHB or slot: goes on with a reset.
    PciPoll = 62, "OPAL_PCI_POLL", 1, "opal-pci-poll-62";
    /// PHB, interrupt.
    PciMsiEoi = 63, "OPAL_PCI_MSI_EOI", 2, "opal-pci-msi-eoi-63";
    /// PHB, buffer, its length.
    PciGetPhbDiagData2 = 64, "OPAL_PCI_GET_PHB_DIAG_DATA2", 3, "opal-pci-get-phb-diag-data2-64";
    /// Chip, XSCOM address, address of the value.
    XscomRead = 65, "OPAL_XSCOM_READ", 3, "opal-xscom-read-write-65-66";
    /// Chip, XSCOM address, value.
    XscomWrite = 66, "OPAL_XSCOM_WRITE", 3, "opal-xscom-read-write-65-66";
    /// Chip, kind of space, address, address of the value, length.
    LpcRead = 67, "OPAL_LPC_READ", 5, "opal-lpc-read-write-67-68";
    /// Chip, kind of space, address, value, length.
    LpcWrite = 68, "OPAL_LPC_WRITE", 5, "opal-lpc-read-write-67-68";
    /// The calling thread is the firmware's again.
    ReturnCpu = 69, "OPAL_RETURN_CPU", 0, "opal-return-cpu-69";
    /// What to set up differently, such as the endianness of interrupts.
    ReinitCpus = 70, "OPAL_REINIT_CPUS", 1, "opal-reinit-cpus-70";
    /// The core's time base after deep sleep.
    ResyncTimebase = 79, "OPAL_RESYNC_TIMEBASE", 0, "opal-resync-timebase-79";
    /// Whether there is a call with that token.
    CheckToken = 80, "OPAL_CHECK_TOKEN", 1, "opal-check-token-80";
    /// Buffer, its length: the next message.
    GetMsg = 85, "OPAL_GET_MSG", 2, "opal-get-msg-85";
    /// Buffer: the answer to a call that takes long.
    CheckAsyncCompletion = 86, "OPAL_CHECK_ASYNC_COMPLETION", 1, "opal-check-async-completion-86";
    /// Ends what is still going on before a reboot or kexec.
    SyncHostReboot = 87, "OPAL_SYNC_HOST_REBOOT", 0, "opal-sync-host-reboot-87";
    /// Sensor, token, address of a 32-bit value.
    SensorRead = 88, "OPAL_SENSOR_READ", 3, "opal-sensor-read-88";
    /// PHB, PE, kind of error, access, address, mask.
    PciErrInject = 96, "OPAL_PCI_ERR_INJECT", 6, "opal-pci-err-inject-96";
    /// PHB, PE, what to freeze.
    PciEehFreezeSet = 97, "OPAL_PCI_EEH_FREEZE_SET", 3, "opal-pci-eeh-freeze-set-97";
    /// A hypervisor maintenance interrupt.
    HandleHmi = 98, "OPAL_HANDLE_HMI", 0, "opal-handle-hmi-98-166";
    /// State, on or off.
    ConfigCpuIdleState = 99, "OPAL_CONFIG_CPU_IDLE_STATE", 2, "opal-config-cpu-idle-state-99";
    /// PIR, register, value: what a thread wakes with from deep sleep.
    SlwSetReg = 100, "OPAL_SLW_SET_REG", 3, "opal-slw-set-reg-100";
    /// Number, address, length: memory that is worth a look after a crash.
    RegisterDumpRegion = 101, "OPAL_REGISTER_DUMP_REGION", 3, "opal-register-dump-region-101";
    /// Number.
    UnregisterDumpRegion = 102, "OPAL_UNREGISTER_DUMP_REGION", 1,
        "opal-unregister-dump-region-102";
    /// Interface, message, length.
    IpmiSend = 107, "OPAL_IPMI_SEND", 3, "opal-ipmi-send-recv-107-108";
    /// Interface, message, address of a length.
    IpmiRecv = 108, "OPAL_IPMI_RECV", 3, "opal-ipmi-send-recv-107-108";
    /// Device, offset, buffer, length, token.
    FlashRead = 110, "OPAL_FLASH_READ", 5, "opal-flash-110-111-112";
    /// Device, offset, buffer, length, token.
    FlashWrite = 111, "OPAL_FLASH_WRITE", 5, "opal-flash-110-111-112";
    /// Device, offset, length, token.
    FlashErase = 112, "OPAL_FLASH_ERASE", 4, "opal-flash-110-111-112";
    /// Kind of reboot, text for the log.
    CecReboot2 = 116, "OPAL_CEC_REBOOT2", 2, "opal-cec-reboot-6-116";
    /// Terminal: pushes out what is buffered.
    ConsoleFlush = 117, "OPAL_CONSOLE_FLUSH", 1, "opal-console-flush-117";
    /// Handle of a node, buffer, its length: the tree below it.
    GetDeviceTree = 118, "OPAL_GET_DEVICE_TREE", 3, "opal-get-device-tree";
    /// Server number, or all others: interrupts to 0x100.
    SignalSystemReset = 145, "OPAL_SIGNAL_SYSTEM_RESET", 1, "opal-signal-system-reset-145";
    /// What to do, and with which server: keeps threads out of the firmware.
    Quiesce = 158, "OPAL_QUIESCE", 2, "opal-quiesce";
    /// Sensor, token, address of a 64-bit value.
    SensorReadU64 = 162, "OPAL_SENSOR_READ_U64", 3, "opal-sensor-read-u64-162";
    /// Address of flags: what the interrupt was about.
    HandleHmi2 = 166, "OPAL_HANDLE_HMI2", 1, "opal-handle-hmi-98-166";
}

/// Tokens that OPAL leaves to vendors.
pub const VENDOR_TOKENS: core::ops::RangeInclusive<u64> = 1000..=1999;

impl Call {
    /// The call with this token.
    #[must_use]
    pub fn of(token: u64) -> Option<&'static Self> {
        let at = CALLS.binary_search_by_key(&token, |call| call.token.into());
        at.ok().map(|at| &CALLS[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_in_order_of_token() {
        assert!(CALLS.is_sorted_by(|a, b| a.token < b.token));
    }

    #[test]
    fn a_token_leads_to_its_call() {
        for call in CALLS {
            let token = call.token.into();
            assert_eq!(Call::of(token), Some(call));
            assert_eq!(Token::try_from(token), Ok(call.token));
        }
        assert_eq!(Call::of(166).unwrap().name, "OPAL_HANDLE_HMI2");
        assert_eq!(Call::of(103), None);
        assert_eq!(Call::of(u64::MAX), None);
    }

    #[test]
    fn arguments_fit_the_registers() {
        assert!(CALLS.iter().all(|call| call.arguments <= 8));
        assert!(
            CALLS
                .iter()
                .all(|call| !VENDOR_TOKENS.contains(&call.token.into()))
        );
    }
}
