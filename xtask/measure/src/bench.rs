//! `cargo xtask bench`: exact counts of instructions, beside those of others.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;

use self::report::{Peer, Table};
use self::rounds::{Files, Measured};
use xtask::image::Images;
use xtask::{image, qemu, run, setup};

pub mod boot;
pub mod code;
pub mod exec_log;
pub mod flash;
pub mod floor;
pub mod kvm;
pub mod opal;
pub mod page;
pub mod parts;
pub mod profile;
pub mod rates;
pub mod report;
pub mod rounds;
pub mod stretch;
pub mod vcore;

/// Where packages of QEMU put the firmware that comes with it.
const PEERS: [&str; 3] = [
    "/usr/share/qemu/skiboot.lid",
    "/usr/share/skiboot/skiboot.lid",
    "/usr/local/share/qemu/skiboot.lid",
];

/// A group of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// From reset to the host, and the image, beside the firmware that comes with QEMU
    Boot,
    /// Runs of vcores and hypercalls, beside the bare floor and Linux's kvm_hv, on catnap
    Vcore,
    /// Hypercalls of a guest of Linux's KVM: by the module on catnap's vcores, beside kvm_hv
    Kvm,
    /// OPAL's calls, beside those of the firmware that comes with QEMU
    Opal,
    /// Wake-ups, late joins and kicks, beside the bare floor
    Ipi,
    /// Debian from a flash image, beside the firmware that comes with QEMU, in time: only if it is asked for
    Flash,
    /// How fast Linux's disk and network are, beside the firmware that comes with QEMU: only if it is asked for,
    /// since it depends on the build host
    Pci,
}

#[derive(Args, Default)]
pub struct BenchOptions {
    /// What to count [default: all]
    #[arg(value_enum)]
    which: Vec<Which>,
    /// The firmware to compare with [default: QEMU's skiboot.lid]
    #[arg(long, value_name = "FILE")]
    peer: Option<PathBuf>,
    /// Write the counts to this file as well, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the tables into this page, in place of those that are there.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Show also the functions and assembly labels of boot and round trip, with their counts.
    #[arg(long)]
    profile: bool,
    /// Show each cargo command.
    #[arg(short, long)]
    verbose: bool,
}

impl BenchOptions {
    /// The firmware that has to be there before minutes of building.
    fn peer(&self) -> Result<Option<PathBuf>> {
        let with_peer = [Which::Opal, Which::Boot, Which::Pci, Which::Flash];
        if !with_peer.into_iter().any(|which| self.wants(which)) {
            return Ok(None);
        }
        let peer = match &self.peer {
            Some(peer) => peer.clone(),
            None => installed_peer()?,
        };
        fs::metadata(&peer).with_context(|| format!("reading {}", peer.display()))?;
        Ok(Some(peer))
    }

    fn wants(&self, which: Which) -> bool {
        let by_default = !matches!(which, Which::Flash | Which::Pci);
        self.which.is_empty() && by_default || self.which.contains(&which)
    }
}

