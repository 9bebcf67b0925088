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
}

/// Names of nodes in their parents.
pub mod name {
    pub const OPAL: &str = "ibm,opal";
    pub const CONSOLES: &str = "consoles";
    pub const SERIAL: &str = "serial@0";
    pub const FIRMWARE: &str = "firmware";
    /// Regions listed here show up in Linux's /sys/firmware/opal/exports.
    pub const EXPORTS: &str = "exports";
    pub const RESERVED_MEMORY: &str = "reserved-memory";
}

/// Names of properties.
pub mod property {
    pub const OPAL_BASE: &str = "opal-base-address";
    pub const OPAL_ENTRY: &str = "opal-entry-address";
    pub const OPAL_RUNTIME_SIZE: &str = "opal-runtime-size";
    pub const MEMCONS: &str = "ibm,opal-memcons";
    pub const WRITE_BUFFER_SIZE: &str = "#write-buffer-size";
    pub const VERSION: &str = "version";
    /// Interrupt server numbers of a core's threads: those that the host has.
    pub const INTERRUPT_SERVERS: &str = "ibm,ppc-interrupt-server#s";
    pub const STDOUT_PATH: &str = "stdout-path";
    /// The name that older kernels look for.
    pub const LINUX_STDOUT_PATH: &str = "linux,stdout-path";
    /// Names, and address and length of two cells each, of memory that the host must not use.
    pub const RESERVED_NAMES: &str = "reserved-names";
    pub const RESERVED_RANGES: &str = "reserved-ranges";
    pub const COMPATIBLE: &str = "compatible";
}

/// Values of `compatible`.
pub mod compatible {
    pub const OPAL: &[&str] = &["ibm,opal-v2", "ibm,opal-v3"];
    pub const CONSOLE: &str = "ibm,opal-console-raw";
    pub const FIRMWARE: &str = "ibm,opal-firmware";
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
