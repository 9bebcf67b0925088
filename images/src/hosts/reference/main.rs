//! The reference host: it divides the input between SMT guests, runs them on its cores at the same
//! time, and tells what they computed and what it cost.
//!
//! Its initial RAM disk holds `input`, and either `guest`, run as every guest, or `guest.be` and
//! `guest.le`, run by turns. Boot arguments: [`images::boot_args::HostOptions`]. The lines that
//! begin with `share`, `slice` and `digest` are for programs to read.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
extern crate alloc;

mod job;
mod report;
mod serve;
mod work;

use alloc::string::String;
use alloc::vec::Vec;

use hcalls::query::Query;
use hcalls::run::{ClaimAction, CoreState};
use images::boot_args::{self, HostOptions};
use images::host_runtime::{self, HostArgs, calls, opal};
use images::machine::Machine;
use images::{cpio, placement, println};

use crate::job::Job;

images::host!(host);

fn host(args: HostArgs) -> ! {
    match run(&args) {
        Ok(()) => println!("host: done"),
        Err(why) => println!("host: failed: {why}"),
    }
    opal::power_down()
}

fn run(args: &HostArgs) -> Result<(), String> {
    let tree = host_runtime::device_tree(args);
    let machine = Machine::read(tree).map_err(|bad| alloc::format!("device tree: {}", bad.0))?;
    let mut options =
        HostOptions::parse(machine.boot_args).map_err(|bad| alloc::format!("{bad}"))?;
    check_firmware()?;
    if boot_args::value(machine.boot_args, "smt").is_none() {
        let widest = calls::smt_query(Query::Threads.into())
            .map_err(|refusal| alloc::format!("SMT_QUERY: {refusal}"))?;
        options.vcpus.retain(|vcpus| *vcpus <= widest);
    }
    let cores = &machine.cores[..options
        .cores
        .unwrap_or(machine.cores.len())
        .min(machine.cores.len())];
    for &pir in cores {
        claim(pir)?;
    }
    let jobs = jobs(&machine, &options, tree.data().len() as u64, args.tree)?;
    let core_of = placement::place(&options.vcpus, cores.len());
    println!("host: {} guests on {} cores", jobs.len(), cores.len());
    let mut finished = work::run(jobs, &core_of, cores, &options)?;
    for job in finished.iter_mut().filter(|job| job.failure.is_none()) {
        job.least_run_tb = work::least_run_tb(job);
    }
    report::print(&finished, &options);
    for job in finished {
        let destroyed = job.guest.destroy();
        destroyed.map_err(|refusal| alloc::format!("PARTITION_DESTROY: {refusal}"))?;
    }
    Ok(())
}

/// Another firmware refuses a token that it doesn't know.
fn check_firmware() -> Result<(), String> {
    match calls::speaks_our_version() {
        Ok(true) => Ok(()),
        Ok(false) => Err(alloc::format!(
            "the firmware doesn't speak version {}",
            hcalls::VERSION
        )),
        Err(refusal) => Err(alloc::format!(
            "the firmware can't run SMT guests: SMT_QUERY: {refusal}"
        )),
    }
}

/// Lets the firmware have the other threads of the core with thread `pir`.
fn claim(pir: u32) -> Result<(), String> {
    let why = |refusal| alloc::format!("CORE_CLAIM of {pir:#x}: {refusal}");
    if calls::core_claim(pir.into(), ClaimAction::Status).map_err(why)? != CoreState::Held {
        calls::core_claim(pir.into(), ClaimAction::Claim).map_err(why)?;
    }
    Ok(())
}

/// A guest for each number of vcpus, each with its share of the input.
fn jobs(
    machine: &Machine<'_>,
    options: &HostOptions,
    tree_bytes: u64,
    tree: u64,
) -> Result<Vec<Job>, String> {
    let initrd = machine.initrd.clone().ok_or("no initial RAM disk")?;
    let mut ram = host_runtime::free_ram(machine, tree..tree + tree_bytes);
    // SAFETY: the firmware put the archive there for the host, who only reads it.
    let archive: &[u8] = unsafe { host_runtime::real_memory(initrd) };
    let input = entry(archive, "input")?.ok_or("no `input` in the initial RAM disk")?;
    let files = match entry(archive, "guest")? {
        Some(file) => [file, file],
        None => [
            entry(archive, "guest.be")?
                .ok_or("no `guest` and no `guest.be` in the initial RAM disk")?,
            entry(archive, "guest.le")?.ok_or("no `guest.le` in the initial RAM disk")?,
        ],
    };
    let uses_fp = entry(archive, "guest")?.is_some();
    let mut jobs: Vec<Job> = Vec::new();
    for (index, file) in (0..options.vcpus.len()).zip(files.iter().cycle()) {
        let job = Job::new(index, options, file, input, uses_fp, &mut ram, &jobs)?;
        jobs.push(job);
    }
    Ok(jobs)
}

fn entry<'a>(archive: &'a [u8], name: &str) -> Result<Option<&'a [u8]>, String> {
    cpio::find(archive, name).map_err(|bad| {
        alloc::format!(
            "initial RAM disk: no cpio entry at offset {:#x}",
            bad.offset
        )
    })
}
