//! A copy of the repository, in which mutants are made: yours stays as it is, and what was built in the
//! copy is there for the next run.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, project};

/// Makes `tree` the same as the working tree of `root`, but for what git ignores and what is built.
pub fn refresh(root: &Path, tree: &Path) -> Result<()> {
    let mut list = Command::new("git");
    list.current_dir(root);
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = process::output(&mut list)?;
    let mut wanted = BTreeSet::new();
    for name in list.split_terminator('\0') {
        // One that is removed, and not committed yet, is still listed.
        if root.join(name).is_file() {
            put(&root.join(name), &tree.join(name))?;
            wanted.insert(tree.join(name));
        }
    }
    remove_others(tree, &wanted, true)
}

fn put(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().expect("a file is in a folder");
    fs::create_dir_all(folder)?;
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    // An unchanged one isn't built again.
    project::write_if_changed(to, &bytes)?;
    Ok(())
}

/// Removes files that the repository doesn't have any more. Cargo's and cargo-mutants' folders stay.
fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>, is_top: bool) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if is_top
            && ["target", "mutants.out", "mutants.out.old"]
                .iter()
                .any(|own| path.ends_with(own))
        {
            continue;
        }
        if path.is_dir() {
            remove_others(&path, wanted, false)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_the_repository() {
        let dir = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        let (root, tree) = (dir.join("root"), dir.join("tree"));
        fs::create_dir_all(root.join("src")).unwrap();
        let git = process::output(Command::new("git").current_dir(&root).args(["init", "-q"]));
        git.unwrap();
        fs::write(root.join("src/a.rs"), "a").unwrap();
        fs::write(root.join("src/b.rs"), "b").unwrap();
        refresh(&root, &tree).unwrap();
        // A mutant that a run has left behind, something built, and a file that went away.
        fs::write(tree.join("src/a.rs"), "mutant").unwrap();
        fs::create_dir_all(tree.join("target")).unwrap();
        fs::write(tree.join("target/built"), "").unwrap();
        fs::remove_file(root.join("src/b.rs")).unwrap();
        refresh(&root, &tree).unwrap();
        assert_eq!(fs::read(tree.join("src/a.rs")).unwrap(), b"a");
        assert!(tree.join("target/built").is_file());
        assert!(!tree.join("src/b.rs").exists());
        fs::remove_dir_all(&dir).unwrap();
    }
}
