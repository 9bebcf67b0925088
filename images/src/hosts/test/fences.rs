//! Threads that don't answer: their core is fenced, the other one goes on, and CORE_CLAIM ends it.
//!
//! The host makes a thread deaf by its interrupt presenter, which anybody can write to.
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hcalls::Status;
use hcalls::exit::ExitReason;
use hcalls::papr::H_SUCCESS;
use hcalls::partition::{Policy, PtidMode};
use hcalls::run::{ClaimAction, CoreState, RUN_FP_CLEAN, VcpuState};
use images::behaviour::calls as case;
use images::host_runtime::calls::{self, Run, Vcore};
use images::host_runtime::guest::Guest;
use images::host_runtime::{cpu, decrementers, icp};
use images::println;

use crate::check::{Outcome, accepted, refused, same};
use crate::cores::{self, Errand};
use crate::lab::{self, Lab, MS_TB, Wanted};
use crate::stats;
use crate::watch;

/// The core that is fenced, and its vcore.
static CORE: AtomicU32 = AtomicU32::new(0);
static VCORE: AtomicU64 = AtomicU64::new(0);
/// The thread of it that is made deaf.
static DEAF: AtomicU32 = AtomicU32::new(0);
/// How long runs may take that end long before.
const LONG_TB: u64 = 60_000 * MS_TB;
static FENCED: AtomicBool = AtomicBool::new(false);

fn begin(guest: &Guest, deaf: u32) {
    CORE.store(cpu::pir(), Ordering::Relaxed);
    DEAF.store(cpu::pir() + deaf, Ordering::Relaxed);
    VCORE.store(guest.vcore.0, Ordering::Relaxed);
    FENCED.store(false, Ordering::Release);
    icp::mask(cpu::pir() + deaf);
}

/// Eight vcpus that spin, each on the thread of its number, of which any can run alone.
fn eager_and_aligned(lab: &mut Lab) -> Result<Guest, alloc::string::String> {
    lab.guest(&Wanted {
        policy: Policy::Eager,
        ptid_mode: PtidMode::Aligned,
        ..Wanted::new("loop", 8)
    })
}

fn deaf() -> u32 {
    DEAF.load(Ordering::Relaxed)
}

