//! What is printed at the end.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use hcalls::exit::ExitReason;
use hcalls::partition::PtidMode;
use images::boot_args::HostOptions;
use images::guest_calls::DIGEST_BYTES;
use images::host_runtime::cpu::TB_HZ;
use images::table::Table;
use images::{hex, print, println, share};
use sha2::{Digest, Sha256};

use crate::job::Job;

/// The lines for programs, then the table, then what went wrong.
pub fn print(jobs: &[Job], options: &HostOptions) {
    for job in jobs {
        print_digests(job);
    }
    println!();
    print!("{}", table(jobs, options));
    println!(
        "Round trip: what a run takes at least, from the host's call to its return, when each vcpu"
    );
    println!(
        "has only its hypercall to make; in ns, which by `-icount shift=0` are instructions of all"
    );
    println!("threads together. Threads that find the first already leaving don't enter.");
    println!();
    for job in jobs {
        if let Some(why) = &job.failure {
            println!("failed {}: {why}", job.name);
        }
    }
}

fn print_digests(job: &Job) {
    let len_bytes = job.share.end - job.share.start;
    println!("share {} {} {len_bytes}", job.name, job.share.start);
    let Some(digests) = job.digests.iter().copied().collect::<Option<Vec<_>>>() else {
        return;
    };
    for (vcpu, digest) in digests.iter().enumerate() {
        let slice = share::slice(len_bytes, vcpu as u64, digests.len() as u64);
        let (offset, len_bytes) = (job.share.start + slice.start, slice.end - slice.start);
        println!(
            "slice {} {vcpu} {offset} {len_bytes} {}",
            job.name,
            hex::encode(digest)
        );
    }
    if let Some(digest) = whole_digest(job) {
        println!("digest {} {}", job.name, hex::encode(&digest));
    }
}

fn table(jobs: &[Job], options: &HostOptions) -> Table {
    let heading = [
        "guest",
        "vcpus",
        "endian",
        "core",
        "ptid",
        "runs",
        "entries",
        "served",
        "round trip",
        "digest",
        "exits",
    ];
    let mut table = Table::new(&heading);
    let ptid = match options.ptid_mode {
        PtidMode::Packed => "packed",
        PtidMode::Aligned => "aligned",
    };
    for job in jobs {
        let endian = if job.guest.image.little_endian {
            "little"
        } else {
            "big"
        };
        let stats = job.stats.as_ref();
        table.row(alloc::vec![
            job.name.clone(),
            job.guest.vcpus().to_string(),
            endian.into(),
            alloc::format!("{:#x}", job.pir),
            ptid.into(),
            job.runs.to_string(),
            stats.map_or(0, |stats| stats.entries.get()).to_string(),
            stats.map_or(0, |stats| stats.served.get()).to_string(),
            round_trip(job),
            digest(job),
            exits(job),
        ]);
    }
    table
}

fn round_trip(job: &Job) -> String {
    match job.least_run_tb {
        Some(tb) => (tb * 1_000_000_000 / TB_HZ).to_string(),
        None => "unknown".into(),
    }
}

/// The beginning of the guest's digest.
fn digest(job: &Job) -> String {
    match whole_digest(job) {
        Some(digest) => hex::encode(&digest[..4]),
        None => "none".into(),
    }
}

/// The digest of the digests of all slices, when all vcpus have told theirs.
fn whole_digest(job: &Job) -> Option<[u8; DIGEST_BYTES]> {
    let digests = job.digests.iter().copied().collect::<Option<Vec<_>>>()?;
    Some(Sha256::digest(digests.concat()).into())
}

/// The reasons that occurred, as `Hypercall 9, Pulled 7`.
fn exits(job: &Job) -> String {
    let Some(stats) = &job.stats else {
        return "unknown".into();
    };
    let mut text = String::new();
    for (reason, count) in stats.exits.iter().map(|count| count.get()).enumerate() {
        if let (Ok(reason), 1..) = (ExitReason::try_from(reason as u32), count) {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{reason:?} {count}");
        }
    }
    text
}
