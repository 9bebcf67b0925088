use super::*;
extern crate std;
use std::vec::Vec;

const SECOND_TB: u64 = hcalls::trace::TB_HZ;
const WRAP_TB: u64 = 1 << 32;

/// Times at which something changes, around each of some present times.
fn times() -> Vec<(u64, u64)> {
    let nows = [
        0,
        1,
        1 << 31,
        77 * SECOND_TB,
        1 << 63,
        (1 << 63) - 1,
        u64::MAX,
    ];
    let edges = [0, 1 << 30, 1 << 31, 1 << 32, 42 * SECOND_TB / 10, 1 << 63];
    let mut times = Vec::new();
    for now in nows {
        for edge in edges {
            for off in [0, 1, 2, 100] {
                for ticks in [edge + off, edge - off.min(edge)] {
                    times.push((now, now.wrapping_add(ticks)));
                    times.push((now, now.wrapping_sub(ticks)));
                }
            }
        }
    }
    times
}

/// What a decrementer shows `later_tb` after it was set.
fn counted(ticks: u64, later_tb: u64) -> i32 {
    (ticks as u32).wrapping_sub(later_tb as u32) as i32
}

#[test]
fn what_has_expired_reads_negative_for_two_seconds() {
    for (now_tb, until_tb) in times() {
        let past = (until_tb.wrapping_sub(now_tb) as i64) < 0;
        for ticks in [
            ticks_until(until_tb, now_tb),
            hdec_ticks_until(until_tb, now_tb),
        ] {
            assert_eq!(
                counted(ticks, 0) < 0,
                past,
                "{until_tb:#x} at {now_tb:#x}: {ticks:#x}"
            );
            assert_eq!(
                ticks, ticks as i32 as i64 as u64,
                "no more than 32 bits count"
            );
            if past {
                assert!(counted(ticks, 2 * SECOND_TB) < 0);
            }
        }
    }
}

#[test]
fn what_is_in_reach_is_exact_and_the_rest_comes_early() {
    for (now_tb, until_tb) in times() {
        let wanted = until_tb.wrapping_sub(now_tb) as i64;
        let [dec, hdec] = [
            ticks_until(until_tb, now_tb),
            hdec_ticks_until(until_tb, now_tb),
        ];
        if (-(1 << 30)..=i64::from(i32::MAX)).contains(&wanted) {
            assert_eq!(dec as i64, wanted);
        }
        if wanted >= 0 {
            assert!(dec as i64 <= wanted && hdec as i64 <= wanted);
            assert!(hdec as i64 <= 1 << 30);
        }
    }
}

#[test]
fn nobody_who_leaves_it_alone_changes_the_expiry() {
    for (now_tb, expires_tb) in times() {
        let ticks = ticks_until(expires_tb, now_tb);
        let set_tb = shown_tb(ticks, now_tb);
        for later_tb in [0, 1, SECOND_TB, 2 * SECOND_TB, 3 * SECOND_TB, WRAP_TB - 1] {
            for lag_tb in [0, 5, NEAR_TB] {
                let read_tb = now_tb.wrapping_add(later_tb);
                let dec = counted(ticks, later_tb) as u32;
                let shown_tb = shown_tb(u64::from(dec), read_tb.wrapping_add(lag_tb));
                let expiry_tb = expiry_tb(expires_tb, set_tb, shown_tb, read_tb);
                assert_eq!(
                    expiry_tb, expires_tb,
                    "set at {now_tb:#x}, {later_tb} later"
                );
                assert!(is_as_set(shown_tb, set_tb));
            }
        }
    }
}

#[test]
fn who_sets_it_changes_the_expiry() {
    for (now_tb, expires_tb) in times() {
        let set_tb = shown_tb(ticks_until(expires_tb, now_tb), now_tb);
        for dec in [0, 1, 50_000, i32::MAX, i32::MAX - 100_000, -1, -50_000] {
            for later_tb in [10_000, SECOND_TB / 3] {
                let read_tb = now_tb.wrapping_add(later_tb);
                let shown_tb = shown_tb(dec as u32 as u64, read_tb);
                let near = (shown_tb.wrapping_sub(set_tb) as i32).unsigned_abs() <= FAR_TB as u32;
                if !near {
                    assert_eq!(expiry_tb(expires_tb, set_tb, shown_tb, read_tb), shown_tb);
                }
            }
        }
    }
}

#[test]
fn a_small_change_of_one_that_is_to_come_counts() {
    let (now_tb, expires_tb) = (10 * SECOND_TB, 11 * SECOND_TB);
    for more_tb in [NEAR_TB + 1, 1000] {
        let shown_tb = expires_tb + more_tb;
        assert_eq!(
            expiry_tb(expires_tb, expires_tb, shown_tb, now_tb),
            shown_tb
        );
    }
    // Not when both have expired: it never moves forward by how long reading it takes.
    let now_tb = 12 * SECOND_TB;
    let shown_tb = expires_tb + 1000;
    assert_eq!(
        expiry_tb(expires_tb, expires_tb, shown_tb, now_tb),
        expires_tb
    );
}

#[test]
fn the_earliest_is_the_one_furthest_in_the_past() {
    let now_tb = 100 * SECOND_TB;
    let earliest = |times: &[u64], offset_tb| earliest_tb(times.iter().copied(), offset_tb, now_tb);
    assert_eq!(earliest(&[], 0), None);
    assert_eq!(
        earliest(&[now_tb + 7, now_tb - 9, now_tb], 0),
        Some(now_tb - 9)
    );
    // From before the time base began, or before the guest's did.
    assert_eq!(
        earliest(&[now_tb, 0u64.wrapping_sub(5)], 0),
        Some(0u64.wrapping_sub(5))
    );
    assert_eq!(
        earliest(&[now_tb, 0], 1 << 40),
        Some((1u64 << 40).wrapping_neg())
    );
    let behind_tb = (1u64 << 40).wrapping_neg();
    let guests_tb = now_tb.wrapping_add(behind_tb);
    assert_eq!(
        earliest(&[guests_tb + 3, guests_tb + 2], behind_tb),
        Some(now_tb + 2)
    );
}
