//! Events and terminals (OPAL API "opal-poll-events", "opal-console-read-write-1-2").

/// The terminal that `/ibm,opal/consoles/serial@0` names.
pub const TERMINAL: u64 = 0;

/// Events: more room for output.
pub const EVENT_CONSOLE_OUTPUT: u64 = 0x8;
/// Events: input has come.
pub const EVENT_CONSOLE_INPUT: u64 = 0x10;
/// Events: the clock has answered.
pub const EVENT_RTC: u64 = 0x4;
/// Events: OPAL_GET_MSG has something.
pub const EVENT_MESSAGE: u64 = 0x800;
