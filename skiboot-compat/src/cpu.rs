//! Threads (OPAL API "opal-query-cpu-status-42", "opal-reinit-cpus-70") and power
//! ("opal-cec-power-down-5", "opal-cec-reboot-6-116").

/// QUERY_CPU_STATUS: the firmware has the thread.
pub const THREAD_INACTIVE: u8 = 0;
/// QUERY_CPU_STATUS: the host has the thread.
pub const THREAD_STARTED: u8 = 1;
/// QUERY_CPU_STATUS: nobody can have the thread.
pub const THREAD_UNAVAILABLE: u8 = 2;

/// REINIT_CPUS flags: interrupts to the hypervisor come big-endian, or little-endian.
pub const REINIT_HILE_BIG_ENDIAN: u64 = 1 << 0;
pub const REINIT_HILE_LITTLE_ENDIAN: u64 = 1 << 1;
/// REINIT_CPUS flag: page tables are hashed, which POWER8's always are.
pub const REINIT_MMU_HASH: u64 = 1 << 2;

/// Kinds of CEC_POWER_DOWN.
pub const POWER_DOWN_NORMAL: u64 = 0;
pub const POWER_DOWN_IMMEDIATE: u64 = 1;

/// Kinds of CEC_REBOOT2.
pub const REBOOT_NORMAL: u64 = 0;
pub const REBOOT_PLATFORM_ERROR: u64 = 1;
pub const REBOOT_FULL_IPL: u64 = 2;
pub const REBOOT_MPIPL: u64 = 3;
pub const REBOOT_FAST: u64 = 4;

/// Kinds of QUIESCE: calls of other threads wait at the entry; are answered BUSY; wait, and locks may
/// be broken; go on again.
pub const QUIESCE_HOLD: u64 = 1;
pub const QUIESCE_REJECT: u64 = 2;
pub const QUIESCE_LOCK_BREAK: u64 = 3;
pub const QUIESCE_RESUME: u64 = 4;
pub const QUIESCE_RESUME_FAST_REBOOT: u64 = 5;
/// Instead of a server number: all other threads.
pub const QUIESCE_ALL: u64 = u64::MAX;
