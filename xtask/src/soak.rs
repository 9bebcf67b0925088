//! `cargo xtask soak`: two cores do everything at once to the same guests, for as long as wanted.
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use clap::Args;

use crate::qemu::Machine;
use crate::run::{self, RunOptions};

/// The test host's behaviour.
const NAME: &str = "soak";
/// What a machine may take beyond its time: for the boot, and for the last look at everything.
const MORE_S: u64 = 180;
/// In the firmware's lines about calls that are refused, as some of the soak's are meant to be.
const REFUSED: &str = " is refused: ";

#[derive(Args)]
pub struct SoakOptions {
    /// How long.
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: u64,
    /// What the acts are drawn from [default: another one each time; it is printed]. With
    /// `--icount` the same seed is the same soak, to the instruction.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    #[command(flatten)]
    machine: Machine,
}

impl SoakOptions {
    fn run_options(&self, seed: u64) -> RunOptions {
        let seconds = self.minutes * 60;
        // Where time counts instructions it goes slower than the clock on the wall.
        let limit_s = match self.machine.icount {
            true => 100 * seconds,
            false => seconds,
        };
        let words = format!("seconds={seconds} seed={seed}");
        RunOptions::of_test(NAME, words, limit_s + MORE_S, self.machine.clone())
    }
}

/// The command.
pub fn soak(options: &SoakOptions) -> Result<ExitCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = options.seed.unwrap_or(now.as_secs() & 0xffff_ffff);
    run::run_to(&options.run_options(seed), &mut Quiet::default())
}

/// The console without lines that say nothing new.
#[derive(Default)]
struct Quiet {
    line: Vec<u8>,
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                if !String::from_utf8_lossy(&line).contains(REFUSED) {
                    io::stdout().write_all(&line)?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        soak: SoakOptions,
    }

    #[test]
    fn it_says_how_long_and_from_which_seed() {
        let cli = Cli::try_parse_from(["soak", "--minutes", "2", "--mttcg"]).unwrap();
        let boot = cli.soak.run_options(7).bootargs();
        assert_eq!(boot, "test=soak seconds=120 seed=7");
        for wrong in [["soak", "--minutes", "0"], ["soak", "--seed", "x"]] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }
}