/// The command.
pub fn bench(options: &BenchOptions) -> Result<ExitCode> {
    setup::quick()?;
    let peer = options.peer()?;
    let files = files(options.verbose)?;
    let tables = count(options, peer.as_deref(), &files)?;
    let texts: Vec<_> = tables.iter().map(Table::text).collect();
    println!("{}", texts.join("\n\n"));
    if let Some(path) = &options.json {
        write_json(path, &tables)?;
    }
    if let Some(path) = &options.page {
        page::write(path, &tables)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All tables, for who has built the images.
pub fn tables(files: &Files) -> Result<Vec<Table>> {
    let all = BenchOptions::default();
    count(&all, Some(&installed_peer()?), files)
}

fn count(options: &BenchOptions, peer: Option<&Path>, files: &Files) -> Result<Vec<Table>> {
    let mut tables = Vec::new();
    let firmware = fs::read(&files.elf)?;
    if let Some(peer) = peer.filter(|_| options.wants(Which::Boot)) {
        let measured = boot::measure(files)?;
        tables.extend(boot::tables(files, peer, &measured)?);
        if options.profile {
            let functions = profile::functions("catnap's boot", &measured.boot, &firmware)?;
            println!("{functions}\n");
        }
    }
    let rounds = match options.wants(Which::Vcore) || options.wants(Which::Kvm) {
        true => Some(kvm::Rounds::measure(files)?),
        false => None,
    };
    if options.wants(Which::Vcore) || options.wants(Which::Ipi) {
        let measured = vcore::measure(files, "")?;
        if options.wants(Which::Vcore) {
            tables.extend(vcore::tables(&measured, &firmware)?);
            if let Some(rounds) = &rounds {
                tables.push(rounds.of_a_host(&measured)?);
            }
            tables.push(vcore::trace(files, &measured)?);
            if options.profile {
                show_profiles(&measured, &firmware)?;
            }
        }
        if options.wants(Which::Ipi) {
            tables.push(vcore::ipis(&measured)?);
        }
    }
    if let Some(rounds) = rounds.filter(|_| options.wants(Which::Kvm)) {
        tables.push(rounds.of_the_module());
    }
    if let Some(peer) = peer.filter(|_| options.wants(Which::Opal)) {
        tables.push(opal::table(files, peer)?);
    }
    if let Some(peer) = peer.filter(|_| options.wants(Which::Flash)) {
        let images = Images {
            dir: files.folder.clone(),
            guests: Vec::new(),
        };
        tables.push(flash::table(&images, peer)?);
    }
    if let Some(peer) = peer.filter(|_| options.wants(Which::Pci)) {
        tables.push(rates::table(files, peer)?);
    }
    Ok(tables)
}

/// Where round trips' instructions go.
fn show_profiles(measured: &Measured, firmware: &[u8]) -> Result<()> {
    for (row, what) in [
        ("smt1", "a round trip, 1 vcpu"),
        ("smt8", "a round trip, 8 vcpus"),
        (
            "smt8 all",
            "a round trip, 8 vcpus, no flags, FP, 4 SLB entries",
        ),
        (
            "smt1 all",
            "a round trip, 1 vcpu, no flags, FP, 4 SLB entries",
        ),
    ] {
        let round = measured.row(row)?.usual()?;
        println!("{}\n", profile::functions(what, round, firmware)?);
    }
    Ok(())
}

/// Builds what is booted.
pub fn files(verbose: bool) -> Result<Files> {
    let images = image::build(verbose)?;
    let initrd = images.dir.join("bench.cpio");
    fs::write(&initrd, run::pack_guests(&images)?)
        .with_context(|| format!("writing {}", initrd.display()))?;
    Ok(Files {
        folder: images.dir.clone(),
        lid: images.lid(),
        elf: images.elf(),
        host: images.payload(run::TEST_HOST),
        calls: images.payload(opal::PAYLOAD),
        initrd,
    })
}

/// The firmware that comes with QEMU.
///
/// # Errors
/// There is none.
pub fn installed_peer() -> Result<PathBuf> {
    let found = PEERS
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    found.with_context(|| format!("no firmware at {}: give one with --peer", PEERS.join(", ")))
}

/// A figure of the firmware that catnap is compared with.
fn skiboot(count: u64, firmware: &Path) -> Peer {
    Peer {
        name: "skiboot",
        count,
        source: firmware.display().to_string(),
    }
}

fn write_json(path: &Path, tables: &[Table]) -> Result<()> {
    let qemu = qemu::installed()?.map(|(major, minor)| format!("{major}.{minor}"));
    let all = json!({
        "catnap": env!("CARGO_PKG_VERSION"),
        "qemu": qemu,
        "tables": tables.iter().map(Table::json).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&all)? + "\n";
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("bench: wrote {}", path.display());
    Ok(())
}
