//! `cargo xtask rules`: what POWER8 asks for and no emulator enforces, held against the
//! instructions that the firmware executes.
use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::bench;
use crate::bench::rounds::Files;
use tally::Tally;
use xtask::setup;

pub mod core_wide;
pub mod decode;
pub mod entries;
#[cfg(test)]
mod fixture;
pub mod flow;
pub mod naps;
pub mod rule;
pub mod scenes;
pub mod sync;
pub mod tally;

#[derive(Args)]
pub struct RulesOptions {
    /// Only these scenes [default: all]; rules that they never reach don't count then.
    #[arg(value_name = "SCENE")]
    scenes: Vec<String>,
    /// Show each cargo command.
    #[arg(short, long)]
    verbose: bool,
}

/// The command.
pub fn rules(options: &RulesOptions) -> Result<ExitCode> {
    setup::quick()?;
    let files = bench::files(options.verbose)?;
    let tally = watch(&files, &options.scenes)?;
    println!("{}", tally.text());
    let sound = match options.scenes.is_empty() {
        true => tally.is_sound(),
        false => !tally.is_broken(),
    };
    Ok(match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Boots all scenes, or those of these names, for who has built the images.
pub fn watch(files: &Files, names: &[String]) -> Result<Tally> {
    let elf = fs::read(&files.elf)?;
    let mut tally = Tally::new();
    for scene in scenes::chosen(names)? {
        scene.watch(files, &elf, &mut tally)?;
    }
    Ok(tally)
}
