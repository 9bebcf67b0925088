//! `cargo xtask pnor`: a flash image with the firmware and what it boots.
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use lzma_rust2::{CheckType, XzOptions, XzWriter};
use platform::lpc::nvram;
use sha2::{Digest, Sha256};

use crate::image::{self, Images};
use crate::project::write_if_changed;
use crate::setup::debian::{Files, Release};
use crate::{flat, linux, setup};

pub mod format;
pub mod keys;
use keys::Keys;

use format::{BLOCK_BYTES, Flags, Partition};

/// Without a number xz's own default; larger ones hardly gain on a kernel.
const XZ_PRESET: u32 = 6;
/// Sizes that machines of the time have.
pub const SMALLEST_BYTES: usize = 64 << 20;
const LARGEST_BYTES: usize = 128 << 20;
const MIB: usize = 1 << 20;
/// A partition's beginning, so that some may grow.
const ALIGN_BYTES: usize = 64 * 1024;
/// NVRAM and records of broken parts, as they lie in flash.
const NVRAM_BYTES: usize = 0x90000;
const GUARD_BYTES: usize = 0x5000;
/// Without the code.
pub const NVRAM_DATA_BYTES: usize = NVRAM_BYTES / 9 * 8;

#[derive(Args)]
pub struct PnorOptions {
    /// Put this kernel into the image: an ELF file such as Debian's /boot/vmlinux-*.
    #[arg(long, value_name = "VMLINUX", conflicts_with = "debian")]
    kernel: Option<PathBuf>,
    /// Put this kernel of Debian's into the image; it is fetched by apt.
    #[arg(long, value_enum, value_name = "VERSION", default_value = "6.12")]
    debian: Release,
    /// Put this initial RAM disk into the image instead of busybox's.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// More words for the kernel's command line.
    #[arg(long, value_name = "WORDS")]
    append: Option<String>,
    /// Sign what is booted with the keys in this file, which is made if it isn't there, and have the image
    /// boot nothing else. The firmware that trusts them goes beside the image, as FILE.lid.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
    /// Where the image goes [default: target/catnap/pnor.bin]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show each cargo command.
    #[arg(short, long)]
    verbose: bool,
}

