//! Partitions and vcpus: how they come and go.
use hcalls::page::VcpuPage;
use hcalls::query::Query;
use hcalls::run::VcpuState;
use hcalls::{Status, exit::ExitReason};
use images::behaviour::exits;
use images::host_runtime::calls::{self, Partition, Vcore};
use images::host_runtime::guest::{self, MEMORY_BYTES};
use images::host_runtime::real_memory;
use zerocopy::IntoBytes;

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::{self, Lab, Wanted};

/// Makes a fresh vcpu page at `address` and a vcpu of it.
pub fn vcpu(partition: Partition, id: u64, address: u64) -> calls::Result<(Vcore, u64)> {
    let page = core::ptr::with_exposed_provenance_mut::<VcpuPage>(address as usize);
    // SAFETY: `address` is a page of RAM that the test has taken for this vcpu.
    unsafe {
        page.write(VcpuPage::new());
        calls::vcpu_create(partition, id, page)
    }
}

/// An empty partition for vcores of `width`.
pub fn partition(lab: &mut Lab, width: u32) -> Result<Partition, alloc::string::String> {
    let memory = lab.spare_memory()?;
    let setup = lab.setup(&Wanted::new("", width));
    accepted(
        "PARTITION_CREATE",
        calls::partition_create(&guest::config(&setup, &memory, false)),
    )
}

/// Partitions and vcpus are made, hold their places, and are gone when destroyed (B1–B4, B6).
/// B9.
pub fn create_destroy(lab: &mut Lab) -> Outcome {
    let partition = partition(lab, 4)?;
    let pages = [lab.page()?, lab.page()?, lab.page()?];
    let (vcore, slot) = accepted("VCPU_CREATE", vcpu(partition, 0, pages[0]))?;
    same("slot of id 0", slot, 0)?;
    let third = accepted("VCPU_CREATE", vcpu(partition, 3, pages[1]))?;
    same("vcore and slot of id 3 (B1)", third, (vcore, 3))?;
    let (other_vcore, slot) = accepted("VCPU_CREATE", vcpu(partition, 4, pages[2]))?;
    ensure!(other_vcore != vcore, "id 4 is in the vcore of id 0 (B1)");
    same("slot of id 4", slot, 0)?;
    let set = calls::vcpu_set_state(vcore, 1, VcpuState::Runnable);
    let set = accepted("VCPU_SET_STATE", set)?;
    same(
        "complete, since a new vcpu is blocked (B4)",
        set.complete,
        true,
    )?;
    destroy(partition, [vcore, other_vcore], pages[1])
}

/// Ends slot 3 of the first vcore, the whole second one, and the partition with what is left.
fn destroy(partition: Partition, [vcore, other]: [Vcore; 2], page: u64) -> Outcome {
    accepted("VCPU_DESTROY", calls::vcpu_destroy(vcore, 3))?;
    let again = calls::vcpu_destroy(vcore, 3);
    refused("VCPU_DESTROY again", again, Status::Parameter, 2)?;
    accepted("its place and page again", vcpu(partition, 3, page))?;
    accepted("VCPU_DESTROY", calls::vcpu_destroy(other, 0))?;
    let empty = calls::vcore_kick(other, 0, 0);
    refused("a vcore without vcpus", empty, Status::Parameter, 1)?;
    accepted("PARTITION_DESTROY", calls::partition_destroy(partition))?;
    let again = calls::partition_destroy(partition);
    refused("PARTITION_DESTROY again", again, Status::Parameter, 1)?;
    refused(
        "its vcore",
        calls::vcore_kick(vcore, 0, 0),
        Status::Parameter,
        1,
    )
}

