//! `cargo xtask deny`: licences, sources, bans and advisories of the dependencies.
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;
use crate::project::{self, Workspace};

const INSTALL_TIME: Duration = Duration::from_secs(3600);

/// The command.
pub fn deny() -> Result<ExitCode> {
    let tools = Workspace::read()?.target_dir()?.join("tools");
    let own = tools.join("bin/cargo-deny");
    let installed = process::output(Command::new("cargo-deny").arg("--version")).is_ok();
    if !installed && !own.is_file() {
        eprintln!("deny: cargo-deny isn't there; building it takes minutes, once");
        let mut install = project::cargo();
        install
            .args(["install", "--locked", "cargo-deny", "--root"])
            .arg(&tools);
        process::condensed(&mut install, "cargo install cargo-deny", INSTALL_TIME)
            .context("install cargo-deny by hand, then try again")?;
    }
    let program = if installed {
        Path::new("cargo-deny")
    } else {
        &own
    };
    check(program, &["licenses", "bans", "sources"])?;
    // By itself, as it fetches a list of advisories and fails where that can't be reached.
    check(program, &["advisories"])?;
    Ok(ExitCode::SUCCESS)
}

fn check(program: &Path, what: &[&str]) -> Result<()> {
    let mut deny = Command::new(program);
    deny.current_dir(project::root());
    deny.args(["--workspace", "--locked", "check"]).args(what);
    process::run(&mut deny)
}
