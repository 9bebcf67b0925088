//! Times and decrementers: a decrementer counts 32 bits down, a time has 64.
//!
//! Times are compared by their signed distance, so that a time base that wraps is one like any other.

/// How far below 0 a decrementer is set at most. It stays negative for as long again (2.1 s) before it
/// wraps and reads as if it had not expired.
pub const FARTHEST_PAST: i64 = 1 << 30;
/// What DEC is set to for a time that its 32 bits don't reach: less than the most, which guests set
/// themselves that want no interrupt, so that the two can be told apart.
const OUT_OF_REACH: i64 = i32::MAX as i64 - (1 << 17);
/// What HDEC is set to at most: when it expires, no decrementer that was set with it has wrapped.
const FARTHEST_HDEC: i64 = 1 << 30;

/// How far DEC's reading may be off from what it was set to show: what passes between reading the time
/// base and DEC. A guest that sets DEC nearer to what it was than this keeps what it was.
const NEAR_TB: u64 = 32;
/// The same for one that has expired or is out of reach.
const FAR_TB: u64 = 2048;

/// The signed distance from `now_tb` to `until_tb`.
const fn distance(until_tb: u64, now_tb: u64) -> i64 {
    until_tb.wrapping_sub(now_tb) as i64
}

/// What DEC is set to for a time: the distance, if 32 bits reach that far, and never so far below 0 that
/// it is about to wrap. Sign-extended.
#[inline(always)]
#[must_use]
pub const fn ticks_until(until_tb: u64, now_tb: u64) -> u64 {
    limited(distance(until_tb, now_tb), i32::MAX as i64, OUT_OF_REACH)
}

/// The same for HDEC.
#[inline(always)]
#[must_use]
pub const fn hdec_ticks_until(deadline_tb: u64, now_tb: u64) -> u64 {
    limited(distance(deadline_tb, now_tb), FARTHEST_HDEC, FARTHEST_HDEC)
}

/// What isn't within [`FARTHEST_PAST`] and `farthest` is replaced.
#[inline(always)]
const fn limited(ticks: i64, farthest: i64, instead: i64) -> u64 {
    // One comparison for both ends.
    if ticks.wrapping_add(FARTHEST_PAST) as u64 <= (farthest + FARTHEST_PAST) as u64 {
        return ticks as u64;
    }
    if ticks < 0 {
        FARTHEST_PAST.wrapping_neg() as u64
    } else {
        instead as u64
    }
}

/// DEC, so set, may stand for a time that it doesn't show: what it shows has to be measured.
#[inline(always)]
#[must_use]
pub const fn is_inexact(ticks: u64) -> bool {
    // Those below 0 are the largest of all.
    ticks >= OUT_OF_REACH as u64
}

/// The time that a decrementer shows.
#[inline(always)]
#[must_use]
pub const fn shown_tb(dec: u64, now_tb: u64) -> u64 {
    // It has 32 bits.
    now_tb.wrapping_add(dec as i32 as i64 as u64)
}

/// DEC was set to show `set_tb` and shows `shown_tb` now: nobody has set it since. It has 32 bits, so
/// that it may have wrapped meanwhile.
#[inline(always)]
#[must_use]
pub const fn is_as_set(shown_tb: u64, set_tb: u64) -> bool {
    is_within(shown_tb, set_tb, NEAR_TB)
}

#[inline(always)]
const fn is_within(shown_tb: u64, set_tb: u64, tolerance_tb: u64) -> bool {
    (shown_tb.wrapping_sub(set_tb).wrapping_add(tolerance_tb) as u32) as u64 <= 2 * tolerance_tb
}

/// When a decrementer expires that was set for `expires_tb`, then showed `set_tb`, and shows `shown_tb`
/// at `now_tb`: as before, unless somebody has set it.
#[inline(always)]
#[must_use]
pub const fn expiry_tb(expires_tb: u64, set_tb: u64, shown_tb: u64, now_tb: u64) -> u64 {
    let expired = distance(shown_tb, now_tb) < 0 && distance(expires_tb, now_tb) < 0;
    let tolerance_tb = if expired || set_tb != expires_tb {
        FAR_TB
    } else {
        NEAR_TB
    };
    match is_within(shown_tb, set_tb, tolerance_tb) {
        true => expires_tb,
        false => shown_tb,
    }
}

/// The earliest of some times, by a time base that is `offset_tb` behind theirs.
#[must_use]
pub fn earliest_tb(
    times_tb: impl Iterator<Item = u64>,
    offset_tb: u64,
    now_tb: u64,
) -> Option<u64> {
    let distances = times_tb.map(|time_tb| distance(time_tb.wrapping_sub(offset_tb), now_tb));
    distances
        .min()
        .map(|ticks| now_tb.wrapping_add_signed(ticks))
}

#[cfg(test)]
mod tests;
