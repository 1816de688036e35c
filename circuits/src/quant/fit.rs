//! The fit: integers `(m, b, d1)` whose staircase `floor((m acc + b) / d)` steps where a given monotone one does.
//!
//! A step to value v at threshold T (smallest accumulator with output >= v) asks two things of the integers,
//! `m T + b >= v d` and `m (T - 1) + b < v d`: for given (m, d) an interval for b. A point common to all
//! intervals is exact. Otherwise the best point leaves the fewest accumulators apart, and those are listed.

use super::float::requantize_f32;
use super::offset::{Offset, best_offset};
use super::staircase::{Steps, Target, Threshold, steps};
use super::strict::strict_channel;
use super::{
    Affine, ChannelRequantize, DIVISOR_SHIFT, Difference, MAGNITUDE_LIMIT, MAX_CHANNEL_DIFFERENCES,
    MAX_DIFFERENCES, OutputQuant, QuantError, Requantize, check_scale,
};
use rayon::prelude::*;

/// Every high factor of a divisor.
pub(crate) const DIVISORS: std::ops::Range<u32> = 1..1 << DIVISOR_SHIFT;
/// How many divisors are tried before the one with the fewest differences is kept.
pub(super) const TRIES: usize = 200;
/// Multipliers stay below this (2^51).
const MAX_MULTIPLIER: f64 = 2_251_799_813_685_248.0;

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
    finish(channel, target, (affine, cost))
}

/// The requantization with these integers, with every accumulator that they leave apart.
pub(super) fn finish<F: Fn(i64) -> i32>(
    channel: usize,
    target: &Target<F>,
    (affine, cost): Fitted,
) -> Result<ChannelRequantize, QuantError> {
    let differing = if cost == 0 {
        Vec::new()
    } else {
        differences(channel, target, affine)?
    };
    let fit = ChannelRequantize {
        affine,
        corrections: Vec::new(),
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

/// A multiplier and the high factor of its divisor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// `|m / d - slope|`.
    pub error: f64,
    pub m: i64,
    pub d1: u32,
}

impl Candidate {
    /// The divisor.
    pub fn divisor(&self) -> i64 {
        i64::from(self.d1) << DIVISOR_SHIFT
    }

    /// True when `|m acc| + |b| + d` stays in the proved range for accumulators up to `acc`, with room to spare.
    pub fn fits(&self, acc: i64) -> bool {
        let sum = 2 * i128::from(self.m) * i128::from(acc) + 1024 * i128::from(self.divisor());
        sum < i128::from(MAGNITUDE_LIMIT)
    }
}

/// The multipliers next to `slope * d` with the least `|m / d - slope|`, at most [`TRIES`], handed out best first.
pub(super) struct Candidates {
    rest: Vec<Candidate>,
    left: usize,
}

/// Candidates whose m is this near to `slope * d` are enough, most of the time.
const NEAR: f64 = 0.0625;

impl Candidates {
    pub fn new(slope: f64) -> Self {
        let half = f64::from(DIVISORS.end / 2);
        let unit = f64::from(1u32 << DIVISOR_SHIFT);
        let exact = |d1: u32| slope * (f64::from(d1) * unit);
        let nearest = |exact: f64| {
            #[allow(
                clippy::cast_possible_truncation,
                reason = "below 2^52; the fraction is to be dropped"
            )]
            let m = ((exact + 0.5) as i64).max(1);
            #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
            let rounded = (m as f64 - exact).abs();
            (m, rounded)
        };
        let divisors = || DIVISORS.take_while(|d1| exact(*d1) < MAX_MULTIPLIER);
        let all: Vec<(u32, i64, f64)> = divisors()
            .map(|d1| {
                let (m, rounded) = nearest(exact(d1));
                (d1, m, rounded)
            })
            .collect();
        // The error of a candidate in the upper half that is near is at most this; if those are enough, no candidate with
        // a larger error is among the best.
        let near = all.iter().filter(|c| f64::from(c.0) >= half && c.2 <= NEAR);
        let most = if near.count() >= TRIES {
            1.01 * NEAR / half
        } else {
            f64::INFINITY
        };
        let small = all.iter().filter(|c| c.2 <= most * f64::from(c.0));
        let candidate = |&(d1, m, rounded): &(u32, i64, f64)| Candidate {
            error: rounded / (f64::from(d1) * unit),
            m,
            d1,
        };
        Self {
            rest: small.map(candidate).collect(),
            left: TRIES,
        }
    }

    /// The best `count` of those that are left, best first.
    pub fn take(&mut self, count: usize) -> Vec<Candidate> {
        let order = |x: &Candidate, y: &Candidate| x.error.total_cmp(&y.error).then(x.d1.cmp(&y.d1));
        let count = count.min(self.left).min(self.rest.len());
        self.left -= count;
        if count < self.rest.len() {
            self.rest.select_nth_unstable_by(count, order);
        }
        let later = self.rest.split_off(count);
        let mut best = std::mem::replace(&mut self.rest, later);
        best.sort_unstable_by(order);
        best
    }
}

