//! The fit: integers `(m, b, d1)` whose staircase `floor((m acc + b) / d)` steps where a given monotone one does.
//!
//! A step to value v at threshold T (smallest accumulator with output >= v) asks two things of the integers,
//! `m T + b >= v d` and `m (T - 1) + b < v d`: for given (m, d) an interval for b. A point common to all
//! intervals is exact. Otherwise the best point leaves the fewest accumulators apart, and those are listed.

use super::float::requantize_f32;
use super::{
    Affine, ChannelRequantize, DIVISOR_SHIFT, Difference, MAGNITUDE_LIMIT, MAX_CHANNEL_DIFFERENCES,
    MAX_DIFFERENCES, OutputQuant, QuantError, Requantize, check_scale,
};
use rayon::prelude::*;

/// Every high factor of a divisor.
pub(crate) const DIVISORS: std::ops::Range<u32> = 1..1 << DIVISOR_SHIFT;
/// How many divisors are tried before the one with the fewest differences is kept.
const TRIES: usize = 200;

/// A monotone staircase to fit.
#[derive(Debug, Clone, Copy)]
pub struct Target<F> {
    /// Output for an accumulator (bias not included, added inside); never decreases; in `lo..=hi`.
    pub step: F,
    /// Average rise per accumulator unit, positive.
    pub slope: f64,
    /// Smallest and largest accumulator that can occur.
    pub reachable: (i64, i64),
    /// The part of `reachable` in which `step` is the runtime's answer.
    pub fitted: (i64, i64),
    /// Lower clamp bound.
    pub lo: i32,
    /// Upper clamp bound.
    pub hi: i32,
}

/// Value v is reached at accumulator `at`: outputs are >= v from there on and < v before.
#[derive(Debug, Clone, Copy)]
struct Threshold {
    value: i64,
    at: i64,
}

/// What a staircase asks of its integers. `lows`: at `at` the quotient is >= `value`;
/// `ups`: at `at - 1` it is < `value`.
#[derive(Debug, Default)]
struct Steps {
    lows: Vec<Threshold>,
    ups: Vec<Threshold>,
}

/// An offset and how many points it leaves apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(crate) b: i64,
    pub(crate) cost: u64,
}

/// Fits one channel; `channel` names it in errors.
///
/// # Errors
/// [`QuantError::Malformed`] for empty ranges, [`QuantError::NoMultiplier`], [`QuantError::Magnitude`],
/// [`QuantError::Differences`].
pub fn fit_channel<F>(channel: usize, target: &Target<F>) -> Result<ChannelRequantize, QuantError>
where
    F: Fn(i64) -> i32,
{
    let (lo, hi) = target.fitted;
    if lo > hi || lo < target.reachable.0 || hi > target.reachable.1 {
        return Err(QuantError::Malformed {
            channel,
            what: "accumulator ranges are out of order",
        });
    }
    let first = (target.step)(lo);
    let (affine, cost) = if first == (target.step)(hi) {
        (constant(first), 0)
    } else {
        search(channel, target, &steps(target))?
    };
    let differing = if cost == 0 {
        Vec::new()
    } else {
        differences(channel, target, affine)?
    };
    let fit = ChannelRequantize {
        affine,
        differing,
        reachable: target.reachable,
        fitted: target.fitted,
    };
    fit.validate(channel)?;
    Ok(fit)
}

/// One output for every accumulator.
fn constant(value: i32) -> Affine {
    Affine {
        m: 0,
        b: (i64::from(value) << DIVISOR_SHIFT) + (1 << (DIVISOR_SHIFT - 1)),
        d1: 1,
    }
}

/// Smallest accumulator in `(lo, hi]` with `step(acc) >= value`, given `step(lo) < value <= step(hi)`.
fn bisect<F: Fn(i64) -> i32>(step: &F, value: i32, mut lo: i64, mut hi: i64) -> i64 {
    while hi - lo > 1 {
        let mid = lo + (hi - lo) / 2;
        if step(mid) >= value { hi = mid } else { lo = mid }
    }
    hi
}

fn steps<F: Fn(i64) -> i32>(target: &Target<F>) -> Steps {
    let (start, end) = target.fitted;
    let (first, last) = ((target.step)(start), (target.step)(end));
    let mut steps = Steps::default();
    let mut from = start;
    for value in first + 1..=last {
        if (target.step)(from) < value {
            from = bisect(&target.step, value, from, end);
        }
        let threshold = Threshold {
            value: i64::from(value),
            at: from,
        };
        steps.lows.push(threshold);
        steps.ups.push(threshold);
    }
    if first > target.lo {
        steps.lows.push(Threshold {
            value: i64::from(first),
            at: start,
        });
    }
    if last < target.hi {
        steps.ups.push(Threshold {
            value: i64::from(last) + 1,
            at: end + 1,
        });
    }
    steps
}

