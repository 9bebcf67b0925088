//! For Linux on catnap: a machine's page table, which the guest changes by hypercalls, the hardware by its R and C
//! bits, and this program by KVM's file of it. Both that file and KVM's log of written pages have to tell all of
//! it, whoever serves the hypercalls. It exits with 0 if they do.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]

mod driven;
mod machine;
mod output;
mod shared;
mod system;

use core::fmt::Write;
use driven::{Driven, Fault};
use hcalls::papr::{H_CLEAR_MOD, H_ENTER, H_PROTECT, H_REMOVE};
use output::Output;

/// A segment and a page of it, which has 64 KiB, as the host's pages have.
const SEGMENT: u64 = 0x42;
const ADDRESS: u64 = 0x2003_0000;
const PAGE_IN_SEGMENT: u64 = ADDRESS >> 16 & 0xfff;
/// Of the guest's memory.
const PAGE: u64 = 9;

/// Of the entry's doublewords (Power ISA 2.07 Book III-S 5.7.6): a large page, valid; R and C, M, and who may do
/// what.
const LARGE_AND_VALID: u64 = 5;
const AVPN_SHIFT: u32 = 7;
const OF_64_KIB: u64 = 1 << 12;
const REFERENCED: u64 = 0x100;
const CHANGED: u64 = 0x80;
const COHERENT: u64 = 0x10;
const READ_AND_WRITE: u64 = 2;
const READ: u64 = 3;

const FIRST: u64 = (SEGMENT << 28 | PAGE_IN_SEGMENT << 16) >> 23 << AVPN_SHIFT | LARGE_AND_VALID;
const BASE: u64 = PAGE << 16 | OF_64_KIB | COHERENT;
const SECOND: u64 = BASE | READ_AND_WRITE;
const NOTED: u64 = REFERENCED | CHANGED;
const WRITTEN: u64 = 1 << PAGE;
/// Where the hash leads: the first of a group.
const GROUP: u64 = ((SEGMENT ^ PAGE_IN_SEGMENT) & (driven::GROUPS - 1)) * 8;

/// What an entry is found to be.
fn same(what: &'static str, found: u64, expected: u64) -> Result<(), Fault> {
    match found == expected {
        true => Ok(()),
        false => Err(Fault::Differs(what, found, expected)),
    }
}

struct Checks {
    guest: Driven,
    index: u64,
}

impl Checks {
    /// What the file has to say of the entry, and whether the page was written.
    fn told(&self, what: &'static str, entry: Option<[u64; 2]>, written: u64) -> Result<(), Fault> {
        same(what, self.guest.written()?, written)?;
        let found = self.guest.told_of(self.index)?;
        let of = |entry: Option<[u64; 2]>| entry.unwrap_or([u64::MAX; 2]);
        same(what, of(found)[0], of(entry)[0])?;
        same(what, of(found)[1], of(entry)[1])
    }

    fn enters(&mut self) -> Result<(), Fault> {
        let answer = self.guest.call(H_ENTER, [0, GROUP, FIRST, SECOND])?;
        same("H_ENTER", answer.status, 0)?;
        self.index = answer.r4;
        same("H_ENTER's place", self.index & !7, GROUP)
    }

    fn stores(&self) -> Result<(), Fault> {
        self.guest.store(ADDRESS)
    }

    fn calls(&self, what: &'static str, call: u64, flags: u64) -> Result<(), Fault> {
        let answer = self.guest.call(call, [flags, self.index, 0, 0])?;
        same(what, answer.status, 0)
    }

    /// Of C alone: R is known already.
    fn clears(&self, what: &'static str) -> Result<(), Fault> {
        self.calls(what, H_CLEAR_MOD, 0)?;
        self.told(what, Some([FIRST, SECOND | REFERENCED]), 0)
    }

    fn an_entry(&mut self) -> Result<(), Fault> {
        self.enters()?;
        self.told("made", Some([FIRST, SECOND]), 0)?;
        self.stores()?;
        self.told("written by", Some([FIRST, SECOND | NOTED]), WRITTEN)?;
        self.told("at rest", None, 0)?;
        self.stores()?;
        self.told("written by again", None, WRITTEN)?;
        self.stores()?;
        self.calls("H_REMOVE", H_REMOVE, 0)?;
        self.told("removed", Some([0; 2]), WRITTEN)
    }

    /// The log has forgotten the store, and the file nothing; and the other way round.
    fn in_either_order(&mut self) -> Result<(), Fault> {
        self.enters()?;
        self.stores()?;
        self.told("entered", Some([FIRST, SECOND | NOTED]), WRITTEN)?;
        self.clears("for the log")?;
        self.stores()?;
        same("the log first", self.guest.written()?, WRITTEN)?;
        self.told("the log before", Some([FIRST, SECOND | NOTED]), 0)?;
        self.clears("for the file")?;
        self.stores()?;
        let told = self.guest.told_of(self.index)?;
        same("the file first", told.map_or(0, |it| it[1]), SECOND | NOTED)?;
        self.calls("H_CLEAR_MOD", H_CLEAR_MOD, 0)?;
        self.told(
            "the file before",
            Some([FIRST, SECOND | REFERENCED]),
            WRITTEN,
        )
    }

    fn without_rights(&mut self) -> Result<(), Fault> {
        self.stores()?;
        self.calls("H_PROTECT", H_PROTECT, READ)?;
        self.told("protected", Some([FIRST, BASE | READ | NOTED]), WRITTEN)?;
        self.calls("H_REMOVE", H_REMOVE, 0)?;
        self.told("gone", Some([0; 2]), 0)
    }

    /// An entry that this program makes by the file, while the guest is out.
    fn by_the_file(&mut self) -> Result<(), Fault> {
        self.index = GROUP + 3;
        self.guest.write_entry(self.index, [FIRST, SECOND])?;
        self.told("made by the file", Some([FIRST, SECOND]), 0)?;
        self.stores()?;
        self.calls("H_REMOVE", H_REMOVE, 0)?;
        self.told("removed after the file", Some([0; 2]), WRITTEN)
    }
}

fn table() -> Result<(), Fault> {
    let guest = Driven::new()?;
    guest.set_segment([ADDRESS & !0xfff_ffff, SEGMENT])?;
    let mut checks = Checks { guest, index: 0 };
    // All is told once.
    checks.guest.told_of(0)?;
    checks.guest.written()?;
    checks.an_entry()?;
    checks.in_either_order()?;
    checks.without_rights()?;
    checks.by_the_file()
}

/// The program.
fn start(_: Option<u64>) -> ! {
    let mut output = Output::new();
    let told = match table() {
        Ok(()) => system::exit(0),
        Err(Fault::Refused(what, errno)) => {
            writeln!(output, "table: {what}: errno {}", errno.0)
        }
        Err(Fault::Differs(what, found, expected)) => {
            writeln!(output, "table: {what}: {found:#x}, not {expected:#x}")
        }
    };
    system::exit(if told.is_ok() { 1 } else { 2 })
}

#[cfg(not(target_arch = "powerpc64"))]
fn main() {
    let main: fn(Option<u64>) -> ! = start;
    panic!("{main:p} runs in Linux on catnap only");
}
