//! Names and constants of the device tree that an OPAL host gets (OPAL API "device-tree/ibm,opal",
//! "device-tree/reserved-memory").

/// Nodes, as paths.
pub mod node {
    pub const CHOSEN: &str = "/chosen";
    pub const CPUS: &str = "/cpus";
    pub const OPAL: &str = "/ibm,opal";
    /// The console that `stdout-path` names.
    pub const CONSOLE: &str = "/ibm,opal/consoles/serial@0";
    pub const RESERVED_MEMORY: &str = "/reserved-memory";
    pub const FLASH: &str = "/ibm,opal/flash@0";
}

/// Names of nodes in their parents.
pub mod name {
    pub const OPAL: &str = "ibm,opal";
    pub const CONSOLES: &str = "consoles";
    pub const SERIAL: &str = "serial@0";
    pub const FIRMWARE: &str = "firmware";
    /// Below the root: a property with the version of each piece of firmware.
    pub const FIRMWARE_VERSIONS: &str = "ibm,firmware-versions";
    /// Regions listed here show up in Linux's /sys/firmware/opal/exports.
    pub const EXPORTS: &str = "exports";
    pub const RESERVED_MEMORY: &str = "reserved-memory";
    /// Events, as interrupts of the host's.
    pub const EVENT: &str = "event";
    pub const RTC: &str = "rtc";
    pub const NVRAM: &str = "nvram";
    pub const IPMI: &str = "ipmi";
    pub const SENSORS: &str = "sensors";
    /// Power-saving states.
    pub const POWER_MGT: &str = "power-mgt";
    /// The interrupt sources that GET_XIVE and SET_XIVE know.
    pub const XICS: &str = "interrupt-controller@0";
    pub const FLASH: &str = "flash@0";
    pub const PARTITIONS: &str = "partitions";
    /// The firmware's own: a node for each image that was read from flash.
    pub const MEASURED: &str = "measured";
}

/// Names of properties.
pub mod property {
    pub const OPAL_BASE: &str = "opal-base-address";
    pub const OPAL_ENTRY: &str = "opal-entry-address";
    pub const OPAL_RUNTIME_SIZE: &str = "opal-runtime-size";
    pub const MEMCONS: &str = "ibm,opal-memcons";
    pub const WRITE_BUFFER_SIZE: &str = "#write-buffer-size";
    pub const VERSION: &str = "version";
    /// Address and length of a text with the firmware's symbols.
    pub const SYMBOL_MAP: &str = "symbol-map";
    /// Interrupt server numbers of a core's threads: those that the host has.
    pub const INTERRUPT_SERVERS: &str = "ibm,ppc-interrupt-server#s";
    pub const STDOUT_PATH: &str = "stdout-path";
    /// The name that older kernels look for.
    pub const LINUX_STDOUT_PATH: &str = "linux,stdout-path";
    /// Names, and address and length of two cells each, of memory that the host must not use.
    pub const RESERVED_NAMES: &str = "reserved-names";
    pub const RESERVED_RANGES: &str = "reserved-ranges";
    pub const COMPATIBLE: &str = "compatible";
    /// How often a host should poll for events, in milliseconds.
    pub const HEARTBEAT_MS: &str = "ibm,heartbeat-ms";
    /// Most bytes of a message.
    pub const MSG_SIZE: &str = "opal-msg-size";
    /// Calls that can be under way at a time.
    pub const MSG_ASYNC_NUM: &str = "opal-msg-async-num";
    /// Interrupts that the host passes on to OPAL_HANDLE_INTERRUPT, and what they are; then the
    /// names that kernels before 4.17 look for.
    pub const INTERRUPTS: &str = "interrupts";
    pub const INTERRUPT_NAMES: &str = "interrupt-names";
    pub const OPAL_INTERRUPTS: &str = "opal-interrupts";
    pub const OPAL_INTERRUPT_NAMES: &str = "opal-interrupts-names";
    pub const INTERRUPT_PARENT: &str = "interrupt-parent";
    pub const INTERRUPT_CELLS: &str = "#interrupt-cells";
    pub const INTERRUPT_CONTROLLER: &str = "interrupt-controller";
    pub const PHANDLE: &str = "phandle";
    /// Where something is: how many numbers, then the numbers, from the coarsest to the finest.
    pub const ASSOCIATIVITY: &str = "ibm,associativity";
    /// Which of those numbers tell what is near: the first is the one that makes a NUMA node.
    pub const REFERENCE_POINTS: &str = "ibm,associativity-reference-points";
    pub const CHIP_ID: &str = "ibm,chip-id";
    pub const DEVICE_TYPE: &str = "device_type";
    /// Bytes of non-volatile memory.
    pub const NVRAM_BYTES: &str = "#bytes";
    /// The flash that the machine boots from: its node's path, in `/chosen`.
    pub const SYSTEM_FLASH: &str = "ibm,system-flash";
    pub const OPAL_ID: &str = "ibm,opal-id";
    pub const FLASH_BLOCK_BYTES: &str = "ibm,flash-block-size";
    pub const NO_ERASE: &str = "no-erase";
    pub const READ_ONLY: &str = "read-only";
    /// Of an image that was read from flash: its hash; whether its container's hash was that; whether keys
    /// that are trusted have signed the container.
    pub const HASH_ALGORITHM: &str = "hash-algo";
    pub const HASH: &str = "hash";
    pub const CONTAINED: &str = "contained";
    pub const SIGNED: &str = "signed";
    pub const IPMI_INTERFACE: &str = "ibm,ipmi-interface-id";
    /// What SENSOR_READ is given, and what kind of sensor it is.
    pub const SENSOR_DATA: &str = "sensor-data";
    pub const SENSOR_TYPE: &str = "sensor-type";
    /// What hosts show; a core's gets the host's numbers of its threads behind.
    pub const LABEL: &str = "label";
    pub const PIR: &str = "ibm,pir";
}

