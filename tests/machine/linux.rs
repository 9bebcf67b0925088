//! A stock Linux: Debian's kernels come up, pass their checks, and end as they should.
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use libtest_mimic::Trial;
use tests::console::Expected;
use tests::images;
use tests::qemu::{Boot, End, Tcg};
use xtask::linux;
use xtask::qemu::MAX_CHIPS;
use xtask::setup::debian::{Files, Release};

use crate::{Outcome, trial};

mod debian;
mod exports;
mod matrix;
mod pci;

const LIMIT: Duration = Duration::from_secs(240);
/// A busy build host can leave a thread without its turn for so long that Linux's watchdogs take it for
/// dead, under any firmware. One that is dead ends the boot's time.
const PATIENT: &str = "nowatchdog workqueue.watchdog_thresh=0 rcupdate.rcu_cpu_stall_timeout=200";
/// The shell's prompt.
const PROMPT: &str = "/ # ";

/// Name, kernel, chips, cores of each, threads of each.
const SHAPES: [(&str, Release, u32, u32, u32); 4] = [
    ("6.12-on-1-thread", Release::V6_12, 1, 1, 1),
    ("6.12-on-2-cores-of-8-threads", Release::V6_12, 1, 2, 8),
    ("6.1-on-1-core-of-8-threads", Release::V6_1, 1, 1, 8),
    ("6.1-on-2-chips-of-2-threads", Release::V6_1, 2, 1, 2),
];

/// All threads are the host's: name, kernel, cores, threads of each.
const ALL_THREADS: [(&str, Release, u32, u32); 2] = [
    ("6.12-with-all-8-threads", Release::V6_12, 1, 8),
    ("6.1-with-all-of-2-cores", Release::V6_1, 2, 2),
];

pub fn trials() -> Vec<Trial> {
    let mut trials = shapes();
    trials.extend(devices());
    trials.extend(all_threads());
    trials.extend([
        trial("linux::4-chips", four_chips),
        trial("linux::secondaries-never-wake", secondaries_never_wake),
        trial("linux::typing", typing),
        trial("linux::reboot", reboot),
        trial("linux::panic", panic),
        trial("linux::system-reset", system_reset),
        trial("linux::kexec", || kexec("kexec", "", 2)),
        trial("linux::kexec-of-all-threads", || {
            kexec("kexec-of-all-threads", "catnap.threads=host", 4)
        }),
    ]);
    trials.extend(debian::trials());
    trials.extend(exports::trials());
    trials.extend(matrix::trials());
    trials.extend(pci::trials());
    trials
}

fn shapes() -> Vec<Trial> {
    let shape = |(name, release, chips, cores, threads)| {
        let boot = Boot {
            chips,
            ..Boot::new(cores, threads)
        };
        let run = move || passes(release, boot, &End::Off);
        trial(format!("linux::{name}"), run)
    };
    SHAPES.into_iter().map(shape).collect()
}

/// Other devices than most machines have, and another time.
fn devices() -> [Trial; 3] {
    let without_bmc = Boot {
        bmc: false,
        ..Boot::new(1, 2)
    };
    let default_devices = Boot {
        default_devices: true,
        ..Boot::new(1, 4)
    };
    let counting = Boot {
        tcg: Tcg::Counting,
        ..Boot::new(1, 8)
    };
    [
        ("without-bmc", without_bmc),
        ("default-devices", default_devices),
        ("counting-with-8-threads", counting),
    ]
    .map(|(name, boot)| {
        let run = move || passes(Release::V6_12, boot, &End::Off);
        trial(format!("linux::{name}"), run)
    })
}

fn all_threads() -> Vec<Trial> {
    let all = |(name, release, cores, threads)| {
        let run = move || {
            let words = linux::check_words(cores * threads);
            let words = format!("catnap.threads=host check.hotplug=2 {words}");
            let boot = with_kernel(release, Boot::new(cores, threads), &words);
            let boot = match cores {
                1 => boot,
                _ => boot.elected_elsewhere(),
            };
            boot.check(&End::Off, &checks()).map(drop)
        };
        trial(format!("linux::{name}"), run)
    };
    ALL_THREADS.into_iter().map(all).collect()
}

/// Boots with the checks.
fn passes(release: Release, boot: Boot, end: &End) -> Outcome {
    let mut words = linux::check_words(boot.chips * boot.cores);
    if boot.bmc {
        words = format!("{words} {}", linux::CHECK_BMC);
    }
    let expected = match boot.tcg {
        Tcg::Counting => checks(),
        Tcg::Single | Tcg::Multi => {
            words = format!("{words} check.naps {}", linux::CHECK_KVM);
            checks_with("kvm")
        }
    };
    let boot = with_kernel(release, boot, &words);
    boot.check(end, &expected).map(drop)
}

