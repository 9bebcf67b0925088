//! Two cores that do something at the same time, over and over, with delays that are drawn.
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use images::host_runtime::calls::{Partition, Vcore};
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;
use images::host_runtime::sync::Lock;
use images::random::Random;
use images::{boot_args, println};

use crate::check::Outcome;
use crate::cores;
use crate::lab::Lab;
use crate::watch;

/// Rounds of each race: boot argument `rounds=`, or this.
const ROUNDS: u64 = 2000;

/// What the other core does in a round: to whom, and with which numbers. Its answer is for the
/// judge of the round.
pub type There = fn(Vcore, Partition, &mut Random) -> Result<u64, String>;

/// Waits for up to 32 µs, mostly less.
pub fn delay(random: &mut Random) {
    let limit = 1 << random.below(15);
    let until_tb = cpu::time_base() + random.below(limit);
    while cpu::time_base() < until_tb {
        // A yield each time would make all delays alike where threads run in turn.
        if random.once_in(4) {
            cpu::relax();
        }
    }
}

/// The round that both cores are in; [`OVER`] afterwards.
static ROUND: AtomicU64 = AtomicU64::new(0);
const OVER: u64 = u64::MAX;
/// The last round that the other core is through with, and its answer.
static THROUGH: AtomicU64 = AtomicU64::new(0);
static ANSWER: Lock<Result<u64, String>> = Lock::new(Ok(0));
/// What it does, to whom, and the seed.
static WORK: Lock<Option<There>> = Lock::new(None);
static WHOM: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static SEED: AtomicU64 = AtomicU64::new(0);

/// A race under way.
pub struct Race {
    name: &'static str,
    pub rounds: u64,
    pub random: Random,
    round: u64,
}

impl Race {
    /// Sets the other core to it. The seed is boot argument `seed=`, or the time; it is printed.
    pub fn new(lab: &Lab, guest: &Guest, name: &'static str, there: There) -> Result<Self, String> {
        let number = |name| boot_args::value(lab.boot_args(), name).and_then(|it| it.parse().ok());
        let seed = number("seed").unwrap_or_else(|| cpu::time_base() & 0xffff_ffff);
        let rounds = number("rounds").unwrap_or(ROUNDS);
        println!("{name}: {rounds} rounds, seed={seed}");
        ROUND.store(0, Ordering::Relaxed);
        THROUGH.store(0, Ordering::Relaxed);
        SEED.store(!seed, Ordering::Relaxed);
        *WORK.lock() = Some(there);
        cores::send(lab, guest, |_| {
            other_core();
            Ok(())
        })?;
        Ok(Self {
            name,
            rounds,
            random: Random::new(seed),
            round: 0,
        })
    }

    /// A round begins: the other core waits as long as it has drawn, and so does this one.
    pub fn go(&mut self, guest: &Guest) {
        WHOM[0].store(guest.vcore.0, Ordering::Relaxed);
        WHOM[1].store(guest.partition.0, Ordering::Relaxed);
        self.round += 1;
        ROUND.store(self.round, Ordering::Release);
        delay(&mut self.random);
    }

    /// The other core's answer in this round.
    pub fn answer(&self) -> Result<u64, String> {
        watch::wait("the other core hangs", || {
            THROUGH.load(Ordering::Acquire) == self.round
        })?;
        let answer = ANSWER.lock();
        (*answer).clone()
    }

    /// Names the round in which something was wrong.
    pub fn judge(&self, outcome: Outcome) -> Outcome {
        let round = self.round;
        outcome.map_err(|why| alloc::format!("{}: round {round}: {why}", self.name))
    }
}

/// Lets the other core go, however the race has ended.
impl Drop for Race {
    fn drop(&mut self) {
        ROUND.store(OVER, Ordering::Release);
        if let Err(why) = cores::answer() {
            println!("{}: {why}", self.name);
        }
    }
}

fn other_core() {
    let mut random = Random::new(SEED.load(Ordering::Relaxed));
    let Some(work) = *WORK.lock() else { return };
    let mut last = 0;
    loop {
        let round = ROUND.load(Ordering::Acquire);
        if round == OVER {
            return;
        }
        if round == last {
            cpu::relax();
            continue;
        }
        last = round;
        let whom = WHOM.each_ref().map(|handle| handle.load(Ordering::Relaxed));
        delay(&mut random);
        let answer = work(Vcore(whom[0]), Partition(whom[1]), &mut random);
        *ANSWER.lock() = answer;
        THROUGH.store(round, Ordering::Release);
    }
}
