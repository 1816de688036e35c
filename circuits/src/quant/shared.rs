//! Staircases that differ in their divisor alone: averages over different numbers of values.
//!
//! The average of n values rises by `slope / n` from accumulator to accumulator. With one multiplier m and the divisors
//! `n t 2^12` all quotients `m / d` are off by the same share, that of `m` against `slope t 2^12`; t is chosen so that it is
//! small. Each staircase has its own offset.

use super::fit::{Candidate, Fitted, TRIES, check_differences, finish, offset_of};
use super::staircase::{Steps, Target, steps};
use super::{ChannelRequantize, DIVISOR_SHIFT, QuantError};

/// Fits staircases that share their multiplier. The slope of target i is `slope / counts[i]`; a count names its entry in
/// errors by its position.
///
/// # Errors
/// [`QuantError::NoMultiplier`] where the largest count leaves no divisor, and otherwise as [`super::fit_channel`].
pub fn fit_shared<F>(
    slope: f64,
    counts: &[usize],
    targets: &[Target<F>],
) -> Result<Vec<ChannelRequantize>, QuantError>
where
    F: Fn(i64) -> i32,
{
    let Some(widest) = targets
        .iter()
        .map(|t| t.reachable)
        .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    else {
        return Ok(Vec::new());
    };
    let none = || QuantError::NoMultiplier {
        channel: 0,
        slope,
        lo: widest.0,
        hi: widest.1,
    };
    let acc = widest
        .0
        .saturating_abs()
        .max(widest.1.saturating_abs())
        .saturating_add(1);
    let multipliers = multipliers(slope, counts);
    if multipliers.is_empty() {
        return Err(none());
    }
    let staircases: Vec<Steps> = targets.iter().map(steps).collect();
    let mut best: Option<(Vec<Fitted>, u64)> = None;
    for shared in multipliers {
        let limit = best.as_ref().map_or(u64::MAX, |(_, cost)| *cost);
        if let Some(found) = fit_all(shared, counts, &staircases, acc, limit) {
            let exact = found.1 == 0;
            best = Some(found);
            if exact {
                break;
            }
        }
    }
    let (fitted, _) = best.ok_or_else(none)?;
    let channels = fitted.into_iter().zip(targets).enumerate();
    let channels = channels.map(|(i, (fitted, target))| finish(i, target, fitted));
    let channels = channels.collect::<Result<Vec<_>, QuantError>>()?;
    check_differences(&channels)?;
    Ok(channels)
}

/// `(m, t)`, those with the least `|m / (t 2^12) - slope|` first.
fn multipliers(slope: f64, counts: &[usize]) -> Vec<(i64, u32)> {
    let largest = counts.iter().max().copied().and_then(|n| u32::try_from(n).ok());
    let last = largest.map_or(0, |n| ((1 << DIVISOR_SHIFT) - 1) / n.max(1));
    let unit = f64::from(1u32 << DIVISOR_SHIFT);
    let mut found: Vec<(f64, i64, u32)> = (1..=last)
        .map(|t| {
            let exact = slope * f64::from(t) * unit;
            #[allow(
                clippy::cast_possible_truncation,
                reason = "saturates, and is then too large to fit; the fraction is to be dropped"
            )]
            let m = ((exact + 0.5) as i64).max(1);
            #[allow(clippy::cast_precision_loss, reason = "for the order alone")]
            let error = (m as f64 - exact).abs() / f64::from(t);
            (error, m, t)
        })
        .collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found.into_iter().take(TRIES).map(|(_, m, t)| (m, t)).collect()
}

/// The best offsets for one multiplier, and how many points they leave apart together, if fewer than `limit`.
fn fit_all(
    (m, t): (i64, u32),
    counts: &[usize],
    staircases: &[Steps],
    acc: i64,
    limit: u64,
) -> Option<(Vec<Fitted>, u64)> {
    let mut total = 0u64;
    let mut fitted = Vec::with_capacity(counts.len());
    for (count, steps) in counts.iter().zip(staircases) {
        let candidate = Candidate {
            error: 0.0,
            m,
            d1: u32::try_from(*count).ok()?.checked_mul(t)?,
        };
        if !candidate.fits(acc) {
            return None;
        }
        let found = offset_of(&candidate, steps, limit.saturating_sub(total))?;
        total = total.saturating_add(found.1);
        fitted.push(found);
    }
    (total < limit).then_some((fitted, total))
}

#[cfg(test)]
mod tests {
    use super::super::fit_channel;
    use super::*;

    /// Averages of `counts` bytes, in steps of `slope`, rounded to the nearest.
    fn targets(slope: f64, counts: &[usize]) -> Vec<Target<impl Fn(i64) -> i32>> {
        let target = |n: &usize| {
            let n = i64::try_from(*n).unwrap();
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "small numbers"
            )]
            let step = move |acc: i64| {
                (acc as f64 * slope / n as f64)
                    .round_ties_even()
                    .clamp(-128.0, 127.0) as i32
            };
            let reachable = (-255 * n, 255 * n);
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let slope = slope / n as f64;
            Target {
                step,
                slope,
                reachable,
                fitted: reachable,
                lo: -128,
                hi: 127,
            }
        };
        counts.iter().map(target).collect()
    }

    #[test]
    fn all_staircases_are_met_with_one_multiplier() {
        for counts in [
            &[1, 2, 4][..],
            &[4, 6, 9],
            &[9, 12, 15, 16, 20, 25],
            &[16, 20, 24, 28, 35, 42, 49],
        ] {
            for slope in [0.031_25, 0.37, 0.731_234, 1.0, 1.93, 17.3] {
                let targets = targets(slope, counts);
                let fits = fit_shared(slope, counts, &targets).unwrap();
                let shared = (fits[0].affine.m, counts[0]);
                let mut listed = 0;
                for ((fit, target), n) in fits.iter().zip(&targets).zip(counts) {
                    assert_eq!(fit.affine.m, shared.0);
                    assert_eq!(fit.affine.d1 as usize * shared.1, fits[0].affine.d1 as usize * n);
                    let (lo, hi) = target.reachable;
                    for acc in lo..=hi {
                        let proved = fit.quotient(acc).clamp(-128, 127);
                        let wanted = i64::from((target.step)(acc));
                        let known = fit
                            .differing
                            .iter()
                            .find(|d| d.acc == acc)
                            .map(|d| i64::from(d.runtime));
                        assert_eq!(
                            known.unwrap_or(proved),
                            wanted,
                            "{n} values, slope {slope}, {acc}"
                        );
                        assert!((proved - wanted).abs() <= 1);
                    }
                    listed += fit.differing.len();
                }
                let alone = targets.iter().map(|t| fit_channel(0, t).unwrap().differing.len());
                println!(
                    "{counts:?} {slope}: {listed} listed, {} with multipliers of their own",
                    alone.clone().sum::<usize>()
                );
                assert!(listed <= 2 * alone.sum::<usize>());
            }
        }
    }

    #[test]
    fn counts_without_a_divisor_are_refused() {
        let counts = [4095, 4096];
        let refused = fit_shared(0.5, &counts, &targets(0.5, &counts)).unwrap_err();
        assert!(matches!(refused, QuantError::NoMultiplier { .. }), "{refused}");
        assert_eq!(fit_shared::<fn(i64) -> i32>(0.5, &[], &[]), Ok(Vec::new()));
    }
}
