//! Two cores that make the vcpus of one vcore.
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};

use hcalls::Status;
use hcalls::page::{PAGE_BYTES, VcpuPage};
use hcalls::run::RUN_FP_CLEAN;
use images::host_runtime::calls::{self, Partition};
use images::host_runtime::cpu;
use images::host_runtime::guest::Guest;
use images::random::Random;

use crate::check::{Outcome, accepted, same};
use crate::lab::{Lab, MS_TB, Wanted};
use crate::objects;
use crate::race::Race;

const VCPUS: u64 = 8;
/// Real address of the pages for the other core's vcpus, and the vcore that those are of.
static PAGES: AtomicU64 = AtomicU64::new(0);
static VCORE: AtomicU64 = AtomicU64::new(0);

/// Both cores create the same vcpus of a new partition, each with pages of its own: each vcpu is made
/// once, all are of one vcore, which is made once, and it runs (B3, B4).
pub fn race_create(lab: &mut Lab) -> Outcome {
    let mut guest = lab.guest(&Wanted::new("loop", VCPUS as u32))?;
    let page = guest.page_address(0);
    let [here, there] = [pages(lab)?, pages(lab)?];
    PAGES.store(there, Ordering::Relaxed);
    let mut race = Race::new(lab, &guest, "race_create", |_, partition, random| {
        let (made, vcore) = create(partition, PAGES.load(Ordering::Relaxed), random)?;
        VCORE.store(vcore, Ordering::Relaxed);
        Ok(made)
    })?;
    for _ in 0..race.rounds {
        accepted("a new partition", guest.clear())?;
        for id in 0..2 * VCPUS {
            let fresh = objects::copy(page);
            let base = if id < VCPUS { here } else { there };
            // SAFETY: no vcpu has that page now.
            unsafe { page_at(base, id % VCPUS).write(fresh) }
        }
        race.go(&guest);
        let made = create(guest.partition, here, &mut race.random);
        let there = race.answer();
        let outcome = made.and_then(|made| judge(&mut guest, made, there?));
        race.judge(outcome)?;
        if race.random.once_in(8) {
            // All of them were blocked, or this one couldn't run alone.
            let run = guest.run(1, 0, cpu::time_base() + MS_TB / 8, RUN_FP_CLEAN);
            same("exited", accepted("VCORE_RUN", run)?.exited, 0)?;
        }
    }
    Ok(())
}

fn pages(lab: &mut Lab) -> Result<u64, String> {
    let bytes = PAGE_BYTES as u64;
    let pages = lab.ram.take(VCPUS * bytes, bytes).ok_or("no memory left")?;
    Ok(pages.start)
}

fn page_at(base: u64, id: u64) -> *mut VcpuPage {
    core::ptr::with_exposed_provenance_mut((base + id * PAGE_BYTES as u64) as usize)
}

/// Creates all vcpus, in an order that is drawn: which of them were made here, and their vcore.
fn create(partition: Partition, pages: u64, random: &mut Random) -> Result<(u64, u64), String> {
    let (first, step) = (random.below(VCPUS), 1 + 2 * random.below(VCPUS / 2));
    let (mut made, mut vcore) = (0, 0);
    for place in 0..VCPUS {
        let id = (first + step * place) % VCPUS;
        // SAFETY: nobody else gives that page to a vcpu.
        match unsafe { calls::vcpu_create(partition, id, page_at(pages, id)) } {
            Ok((its, slot)) => {
                same("slot", slot, id)?;
                ensure!(made == 0 || vcore == its.0, "two vcores");
                (made, vcore) = (made | 1 << id, its.0);
            }
            Err(refusal) if refusal.is(Status::Busy) => {}
            Err(refusal) => return Err(alloc::format!("VCPU_CREATE {id}: {refusal}")),
        }
    }
    Ok((made, vcore))
}

fn judge(guest: &mut Guest, (made, vcore): (u64, u64), there: u64) -> Outcome {
    same("made twice", made & there, 0)?;
    same("made", made | there, 0xff)?;
    let others = VCORE.load(Ordering::Relaxed);
    guest.vcore.0 = if made == 0 { others } else { vcore };
    let one = made == 0 || there == 0 || vcore == others;
    ensure!(one, "two vcores: {vcore:#x}, {others:#x}");
    Ok(())
}
