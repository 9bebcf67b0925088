//! Call tokens (r0). OPAL leaves 1000–1999 to vendors; these calls take 1100 onwards.
use num_enum::{IntoPrimitive, TryFromPrimitive};

/// A call of catnap's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoPrimitive, TryFromPrimitive)]
#[repr(u64)]
pub enum Token {
    SmtQuery = 1100,
    CoreClaim = 1101,
    PartitionCreate = 1102,
    PartitionDestroy = 1103,
    VcpuCreate = 1104,
    VcpuDestroy = 1105,
    VcoreRun = 1106,
    VcpuSetState = 1107,
    VcoreKick = 1108,
    SmtStats = 1109,
    SmtTrace = 1110,
    PartitionUpdate = 1111,
    VcoreDoorbells = 1112,
    PartitionMemory = 1113,
    PartitionUnmap = 1114,
}

/// The first token, published in `/ibm,opal/smt`.
pub const FIRST: u64 = Token::SmtQuery as u64;
/// The last token of this version.
pub const LAST: u64 = Token::PartitionUnmap as u64;