/// The multipliers next to `slope * d`, best `|m / d - slope|` first, at most [`TRIES`].
fn candidates(slope: f64) -> Vec<(i64, u32)> {
    let mut all: Vec<(f64, i64, u32)> = DIVISORS
        .filter_map(|d1| {
            let d = f64::from(d1) * f64::from(1u32 << DIVISOR_SHIFT);
            let exact = slope * d;
            let m = exact.round_ties_even().max(1.0);
            #[allow(clippy::cast_possible_truncation, reason = "below 2^62, whole")]
            (m < 4.0e18).then(|| ((m - exact).abs() / d, m as i64, d1))
        })
        .collect();
    let order = |x: &(f64, i64, u32), y: &(f64, i64, u32)| x.0.total_cmp(&y.0).then(x.2.cmp(&y.2));
    if all.len() > TRIES {
        all.select_nth_unstable_by(TRIES, order);
        all.truncate(TRIES);
    }
    all.sort_unstable_by(order);
    all.into_iter().map(|(_, m, d1)| (m, d1)).collect()
}

fn search<F: Fn(i64) -> i32>(
    channel: usize,
    target: &Target<F>,
    steps: &Steps,
) -> Result<(Affine, u64), QuantError> {
    let (lo, hi) = target.reachable;
    let acc = lo.saturating_abs().max(hi.saturating_abs()).saturating_add(1);
    let mut best: Option<(Affine, u64)> = None;
    let mut too_large = None;
    let (mut lows, mut ups) = (Vec::new(), Vec::new());
    for (m, d1) in candidates(target.slope) {
        let d = i64::from(d1) << DIVISOR_SHIFT;
        if 2 * i128::from(m) * i128::from(acc) + 1024 * i128::from(d) >= i128::from(MAGNITUDE_LIMIT) {
            too_large = Some(m);
            continue;
        }
        lows.clear();
        ups.clear();
        lows.extend(steps.lows.iter().map(|t| t.value * d - m * t.at));
        ups.extend(steps.ups.iter().map(|t| t.value * d - m * (t.at - 1) - 1));
        let limit = best.map_or(u64::MAX, |(_, cost)| cost);
        if let Some(Offset { b, cost }) = best_offset(&mut lows, &mut ups, m, limit) {
            best = Some((Affine { m, b, d1 }, cost));
            if cost == 0 {
                break;
            }
        }
    }
    best.ok_or(match too_large {
        Some(m) => QuantError::Magnitude { channel, m, acc },
        None => QuantError::NoMultiplier {
            channel,
            slope: target.slope,
            lo,
            hi,
        },
    })
}

/// The offset b that violates least of `b >= low` and `b <= up`, a violation by e counting `ceil(e / unit)`
/// points; `None` when it would cost `limit` or more. Reorders and shortens the lists.
pub(crate) fn best_offset(lows: &mut Vec<i64>, ups: &mut Vec<i64>, unit: i64, limit: u64) -> Option<Offset> {
    let low = lows.iter().copied().max();
    let up = ups.iter().copied().min();
    let (low, up) = match (low, up) {
        (None, None) => return Some(Offset { b: 0, cost: 0 }),
        (low, up) => (low.or(up)?, up.or(low)?),
    };
    if low <= up {
        return Some(Offset {
            b: low + (up - low) / 2,
            cost: 0,
        });
    }
    lows.retain(|l| *l > up);
    ups.retain(|u| *u < low);
    lows.sort_unstable_by(|a, b| b.cmp(a));
    ups.sort_unstable();
    let disjoint = lows.iter().zip(ups.iter()).filter(|(l, u)| l > u).count();
    if u64::try_from(disjoint).unwrap_or(u64::MAX) >= limit {
        return None;
    }
    let mut tried: Vec<i64> = lows.iter().chain(ups.iter()).copied().collect();
    tried.sort_unstable();
    tried.dedup();
    let best = tried
        .into_iter()
        .map(|b| Offset {
            b,
            cost: cost(lows, ups, unit, b),
        })
        .min_by_key(|o| (o.cost, o.b))?;
    (best.cost < limit).then_some(best)
}

/// Points that offset `b` leaves apart; `lows` descending, `ups` ascending.
fn cost(lows: &[i64], ups: &[i64], unit: i64, b: i64) -> u64 {
    let points = |excess: i64| u64::try_from((excess - 1) / unit + 1).unwrap_or(u64::MAX);
    let low = lows.iter().take_while(|l| **l > b).map(|l| points(l - b));
    let up = ups.iter().take_while(|u| **u < b).map(|u| points(b - u));
    low.chain(up).fold(0, u64::saturating_add)
}

