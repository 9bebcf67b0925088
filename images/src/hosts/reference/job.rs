//! A guest of the reference host with its part of the work.
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use hcalls::partition::{MemoryMode, Policy};
use hcalls::stats::VcoreStats;
use images::boot_args::HostOptions;
use images::guest_calls::DIGEST_BYTES;
use images::host_runtime::guest::{Guest, MEMORY_BYTES, Setup};
use images::ram::Ram;
use images::share;

/// The share is put at a multiple of this.
const SHARE_ALIGN_BYTES: u64 = 0x1_0000;

/// A guest, what it has to do, and what it has done so far.
pub struct Job {
    /// As `smt8-le`: number of vcpus and byte order.
    pub name: String,
    pub guest: Guest,
    /// Which bytes of the input are its share.
    pub share: Range<u64>,
    /// By vcpu: SHA-256 of its slice, when it has said that it is done.
    pub digests: Vec<Option<[u8; DIGEST_BYTES]>>,
    /// Why the guest isn't run any more, though it isn't done.
    pub failure: Option<String>,
    /// What the guest has written to its terminal since the last newline.
    pub line: String,
    /// All vcpus have ceded: no use to run them before this time.
    pub not_before_tb: u64,
    /// PIR of the thread that ran it.
    pub pir: u32,
    /// How often it was run.
    pub runs: u64,
    /// What a run costs at least, in ticks of the time base.
    pub least_run_tb: Option<u64>,
    /// The firmware's counters, when the guest is finished.
    pub stats: Option<VcoreStats>,
}

impl Job {
    /// Makes guest `index` of `options.vcpus` out of `file` and gives it its share of `input`.
    pub fn new(
        index: usize,
        options: &HostOptions,
        file: &[u8],
        input: &[u8],
        uses_fp: bool,
        ram: &mut Ram,
        others: &[Job],
    ) -> Result<Self, String> {
        let vcpus = options.vcpus[index];
        let setup = Setup {
            lpid: index as u32 + 1,
            vcpus: vcpus as u32,
            ptid_mode: options.ptid_mode,
            memory_mode: MemoryMode::Rmor,
            tb_offset: 0,
            policy: Policy::Complete,
            uses_fp,
            lpcr: 0,
            flags: 0,
        };
        let guest = Guest::create(&setup, file, ram);
        let guest = guest.map_err(|error| alloc::format!("guest {index}: {error}"))?;
        let mut job = Self {
            name: name(vcpus, guest.image.little_endian, others),
            guest,
            share: share::share(input.len() as u64, &options.vcpus, index),
            digests: alloc::vec![None; vcpus as usize],
            failure: None,
            line: String::new(),
            not_before_tb: 0,
            pir: 0,
            runs: 0,
            least_run_tb: None,
            stats: None,
        };
        job.give_share(input)?;
        Ok(job)
    }

    /// Copies the share behind the guest's image and tells each vcpu where it is.
    fn give_share(&mut self, input: &[u8]) -> Result<(), String> {
        let address = self.guest.image.end.next_multiple_of(SHARE_ALIGN_BYTES);
        let len_bytes = self.share.end - self.share.start;
        let share = &input[self.share.start as usize..self.share.end as usize];
        match self.guest.bytes(address, len_bytes) {
            Some(place) => place.copy_from_slice(share),
            None => {
                let room = MEMORY_BYTES.saturating_sub(address);
                return Err(alloc::format!(
                    "{}: share of {len_bytes} bytes, room for {room}",
                    self.name
                ));
            }
        }
        for vcpu in 0..self.guest.vcpus() {
            self.guest
                .start_vcpu(vcpu, self.digests.len() as u64, [address, len_bytes]);
        }
        Ok(())
    }

    /// Whether it is still worth a run.
    pub fn is_running(&self) -> bool {
        self.failure.is_none() && self.digests.contains(&None)
    }

    /// Mask of the slots whose vcpus are done.
    pub fn done_slots(&self) -> u64 {
        let done = (0..self.digests.len()).filter(|&vcpu| self.digests[vcpu].is_some());
        done.map(|vcpu| self.guest.slot_mask(vcpu)).sum()
    }

    /// Gives the guest up; the first reason stays.
    pub fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }
}

/// `smt8-be`, or `smt8-be-2` for the second guest of that kind.
fn name(vcpus: u64, little_endian: bool, others: &[Job]) -> String {
    let order = if little_endian { "le" } else { "be" };
    let name = alloc::format!("smt{vcpus}-{order}");
    let same = |job: &&Job| job.name == name || job.name.starts_with(&alloc::format!("{name}-"));
    match others.iter().filter(same).count() {
        0 => name,
        before => alloc::format!("{name}-{}", before + 1),
    }
}
