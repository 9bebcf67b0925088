//! Random choices for tests, alike in each run.

extern crate std;
use core::ops::Range;

/// One of so many seeds is tried where [`QUICK`] is set.
const QUICK_SHARE: u64 = 20;
/// In the environment: tests run after each of many small changes (`cargo xtask mutants`), where a few
/// seeds find nearly all that many do.
const QUICK: &str = "CATNAP_QUICK";

/// The seeds of a test that tries `count`.
pub fn seeds(count: u64) -> Range<u64> {
    match std::env::var_os(QUICK) {
        Some(_) => 0..count / QUICK_SHARE,
        None => 0..count,
    }
}

/// Marsaglia's xorshift with 64 bits. A test that fails tells its seed.
pub struct Random {
    seed: u64,
    state: u64,
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("seed {}", self.seed);
        }
    }
}

impl Random {
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds shall begin far apart, and none with 0, which stays 0.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { seed, state }
    }

    pub fn bits(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// 0 to `limit` - 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.bits() >> 16) % limit
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Slots of a vcore: mostly of the first few, so that most exist where there are few vcpus.
    pub fn slots(&mut self) -> u8 {
        let mask = self.bits() >> 24;
        (if self.once_in(5) {
            mask & 0xff
        } else {
            mask & 7
        }) as u8
    }
}
