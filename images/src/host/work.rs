//! Runs the guests, on all cores at once and on each core by turns.
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use hcalls::exit::ExitReason;
use hcalls::run::{RUN_FP_CLEAN, RUN_UNTOUCHED};
use hcalls::stats::StatsAction;
use images::boot_args::HostOptions;
use images::host_runtime::calls::{self, Run};
use images::host_runtime::sync::Lock;
use images::host_runtime::{cores, cpu, icp};

use crate::job::Job;
use crate::serve;

/// How long a guest runs before it's the turn of the core's next one: 10 ms.
const TURN_TB: u64 = cpu::TB_HZ / 100;

/// The work of each core: its thread's PIR, its jobs, and until when it may take.
struct CoreWork {
    pir: u32,
    limit_tb: u64,
    jobs: Vec<(usize, Job)>,
}

/// Taken by the core that is to do it.
static WAITING: Lock<Vec<CoreWork>> = Lock::new(Vec::new());
/// Jobs that have ended, with their number.
static FINISHED: Lock<Vec<(usize, Job)>> = Lock::new(Vec::new());
static CORES_BUSY: AtomicUsize = AtomicUsize::new(0);

/// Runs each job on the core that `core_of` says, this core among them; all of them, in order, when
/// they have ended.
pub fn run(
    jobs: Vec<Job>,
    core_of: &[usize],
    pirs: &[u32],
    options: &HostOptions,
) -> Result<Vec<Job>, String> {
    let limit_tb = cpu::time_base() + options.limit_s * cpu::TB_HZ;
    let mut work: Vec<CoreWork> = pirs
        .iter()
        .map(|&pir| CoreWork {
            pir,
            limit_tb,
            jobs: Vec::new(),
        })
        .collect();
    for (index, mut job) in jobs.into_iter().enumerate() {
        let core = &mut work[core_of[index]];
        job.pir = core.pir;
        core.jobs.push((index, job));
    }
    work.retain(|core| !core.jobs.is_empty());
    let others: Vec<u32> = work
        .iter()
        .map(|core| core.pir)
        .filter(|&pir| pir != cpu::pir())
        .collect();
    CORES_BUSY.store(work.len(), Ordering::Release);
    *WAITING.lock() = work;
    for pir in others {
        cores::start(pir, take_and_run)
            .map_err(|status| alloc::format!("START_CPU of {pir:#x}: {status:?}"))?;
    }
    take_and_run(cpu::pir());
    while CORES_BUSY.load(Ordering::Acquire) > 0 {
        cpu::relax();
    }
    let mut finished = core::mem::take(&mut *FINISHED.lock());
    finished.sort_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, job)| job).collect())
}

/// On each core: does the work that is meant for it.
fn take_and_run(pir: u32) {
    let mut waiting = WAITING.lock();
    let Some(place) = waiting.iter().position(|core| core.pir == pir) else {
        return;
    };
    let mut work = waiting.remove(place);
    drop(waiting);
    while work.jobs.iter().any(|(_, job)| job.is_running()) {
        for (_, job) in work.jobs.iter_mut().filter(|(_, job)| job.is_running()) {
            turn(job, work.limit_tb);
        }
    }
    for (_, job) in &mut work.jobs {
        job.stats = calls::smt_stats(job.guest.vcore, StatsAction::Snapshot).ok();
    }
    FINISHED.lock().append(&mut work.jobs);
    CORES_BUSY.fetch_sub(1, Ordering::Release);
}

/// One run of a guest, and what its vcpus ask for then.
fn turn(job: &mut Job, limit_tb: u64) {
    let before_tb = cpu::time_base();
    if before_tb > limit_tb {
        return job.fail("not done within the time limit".into());
    }
    if before_tb < job.not_before_tb {
        return cpu::relax();
    }
    let done = job.done_slots();
    let runnable = job.guest.all_slots() & !done;
    let run = job.guest.run(
        runnable,
        done,
        before_tb + TURN_TB,
        RUN_FP_CLEAN | RUN_UNTOUCHED,
    );
    let taken_tb = cpu::time_base() - before_tb;
    match run {
        Ok(run) => {
            note_cost(job, runnable & !run.did_not_run, taken_tb);
            if run.first_reason == ExitReason::External {
                // A device of the host's: this host has none that it wants to hear from.
                icp::drop_pending();
            }
            for vcpu in job.guest.vcpus_of(run.exited) {
                serve::exit(job, vcpu);
            }
            wait_if_all_ceded(job, &run, runnable);
        }
        Err(refusal) => job.fail(alloc::format!("VCORE_RUN: {refusal}")),
    }
}

fn note_cost(job: &mut Job, ran: u64, taken_tb: u64) {
    let lines = || {
        job.guest
            .vcpus_of(ran)
            .map(|vcpu| &job.guest.page(vcpu).firmware)
    };
    let first = lines().map(|line| line.entered_tb.get()).min().unwrap_or(0);
    let last = lines().map(|line| line.left_tb.get()).max().unwrap_or(0);
    job.cost.runs += 1;
    job.cost.switch_tb += taken_tb.saturating_sub(last.saturating_sub(first));
}

/// When every vcpu waits, only a decrementer can wake one: there is nobody else to do so.
fn wait_if_all_ceded(job: &mut Job, run: &Run, runnable: u64) {
    let still_runnable = runnable & !job.done_slots();
    job.not_before_tb = 0;
    if still_runnable != 0 && run.ceded == still_runnable {
        match run.decrementer_tb {
            Some(tb) => job.not_before_tb = tb,
            None => job.fail("all vcpus wait in H_CEDE and nothing can wake them".into()),
        }
    }
}