/// Every accumulator in the fitted range at which `affine` and the staircase are apart, ascending.
fn differences<F: Fn(i64) -> i32>(
    channel: usize,
    target: &Target<F>,
    affine: Affine,
) -> Result<Vec<Difference>, QuantError> {
    let limit = MAX_CHANNEL_DIFFERENCES;
    let (start, end) = target.fitted;
    let (m, d) = (affine.m, affine.divisor());
    let Steps { lows, ups } = steps(target);
    let mut found = Vec::new();
    for Threshold { value, at } in lows.into_iter().chain(ups) {
        let integer_at = (value * d - affine.b + m - 1).div_euclid(m).clamp(start, end + 1);
        let (from, to) = (at.min(integer_at), at.max(integer_at));
        if to - from > i64::try_from(limit).unwrap_or(i64::MAX) {
            return Err(QuantError::Differences { channel, limit });
        }
        found.extend(from..to);
        if found.len() > 4 * limit {
            return Err(QuantError::Differences { channel, limit });
        }
    }
    found.sort_unstable();
    found.dedup();
    let proved = |acc| {
        affine
            .quotient(acc)
            .clamp(i64::from(target.lo), i64::from(target.hi))
    };
    let list: Vec<Difference> = found
        .into_iter()
        .map(|acc| Difference {
            acc,
            runtime: (target.step)(acc),
        })
        .filter(|diff| proved(diff.acc) != i64::from(diff.runtime))
        .collect();
    if list.len() > limit {
        return Err(QuantError::Differences { channel, limit });
    }
    Ok(list)
}

/// Fits every channel of `y`, given the reachable accumulators (bias not included) per channel, and the bias
/// (empty, or one per channel).
///
/// # Errors
/// [`QuantError::Channels`], [`QuantError::Scale`], [`QuantError::ZeroPoint`], [`QuantError::Clamp`],
/// [`QuantError::Bias`], and what [`fit_channel`] returns.
pub fn requantize(y: &OutputQuant, reachable: &[(i64, i64)], bias: &[i64]) -> Result<Requantize, QuantError> {
    check_output(y, reachable.len(), bias)?;
    let channels = reachable.par_iter().enumerate().map(|(channel, &reachable)| {
        let scale = if y.scales.len() == 1 {
            y.scales[0]
        } else {
            y.scales[channel]
        };
        let bias = bias.get(channel).copied().unwrap_or(0);
        let (min, max) = (i64::from(i32::MIN) - bias, i64::from(i32::MAX) - bias);
        let target = Target {
            step: |acc: i64| requantize_f32(acc + bias, scale, y.zero_point, y.lo, y.hi),
            slope: f64::from(scale),
            reachable,
            fitted: (reachable.0.max(min), reachable.1.min(max)),
            lo: y.lo,
            hi: y.hi,
        };
        fit_channel(channel, &target)
    });
    let requantize = Requantize {
        channels: channels.collect::<Result<_, _>>()?,
        lo: y.lo,
        hi: y.hi,
    };
    if requantize.num_differing().0 > MAX_DIFFERENCES {
        return Err(QuantError::Differences {
            channel: 0,
            limit: MAX_DIFFERENCES,
        });
    }
    Ok(requantize)
}

fn check_output(y: &OutputQuant, channels: usize, bias: &[i64]) -> Result<(), QuantError> {
    let wrong = |what, actual| QuantError::Channels {
        what,
        expected: channels,
        actual,
    };
    if y.scales.len() != 1 && y.scales.len() != channels {
        return Err(wrong("output scales", y.scales.len()));
    }
    if !bias.is_empty() && bias.len() != channels {
        return Err(wrong("bias", bias.len()));
    }
    for &scale in &y.scales {
        check_scale("the output", scale)?;
    }
    let max = super::MAX_CLAMP;
    if !(-max..=max).contains(&y.zero_point) {
        return Err(QuantError::ZeroPoint {
            what: "the output",
            zero_point: y.zero_point,
            min: -max,
            max,
        });
    }
    if y.lo < -max || y.hi > max || y.lo >= y.hi {
        return Err(QuantError::Clamp {
            lo: y.lo,
            hi: y.hi,
            min: -max,
            max,
        });
    }
    for (channel, &bias) in bias.iter().enumerate() {
        if i32::try_from(bias).is_err() {
            return Err(QuantError::Bias { channel, bias });
        }
    }
    Ok(())
}