/// How many candidates share one selection of the deciding steps; fewer where the errors are small.
const BATCHES: [usize; 4] = [4, 12, 48, TRIES];

fn search<F: Fn(i64) -> i32>(
    channel: usize,
    target: &Target<F>,
    steps: &Steps,
) -> Result<Fitted, QuantError> {
    let (lo, hi) = target.reachable;
    let acc = lo.saturating_abs().max(hi.saturating_abs()).saturating_add(1);
    let mut best: Option<(Affine, u64)> = None;
    let mut too_large = None;
    let mut candidates = Candidates::new(target.slope);
    for size in BATCHES {
        let batch = candidates.take(size);
        let least = batch.iter().map(|c| c.d1).min().unwrap_or(1);
        let error = batch.last().map_or(0.0, |c| c.error);
        let least = f64::from(least) * f64::from(1u32 << DIVISOR_SHIFT);
        let deciding = steps.deciding(target.slope, error, least);
        for candidate in &batch {
            if !candidate.fits(acc) {
                too_large = Some(candidate.m);
                continue;
            }
            let limit = best.map_or(u64::MAX, |(_, cost)| cost);
            if let Some(found) = offset_of(candidate, &deciding, limit) {
                best = Some(found);
            }
            if let Some((affine, 0)) = best {
                return Ok((affine, 0));
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

/// Integers, and how many points they leave apart.
pub(super) type Fitted = (Affine, u64);

/// The best offset of a candidate, if it leaves fewer than `limit` points apart.
pub(super) fn offset_of(candidate: &Candidate, steps: &Steps, limit: u64) -> Option<Fitted> {
    let (Candidate { m, d1, .. }, d) = (*candidate, candidate.divisor());
    let mut lows: Vec<i64> = steps.lows.iter().map(|t| t.value * d - m * t.at).collect();
    let mut ups: Vec<i64> = steps
        .ups
        .iter()
        .map(|t| t.value * d - m * (t.at - 1) - 1)
        .collect();
    let Offset { b, cost } = best_offset(&mut lows, &mut ups, m, limit)?;
    Some((Affine { m, b, d1 }, cost))
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

/// One channel of the runtime's requantization as a staircase.
fn staircase(
    y: &OutputQuant,
    channel: usize,
    bias: &[i64],
    reachable: (i64, i64),
) -> Target<impl Fn(i64) -> i32> {
    let scale = if y.scales.len() == 1 {
        y.scales[0]
    } else {
        y.scales[channel]
    };
    let bias = bias.get(channel).copied().unwrap_or(0);
    let (min, max) = (i64::from(i32::MIN) - bias, i64::from(i32::MAX) - bias);
    let (zero_point, lo, hi) = (y.zero_point, y.lo, y.hi);
    Target {
        step: move |acc: i64| requantize_f32(acc + bias, scale, zero_point, lo, hi),
        slope: f64::from(scale),
        reachable,
        fitted: (reachable.0.max(min), reachable.1.min(max)),
        lo,
        hi,
    }
}

/// Fits every channel of `y`, given the reachable accumulators (bias not included) per channel, and the bias
/// (empty, or one per channel).
///
/// # Errors
/// [`QuantError::Channels`], [`QuantError::Scale`], [`QuantError::ZeroPoint`], [`QuantError::Clamp`],
/// [`QuantError::Bias`], and what [`fit_channel`] returns.
pub fn requantize(y: &OutputQuant, reachable: &[(i64, i64)], bias: &[i64]) -> Result<Requantize, QuantError> {
    check_output(y, reachable.len(), bias)?;
    let channels = reachable
        .par_iter()
        .enumerate()
        .map(|(channel, &reachable)| fit_channel(channel, &staircase(y, channel, bias, reachable)));
    let requantize = Requantize {
        channels: channels.collect::<Result<_, _>>()?,
        lo: y.lo,
        hi: y.hi,
    };
    check_differences(&requantize.channels)?;
    Ok(requantize)
}

/// Refuses more differing accumulators than an operator may list.
pub(super) fn check_differences(channels: &[ChannelRequantize]) -> Result<(), QuantError> {
    if channels.iter().map(|c| c.differing.len()).sum::<usize>() > MAX_DIFFERENCES {
        return Err(QuantError::Differences {
            channel: 0,
            limit: MAX_DIFFERENCES,
        });
    }
    Ok(())
}

/// Corrects every channel of a fit that [`requantize`] made for the same `y` and `bias`, so that no accumulator differs.
///
/// # Errors
/// [`QuantError::Channels`], and what [`strict_channel`] returns.
pub fn strict(fit: &mut Requantize, y: &OutputQuant, bias: &[i64]) -> Result<(), QuantError> {
    check_output(y, fit.channels.len(), bias)?;
    fit.channels
        .par_iter_mut()
        .enumerate()
        .try_for_each(|(channel, fit)| {
            let target = staircase(y, channel, bias, fit.reachable);
            strict_channel(channel, &target, fit)
        })
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