/// QEMU gives no access to the interrupts of the third and the fourth chip; Linux has their memory.
fn four_chips() -> Outcome {
    let boot = Boot {
        chips: 4,
        ..Boot::new(1, 2)
    };
    let boot = with_kernel(Release::V6_12, boot, &linux::check_words(MAX_CHIPS));
    let left_out = "catnap: 2 cores from 0x108 on are left out";
    let expected = Expected::lines([left_out, "check: ok nodes", linux::DONE]);
    boot.check(&End::Off, &faultless(expected)).map(drop)
}

fn with_kernel(release: Release, boot: Boot, words: &str) -> Boot {
    Boot {
        payload: Some(files().kernel(release)),
        initrd: Some(initrd(release)),
        bootargs: format!("console=hvc0 {PATIENT} {words}"),
        limit: LIMIT,
        ..boot
    }
}

fn checks() -> Expected {
    checks_with("kernel-log")
}

/// This check among them.
fn checks_with(name: &str) -> Expected {
    faultless(Expected::lines([
        "catnap: to the host",
        "check: ok msglog",
        &format!("check: ok {name}"),
        linux::DONE,
    ]))
}

fn faultless(expected: Expected) -> Expected {
    linux::FORBIDDEN
        .into_iter()
        .fold(expected, Expected::forbid)
}

/// QEMU logs every interrupt that a thread takes, waking from nap among them, with the address of the
/// instruction that it strikes. Through a whole life of Linux the seven secondaries wake once each:
/// when the firmware first calls them, out of the nap of their reset. Where they nap from then on
/// none is interrupted, neither to the firmware's vectors nor to Linux's, whose own thread naps and
/// wakes all the time, and runs KVM's guests.
/// H2, H4.
fn secondaries_never_wake() -> Outcome {
    const THREADS: u32 = 8;
    let log = images::scratch_path("interrupts.log");
    let logged = ["-d", "int", "-D"].map(String::from).into_iter();
    let words = format!("{} {}", linux::check_words(1), linux::CHECK_KVM);
    let boot = with_kernel(Release::V6_12, Boot::new(1, THREADS), &words);
    let boot = Boot {
        extra: logged.chain([log.display().to_string()]).collect(),
        ..boot
    };
    boot.check(&End::Off, &checks_with("kvm"))?;
    let log = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
    let struck: Vec<(u64, &str)> = log.lines().filter_map(interrupt).collect();
    let napping: Vec<_> = struck.iter().filter(|(at, _)| is_firmwares(*at)).collect();
    let first_calls = napping
        .iter()
        .filter(|(at, what)| *at < LOW_IMAGE_BYTES && *what == "EXTERNAL");
    // The host's own thread naps once before it is handed over, which its decrementer ends.
    let own_nap = napping.iter().filter(|(_, what)| *what == "DECR");
    let count = THREADS as usize - 1;
    let all = first_calls.count() == count && own_nap.count() == 1 && napping.len() == count + 1;
    match all && struck.len() > 10 * count {
        true => Ok(()),
        false => Err(format!(
            "{} interrupts, among them in the firmware: {napping:x?}",
            struck.len()
        )),
    }
}

/// The image lies at real 0 at first, and runs past HRMOR, with the top bit set, later.
const LOW_IMAGE_BYTES: u64 = 0x8_0000;
const FIRMWARE: std::ops::Range<u64> = 0x8000_0000_3000_0000..0x8000_0000_3200_0000;

/// KVM's guests, which have addresses of their own.
const GUEST: std::ops::Range<u64> = 0x100..0x114;

/// Linux has nothing that can be interrupted in the lowest memory: it runs at 0xc000….
fn is_firmwares(at: u64) -> bool {
    (at < LOW_IMAGE_BYTES && !GUEST.contains(&at)) || FIRMWARE.contains(&at)
}

/// Address and kind, of a line such as `Raise exception at 0000000000001a54 => EXTERNAL (4) …`.
fn interrupt(line: &str) -> Option<(u64, &str)> {
    let (at, what) = line
        .strip_prefix("Raise exception at ")?
        .split_once(" => ")?;
    let at = u64::from_str_radix(at, 16).ok()?;
    Some((at, what.split(' ').next()?))
}

