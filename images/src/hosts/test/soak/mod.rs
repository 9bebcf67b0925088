//! Everything at once: two cores do what they like to the same guests, until the time is up or
//! something isn't as it must be. Which acts are tried is drawn from the seed (boot argument
//! `seed=`); how long it goes on is boot argument `seconds=`.
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hcalls::partition::{MemoryMode, Policy, PtidMode};
use images::host_runtime::sync::Lock;
use images::host_runtime::{cpu, opal};
use images::random::Random;
use images::{behaviour, boot_args, println};

use crate::check::Outcome;
use crate::cores;
use crate::lab::{self, Lab, MS_TB, Wanted};
use crate::memory;
use diary::Diary;
use shared::Shared;

mod acts;
mod diary;
mod runs;
mod shared;

const SECONDS: u64 = 5;
/// A line after so many seconds.
const LINE_SECONDS: u64 = 10;
const CORES: usize = 2;
/// A core that hasn't finished an act for so long hangs.
const HANGS_TB: u64 = 60_000 * MS_TB;

/// What the cores have in common.
struct Soak {
    guests: Vec<Shared>,
    seed: u64,
    seconds: u64,
    until_tb: u64,
    cores: [Core; CORES],
    over: AtomicBool,
    broken: Lock<Option<String>>,
}

#[derive(Default)]
struct Core {
    acts: AtomicU64,
    last_tb: AtomicU64,
    through: AtomicBool,
    diary: Diary,
}

/// For the other core, which can't be given anything.
static SOAK: Lock<Option<&'static Soak>> = Lock::new(None);

/// B1–B37 and L1–L7, all at the same time.
pub fn soak(lab: &mut Lab) -> Outcome {
    let number = |name| boot_args::value(lab.boot_args(), name).and_then(|it| it.parse().ok());
    let seconds = number("seconds").unwrap_or(SECONDS);
    let seed = number("seed").unwrap_or_else(|| cpu::time_base() & 0xffff_ffff);
    println!("soak: {seconds} s on {CORES} cores, seed={seed}");
    let guests = guests(lab, seed)?;
    let soak: &'static Soak = Box::leak(Box::new(Soak {
        guests,
        seed,
        seconds,
        until_tb: cpu::time_base() + seconds * cpu::TB_HZ,
        cores: Default::default(),
        over: AtomicBool::new(false),
        broken: Lock::new(None),
    }));
    let now_tb = cpu::time_base();
    for core in &soak.cores {
        core.last_tb.store(now_tb, Ordering::Relaxed);
    }
    *SOAK.lock() = Some(soak);
    cores::begin(lab, |_| {
        let soak = *SOAK.lock();
        soak.iter().for_each(|soak| soak.work(1));
        Ok(())
    })?;
    soak.work(0);
    soak.wait_for(1);
    cores::answer()?;
    soak.verdict()
}

/// Widths, byte orders and modes that differ.
fn guests(lab: &mut Lab, seed: u64) -> Result<Vec<Shared>, String> {
    let mut guests = Vec::new();
    for (vcpus, little_endian, memory_mode, ptid_mode) in [
        (8, false, MemoryMode::Rmor, PtidMode::Packed),
        (4, true, MemoryMode::Vrma, PtidMode::Aligned),
        (2, true, MemoryMode::Rmor, PtidMode::Packed),
    ] {
        let policy = Policy::Eager;
        let mut guest = lab.guest(&Wanted {
            little_endian,
            memory_mode,
            ptid_mode,
            policy,
            ..Wanted::new("soak", vcpus)
        })?;
        let nowhere = guest
            .table()
            .is_some_and(|table| table.map(behaviour::soak::NOWHERE, memory::NOBODY));
        let case = if nowhere {
            behaviour::soak::HAS_NOWHERE
        } else {
            0
        };
        lab::start_all(&mut guest, [seed ^ u64::from(vcpus), case]);
        guests.push(Shared::new(guest, policy)?);
    }
    Ok(guests)
}

impl Soak {
    /// What core `me` does all the time.
    fn work(&self, me: usize) {
        let core = &self.cores[me];
        let mut random = Random::new(self.seed ^ (me as u64) << 40);
        let mut line_tb = cpu::time_base() + LINE_SECONDS * cpu::TB_HZ;
        while !self.over.load(Ordering::SeqCst) {
            let number = random.below(self.guests.len() as u64) as usize;
            let done = acts::act(&self.guests[number], &mut random);
            let now_tb = cpu::time_base();
            core.diary.note(now_tb, number, done.as_ref().map(|it| *it));
            core.acts.fetch_add(1, Ordering::Relaxed);
            core.last_tb.store(now_tb, Ordering::SeqCst);
            if let Err(why) = done {
                self.end(me, alloc::format!("guest {number}: {why}"));
            }
            self.look_at_others(me, now_tb);
            if me == 0 && now_tb >= line_tb {
                line_tb += LINE_SECONDS * cpu::TB_HZ;
                self.line(now_tb);
            }
            if now_tb >= self.until_tb {
                self.over.store(true, Ordering::SeqCst);
            }
        }
        core.through.store(true, Ordering::SeqCst);
    }

    fn end(&self, me: usize, why: String) {
        let mut broken = self.broken.lock();
        broken.get_or_insert(alloc::format!("core {me}: {why}"));
        self.over.store(true, Ordering::SeqCst);
    }

    /// Ends the machine if another core hangs, perhaps in a call: nobody else can.
    fn look_at_others(&self, me: usize, now_tb: u64) {
        for (number, other) in self.cores.iter().enumerate() {
            let since_tb = now_tb.saturating_sub(other.last_tb.load(Ordering::SeqCst));
            let through = other.through.load(Ordering::SeqCst);
            if number != me && !through && since_tb > HANGS_TB {
                self.end(number, "hangs".into());
                self.print_diaries();
                println!("FAILED soak: core {number} hangs, seed={}", self.seed);
                println!("host: done");
                opal::power_down();
            }
        }
    }

    fn wait_for(&self, other: usize) {
        while !self.cores[other].through.load(Ordering::SeqCst) {
            self.look_at_others(0, cpu::time_base());
            cpu::relax();
        }
    }

    fn line(&self, now_tb: u64) {
        let left_tb = self.until_tb.saturating_sub(now_tb);
        let seconds = (self.seconds * cpu::TB_HZ - left_tb) / cpu::TB_HZ;
        let acts = self.cores.each_ref();
        let [here, there] = acts.map(|core| core.acts.load(Ordering::Relaxed));
        let of_guest = |guest: &Shared| {
            let seats = guest.seats.iter();
            let reports = seats.map(|seat| seat.reports.load(Ordering::Relaxed));
            reports.sum::<u64>()
        };
        let reports: u64 = self.guests.iter().map(of_guest).sum();
        println!("soak: {seconds} s: {here} and {there} acts, {reports} reports of guests");
    }

    fn print_diaries(&self) {
        for (number, core) in self.cores.iter().enumerate() {
            println!("soak: the last acts of core {number}:");
            core.diary.print();
        }
    }

    fn verdict(&self) -> Outcome {
        if let Some(why) = self.broken.lock().take() {
            self.print_diaries();
            return Err(alloc::format!("{why}, seed={}", self.seed));
        }
        // A last look at all: everybody gets on, and everything was counted.
        let mut random = Random::new(self.seed);
        for (number, guest) in self.guests.iter().enumerate() {
            acts::last(guest, &mut random).map_err(|why| {
                alloc::format!("guest {number}, at the end: {why}, seed={}", self.seed)
            })?;
        }
        self.line(self.until_tb);
        Ok(())
    }
}
