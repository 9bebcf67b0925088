//! SMT_QUERY and what else tells of the calls.
use hcalls::query::{FEATURE_CEDE, FEATURE_LITTLE_ENDIAN, FEATURE_RMOR};
use hcalls::query::{FEATURE_L1D_FLUSH, FEATURE_LINK_STACK_FLUSH, Query};
use hcalls::{Status, Token, token};
use images::boot_args;
use images::host_runtime::{calls, cpu, opal};

use crate::check::{Outcome, accepted, refused, same};
use crate::lab::Lab;

const CHECK_TOKEN: u64 = 80;

/// Every index has an answer, and the answers fit each other (B5).
pub fn query(lab: &mut Lab) -> Outcome {
    let ask = |query: Query| accepted("SMT_QUERY", calls::smt_query(query.into()));
    ensure!(
        accepted("SMT_QUERY", calls::speaks_our_version())?,
        "it doesn't speak our version"
    );
    let threads = ask(Query::Threads)?;
    same("threads", threads.is_power_of_two() && threads <= 8, true)?;
    same("widths", ask(Query::Widths)?, 2 * threads - 1)?;
    same("page bytes", ask(Query::PageBytes)?, 4096)?;
    let wanted = FEATURE_RMOR | FEATURE_LITTLE_ENDIAN | FEATURE_CEDE;
    same("features", ask(Query::Features)? & wanted, wanted)?;
    ensure!(ask(Query::MaxPartitions)? >= 4, "fewer than 4 partitions");
    ensure!(
        ask(Query::MaxVcores)? >= ask(Query::MaxPartitions)?,
        "fewer vcores than partitions"
    );
    ensure!(
        ask(Query::MaxVcpuId)? >= threads,
        "not even one vcore's vcpu ids"
    );
    ensure!(
        ask(Query::MaxLpid)? >= ask(Query::MaxPartitions)?,
        "fewer LPIDs than partitions"
    );
    ensure!(
        ask(Query::MaxRunTb)? >= 0x7fff_ffff,
        "runs are shorter than HDEC's range"
    );
    let past = u64::from(Query::RealModeSizes) + 1;
    for index in [past, past + 1, 1 << 32, u64::MAX] {
        refused("SMT_QUERY", calls::smt_query(index), Status::Parameter, 1)?;
    }
    same(
        "features by the tree",
        lab.machine.smt_features,
        Some(ask(Query::Features)?),
    )
}

/// The mitigations' bits are as the machine's owner wants them, and are in the tree (L9).
pub fn mitigations(lab: &mut Lab) -> Outcome {
    let features = accepted("SMT_QUERY", calls::smt_query(Query::Features.into()))?;
    let told = features & (FEATURE_L1D_FLUSH | FEATURE_LINK_STACK_FLUSH);
    let wanted = match boot_args::value(lab.boot_args(), "catnap.mitigations") {
        Some("on") => FEATURE_L1D_FLUSH | FEATURE_LINK_STACK_FLUSH,
        _ => 0,
    };
    same("mitigations", told, wanted)?;
    same("by the tree", lab.machine.smt_features, Some(features))
}

/// OPAL's own call tells which calls there are.
pub fn check_token(_lab: &mut Lab) -> Outcome {
    for number in token::FIRST - 2..=token::LAST + 2 {
        // SAFETY: no addresses.
        let status = match unsafe { calls::raw(CHECK_TOKEN, &[number]) } {
            Ok(_) => 0,
            Err(refusal) => refusal.status,
        };
        let there = (token::FIRST..=token::LAST).contains(&number);
        same("CHECK_TOKEN", (number, status), (number, i64::from(there)))?;
    }
    // SAFETY: no addresses.
    let unknown = unsafe { calls::raw(token::LAST + 1, &[]) };
    refused("a token past the last", unknown, Status::Unsupported, 0)
}

/// A call with interrupts on, which hosts mustn't make, does nothing.
pub fn wrong_msr(_lab: &mut Lab) -> Outcome {
    for token in [CHECK_TOKEN, token::FIRST, Token::VcoreRun as u64] {
        cpu::set_decrementer(0x7fff_ffff);
        cpu::enable_interrupts(true);
        // SAFETY: no addresses.
        let answer = unsafe { calls::raw(token, &[0]) };
        cpu::enable_interrupts(false);
        refused("with interrupts on", answer, Status::WrongState, 0)?;
        same(
            "in little-endian mode",
            opal::call_little(token),
            Status::WrongState as i64,
        )?;
    }
    Ok(())
}
