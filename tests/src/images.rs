//! The files to boot, and archives of them.
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use xtask::{cpio, project};

/// The folder with the images, of `cargo xtask image`.
const FOLDER: &str = "CATNAP_IMAGES";
const DEFAULT_FOLDER: &str = "target/catnap";

/// Where images are.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    folder.unwrap_or_else(|| project::root().join(DEFAULT_FOLDER))
}

/// The path of an image.
///
/// # Panics
/// It isn't there.
pub fn path(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask image`",
        path.display()
    );
    path
}

/// The bytes of an image.
///
/// # Panics
/// It can't be read.
pub fn read(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// PIR of thread 0 of a machine's second core.
pub const SECOND_CORE: u8 = 0x10;

/// The firmware, but threads of the first core aren't elected to boot.
///
/// # Panics
/// The image's code is another than it was.
pub fn firmware_elected_elsewhere() -> PathBuf {
    /// `cmpldi r29, QEMU_UNREACHABLE_PIR; bge` past the election (`asm::reset`).
    const PAST_TOO_HIGH: [u8; 6] = [0x28, 0x3d, 0x01, 0x00, 0x40, 0x80];
    /// `cmpldi r29, SECOND_CORE; blt` there.
    const PAST_TOO_LOW: [u8; 6] = [0x28, 0x3d, 0x00, SECOND_CORE, 0x41, 0x80];
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let mut image = read("catnap.lid");
        let mut codes = image.array_windows();
        let at = codes.position(|code| *code == PAST_TOO_HIGH);
        let at = at.expect("the image compares PIRs");
        image[at..][..PAST_TOO_LOW.len()].copy_from_slice(&PAST_TOO_LOW);
        scratch_file("elected-elsewhere.lid", &image)
    });
    path.clone()
}

/// An archive with every guest by the name of its file, for the test host.
pub fn guests() -> Vec<u8> {
    let anyone = path("guest-loop.be");
    let folder = anyone.parent().expect("a file lies in a folder");
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("the folder of a file can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("guest-"))
        .collect();
    names.sort();
    let files: Vec<_> = names.iter().map(|name| (name, read(name))).collect();
    let entries: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    cpio::archive(&entries)
}

/// An archive for the reference host.
pub fn job(input: &[u8]) -> Vec<u8> {
    let (big, little) = (read("guest-hash.be"), read("guest-hash.le"));
    cpio::archive(&[("input", input), ("guest.be", &big), ("guest.le", &little)])
}

/// A folder for this process's files.
fn scratch() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("catnap-tests-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        folder
    })
}

/// A path in this process's own folder. Names are the caller's to keep apart.
pub fn scratch_path(name: &str) -> PathBuf {
    scratch().join(name)
}

/// Writes a file into this process's own folder, in one step: trials that want the same one may write it
/// while others' machines read it.
///
/// # Panics
/// It can't be written.
pub fn scratch_file(name: &str, bytes: &[u8]) -> PathBuf {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let (path, number) = (scratch_path(name), WRITTEN.fetch_add(1, Relaxed));
    let fresh = scratch_path(&format!("{number}.new"));
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, &path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// Removes this process's own folder.
pub fn remove_scratch() {
    fs::remove_dir_all(scratch()).ok();
}