/// The command.
pub fn pnor(options: &PnorOptions) -> Result<ExitCode> {
    setup::quick()?;
    let images = image::build(options.verbose)?;
    let files = match (&options.kernel, &options.initrd) {
        (Some(_), Some(_)) => None,
        _ => Some(Files::ensure()?),
    };
    let kernel = match (&options.kernel, &files) {
        (Some(kernel), _) => kernel.clone(),
        (None, Some(files)) => files.kernel(options.debian),
        (None, None) => unreachable!("files are there without a kernel"),
    };
    let initrd = match (&options.initrd, &files) {
        (Some(initrd), _) => initrd.clone(),
        (None, Some(files)) => {
            let release = options.kernel.is_none().then_some(options.debian);
            linux::write_initrd(files, &images.dir, release)?
        }
        (None, None) => unreachable!("files are there without a RAM disk"),
    };
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| images.dir.join("pnor.bin"));
    let bootargs = options.append.as_deref().unwrap_or_default();
    let content = Content {
        kernel: &kernel,
        initrd: &initrd,
        bootargs: &format!("console=hvc0 {bootargs}"),
        sign: options.sign.as_deref(),
        for_all: false,
    };
    let (written, partitions) = write(&images, &content, &out)?;
    print_table(&partitions);
    println!("pnor: {}", out.display());
    if options.sign.is_some() {
        println!("pnor: {} trusts its keys", written.lid.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What an image boots.
pub struct Content<'a> {
    pub kernel: &'a Path,
    pub initrd: &'a Path,
    pub bootargs: &'a str,
    /// A file of keys that sign it.
    pub sign: Option<&'a Path>,
    /// Other firmware can boot it as well: the kernel isn't packed, and NVRAM has the command line for that, too.
    pub for_all: bool,
}

/// An image, and the firmware that goes with it.
pub struct Written {
    pub flash: PathBuf,
    pub lid: PathBuf,
}

/// An image for one boot: a file of this process's own, among the images.
pub fn for_boot(images: &Images, content: &Content) -> Result<Written> {
    let (written, _) = write(images, content, &images.dir.join("flash.bin"))?;
    Ok(written)
}

/// Writes an image; answers its partitions, too.
fn write(images: &Images, content: &Content, out: &Path) -> Result<(Written, Vec<Partition>)> {
    let keys = content.sign.map(Keys::ensure).transpose()?;
    let mut lid = read(&images.lid())?;
    let mut lid_path = images.lid();
    if let Some(keys) = &keys {
        flat::trust(&mut lid, &read(&images.elf())?, &keys.hash())?;
        lid_path = out.with_extension("lid");
        write_if_changed(&lid_path, &lid)?;
    }
    let kernel = read(content.kernel)?;
    let kernel = match content.for_all {
        true => kernel,
        false => packed_once(&kernel, &images.dir.join("packed"))?,
    };
    let initrd = read(content.initrd)?;
    let mut nvram = nvram(content.bootargs, keys.is_some())?;
    if content.for_all {
        let setting = format!("bootargs={}", content.bootargs);
        nvram::format_for_skiboot(&mut nvram, setting.as_bytes());
    }
    let partitions = layout(&lid, &kernel, &initrd, &nvram, keys.as_ref())?;
    let end = partitions
        .last()
        .map_or(0, |last| last.offset_bytes + last.len_bytes);
    let flash_bytes = end.next_power_of_two().max(SMALLEST_BYTES);
    ensure!(
        flash_bytes <= LARGEST_BYTES,
        "{} MiB don't fit into a flash of {} MiB",
        end / MIB,
        LARGEST_BYTES / MIB
    );
    write_if_changed(out, &format::flash(&partitions, flash_bytes))?;
    let written = Written {
        flash: out.to_path_buf(),
        lid: lid_path,
    };
    Ok((written, partitions))
}

/// Packed, or kept from the last time in `folder`: a kernel takes a minute.
fn packed_once(bytes: &[u8], folder: &Path) -> Result<Vec<u8>> {
    let digest = Sha256::digest(bytes);
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder.join(name);
    if let Ok(packed) = fs::read(&path) {
        return Ok(packed);
    }
    eprintln!("pnor: packing {} KiB", bytes.len() >> 10);
    let packed = packed(bytes)?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    write_if_changed(&path, &packed)?;
    Ok(packed)
}

/// The partitions one behind the other, the table first.
fn layout(
    lid: &[u8],
    kernel: &[u8],
    initrd: &[u8],
    nvram: &[u8],
    keys: Option<&Keys>,
) -> Result<Vec<Partition>> {
    let version = format!("catnap-{}\n", env!("CARGO_PKG_VERSION"));
    let coded = Flags {
        ecc: true,
        ..Flags::default()
    };
    let read_only = Flags {
        read_only: true,
        ..coded
    };
    let preserved = Flags {
        preserved: true,
        ..coded
    };
    let signed = |content: &[u8]| format::contained(content, keys);
    let plain = Flags::default();
    // A record that begins with ones is the end of them.
    let guard = vec![0xff; GUARD_BYTES / 9 * 8];
    let parts = [
        ("part", BLOCK_BYTES, plain, Vec::new()),
        (
            "VERSION",
            2 * BLOCK_BYTES,
            read_only,
            signed(version.as_bytes()),
        ),
        ("GUARD", GUARD_BYTES, preserved, guard),
        ("NVRAM", NVRAM_BYTES, preserved, nvram.to_vec()),
        ("PAYLOAD", MIB, plain, signed(&packed(lid)?)),
        ("BOOTKERNEL", 15 * MIB, plain, signed(kernel)),
        ("ROOTFS", MIB, plain, signed(initrd)),
    ];
    let mut offset_bytes = 0;
    let place = |(name, least_bytes, flags, content): (&'static str, usize, Flags, Vec<u8>)| {
        let raw_bytes = content.len() * if flags.ecc { 9 } else { 8 } / 8;
        let len_bytes = raw_bytes.max(least_bytes).next_multiple_of(BLOCK_BYTES);
        let partition = Partition {
            name,
            offset_bytes,
            len_bytes,
            flags,
            content,
        };
        offset_bytes = (offset_bytes + len_bytes).next_multiple_of(ALIGN_BYTES);
        partition
    };
    Ok(parts.into_iter().map(place).collect())
}

/// NVRAM with a command line as the firmware's setting, and perhaps one that everything has to be signed.
fn nvram(bootargs: &str, secure: bool) -> Result<Vec<u8>> {
    /// Settings begin behind their partition's header, and end with a zero each.
    const HEADER_BYTES: usize = 16;
    let mut bytes = vec![0; NVRAM_DATA_BYTES];
    nvram::format(&mut bytes);
    let secure = if secure { "secure=on\0" } else { "" };
    let settings = format!("{secure}bootargs={bootargs}");
    let room = bytes[HEADER_BYTES..].get_mut(..settings.len());
    let room = room.filter(|_| settings.len() < nvram::OWN_BYTES - 2 * HEADER_BYTES);
    room.context("the command line is too long for NVRAM")?
        .copy_from_slice(settings.as_bytes());
    Ok(bytes)
}

/// By xz, with the sum that Linux's kernel checks as well.
pub fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut options = XzOptions::with_preset(XZ_PRESET);
    options.set_check_sum_type(CheckType::Crc32);
    let mut writer = XzWriter::new(Vec::new(), options)?;
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

fn print_table(partitions: &[Partition]) {
    println!(
        "{:<11}{:>11}{:>11}{:>11}  flags",
        "partition", "begins at", "bytes", "in use"
    );
    for part in partitions {
        let Flags {
            ecc,
            read_only,
            preserved,
        } = part.flags;
        let flags = [
            (ecc, "ecc"),
            (read_only, "read-only"),
            (preserved, "preserved"),
        ];
        let flags: Vec<_> = flags
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| *name)
            .collect();
        println!(
            "{:<11}{:>#11x}{:>#11x}{:>#11x}  {}",
            part.name,
            part.offset_bytes,
            part.len_bytes,
            part.raw().len(),
            flags.join(" ")
        );
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}