/// Values of `compatible`.
pub mod compatible {
    pub const OPAL: &[&str] = &["ibm,opal-v2", "ibm,opal-v3"];
    pub const CONSOLE: &str = "ibm,opal-console-raw";
    pub const FIRMWARE: &str = "ibm,opal-firmware";
    pub const EVENT: &str = "ibm,opal-event";
    pub const RTC: &str = "ibm,opal-rtc";
    pub const NVRAM: &str = "ibm,opal-nvram";
    pub const IPMI: &str = "ibm,opal-ipmi";
    pub const FLASH: &str = "ibm,opal-flash";
    pub const PARTITIONS: &str = "fixed-partitions";
    pub const SENSOR: &str = "ibm,opal-sensor";
    pub const XICS: &[&str] = &["IBM,ppc-xics", "IBM,opal-xics"];
    /// Linux drives what has the second name, by the methods of the first.
    pub const PHB3: &[&str] = &["ibm,power8-pciex", "ibm,ioda2-phb"];
}

/// Properties of PCI host bridges and of functions behind them (OPAL API "device-tree/pci"; IEEE 1275 PCI
/// bus binding).
pub mod pci {
    pub const DEVICE_TYPE: &str = "pciex";
    /// Bytes of registers.
    pub const REGISTERS_LEN: u64 = 0x1000;
    /// The number that calls name the bridge by: two cells.
    pub const PHB_ID: &str = "ibm,opal-phbid";
    /// Which of its chip's it is.
    pub const PHB_INDEX: &str = "ibm,phb-index";
    /// Memory of devices with 64-bit addresses: the device's address, the host's, length.
    pub const M64_WINDOW: &str = "ibm,opal-m64-window";
    pub const PES: &str = "ibm,opal-num-pes";
    /// The PE of what has no other.
    pub const RESERVED_PE: &str = "ibm,opal-reserved-pe";
    /// First number, count.
    pub const MSI_RANGES: &str = "ibm,opal-msi-ranges";
    /// Logarithms of the page sizes of DMA windows.
    pub const TCE_SIZES: &str = "ibm,supported-tce-sizes";
    /// Bytes of what GET_PHB_DIAG_DATA2 answers.
    pub const DIAG_BYTES: &str = "ibm,phb-diag-data-size";
    /// 1: configuration space of 4096 bytes.
    pub const CONFIG_SPACE: &str = "ibm,pci-config-space-type";
    pub const INTERRUPT_MAP: &str = "interrupt-map";
    pub const INTERRUPT_MAP_MASK: &str = "interrupt-map-mask";
    pub const VENDOR_ID: &str = "vendor-id";
    pub const DEVICE_ID: &str = "device-id";
    pub const REVISION_ID: &str = "revision-id";
    pub const CLASS_CODE: &str = "class-code";
}

