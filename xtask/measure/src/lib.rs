//! What the machine's instructions, records and counts say: `cargo xtask bench`, `rules`, `trace` and
//! `stats`.
pub mod bench;
pub mod rules;
pub mod stats;
pub mod told;
pub mod trace;
