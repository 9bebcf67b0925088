//! `smt_stats`: vcores, their vcpus, and cores.
use anyhow::{Context, Result};
use hcalls::exit::ExitReason;
use hcalls::run::CoreState;
use hcalls::vcore_table::{Core, Table, Vcore, Vcpu};

use super::columns::{columns, heading};
use super::us;

pub fn show(bytes: &[u8]) -> Result<String> {
    let table = Table::read(bytes).context("cut short, or of another version")?;
    let tb_hz = table.header.tb_hz.get();
    let updates = table.header.updates.get();
    let mut parts = vec![format!(
        "{} vcores; brought up to date {} times, last at {} s",
        table.present().count(),
        updates / 2,
        table.header.updated_tb.get() / tb_hz.max(1)
    )];
    if updates % 2 != 0 {
        parts.push("(while it was copied it was being brought up to date: copy it again)".into());
    }
    let tables = [
        vcores(&table, tb_hz),
        exits(&table),
        vcpus(&table, tb_hz),
        cores(&table),
    ];
    let filled = tables.iter().filter(|rows| rows.len() > 1);
    parts.extend(filled.map(|rows| columns(rows)));
    Ok(parts.join("\n\n"))
}

fn vcores(table: &Table<'_>, tb_hz: u64) -> Vec<Vec<String>> {
    let mut rows = vec![heading(&[
        "vcore",
        "lpid",
        "vcpus",
        "runs",
        "refused",
        "woken",
        "joined",
        "entries",
        "served",
        "kicks",
        "mean run µs",
    ])];
    rows.extend(table.present().map(|vcore| of_vcore(vcore, tb_hz)));
    rows
}

fn vcpus(table: &Table<'_>, tb_hz: u64) -> Vec<Vec<String>> {
    let mut rows = vec![heading(&[
        "vcore",
        "vcpu",
        "entries",
        "in guest µs",
        "ceded µs",
        "served",
        "yields",
        "last exit",
    ])];
    rows.extend(table.present().flat_map(|vcore| of_vcpus(vcore, tb_hz)));
    rows
}

fn exits(table: &Table<'_>) -> Vec<Vec<String>> {
    let mut rows = vec![heading(&["vcore", "exits"])];
    let all = table.present();
    rows.extend(all.map(|vcore| vec![name(vcore), of_exits(vcore)]));
    rows
}

fn cores(table: &Table<'_>) -> Vec<Vec<String>> {
    let mut rows = vec![heading(&["core", "threads are", "spurious wake-ups"])];
    rows.extend(table.cores.iter().map(of_core));
    rows
}

fn name(vcore: &Vcore) -> String {
    format!("{:#x}", vcore.handle.get())
}

fn of_vcore(vcore: &Vcore, tb_hz: u64) -> Vec<String> {
    let stats = &vcore.stats;
    let runs = stats.runs.get();
    let vcpus = vcore
        .vcpus
        .iter()
        .filter(|it| it.present.get() != 0)
        .count();
    let mut row = vec![name(vcore), vcore.lpid.to_string(), vcpus.to_string()];
    let counts = [
        stats.runs,
        stats.refused,
        stats.woken,
        stats.joined,
        stats.entries,
        stats.served,
        stats.kicks,
    ];
    row.extend(counts.map(|count| count.to_string()));
    row.push(us(stats.run_tb.get() / runs.max(1), tb_hz));
    row
}

/// Such as `Hypercall 3, Pulled 7`.
fn of_exits(vcore: &Vcore) -> String {
    let counts = vcore.stats.exits.iter().enumerate();
    let counts = counts.filter(|(_, count)| count.get() != 0);
    let texts = counts.map(|(reason, count)| format!("{} {count}", exit(reason as u32)));
    texts.collect::<Vec<_>>().join(", ")
}

fn exit(reason: u32) -> String {
    ExitReason::try_from(reason).map_or_else(|_| reason.to_string(), |it| format!("{it:?}"))
}

fn of_vcpus(vcore: &Vcore, tb_hz: u64) -> impl Iterator<Item = Vec<String>> {
    let slots = vcore.vcpus.iter().zip(vcore.first_id.get()..);
    let present = slots.filter(|(vcpu, _)| vcpu.present.get() != 0);
    present.map(move |(vcpu, id)| {
        let Vcpu {
            entries,
            served,
            yields,
            ..
        } = vcpu;
        vec![
            name(vcore),
            id.to_string(),
            entries.to_string(),
            us(vcpu.in_guest_tb.get(), tb_hz),
            us(vcpu.ceded_tb.get(), tb_hz),
            served.to_string(),
            yields.to_string(),
            exit(vcpu.reason.get()),
        ]
    })
}

fn of_core(core: &Core) -> Vec<String> {
    let state = match CoreState::try_from(u64::from(core.state.get())) {
        Ok(CoreState::Held) => "the firmware's".to_string(),
        Ok(CoreState::Released) => "the host's".to_string(),
        Ok(CoreState::Fenced) => "fenced".to_string(),
        _ => core.state.to_string(),
    };
    vec![
        format!("{:#x}", core.pir.get()),
        state,
        core.spurious.to_string(),
    ]
}
