//! The test host: `test=NAME` among the boot arguments runs one behaviour, `test=NAME,NAME` several,
//! `test=all` every one.
//!
//! It prints `ok NAME` or `FAILED NAME: why` for each, then `host: done`, and switches off. Guests
//! come from the initial RAM disk by the names of their files, such as `guest-loop.be`.
#![cfg_attr(target_arch = "powerpc64", no_std, no_main)]
extern crate alloc;

#[macro_use]
mod check;
mod addresses;
mod arguments;
mod bench;
mod copies;
mod core_wide;
mod cores;
mod counting;
mod creation;
mod cycles;
mod denied;
mod expired;
mod faults;
mod fences;
mod flash;
mod garbage;
mod handed_over;
mod hostile;
mod interrupts;
mod isolation;
mod kicks;
mod lab;
mod left_behind;
mod memory;
mod napping;
mod objects;
mod opal;
mod own_state;
mod page_tables;
mod parts;
mod query;
mod race;
mod races;
mod registers;
mod running;
mod soak;
mod states;
mod stats;
mod struck;
mod taken_back;
mod tell;
mod timeline;
mod trace;
mod trace_check;
mod waiting;
mod watch;

use images::host_runtime::{self, HostArgs};
use images::{boot_args, println};

use crate::check::Outcome;
use crate::lab::Lab;

images::host!(host);

/// A test: its name, and what it does.
type Test = (&'static str, fn(&mut Lab) -> Outcome);

const TESTS: &[Test] = &[
    // While no other core has been started.
    ("host_little_endian", running::host_little_endian),
    // Before guests have run.
    ("handed_over", handed_over::handed_over),
    ("left_behind", left_behind::left_behind),
    ("copies", copies::copies),
    ("query", query::query),
    ("mitigations", query::mitigations),
    ("check_token", query::check_token),
    ("wrong_msr", query::wrong_msr),
    ("create_destroy", objects::create_destroy),
    ("limits", objects::limits),
    ("vcores", objects::vcores),
    ("memory", objects::memory),
    ("vrma", memory::vrma),
    ("vrma_beside_rmor", memory::vrma_beside_rmor),
    ("page_faults", memory::page_faults),
    ("own_page_faults", faults::own_page_faults),
    ("hosts_page_faults", faults::hosts_page_faults),
    ("page_table_calls", page_tables::page_table_calls),
    ("memory_taken_back", page_tables::memory_taken_back),
    ("taken_while_used", taken_back::taken_while_used),
    ("denied", denied::denied),
    ("machine_check", memory::machine_check),
    ("keep_slb", registers::keep_slb),
    ("forbidden", hostile::forbidden),
    ("hostile_slb", garbage::hostile_slb),
    ("hostile_page", garbage::hostile_page),
    ("hostile_table", garbage::hostile_table),
    ("isolation", isolation::isolation),
    ("stats_agree", stats::stats_agree),
    ("stats_exported", stats::stats_exported),
    ("stats_served", stats::stats_served),
    ("stats_reset", stats::stats_reset),
    ("bad_arguments", arguments::bad_arguments),
    ("random_arguments", arguments::random_arguments),
    ("run1", running::run1),
    ("run8", running::run8),
    ("ptid", running::ptid),
    ("exits", running::exits),
    ("deadline", running::deadline),
    ("deadline_past", running::deadline_past),
    ("cycles10000", cycles::cycles10000),
    ("late10000", cycles::late10000),
    ("cede_prod", waiting::cede_prod),
    ("answers", waiting::answers),
    ("priority", own_state::priority),
    ("run_latch", own_state::run_latch),
    ("prod_kept", waiting::prod_kept),
    ("all_ceded", waiting::all_ceded),
    ("decrementer", waiting::decrementer),
    (
        "decrementer_out_of_reach",
        waiting::decrementer_out_of_reach,
    ),
    ("decrementer_past", expired::decrementer_past),
    ("decrementer_far", expired::decrementer_far),
    ("decrementer_set", expired::decrementer_set),
    ("host_decrementers", expired::host_decrementers),
    ("external", waiting::external),
    ("doorbell", waiting::doorbell),
    ("registers", registers::registers),
    ("page_round_trip", registers::page_round_trip),
    ("come_from", registers::come_from),
    ("counting", counting::counting),
    ("kick", cores::kick),
    ("kick_before", cores::kick_before),
    ("join", cores::join),
    ("join_race", cores::join_race),
    ("busy", cores::busy),
    ("two_cores", cores::two_cores),
    ("claim", cores::claim),
    ("secondary", cores::secondary),
    ("host_nap", napping::host_nap),
    ("spurious", fences::spurious),
    ("struck", struck::struck),
    ("fence", fences::fence),
    ("fence_exit", fences::fence_exit),
    ("fence_lost_ipi", fences::fence_lost_ipi),
    ("fence_overdue", fences::fence_overdue),
    ("deaf_to_kick", fences::deaf_to_kick),
    ("join_after_long", fences::join_after_long),
    ("time_base", core_wide::time_base),
    ("updated", core_wide::updated),
    ("doorbell_kept", core_wide::doorbell_kept),
    ("kick_cause", kicks::kick_cause),
    ("kick_guest", kicks::kick_guest),
    ("kick_guest_absent", kicks::kick_guest_absent),
    ("host_interrupt", interrupts::host_interrupt),
    ("host_interrupt_before", interrupts::host_interrupt_before),
    ("host_interrupt_ceded", interrupts::host_interrupt_ceded),
    ("host_interrupt_kick", interrupts::host_interrupt_kick),
    ("busy_state", states::busy_state),
    ("queue_moves_up", states::queue_moves_up),
    ("race_create", creation::race_create),
    ("race_join_exit", races::race_join_exit),
    ("race_kick_entry", races::race_kick_entry),
    ("race_destroy_run", races::race_destroy_run),
    ("race_two_runners", races::race_two_runners),
    ("race_claim_start", races::race_claim_start),
    ("soak", soak::soak),
    ("opal_addresses", addresses::opal_addresses),
    ("nvram", opal::nvram),
    ("device_tree", parts::device_tree),
    ("dump_regions", parts::dump_regions),
    ("flash", flash::flash),
    ("interrupt_routes", opal::interrupt_routes),
    ("device", opal::device),
    ("sync_reboot", opal::sync_reboot),
    ("quiesce", opal::quiesce),
    ("trace_calls", trace::trace_calls),
    ("trace_events", trace::trace_events),
    ("trace_waiting", trace::trace_waiting),
    ("trace_others", trace::trace_others),
    ("trace_overwrites", trace::trace_overwrites),
    ("timeline", timeline::timeline),
    ("bench", bench::bench),
];

fn host(args: HostArgs) -> ! {
    let mut lab = Lab::new(&args);
    let name = boot_args::value(lab.boot_args(), "test").unwrap_or("");
    let mut found = false;
    for (test, run) in TESTS
        .iter()
        .filter(|(test, _)| name == "all" || name.split(',').any(|name| name == *test))
    {
        found = true;
        match run(&mut lab) {
            Ok(()) => println!("ok {test}"),
            Err(why) => println!("FAILED {test}: {why}"),
        }
        if let Some(name) = boot_args::value(lab.boot_args(), "tell")
            && let Err(why) = tell::tell(&lab, name)
        {
            println!("FAILED to tell {name}: {why}");
        }
        lab.clear();
    }
    if !found {
        println!("FAILED test={name}: not one of these, nor `all`:");
        TESTS.iter().for_each(|(test, _)| println!("  {test}"));
    }
    println!("host: done");
    host_runtime::opal::power_down()
}
