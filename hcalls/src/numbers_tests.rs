//! Every number of the interface, once more: hosts and guests have them compiled in.
use crate::{Status, memory, page, papr, partition, query, run};

#[test]
fn bits_count_from_both_ends() {
    assert_eq!((crate::bit(0), crate::bit(63)), (1, 1 << 63));
    assert_eq!((crate::ibm(63), crate::ibm(0)), (1, 1 << 63));
}

#[test]
fn statuses_are_opals() {
    let statuses = [
        (Status::Success, 0),
        (Status::Present, 1),
        (Status::Parameter, -1),
        (Status::Busy, -2),
        (Status::Partial, -3),
        (Status::Constrained, -4),
        (Status::Hardware, -6),
        (Status::Unsupported, -7),
        (Status::Resource, -10),
        (Status::BusyEvent, -12),
        (Status::WrongState, -14),
        (Status::Empty, -16),
    ];
    for (status, number) in statuses {
        assert_eq!(status as i64, number, "{status:?}");
    }
}

#[test]
fn a_guests_statuses_are_paprs() {
    assert_eq!(papr::H_SUCCESS, 0);
    assert_eq!(papr::H_FUNCTION, 0xffff_ffff_ffff_fffe);
    assert_eq!(papr::H_PARAMETER, 0xffff_ffff_ffff_fffc);
    assert_eq!(papr::H_PTEG_FULL, 0xffff_ffff_ffff_fffa);
    assert_eq!(papr::H_NOT_FOUND, 0xffff_ffff_ffff_fff9);
    assert_eq!(papr::ANYONE, 0xffff_ffff_ffff_ffff);
}

#[test]
fn sizes_of_a_map() {
    assert_eq!((memory::CHUNK_BYTES, memory::CHUNK_WORDS), (0x1_0000, 8192));
    assert_eq!(memory::MAX_MAP_BYTES, 0x1000_0000_0000);
    assert_eq!(memory::UNMAP_ENTRIES, 0x1_0000);
}

#[test]
fn flags_of_a_run() {
    let flags = [
        run::RUN_KEEP_SLB,
        run::RUN_FP_CLEAN,
        run::RUN_UNTOUCHED,
        run::RUN_SPRS_LOST,
    ];
    assert_eq!(flags, [1, 2, 4, 8]);
    assert_eq!(run::RUN_FLAGS, 0xf);
    assert_eq!(run::SET_COMPLETE, 0x1_0000);
    assert_eq!(run::KICK_GUEST, 0x8000_0000_0000_0000);
}

#[test]
fn features() {
    let features = [
        query::FEATURE_RMOR,
        query::FEATURE_VRMA,
        query::FEATURE_LITTLE_ENDIAN,
        query::FEATURE_PTID_ALIGNED,
        query::FEATURE_EAGER,
        query::FEATURE_CEDE,
        query::FEATURE_STATS,
        query::FEATURE_TRACE,
        query::FEATURE_L1D_FLUSH,
        query::FEATURE_LINK_STACK_FLUSH,
    ];
    let bits = [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200];
    assert_eq!(features, bits);
}

/// Power ISA 2.07 Book III-S, "Logical Partitioning Control Register".
#[test]
fn bits_of_the_lpcr() {
    assert_eq!(partition::LPCR_ILE, 0x200_0000);
    assert_eq!(partition::LPCR_AIL_3, 0x180_0000);
    assert_eq!(partition::LPCR_DPFD, 0x70_0000_0000_0000);
    assert_eq!(partition::LPCR_TC, 0x200);
    assert_eq!(partition::LPCR_ONL, 0x4_0000);
    assert_eq!(partition::LPCR_CHOICE, 0x70_0000_0384_0200);
}

#[test]
fn marks_in_a_vcpu_page() {
    assert_eq!((page::FLAG_FP, page::FLAGS), (1, 1));
    assert_eq!(page::PENDING_EXTERNAL, 1);
    assert_eq!(page::OWNED, 0x8000_0000_0000_0000);
    assert_eq!(page::MMCR0_FROZEN, 0x8000_0000);
}
