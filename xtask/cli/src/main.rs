//! `cargo xtask`: the command line. What the commands do is in the library beside it.
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use xtask::run::RunOptions;
use xtask::setup::SetupOptions;

/// Build, boot, test and debug catnap.
///
/// Every command first makes sure that QEMU and Rust's library sources are there.
#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    version,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what the build and the tests need: QEMU 10 or newer and Rust's library sources.
    ///
    /// Quick when nothing is missing; all other commands do it by themselves. Packages come from
    /// the Debian archive that this machine's apt already uses.
    Setup(SetupOptions),
    /// Build the firmware image, hosts and guests into target/catnap.
    ///
    /// catnap.lid is the flat image for `-bios`, catnap.elf has the debug information, and
    /// catnap.map lists the symbols by address. Guests are built big- and little-endian.
    Image(ImageOptions),
    /// Boot the reference host in QEMU, have its guests hash a file, and check every digest.
    ///
    /// The console is shown as it comes. All digests are computed again here: the run fails if
    /// one differs or is missing, if a byte of the file was left out, or if the firmware panics.
    Run(RunOptions),
    /// Boot a Debian kernel on catnap in QEMU, with a shell; or with checks.
    ///
    /// Kernel, busybox and kexec come from the Debian archive that this machine's apt uses, for
    /// little-endian POWER; they are kept in target/linux.
    Linux(xtask::linux::LinuxOptions),
    /// Boot a Debian that lives on an NVMe disk on catnap in QEMU, to its login.
    ///
    /// The disk is made first, where there is none: packages come from the Debian archive that this
    /// machine's apt uses, for little-endian POWER, and are set up by their own scripts on catnap. It is
    /// kept in target/linux/debian.
    Debian(xtask::debian::DebianOptions),
    /// Write linux/include/catnap.h, catnap's calls for hosts in C, out of the crate hcalls.
    Header,
    /// Write a flash image with the firmware, a kernel and a RAM disk, and print its partitions.
    ///
    /// The same inputs make the same bytes.
    Pnor(xtask::pnor::PnorOptions),
    /// Write a release: the firmware, its symbols, the calls as a C header, the module's sources, the pages, a
    /// bill of materials, and sums of them all.
    ///
    /// The same sources make the same bytes, wherever they lie.
    Dist(xtask::dist::DistOptions),
    /// Boot Debian on catnap in QEMU, and on it QEMU with an SMT guest of Debian's, with a shell; or checks.
    ///
    /// The host has one thread of each core; the guest's vcpus run on all of them, by KVM and the module
    /// linux/kvm-catnap. Kernels and QEMU come from the Debian archive that this machine's apt uses.
    Guest(xtask::guest::GuestOptions),
    /// Build the module by which Linux's KVM runs guests on catnap's vcores.
    ///
    /// Headers come from the Debian archive that this machine's apt uses, and so does the cross compiler,
    /// which is installed.
    Module(xtask::kvm_module::ModuleOptions),
    /// Check the format and the lints, then run every test, on the build host and in QEMU.
    ///
    /// The last line is `N passed, N failed`.
    Test(xtask::test::TestOptions),
    /// Have two cores do everything at once to the same guests, at random, for some minutes.
    ///
    /// Runs, joins, kicks, naps, faults, destroyed and claimed things; after each, what must be so
    /// is checked. A line comes each ten seconds. Whatever is wrong ends it, with the seed and the
    /// last acts of each core.
    Soak(xtask::soak::SoakOptions),
    /// Count instructions: of boot, runs, hypercalls, IPIs and OPAL's calls, beside other firmware.
    ///
    /// QEMU's time counts instructions then, so numbers are exact, and alike from run to run.
    Bench(measure::bench::BenchOptions),
    /// Hold the instructions that the firmware executes against rules that no emulator enforces.
    ///
    /// Boots behaviours of the test host, one after the other, with QEMU's log of instructions. Prints
    /// the table of rules, how often each applied, and every breach.
    Rules(measure::rules::RulesOptions),
    /// Change the firmware in one place at a time, and count how many changes the tests catch.
    ///
    /// Takes hours for all of it: a second to ten for each of some 1,600 changes, in a copy of the
    /// repository below target/mutants. Prints which were missed, and a table by file; fails if too
    /// many were. Installs cargo-mutants into target/tools first, which takes minutes.
    Mutants(xtask::mutants::MutantsOptions),
    /// Record what each hardware thread does, and draw it.
    ///
    /// Writes trace.svg, a picture, and trace.json, which Perfetto reads.
    Trace(measure::trace::TraceOptions),
    /// Show what the firmware exports of vcores, vcpus and calls, as tables.
    ///
    /// Linux has the files below /sys/firmware/opal/exports.
    Stats(measure::stats::StatsOptions),
    /// Boot as `run` does, but stopped and waiting for a debugger.
    Debug(xtask::debug::DebugOptions),
    /// Check the dependencies' licences, sources and advisories with cargo-deny.
    ///
    /// Installs cargo-deny into target/tools if this machine has none, which takes minutes.
    Deny,
}

#[derive(Args)]
struct ImageOptions {
    /// Show each cargo command.
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Setup(options) => xtask::setup::setup(&options),
        Command::Image(options) => xtask::image::command(options.verbose),
        Command::Run(options) => xtask::run::run(&options),
        Command::Linux(options) => xtask::linux::linux(&options),
        Command::Debian(options) => xtask::debian::debian(&options),
        Command::Header => xtask::c_header::header(),
        Command::Pnor(options) => xtask::pnor::pnor(&options),
        Command::Dist(options) => xtask::dist::dist(&options),
        Command::Guest(options) => xtask::guest::guest(&options),
        Command::Module(options) => xtask::kvm_module::module(&options),
        Command::Test(options) => xtask::test::test(&options),
        Command::Soak(options) => xtask::soak::soak(&options),
        Command::Bench(options) => measure::bench::bench(&options),
        Command::Rules(options) => measure::rules::rules(&options),
        Command::Mutants(options) => xtask::mutants::mutants(&options),
        Command::Trace(options) => measure::trace::trace(&options),
        Command::Stats(options) => measure::stats::stats(&options),
        Command::Debug(options) => xtask::debug::debug(&options),
        Command::Deny => xtask::deny::deny(),
    }
}
