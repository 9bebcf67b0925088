//! Runs the guests, on all cores at once and on each core by turns; then measures what a run costs.
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use hcalls::exit::ExitReason;
use hcalls::run::{RUN_FP_CLEAN, RUN_SPRS_LOST, RUN_UNTOUCHED};
use hcalls::stats::StatsAction;
use images::boot_args::HostOptions;
use images::host_runtime::calls::{self, Run};
use images::host_runtime::sync::Lock;
use images::host_runtime::{cores, cpu, icp, opal};

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
        cores::start(pir, take_and_return)
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

/// On other cores: the work, then the core is of no further use.
fn take_and_return(pir: u32) {
    take_and_run(pir);
    opal::return_cpu()
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
    match run {
        Ok(run) => {
            job.runs += 1;
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

/// What a run of all vcpus costs, from the call to its return, now that each has only its hypercall
/// to make: the least of some, in ticks. The firmware's other cores nap.
pub fn least_run_tb(job: &mut Job) -> Option<u64> {
    const ROUNDS: usize = 8;
    // This host has none of the registers that a run may lose, and touches no page.
    let flags = RUN_FP_CLEAN | RUN_UNTOUCHED | RUN_SPRS_LOST;
    let all = job.guest.all_slots();
    let mut least_tb = None;
    for _ in 0..ROUNDS {
        let before_tb = cpu::time_base();
        let run = job.guest.run(all, 0, before_tb + TURN_TB, flags);
        let taken_tb = cpu::time_base() - before_tb;
        let came_out = run.is_ok_and(|run| run.exited != 0);
        least_tb = least_tb
            .into_iter()
            .chain(came_out.then_some(taken_tb))
            .min();
    }
    least_tb
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
