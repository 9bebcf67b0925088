//! The memory console: a header in memory that says where the firmware's log is. The tree names
//! its address (`ibm,opal-memcons`); Linux shows the text as /sys/firmware/opal/msglog.
//!
//! All fields are big-endian; offsets are in bytes.

/// First field of a header.
pub const MAGIC: u64 = 0x6630_6965_6772_6173;
/// In the output position: the text has wrapped and the oldest byte is the one there.
pub const OUT_POS_WRAPPED: u32 = 0x8000_0000;
/// In the output position: offset of the next byte.
pub const OUT_POS_MASK: u32 = 0x00ff_ffff;

/// 64-bit [`MAGIC`].
pub const MAGIC_OFFSET: usize = 0;
/// 64-bit real address of the output text.
pub const OBUF_PHYS_OFFSET: usize = 8;
/// 64-bit real address of the input text.
pub const IBUF_PHYS_OFFSET: usize = 16;
/// 32-bit length of the output text.
pub const OBUF_SIZE_OFFSET: usize = 24;
/// 32-bit length of the input text.
pub const IBUF_SIZE_OFFSET: usize = 28;
/// 32-bit output position.
pub const OUT_POS_OFFSET: usize = 32;
/// 32-bit position where input is put in.
pub const IN_PROD_OFFSET: usize = 36;
/// 32-bit position where input is taken out.
pub const IN_CONS_OFFSET: usize = 40;
