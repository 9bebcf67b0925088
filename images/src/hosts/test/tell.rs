//! What the firmware exports, told to who reads the console: lines of an offset and the bytes there,
//! both in hexadecimal.
use core::ops::Range;

use hcalls::trace::{Header, Record, RingHeader, TraceAction};
use images::host_runtime::real_memory;
use images::{hex, println};

use crate::check::Outcome;
use crate::lab::Lab;
use crate::{stats, trace};

const LINE_BYTES: usize = 32;

/// Tells the export of that name.
pub fn tell(lab: &Lab, name: &str) -> Outcome {
    let region = lab.export(name)?;
    // SAFETY: memory of the firmware's that hosts may read, and that holds numbers.
    let bytes: &[u8] = unsafe { real_memory(region) };
    match name {
        "trace" => records(bytes)?,
        "smt_stats" => {
            stats::wait_for_update(lab)?;
            all(bytes);
        }
        _ => all(bytes),
    }
    println!("told: {:#x} bytes", bytes.len());
    Ok(())
}

/// All that isn't zero.
fn all(bytes: &[u8]) {
    for start in (0..bytes.len()).step_by(LINE_BYTES) {
        let end = bytes.len().min(start + LINE_BYTES);
        if bytes[start..end].iter().any(|byte| *byte != 0) {
            piece(bytes, start..end);
        }
    }
}

/// The trace, without the records from before it was last switched on.
fn records(bytes: &[u8]) -> Outcome {
    trace::switch(TraceAction::Stop)?;
    let trace = trace::read()?;
    let header = trace.header;
    piece(bytes, 0..size_of::<Header>());
    let (first, ring_bytes) = (header.header_bytes.get(), header.ring_bytes.get());
    for (number, ring) in trace.rings().enumerate() {
        let start = first as usize + number * ring_bytes as usize;
        let records = start + size_of::<RingHeader>();
        piece(bytes, start..records);
        for place in ring.places() {
            let record = records + place * size_of::<Record>();
            piece(bytes, record..record + size_of::<Record>());
        }
    }
    Ok(())
}

fn piece(bytes: &[u8], range: Range<usize>) {
    for (number, line) in bytes[range.clone()].chunks(LINE_BYTES).enumerate() {
        let digits = hex::encode(line);
        println!("told {:06x} {digits}", range.start + number * LINE_BYTES);
    }
}
