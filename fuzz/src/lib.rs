//! What the fuzz targets do with their bytes. Whatever they are, nothing may panic, overflow or
//! reach beyond what it was given.
mod flash;
mod guests;
mod other_core;
mod pci;
pub mod runs;
mod threads;

pub use flash::flash;
pub use pci::pci;

use std::sync::OnceLock;

use firmware::args::{self, Answer, Args};
use firmware::smt::fake_machine::{self, FakeMachine};
use firmware::smt::{calls, memory_calls};
use hcalls::Status;
use platform::memory::MemoryMap;
use platform::memory::region::Region;
use skiboot_compat::entry::KERNEL_BASE;

/// A device tree: read, or refused.
pub fn tree(data: &[u8]) {
    let _ = platform::tree::read(data);
}

/// A payload: found out what it is and where it goes, or refused.
pub fn payload(data: &[u8]) {
    const RAM_BYTES: u64 = 2 << 30;
    let ram = Region::new(0, RAM_BYTES).expect("a region");
    let map = MemoryMap::new(&[ram]);
    if let Ok(payload) = platform::payload::examine(data, KERNEL_BASE, &map) {
        for image in &payload.images {
            assert!(image.start() + image.len_bytes() <= RAM_BYTES);
        }
    }
}

/// Calls with arguments of every kind: raw numbers, addresses in the host's RAM and beside it, and
/// what earlier calls have answered.
pub fn calls(data: &[u8]) {
    static POOL: OnceLock<()> = OnceLock::new();
    let machine = fake_machine::machine();
    POOL.get_or_init(|| machine.fill_pool());
    let mut input = Input(data);
    let mut answers = [0_u64; 4];
    let mut place = 0;
    while let Some(which) = input.byte() {
        if usize::from(which) % (CALLS.len() + 1) == CALLS.len() {
            input.poke(&machine);
            continue;
        }
        let mut args: Args = [0; 8];
        for argument in &mut args[..5] {
            *argument = input.argument(&machine, &answers);
        }
        let call = CALLS[usize::from(which) % (CALLS.len() + 1)];
        carry_out(call, &mut args);
        answers[place % answers.len()] = args[1];
        place += 1;
    }
    // The next input finds the firmware empty.
    let _ = calls::partition_destroy(&[u64::MAX; 8]);
}

/// A call as a host makes it.
fn carry_out(call: fn(&Args) -> Answer, args: &mut Args) -> Status {
    args::put(call(args), args)
}

const CALLS: [fn(&Args) -> Answer; 12] = [
    calls::smt_query,
    calls::partition_create,
    calls::partition_destroy,
    calls::vcpu_create,
    calls::vcpu_destroy,
    calls::vcpu_set_state,
    calls::vcore_kick,
    calls::smt_stats,
    calls::partition_update,
    calls::vcore_doorbells,
    memory_calls::partition_memory,
    memory_calls::partition_unmap,
];

/// What is left of a target's bytes.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self, len_bytes: usize) -> u64 {
        (0..len_bytes).fold(0, |number, _| {
            number << 8 | u64::from(self.byte().unwrap_or(0))
        })
    }

    /// The host writes into its memory: a configuration, say, eight bytes at a time.
    fn poke(&mut self, machine: &FakeMachine) {
        let real = machine.page(self.number(1)) + 8 * (self.number(1) % 16);
        machine.write(real, self.number(8).to_be_bytes());
    }

    fn argument(&mut self, machine: &FakeMachine, answers: &[u64; 4]) -> u64 {
        match self.byte().unwrap_or(0) % 6 {
            0 => self.number(1),
            1 => self.number(8),
            2 => machine.page(self.number(1)),
            3 => machine.page(self.number(1)) + self.number(2),
            4 => machine.base.wrapping_add(self.number(8)),
            _ => answers[self.number(1) as usize % answers.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from a seed (splitmix64).
    fn bytes(seed: u64, len_bytes: usize) -> Vec<u8> {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ mixed >> 27) as u8
        };
        (0..len_bytes).map(|_| draw()).collect()
    }

    /// Inputs with whole runs in them, each of eight threads.
    const RUNS: u64 = 200;

    fn all(target: fn(&[u8]), start: &[u8]) {
        for seed in 0..2000 {
            let mut data = start.to_vec();
            data.extend(bytes(seed, seed as usize % 300));
            target(&data);
        }
    }

    #[test]
    fn trees() {
        all(tree, &[0xd0, 0x0d, 0xfe, 0xed]);
        all(tree, &[]);
    }

    #[test]
    fn payloads() {
        all(payload, b"\x7fELF\x02\x02\x01");
        all(payload, b"\x7fELF\x02\x01\x01");
        all(payload, &[]);
    }

    #[test]
    fn flashes() {
        // With right sums; and with the hash of what became of the payload.
        all(flash, &[1]);
        all(flash, &[3]);
    }

    #[test]
    fn devices() {
        all(pci, &[0; 6]);
        all(pci, &[0, 0, 0x40, 0, 0, 0]);
    }

    #[test]
    fn calls_of_every_kind() {
        all(calls, &[]);
    }

    #[test]
    fn sequences_with_runs_in_them() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds/runs");
        for seed in std::fs::read_dir(seeds).unwrap() {
            runs::runs(&std::fs::read(seed.unwrap().path()).unwrap());
        }
        for seed in 0..RUNS {
            runs::runs(&bytes(seed, 20 + seed as usize % 300));
        }
    }
}
