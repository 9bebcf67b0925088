//! Decrementers: 32 bits that count down, for expiries that may lie further away than those reach.
//!
//! DEC and HDEC raise their exception while they are negative. One that has been negative for 2^31 ticks
//! is positive again, and its exception is gone. So none is ever loaded with a value from which it soon
//! gets there, and what it reads afterwards isn't taken for the expiry that it stood for.

/// How long ago a decrementer says at most that it expired: 2.1 s. It is negative for as long again.
const LONGEST_AGO: i64 = 1 << 30;
/// The longest that a decrementer can have to go.
const LONGEST_LEFT: i64 = i32::MAX as i64;
/// Who reads a decrementer this soon after it would have read what was loaded, finds it unchanged: 1 ms.
const SLACK_TB: u64 = 512_000;

/// The value for a decrementer that expires at `expires_tb`; it takes the lower 32 bits.
#[inline(always)]
#[must_use]
pub fn ticks_until(expires_tb: u64, now_tb: u64) -> u64 {
    let ticks = expires_tb.wrapping_sub(now_tb) as i64;
    match is_within_reach(ticks) {
        true => ticks as u64,
        false => nearest(ticks),
    }
}

#[inline(always)]
const fn is_within_reach(ticks: i64) -> bool {
    (ticks.wrapping_add(LONGEST_AGO) as u64) <= (LONGEST_AGO + LONGEST_LEFT) as u64
}

#[cold]
const fn nearest(ticks: i64) -> u64 {
    if ticks < 0 {
        -LONGEST_AGO as u64
    } else {
        LONGEST_LEFT as u64
    }
}

/// When a decrementer that reads `dec` at `now_tb` expires, or has expired. At `loaded_tb` it was loaded
/// for `expires_tb`: that stays true if it was out of reach, and nobody has set another since.
#[inline(always)]
#[must_use]
pub fn expiry_tb(expires_tb: u64, loaded_tb: u64, dec: i32, now_tb: u64) -> u64 {
    let found_tb = now_tb.wrapping_add(i64::from(dec) as u64);
    let ticks = expires_tb.wrapping_sub(loaded_tb) as i64;
    if is_within_reach(ticks) {
        return found_tb;
    }
    let unchanged = match ticks < 0 {
        true => dec < 0,
        false => found_tb.wrapping_sub(loaded_tb.wrapping_add(LONGEST_LEFT as u64)) <= SLACK_TB,
    };
    if unchanged { expires_tb } else { found_tb }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_TB: u64 = 1 << 40;
    const SECOND_TB: u64 = 512_000_000;

    fn dec(ticks: u64) -> i32 {
        ticks as u32 as i32
    }

    /// Distances at and around every limit, with both signs.
    fn distances() -> impl Iterator<Item = u64> {
        let limits = [
            0,
            1 << 30,
            1 << 31,
            1 << 32,
            1 << 62,
            1 << 63,
            5 * SECOND_TB,
        ];
        limits
            .into_iter()
            .flat_map(|limit: u64| [limit, limit.wrapping_neg()])
            .flat_map(|limit| [-2i64, -1, 0, 1, 2].map(|more| limit.wrapping_add(more as u64)))
    }

    #[test]
    fn a_decrementer_is_negative_exactly_when_it_has_expired() {
        for now_tb in [0, 1, NOW_TB, u64::MAX - 1] {
            for distance in distances() {
                let ticks = dec(ticks_until(now_tb.wrapping_add(distance), now_tb));
                assert_eq!(ticks < 0, (distance as i64) < 0, "{distance:#x}");
                // And for two seconds more.
                let later = ticks.wrapping_sub((2 * SECOND_TB) as i32);
                assert!(ticks >= 0 || later < 0, "{distance:#x}");
            }
        }
    }

    #[test]
    fn what_is_within_reach_is_exact() {
        for distance in [
            0,
            1,
            1000,
            (1 << 31) - 1,
            -1i64 as u64,
            (-(1i64 << 30)) as u64,
        ] {
            let ticks = dec(ticks_until(NOW_TB.wrapping_add(distance), NOW_TB));
            assert_eq!(i64::from(ticks), distance as i64);
        }
    }

    /// Nobody sets the decrementer meanwhile: its expiry is the same afterwards, wherever it lies.
    #[test]
    fn an_expiry_outlives_any_number_of_rounds() {
        for distance in distances() {
            let expires_tb = NOW_TB.wrapping_add(distance);
            let (mut kept_tb, mut now_tb) = (expires_tb, NOW_TB);
            for _ in 0..8 {
                let loaded = dec(ticks_until(kept_tb, now_tb));
                // It begins to count a little later, and is read when it has for 0.2 s.
                let (loaded_tb, counted_tb) = (now_tb, SECOND_TB / 5);
                let late_tb = if is_within_reach(kept_tb.wrapping_sub(now_tb) as i64) {
                    0
                } else {
                    100
                };
                now_tb += counted_tb + late_tb;
                let read = loaded.wrapping_sub(counted_tb as i32);
                kept_tb = expiry_tb(kept_tb, loaded_tb, read, now_tb);
                assert_eq!(kept_tb, expires_tb, "{distance:#x}");
            }
        }
    }

    #[test]
    fn what_a_guest_sets_is_what_counts() {
        for distance in distances() {
            let expires_tb = NOW_TB.wrapping_add(distance);
            for set in [0, 1, 1000, i32::MAX / 2] {
                let found_tb = expiry_tb(expires_tb, NOW_TB, set, NOW_TB + SECOND_TB);
                assert_eq!(found_tb, NOW_TB + SECOND_TB + set as u64, "{distance:#x}");
            }
        }
    }
}