/// What is taken is refused as such, and the limits hold; afterwards all is free again (B2).
pub fn limits(lab: &mut Lab) -> Outcome {
    let memory = lab.spare_memory()?;
    let most = accepted("SMT_QUERY", calls::smt_query(Query::MaxPartitions.into()))?;
    let mut last = Partition(0);
    let first_lpid = lab.setup(&Wanted::new("", 8)).lpid;
    let mut setup = lab.setup(&Wanted::new("", 8));
    for lpid in 0..most as u32 {
        setup.lpid = first_lpid + lpid;
        last = accepted(
            "PARTITION_CREATE",
            calls::partition_create(&guest::config(&setup, &memory, false)),
        )?;
        let again = calls::partition_create(&guest::config(&setup, &memory, false));
        refused("the same LPID", again, Status::Busy, 0)?;
    }
    setup.lpid += 1;
    let full = calls::partition_create(&guest::config(&setup, &memory, false));
    refused("one partition too many", full, Status::Resource, 0)?;
    let page = lab.page()?;
    accepted("VCPU_CREATE", vcpu(last, 0, page))?;
    refused("the same page", vcpu(last, 1, page), Status::Busy, 0)?;
    let other = lab.page()?;
    refused("the same id", vcpu(last, 0, other), Status::Busy, 0)?;
    accepted("PARTITION_DESTROY of all", calls::partition_destroy_all())?;
    refused(
        "one of all",
        calls::partition_destroy(last),
        Status::Parameter,
        1,
    )?;
    accepted(
        "room again",
        calls::partition_create(&guest::config(&setup, &memory, false)),
    )?;
    Ok(())
}

/// As many vcores as there may be; one more is refused, and leaves nothing behind (B2).
pub fn vcores(lab: &mut Lab) -> Outcome {
    let most = accepted("SMT_QUERY", calls::smt_query(Query::MaxVcores.into()))?;
    let ids = accepted("SMT_QUERY", calls::smt_query(Query::MaxVcpuId.into()))?;
    let per_partition = ids / 8;
    let mut made = 0;
    let mut current = partition(lab, 8)?;
    while made < most {
        if made > 0 && made % per_partition == 0 {
            current = partition(lab, 8)?;
        }
        let page = lab.page()?;
        accepted("VCPU_CREATE", vcpu(current, made % per_partition * 8, page))?;
        made += 1;
    }
    let (another, page) = (partition(lab, 8)?, lab.page()?);
    refused(
        "one vcore too many",
        vcpu(another, 0, page),
        Status::Resource,
        0,
    )?;
    accepted("PARTITION_DESTROY", calls::partition_destroy(current))?;
    accepted("room again", vcpu(another, 0, page))?;
    Ok(())
}

/// Guests see their own memory alone, and start out with it as the host left it.
pub fn memory(lab: &mut Lab) -> Outcome {
    let mut guests = [
        lab.guest(&Wanted::new("exits", 1))?,
        lab.guest(&Wanted::new("exits", 1))?,
    ];
    let at = MEMORY_BYTES - 4096;
    for (guest, byte) in guests.iter_mut().zip([0x11, 0x22]) {
        guest.bytes(at, 4096).ok_or("the last page")?.fill(byte);
    }
    for guest in &mut guests {
        lab::start_all(guest, [exits::DATA_OUTSIDE, 0]);
        lab::run(guest, 1)?;
        let reason = guest.page(0).firmware.reason.get();
        same("reason", reason, ExitReason::Hypercall as u32)?;
    }
    for (guest, byte) in guests.iter_mut().zip([0x11, 0x22]) {
        let page = guest.bytes(at, 4096).ok_or("the last page")?;
        ensure!(
            page.iter().all(|&it| it == byte),
            "a guest's last page has changed"
        );
    }
    Ok(())
}

/// A copy of the vcpu page at `address`, to compare with later.
pub fn copy(address: u64) -> VcpuPage {
    let mut page = VcpuPage::new();
    // SAFETY: a page of RAM that is the test's.
    page.as_mut_bytes()
        .copy_from_slice(unsafe { real_memory(address..address + 4096) });
    page
}