/// What is typed comes by interrupt, is echoed, and does what it says: even after more was typed than anybody
/// has room for, while nobody listened.
fn typing() -> Outcome {
    const COUNTED: &str = "awk '/psi:external/ { print $2 + $3 }' /proc/interrupts";
    const TYPED_BYTES: usize = 2048;
    let early = format!("# {}\n", "typed ".repeat(10));
    let early = early.repeat(TYPED_BYTES.div_ceil(early.len()));
    let begin = format!("before=$({COUNTED}); echo began $((40 + 2))\n");
    let compare = format!("[ $({COUNTED}) -gt $before ] && echo by inter''rupt\n");
    let talk = [
        ("catnap: to the host", &*early),
        (PROMPT, &*begin),
        ("began 42", "grep -c catnap: /sys/firmware/opal/msglog\n"),
        (PROMPT, &*compare),
        (PROMPT, "exit\n"),
    ];
    let boot = Boot {
        talk: talk
            .map(|(heard, typed)| (heard.into(), typed.into()))
            .into(),
        ..with_kernel(Release::V6_12, Boot::new(2, 2), "")
    };
    let expected =
        Expected::lines(["Linux 6.12", "began 42", "3", "by interrupt"]).then("reboot: Power down");
    boot.check(&End::Off, &faultless(expected)).map(drop)
}

/// After a reboot everything is as before, but for the threads: NVRAM, which outlives a reset, gives
/// them to the host by then. The clock tells the second boot, which switches off.
fn reboot() -> Outcome {
    let words = linux::check_words(1) + " check.rebooted.cpus=2 check.end=reboot";
    let boot = with_kernel(Release::V6_12, Boot::new(1, 2), &words);
    let expected = checks()
        .then("reboot: Restarting system")
        .then("catnap: the host has all threads")
        .then("catnap: to the host")
        .then("check: ok cpus")
        .then("check: ok msglog")
        .then(linux::DONE)
        .then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

/// A kernel that dies reboots the machine, from a thread that isn't the first, and all is as before.
fn panic() -> Outcome {
    let words = linux::check_words(4);
    let words = format!("catnap.threads=host panic=1 check.end=panic {words}");
    let boot = with_kernel(Release::V6_12, Boot::new(2, 2), &words);
    let expected = Expected::lines([linux::DONE])
        .then("Kernel panic - not syncing: sysrq triggered crash")
        .then("catnap: to the host")
        .then("check: ok cpus")
        .then(linux::DONE)
        .then("reboot: Power down")
        .forbid("check: FAILED");
    boot.check(&End::Off, &expected).map(drop)
}

/// All threads of the machine are struck: Linux tells of its own, and dies as it does on any firmware.
/// Those that nap for the firmware, which wake in its vectors, go back to their nap; if one of them ran on
/// there the machine would stop.
/// H5.
fn system_reset() -> Outcome {
    let boot = Boot {
        orders: vec![(PROMPT.into(), "nmi\n".into())],
        talk: vec![
            ("Kernel panic".into(), String::new()),
            (PROMPT.into(), "exit\n".into()),
        ],
        ..with_kernel(Release::V6_12, Boot::new(2, 4), "panic=1")
    };
    let expected = Expected::lines(["Oops: System Reset"])
        .then("Kernel panic - not syncing")
        .then("catnap: to the host")
        .then("reboot: Power down")
        .forbid("checkstop");
    boot.check(&End::Off, &expected).map(drop)
}

/// The second kernel finds the firmware as the first did, and the same threads.
fn kexec(name: &str, words: &str, cpus: u32) -> Outcome {
    let release = Release::V6_12;
    let words = format!("{words} {} check.end=kexec", linux::check_words(cpus));
    let archive = linux::initrd_for_kexec(&files(), &images::folder(), release);
    let archive = archive.map_err(|error| format!("{error:#}"))?;
    let boot = Boot {
        initrd: Some(images::scratch_file(&format!("{name}.cpio"), &archive)),
        ..with_kernel(release, Boot::new(2, 2), &words)
    };
    let expected = checks()
        .then("kexec_core: Starting new kernel")
        .then("Linux version 6.12")
        .then("check: ok cpus")
        .then(linux::DONE)
        .then("reboot: Power down");
    boot.check(&End::Off, &expected).map(drop)
}

fn files() -> Files {
    Files::present().unwrap_or_else(|error| panic!("{error:#}"))
}

/// The initial RAM disk for a kernel, written once.
fn initrd(release: Release) -> PathBuf {
    static PATHS: [OnceLock<PathBuf>; Release::ALL.len()] = [const { OnceLock::new() }; 2];
    let path = PATHS[release as usize].get_or_init(|| {
        let archive = linux::initrd(&files(), &images::folder(), Some(release));
        let archive = archive.unwrap_or_else(|error| panic!("{error:#}: run `cargo xtask linux`"));
        images::scratch_file(&format!("linux-{}.cpio", release.name()), &archive)
    });
    path.clone()
}
