//! `cargo xtask debug`: the machine stopped before its first instruction, for gdb.
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::run::{Prepared, RunOptions};
use crate::{process, setup, symbols};

/// Where gdb's users expect it.
const USUAL_PORT: u16 = 1234;
/// Functions to stop in, so far as the firmware has them: Rust's first, and where it gives up.
const STOPS: [&str; 4] = [
    "boot_main",
    "boot_fault",
    "firmware_fault",
    "rust_begin_unwind",
];

#[derive(Args)]
pub struct DebugOptions {
    /// Start gdb here; the console goes to target/catnap/debug.log.
    #[arg(long)]
    exec: bool,
    /// TCP port for gdb, on the loopback address [default: 1234, or any if that is taken]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    run: RunOptions,
}

/// The command.
pub fn debug(options: &DebugOptions) -> Result<ExitCode> {
    setup::ensure_gdb()?;
    let mut prepared = options.run.prepare()?;
    let port = port(options.port)?;
    let script = write_script(&prepared, port)?;
    let mut gdb = Command::new(setup::GDB);
    gdb.args(["-q", "-x"]).arg(&script);
    prepared
        .qemu
        .args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);

    let ended = if options.exec {
        with_gdb(&mut prepared, &mut gdb)
    } else {
        println!("debug: the machine is stopped; in another terminal:");
        println!("  {}", process::typed(&gdb));
        println!("debug: its console follows; ctrl-C here or `kill` in gdb end the machine");
        process::run(prepared.qemu.stdin(Stdio::null()))
    };
    fs::remove_file(&prepared.initrd).ok();
    ended.map(|()| ExitCode::SUCCESS)
}

fn with_gdb(prepared: &mut Prepared, gdb: &mut Command) -> Result<()> {
    let log = prepared.images.dir.join("debug.log");
    println!("debug: the console goes to {}", log.display());
    let console = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
    let mut qemu = process::spawn(prepared.qemu.stdin(Stdio::null()).stdout(console))?;
    let ended = process::run(gdb);
    qemu.kill().ok();
    qemu.wait()?;
    ended
}

/// The port asked for; otherwise the usual one or, if that is taken, any free one.
fn port(asked: Option<u16>) -> Result<u16> {
    let wanted = asked.unwrap_or(USUAL_PORT);
    match TcpListener::bind(("127.0.0.1", wanted)) {
        Ok(_) => Ok(wanted),
        Err(error) if asked.is_some() => Err(error).with_context(|| format!("port {wanted}")),
        Err(_) => Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
    }
}

fn write_script(prepared: &Prepared, port: u16) -> Result<PathBuf> {
    let elf_path = prepared.images.elf();
    let elf = fs::read(&elf_path).with_context(|| format!("reading {}", elf_path.display()))?;
    let mut stops = Vec::new();
    for name in STOPS {
        let found = symbols::functions(&elf, name)?;
        stops.extend(found.into_iter().map(|address| (name, address)));
    }
    let path = prepared.images.dir.join("debug.gdb");
    let text = script(&elf_path, &stops, port);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Hardware breakpoints, as the firmware copies itself to where it runs: QEMU compares addresses
/// for them and writes nothing into memory.
fn script(elf: &Path, stops: &[(&str, u64)], port: u16) -> String {
    let mut text = String::from("set pagination off\nset confirm off\n");
    text += "set architecture powerpc:common64\nset endian big\n";
    text += &format!("file {}\ntarget remote 127.0.0.1:{port}\n", elf.display());
    for (name, address) in stops {
        text += &format!("# {name}\nhbreak *{address:#x}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_connects_and_stops_at_panics() {
        let text = script(
            Path::new("/t/catnap.elf"),
            &[("boot_fault", 0x8000_0000_3000_1000)],
            4321,
        );
        let at = |part: &str| {
            text.find(part)
                .unwrap_or_else(|| panic!("{part} in {text}"))
        };
        assert!(at("set endian big") < at("file /t/catnap.elf"));
        assert!(at("file ") < at("target remote 127.0.0.1:4321"));
        assert!(at("target remote") < at("hbreak *0x8000000030001000"));
    }

    #[test]
    fn a_port_in_use_is_avoided_or_told() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = taken.local_addr().unwrap().port();
        let error = port(Some(number)).unwrap_err();
        assert!(
            format!("{error:#}").contains(&number.to_string()),
            "{error:#}"
        );
        assert_ne!(port(None).unwrap(), number);
    }
}