/// Second cell of an interrupt: it is a level.
pub const INTERRUPT_LEVEL: u32 = 1;

/// `/ibm,opal/power-mgt`: power-saving states that the host may use (OPAL API
/// "device-tree/ibm,opal/power-mgt"). Lists have an entry for each state.
pub mod power_mgt {
    pub const NAMES: &str = "ibm,cpu-idle-state-names";
    pub const FLAGS: &str = "ibm,cpu-idle-state-flags";
    pub const LATENCIES_NS: &str = "ibm,cpu-idle-state-latencies-ns";
    pub const RESIDENCIES_NS: &str = "ibm,cpu-idle-state-residency-ns";
    /// The state is nap; the general registers are lost in it.
    pub const FLAG_NAP: u32 = 0x1_0000;
    pub const FLAG_LOSES_USER_CONTEXT: u32 = 0x1000;
}

/// `/ibm,opal/fw-features`: what is so of the processor, and of what the firmware does for it, as far as
/// speculation can tell secrets. Each feature is a node with an empty property [`fw_features::ENABLED`] or
/// [`fw_features::DISABLED`]; of one that isn't there Linux takes the worse for
/// granted. Names are those that Linux
/// looks for (`arch/powerpc/platforms/powernv/setup.c`, `arch/powerpc/kvm/powerpc.c`).
pub mod fw_features {
    pub const NAME: &str = "fw-features";
    pub const ENABLED: &str = "enabled";
    pub const DISABLED: &str = "disabled";
    /// The L1 data cache is to be flushed on the way from a kernel to its processes.
    pub const NEEDS_FLUSH_FOR_USER: &str = "needs-l1d-flush-msr-pr-0-to-1";
    /// The same from a hypervisor to its guests.
    pub const NEEDS_FLUSH_FOR_GUEST: &str = "needs-l1d-flush-msr-hv-1-to-0";
    /// Checks of bounds need a barrier behind them.
    pub const NEEDS_BARRIER: &str = "needs-spec-barrier-for-bound-checks";
    /// `bcctr 2,0,0` leaves no target of an indirect branch behind.
    pub const COUNT_CACHE_FLUSH: &str = "fw-count-cache-flush-bcctr2,0,0";
}

/// Bytes that a terminal takes at a time.
pub const WRITE_BUFFER_LEN: u32 = 1024;

/// `/ibm,opal/smt`: how a host finds out that this firmware runs SMT guests. A stock host passes
/// over it.
pub mod smt {
    pub const PATH: &str = "/ibm,opal/smt";
    pub const NAME: &str = "smt";
    pub const COMPATIBLE: &str = "catnap,smt-v1";
    /// Two cells: lowest and highest version of the interface.
    pub const VERSIONS: &str = "catnap,versions";
    /// Two cells: first and last token.
    pub const TOKENS: &str = "catnap,tokens";
    /// A cell for each: how many vcpus of a partition may make a vcore.
    pub const WIDTHS: &str = "catnap,smt-widths";
    /// A cell: size and alignment of a vcpu page, in bytes.
    pub const PAGE_BYTES: &str = "catnap,vcpu-page-bytes";
    /// Two cells: feature bits, as SMT_QUERY answers them.
    pub const FEATURES: &str = "catnap,features";
}