/// A secondary never answers its IPI. The run ends, the host is told which thread it is, that core
/// alone is fenced, and the other one runs guests all the time. When the thread hears again it
/// doesn't wake; CORE_CLAIM has it back, and the vcore runs on (B31).
/// B21.
pub fn fence(lab: &mut Lab) -> Outcome {
    const LOST: usize = 3;
    let mut guest = lab.guest(&Wanted::new("loop", 8))?;
    let other = lab.guest(&Wanted::new("loop", 8))?;
    begin(&guest, LOST as u32);
    cores::send(lab, &other, run_until_fenced)?;
    let run = guest.run(0xff, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    FENCED.store(true, Ordering::Release);
    cores::answer()?;
    is_lost(run, LOST)?;
    let others = (0..8).filter(|&vcpu| vcpu != LOST);
    for vcpu in others {
        let owner = guest.page(vcpu).firmware.owner.get();
        same("the page is the host's", (vcpu, owner), (vcpu, 0))?;
    }
    is_fenced(&mut guest, LOST)?;
    // It is still deaf.
    is_lost(claim(), LOST)?;
    hears_again(&guest, LOST)?;
    same("claimed", accepted("CORE_CLAIM", claim())?, CoreState::Held)?;
    runs_again(&mut guest, LOST, 0xff)
}

/// A vcpu makes its hypercall while a thread is missing: the core is fenced, but the hypercall isn't lost.
/// The claim that ends the fence tells of it, and the vcpu waits for its answer (B31, B35). The host's
/// HDEC is as it was (L4).
pub fn fence_exit(lab: &mut Lab) -> Outcome {
    const LOST: usize = 3;
    let mut guest = lab.guest(&Wanted::new("calls", 4))?;
    lab::start_all(&mut guest, [case::FIRST_REPORTS, 0]);
    begin(&guest, LOST as u32);
    let run = guest.run(0xf, 0, cpu::time_base() + LONG_TB, RUN_FP_CLEAN);
    is_lost(run, LOST)?;
    hears_again(&guest, LOST)?;
    decrementers::set(i32::MAX);
    let ended = accepted("CORE_CLAIM", calls::end_fence(cpu::pir().into()))?;
    let ended = ended.ok_or("no fence was ended")?;
    let [_, hdec] = decrementers::read();
    ensure!(hdec > 0, "the host's HDEC is {hdec:#x} now");
    let told = (ended.vcore, ended.exited, ended.ceded);
    same("vcore, exited, ceded", told, (guest.vcore.0, 1, 0))?;
    let none = accepted("CORE_CLAIM", calls::end_fence(cpu::pir().into()))?;
    same("a second fence", none, None)?;
    let waits = guest.run(0xe, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    refused("a run without it", waits, Status::Constrained, 0)?;
    for count in 0..3 {
        let (_, args) = lab::hypercall(&guest, 0)?;
        same("step, vcpu, count", &args[..3], &[case::STEP, 0, count])?;
        lab::answer(&mut guest, 0, H_SUCCESS);
        let run = lab::run(&mut guest, 0xf)?;
        same("exited", run.exited, 1)?;
    }
    Ok(())
}

/// An IPI is lost on its way, in a run that has no vcpu for the runner and long to go: the others come
/// out, and the rest is as above.
/// B31.
pub fn fence_lost_ipi(lab: &mut Lab) -> Outcome {
    const LOST: usize = 2;
    let mut guest = eager_and_aligned(lab)?;
    begin(&guest, LOST as u32);
    cores::send(lab, &guest, |errand| {
        errand.runs.wait_for_all(0b1_1010)?;
        watch::wait("nobody has called it", || icp::ipi_waits(deaf()))?;
        icp::lose_ipi(deaf());
        icp::unmask(deaf());
        Ok(())
    })?;
    let run = guest.run(0b1_1110, 0, cpu::time_base() + LONG_TB, RUN_FP_CLEAN);
    cores::answer()?;
    is_lost(run, LOST)?;
    for vcpu in [1, 3, 4] {
        let line = &guest.page(vcpu).firmware;
        let (owner, entries) = (line.owner.get(), line.entries.get());
        same("owner and entries", (vcpu, owner, entries), (vcpu, 0, 1))?;
    }
    is_fenced(&mut guest, LOST)?;
    hears_again(&guest, LOST)?;
    same("claimed", accepted("CORE_CLAIM", claim())?, CoreState::Held)?;
    runs_again(&mut guest, LOST, 0b1_1110)
}

/// The deadline is past when the runner begins to wait, and the only vcpu's thread never answers. The run
/// is over for everybody when its core is fenced: nobody joins it (B26, B28, B31).
pub fn fence_overdue(lab: &mut Lab) -> Outcome {
    const LOST: usize = 2;
    let mut guest = eager_and_aligned(lab)?;
    begin(&guest, LOST as u32);
    let run = guest.run(1 << LOST, 0, cpu::time_base() - MS_TB, RUN_FP_CLEAN);
    is_lost(run, LOST)?;
    let state = calls::vcpu_set_state(guest.vcore, 0b1010, VcpuState::Runnable);
    let change = accepted("VCPU_SET_STATE", state)?;
    same(
        "joined, queued",
        (change.joined, change.queued),
        (0, 0b1010),
    )?;
    is_fenced(&mut guest, LOST)?;
    hears_again(&guest, LOST)?;
    same("claimed", accepted("CORE_CLAIM", claim())?, CoreState::Held)?;
    runs_again(&mut guest, LOST, 0b1110)
}

/// For the other core: its own vcore runs, again and again, and that of the fenced core can't.
fn run_until_fenced(errand: &Errand) -> Outcome {
    let mut runs = 0;
    while !FENCED.load(Ordering::Acquire) {
        accepted("VCORE_RUN", run_there(errand.vcore))?;
        runs += 1;
    }
    ensure!(runs > 10, "only {runs} runs");
    let vcore = Vcore(VCORE.load(Ordering::Relaxed));
    refused("the fenced vcore", run_there(vcore), Status::Busy, 0)
}

fn run_there(vcore: Vcore) -> calls::Result<Run> {
    // SAFETY: nobody has a reference to that guest's pages or memory meanwhile.
    unsafe { calls::vcore_run(vcore, 0xff, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN) }
}

fn claim() -> calls::Result<CoreState> {
    calls::core_claim(cpu::pir().into(), ClaimAction::Claim)
}

/// The call was refused since that thread never came back.
fn is_lost<T: core::fmt::Debug>(answer: calls::Result<T>, ptid: usize) -> Outcome {
    match answer {
        Err(refusal) if refusal.is(Status::Partial) => {
            same("threads that never came back", refusal.threads, 1 << ptid)
        }
        other => Err(alloc::format!("{other:x?}, not Partial")),
    }
}

/// The core, and the vcore with it: nothing can be done with them.
fn is_fenced(guest: &mut Guest, lost: usize) -> Outcome {
    let state = calls::core_claim(cpu::pir().into(), ClaimAction::Status);
    same("state", accepted("CORE_CLAIM", state)?, CoreState::Fenced)?;
    let run = guest.run(0xff, 0, cpu::time_base() + MS_TB, RUN_FP_CLEAN);
    refused("a fenced core's run", run, Status::WrongState, 0)?;
    let release = calls::core_claim(cpu::pir().into(), ClaimAction::Release);
    refused("a fenced core's release", release, Status::WrongState, 0)?;
    let vcpu = calls::vcpu_destroy(guest.vcore, lost as u64);
    refused("VCPU_DESTROY", vcpu, Status::Busy, 0)?;
    let partition = calls::partition_destroy(guest.partition);
    refused("PARTITION_DESTROY", partition, Status::Busy, 0)
}

/// The thread hears again, while its core's vectors are the host's: it doesn't come. (Otherwise the
/// host is interrupted, and says so.)
fn hears_again(guest: &Guest, lost: usize) -> Outcome {
    icp::unmask(deaf());
    cpu::wait_until(cpu::time_base() + 20 * MS_TB);
    let line = &guest.page(lost).firmware;
    let found = (line.entries.get(), line.trap.get());
    same("entries and trap of the lost one", found, (0, 0))
}

/// All of `slots` enter, the one that was lost among them.
fn runs_again(guest: &mut Guest, lost: usize, slots: u64) -> Outcome {
    let entries = |guest: &Guest| guest.page(lost).firmware.entries.get();
    let before = entries(guest);
    for _ in 0..100 {
        let run = lab::run_for(guest, slots, 50 * MS_TB)?;
        same("exited", run.exited, 0)?;
        if entries(guest) > before {
            return Ok(());
        }
    }
    Err(alloc::format!("vcpu {lost} doesn't run any more"))
}

/// A thread that is deaf in its guest doesn't hear a kick: the run ends by its deadline, and the kick
/// is answered then.
/// B17.
pub fn deaf_to_kick(lab: &mut Lab) -> Outcome {
    for ptid_mode in [PtidMode::Packed, PtidMode::Aligned] {
        let mut guest = lab.guest(&Wanted {
            ptid_mode,
            policy: Policy::Eager,
            ..Wanted::new("loop", 4)
        })?;
        // The one that is kicked is the only one on a secondary: it is called for all.
        begin(&guest, 1);
        icp::unmask(deaf());
        cores::send(lab, &guest, |errand| {
            errand.runs.wait_for_all(0b11)?;
            icp::mask(deaf());
            cores::bring_out(errand, 1)
        })?;
        let run = lab::run_for(&mut guest, 0b11, 2000 * MS_TB);
        cores::answer()?;
        icp::unmask(deaf());
        let run = run?;
        same("exited", run.exited, 1)?;
        let reason = guest.page(0).firmware.reason.get();
        same("the kicked one's reason", reason, ExitReason::Kick as u32)?;
        runs_again(&mut guest, 1, 0b11)?;
        lab.clear();
    }
    Ok(())
}

/// Secondaries that nap through a run get interrupts that nobody has called them by: each naps again, and
/// the run goes on (B29). (Those that run could take a kick's for such a one: hosts leave them alone.)
pub fn spurious(lab: &mut Lab) -> Outcome {
    const ROUNDS: u64 = 100;
    let mut guest = lab.guest(&Wanted::new("loop", 4))?;
    CORE.store(cpu::pir(), Ordering::Relaxed);
    let before = stats::spurious(lab, cpu::pir())?;
    for round in 0..ROUNDS {
        cores::send(lab, &guest, |errand| {
            errand.runs.wait_for_all(0b1111)?;
            let core = CORE.load(Ordering::Relaxed);
            for _ in 0..4 {
                (4..8).for_each(|ptid| icp::send_firmwares_ipi(core + ptid));
                // Once the core is the host's they would wake in the host's vectors.
                watch::wait("a thread doesn't take its IPI", || {
                    (4..8).all(|ptid| !icp::ipi_waits(core + ptid))
                })?;
            }
            cores::bring_out(errand, 1)
        })?;
        let run = lab::run(&mut guest, 0xf)?;
        cores::answer()?;
        same("round, exited", (round, run.exited), (round, 1))?;
    }
    for vcpu in 0..4 {
        let entries = guest.page(vcpu).firmware.entries.get();
        same("vcpu and entries", (vcpu, entries), (vcpu, ROUNDS))?;
    }
    let more = stats::spurious(lab, cpu::pir())? - before;
    println!("spurious: {more} wake-ups for nothing");
    ensure!(more > 0, "nobody woke for nothing");
    Ok(())
}

/// A vcpu joins a run that has lasted for longer than the runner waits for threads that were called:
/// it has its own time to come (B26, B31).
pub fn join_after_long(lab: &mut Lab) -> Outcome {
    let mut guest = eager_and_aligned(lab)?;
    cores::send(lab, &guest, |errand| {
        errand.runs.wait_for_any()?;
        cpu::wait_until(cpu::time_base() + 10_200 * MS_TB);
        for slot in 2..8 {
            let state = calls::vcpu_set_state(errand.vcore, 1 << slot, VcpuState::Runnable);
            let joined = accepted("VCPU_SET_STATE", state)?.joined;
            same("joined", joined, 1 << slot)?;
        }
        errand.runs.wait_for_all(0b1111_1110)?;
        cores::bring_out(errand, 0b10)
    })?;
    let run = guest.run(0b10, 0, cpu::time_base() + LONG_TB, RUN_FP_CLEAN);
    cores::answer()?;
    same("exited", accepted("VCORE_RUN", run)?.exited, 0b10)?;
    for vcpu in 1..8 {
        let entries = guest.page(vcpu).firmware.entries.get();
        same("entries", (vcpu, entries), (vcpu, 1))?;
    }
    Ok(())
}
