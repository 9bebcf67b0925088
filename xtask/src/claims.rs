//! What the reference host says its guests computed, and whether it is true.
//!
//! Lines on the console, one each:
//! `share GUEST OFFSET LEN`: the bytes of the input that a guest got;
//! `slice GUEST VCPU OFFSET LEN SHA256`: the bytes that one of its vcpus hashed (offset in the
//! input), and the digest; `digest GUEST SHA256`: SHA-256 over the guest's slice digests (32 bytes
//! each) in the order of vcpus. Numbers are decimal, digests 64 hexadecimal digits.
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::hex;

type Hash = [u8; 32];

struct Slice {
    range: Range<usize>,
    digest: Hash,
}

#[derive(Default)]
struct Guest {
    share: Option<Range<usize>>,
    digest: Option<Hash>,
    /// By vcpu.
    slices: BTreeMap<usize, Slice>,
}

/// Everything claimed so far.
#[derive(Default)]
pub struct Claims {
    guests: BTreeMap<String, Guest>,
    /// Lines that could not be understood, or that claim something twice.
    faults: Vec<String>,
}

/// What has been verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    pub guests: usize,
    pub slices: usize,
    pub bytes: usize,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verified {
            guests,
            slices,
            bytes,
        } = self;
        write!(
            f,
            "the digests of {guests} guests and {slices} slices of {bytes} bytes are right"
        )
    }
}

impl Claims {
    /// Note a line of the console; lines that claim nothing are ignored.
    pub fn read_line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let noted = match words.as_slice() {
            ["share", guest, rest @ ..] => self.note_share(guest, rest),
            ["slice", guest, rest @ ..] => self.note_slice(guest, rest),
            ["digest", guest, rest @ ..] => self.note_digest(guest, rest),
            _ => return,
        };
        if let Err(fault) = noted {
            self.faults.push(format!("line `{line}`: {fault:#}"));
        }
    }

    fn guest(&mut self, name: &str) -> &mut Guest {
        self.guests.entry(name.to_string()).or_default()
    }

    fn note_share(&mut self, guest: &str, words: &[&str]) -> Result<()> {
        let [offset, len] = words else {
            bail!("not OFFSET LEN")
        };
        let share = range(offset, len)?;
        ensure!(
            self.guest(guest).share.replace(share).is_none(),
            "said before"
        );
        Ok(())
    }

    fn note_slice(&mut self, guest: &str, words: &[&str]) -> Result<()> {
        let [vcpu, offset, len, digest] = words else {
            bail!("not VCPU OFFSET LEN SHA256")
        };
        let slice = Slice {
            range: range(offset, len)?,
            digest: hash(digest)?,
        };
        let vcpu = vcpu.parse().context("vcpu")?;
        ensure!(
            self.guest(guest).slices.insert(vcpu, slice).is_none(),
            "said before"
        );
        Ok(())
    }

    fn note_digest(&mut self, guest: &str, words: &[&str]) -> Result<()> {
        let [digest] = words else { bail!("not SHA256") };
        let digest = hash(digest)?;
        ensure!(
            self.guest(guest).digest.replace(digest).is_none(),
            "said before"
        );
        Ok(())
    }

    /// Compute everything again; what is wrong otherwise, one line each.
    pub fn check(&self, input: &[u8]) -> Result<Verified, Vec<String>> {
        let mut faults = self.faults.clone();
        if self.guests.is_empty() {
            faults.push("no guest reported a digest".to_string());
        }
        for (name, guest) in &self.guests {
            let found = guest.faults(input);
            faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("guest {name}: {fault}")),
            );
        }
        let shares = self.guests.values().filter_map(|guest| guest.share.clone());
        if let Err(fault) = tile(0..input.len(), shares.collect()) {
            faults.push(format!("the shares don't cover the file exactly: {fault}"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let slices = self.guests.values().map(|guest| guest.slices.len()).sum();
        Ok(Verified {
            guests: self.guests.len(),
            slices,
            bytes: input.len(),
        })
    }
}

impl Guest {
    fn faults(&self, input: &[u8]) -> Vec<String> {
        let mut faults = self.slice_faults(input);
        let slices = self.slices.values();
        match &self.share {
            None => faults.push("no share".to_string()),
            Some(share) => {
                let parts = slices.clone().map(|slice| slice.range.clone()).collect();
                if let Err(fault) = tile(share.clone(), parts) {
                    faults.push(format!("the slices don't cover the share exactly: {fault}"));
                }
            }
        }
        let digests = slices
            .map(|slice| slice.digest)
            .collect::<Vec<_>>()
            .concat();
        match self.digest {
            None => faults.push("no digest".to_string()),
            Some(digest) if Hash::from(Sha256::digest(digests)) != digest => {
                faults.push("the digest is not that of its slices".to_string());
            }
            Some(_) => {}
        }
        faults
    }

    fn slice_faults(&self, input: &[u8]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.slices.is_empty() {
            faults.push("no slice".to_string());
        }
        for (place, (vcpu, slice)) in self.slices.iter().enumerate() {
            if place != *vcpu {
                faults.push(format!("no slice of vcpu {place}, though of vcpu {vcpu}"));
            }
            match input.get(slice.range.clone()) {
                None => faults.push(format!("vcpu {vcpu}'s slice reaches past the file's end")),
                Some(bytes) if Hash::from(Sha256::digest(bytes)) != slice.digest => {
                    faults.push(format!("vcpu {vcpu}'s digest is wrong"));
                }
                Some(_) => {}
            }
        }
        faults
    }
}

fn range(offset: &str, len: &str) -> Result<Range<usize>> {
    let offset: usize = offset.parse().context("offset")?;
    let len: usize = len.parse().context("length")?;
    Ok(offset..offset.checked_add(len).context("offset + length")?)
}

fn hash(digits: &str) -> Result<Hash> {
    let hash = hex::decode(digits).and_then(|bytes| Hash::try_from(bytes).ok());
    hash.context("a digest has 64 hexadecimal digits")
}

/// Do the parts, in whatever order, make up the whole without gap or overlap?
fn tile(whole: Range<usize>, mut parts: Vec<Range<usize>>) -> Result<(), String> {
    parts.sort_by_key(|part| (part.start, part.end));
    let mut reached = whole.start;
    for part in parts {
        if part.start != reached {
            return Err(format!("one begins at {}, not at {reached}", part.start));
        }
        reached = part.end;
    }
    match reached == whole.end {
        true => Ok(()),
        false => Err(format!("they end at {reached}, not at {}", whole.end)),
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
