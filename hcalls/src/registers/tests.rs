use super::*;
use crate::exit::ExitReason;
use crate::run::VcpuState;

#[test]
fn arguments_come_back() {
    let create = VcpuCreate {
        partition: 1,
        id: 2,
        page: 3,
    };
    assert_eq!(create.to_registers(), [1, 2, 3, 0, 0, 0, 0, 0]);
    assert_eq!(VcpuCreate::from_registers(&create.to_registers()), create);
    let run = VcoreRun {
        vcore: 1,
        runnable: 2,
        blocked: 3,
        deadline_tb: 4,
        flags: 5,
    };
    assert_eq!(run.to_registers(), [1, 2, 3, 4, 5, 0, 0, 0]);
    assert_eq!(VcoreRun::from_registers(&run.to_registers()), run);
    let kick = VcoreKick {
        vcore: 1,
        slots: 2,
        cause: 3,
    };
    assert_eq!(kick.to_registers(), [1, 2, 3, 0, 0, 0, 0, 0]);
    assert_eq!(VcoreKick::from_registers(&kick.to_registers()), kick);
    let place = VcpuPlace { vcore: 1, slot: 2 };
    assert_eq!(place.to_registers(), [1, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(VcpuPlace::from_registers(&place.to_registers()), place);
    assert_eq!(place.to_results(), [1, 2, 0, 0, 0, 0]);
    assert_eq!(VcpuPlace::from_results(&place.to_results()), place);
}

#[test]
fn numbers_that_name_nothing_are_told_by_their_place() {
    let none = [u64::MAX; 8];
    assert_eq!(SmtQuery::from_registers(&none), Err(Wrong(1)));
    assert_eq!(CoreClaim::from_registers(&none), Err(Wrong(2)));
    assert_eq!(VcpuSetState::from_registers(&none), Err(Wrong(3)));
    assert_eq!(SmtStats::from_registers(&none), Err(Wrong(3)));
    assert_eq!(SmtTrace::from_registers(&none), Err(Wrong(1)));
    assert_eq!(VcoreDoorbells::from_registers(&none), Err(Wrong(2)));
    let query = SmtQuery {
        query: Query::Features,
    };
    assert_eq!(query.to_registers(), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(SmtQuery::from_registers(&query.to_registers()), Ok(query));
    let trace = SmtTrace {
        action: TraceAction::Stop,
    };
    assert_eq!(trace.to_registers(), [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(SmtTrace::from_registers(&trace.to_registers()), Ok(trace));
    let claim = CoreClaim {
        pir: 8,
        action: ClaimAction::Release,
    };
    assert_eq!(CoreClaim::from_registers(&claim.to_registers()), Ok(claim));
    let set = VcpuSetState {
        vcore: 9,
        slots: 0x81,
        state: VcpuState::Busy,
    };
    assert_eq!(VcpuSetState::from_registers(&set.to_registers()), Ok(set));
    let stats = SmtStats {
        vcore: 9,
        address: 0x1000,
        action: StatsAction::Reset,
    };
    assert_eq!(SmtStats::from_registers(&stats.to_registers()), Ok(stats));
}

#[test]
fn results_come_back() {
    let ran = VcoreRan {
        exited: 0x81,
        did_not_run: 2,
        ceded: 4,
        rung: 0x84,
        first_slot: 7,
        first_reason: ExitReason::Unexpected,
        decrementer_tb: None,
        generation: 5,
    };
    let registers = ran.to_registers();
    assert_eq!(registers, [0x81, 2, 0x8404, 7 << 32 | 15, u64::MAX, 5]);
    assert_eq!(VcoreRan::from_registers(&registers), Some(ran));
    assert_eq!(VcoreRan::from_registers(&[0, 0, 0, 16, 0, 0]), None);
    let set = StateSet {
        joined: 0x81,
        queued: 0x42,
        complete: true,
    };
    assert_eq!(set.to_registers()[0], 0x1_4281);
    assert_eq!(StateSet::from_registers(&set.to_registers()), set);
    let set = StateSet {
        joined: 0x81,
        queued: 0x24,
        complete: false,
    };
    assert_eq!(set.to_registers(), [0x2481, 0, 0, 0, 0, 0]);
    assert_eq!(StateSet::from_registers(&set.to_registers()), set);
    let block = TraceBlock {
        on: true,
        address: 0x1000,
        len_bytes: 64,
    };
    assert_eq!(TraceBlock::from_registers(&block.to_registers()), block);
}

#[test]
fn a_fence_ends_with_a_run_or_without() {
    let run = FencedRun {
        vcore: 9,
        exited: 1,
        did_not_run: 2,
        ceded: 4,
    };
    for ended in [None, Some(run)] {
        let claimed = CoreClaimed {
            state: CoreState::Fenced,
            lost: 0x80,
            ended,
        };
        let registers = claimed.to_registers();
        assert_eq!(registers[..2], [2, 0x80]);
        assert_eq!(CoreClaimed::from_registers(&registers), Some(claimed));
    }
    assert_eq!(CoreClaimed::from_registers(&[3, 0, 0, 0, 0, 0]), None);
}

#[test]
fn memory_comes_back() {
    let set = PartitionMemory {
        partition: 1,
        root: 2,
        len_bytes: 3,
        page_shift: 4,
        shadow: 5,
        flags: 6,
    };
    assert_eq!(set.to_registers(), [1, 2, 3, 4, 5, 6, 0, 0]);
    assert_eq!(PartitionMemory::from_registers(&set.to_registers()), set);
    let taken = PartitionUnmap {
        partition: 1,
        start: 2,
        len_bytes: 3,
        first: 4,
    };
    assert_eq!(taken.to_registers(), [1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!(PartitionUnmap::from_registers(&taken.to_registers()), taken);
    let next = PartitionUnmapped { next: 9 };
    assert_eq!(next.to_results(), [9, 0, 0, 0, 0, 0]);
    assert_eq!(PartitionUnmapped::from_results(&next.to_results()), next);
}

#[test]
fn doorbells_come_back() {
    let set = VcoreDoorbells {
        vcore: 9,
        action: crate::run::DoorbellsAction::Set,
        slots: 0xe,
    };
    assert_eq!(set.to_registers(), [9, 1, 0xe, 0, 0, 0, 0, 0]);
    assert_eq!(VcoreDoorbells::from_registers(&set.to_registers()), Ok(set));
}
