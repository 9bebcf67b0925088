//! Whether a boot with checks of guests was good: what must be said, what must not, and digests.
use sha2::{Digest, Sha256};

use super::archive::{PART_BYTES, disk};
use super::{DONE, Job};
use crate::linux;

/// What is wrong with the lines of both consoles.
pub fn faults(job: &Job, lines: &[String]) -> Vec<String> {
    let bad = lines.iter().filter(|line| is_bad(line));
    let mut faults: Vec<String> = bad
        .map(|line| format!("must not be said: {line}"))
        .collect();
    let said = |what: &str| lines.iter().any(|line| line.contains(what));
    let mut expected = vec![DONE.to_string(), "host: the module is gone".into()];
    for number in 1..=job.guests.machines {
        expected.extend(of_guest(job, number));
    }
    for cpu in 0..job.guests_host_cpus(lines) {
        expected.push(format!("host: cpu{cpu} has the siblings {cpu}"));
    }
    let missing = expected.iter().filter(|what| !said(what));
    faults.extend(missing.map(|what| format!("never said: {what}")));
    faults
}

/// Linux says of a guest's NVRAM that it is empty, as QEMU makes it.
fn is_bad(line: &str) -> bool {
    linux::is_bad(line) && !line.contains("nvram corruption detected: 0-length partition")
}

/// What a guest has to say.
fn of_guest(job: &Job, number: u32) -> Vec<String> {
    let smt = job.smt();
    let siblings = |cpu: u32| match cpu / smt * smt {
        first if smt == 1 => format!("{first}"),
        first => format!("{first}-{}", first + smt - 1),
    };
    let mut all: Vec<String> = ["ok cpus", "ok timers", "ok disk", "done"]
        .map(|what| format!("guest {number}: {what}"))
        .into();
    if smt > 1 {
        all.push(format!("guest {number}: ok doorbells"));
    }
    all.push(format!("host: machine {number} ended with 0"));
    let disk = disk(job.cpus());
    if job.guests.net {
        all.push(format!("guest {number}: by the network {}", digest(&disk)));
    }
    for (cpu, part) in (0..).zip(disk.chunks(PART_BYTES)) {
        let siblings = siblings(cpu);
        all.push(format!(
            "guest {number}: cpu{cpu} has the siblings {siblings}"
        ));
        all.push(format!("guest {number}: part {cpu} {}", digest(part)));
    }
    all
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Job {
    /// How many CPUs the host says that it has.
    fn guests_host_cpus(&self, lines: &[String]) -> usize {
        let is_cpu = |line: &&String| line.contains("host: cpu");
        lines.iter().filter(is_cpu).count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::debian::Release;

    fn good(job: &Job) -> Vec<String> {
        let mut lines = of_guest(job, 1);
        lines.extend([DONE.to_string(), "host: the module is gone".into()]);
        lines.push("host: cpu0 has the siblings 0".into());
        lines
    }

    #[test]
    fn a_boot_is_judged_by_what_both_say() {
        let job = Job::checked(Release::V6_12Pages64K, 8, 1);
        let lines = good(&job);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("cpu7 has the siblings 0-7"))
        );
        assert!(faults(&job, &lines).is_empty());
        for left_out in 0..lines.len() {
            let mut fewer = lines.clone();
            let what = fewer.remove(left_out);
            assert!(!faults(&job, &fewer).is_empty(), "{what}");
        }
        let mut worse = lines.clone();
        worse.push("[ 0.1] WARNING: nvram corruption detected: 0-length partition".into());
        assert!(faults(&job, &worse).is_empty());
        worse.push("[ 1.0] BUG: soft lockup".into());
        assert_eq!(faults(&job, &worse).len(), 1);
    }

    #[test]
    fn cores_of_a_guest_have_siblings_of_their_own() {
        let job = Job::checked(Release::V6_12Pages64K, 4, 2);
        let lines = good(&job);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("cpu5 has the siblings 4-7"))
        );
    }
}
