//! Random choices, alike in each run: of a simulated machine, and of tests.
extern crate std;
use core::cell::Cell;
use core::ops::Range;

/// One of so many seeds is tried where [`QUICK`] is set.
const QUICK_SHARE: u64 = 20;
/// In the environment: tests run after each of many small changes (`cargo xtask mutants`), where a few
/// seeds find nearly all that many do.
const QUICK: &str = "CATNAP_QUICK";

/// The seeds of a test that tries `count`.
#[must_use]
pub fn seeds(count: u64) -> Range<u64> {
    match std::env::var_os(QUICK) {
        Some(_) => 0..count / QUICK_SHARE,
        None => 0..count,
    }
}

/// Random numbers (xorshift64*). A test that fails tells its seed.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    state: Cell<u64>,
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("seed {}", self.seed);
        }
    }
}

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds shall begin far apart, and none with 0, which stays 0.
        let mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
        Self {
            seed,
            state: Cell::new(mixed | 1),
        }
    }

    pub fn bits(&self) -> u64 {
        let mut word = self.state.get();
        word ^= word >> 12;
        word ^= word << 25;
        word ^= word >> 27;
        self.state.set(word);
        word.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `limit` - 1.
    pub fn below(&self, limit: u64) -> u64 {
        (self.bits() >> 32) % limit
    }

    /// True once in so many times.
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
