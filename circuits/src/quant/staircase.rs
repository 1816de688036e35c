//! A monotone staircase of accumulators, and where it steps.

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
pub(super) struct Threshold {
    pub value: i64,
    pub at: i64,
}

/// What a staircase asks of its integers. `lows`: at `at` the quotient is >= `value`;
/// `ups`: at `at - 1` it is < `value`.
#[derive(Debug, Clone, Default)]
pub(super) struct Steps {
    pub lows: Vec<Threshold>,
    pub ups: Vec<Threshold>,
}

/// Smallest accumulator in `(lo, hi]` with `step(acc) >= value`, given `step(lo) < value <= step(hi)`. The search
/// widens from `guess`, which is looked at first.
fn first_at<F: Fn(i64) -> i32>(step: &F, value: i32, (mut lo, mut hi): (i64, i64), guess: i64) -> i64 {
    let mut reach = 1i64;
    let mut at = guess.clamp(lo + 1, hi);
    while hi - lo > 1 {
        if step(at) >= value {
            hi = at;
            at = at.saturating_sub(reach);
        } else {
            lo = at;
            at = at.saturating_add(reach);
        }
        reach = reach.saturating_mul(2);
        if at <= lo || at >= hi {
            at = lo + (hi - lo) / 2;
        }
    }
    hi
}

/// The steps of a staircase.
pub(super) fn steps<F: Fn(i64) -> i32>(target: &Target<F>) -> Steps {
    let (start, end) = target.fitted;
    let (first, last) = ((target.step)(start), (target.step)(end));
    let mut steps = Steps::default();
    let mut from = start;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate; a guess"
    )]
    let rise = (1.0 / target.slope) as i64;
    for value in first + 1..=last {
        if (target.step)(from) < value {
            from = first_at(&target.step, value, (from, end), from.saturating_add(rise));
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

impl Steps {
    /// The steps that can decide an offset, for multipliers and divisors with `|m / d - slope| <= error` and `d >= least`.
    ///
    /// With `rho(v, T) = v - slope (T - T0)` the bounds of a step on `b / d`, shifted by `m T0 / d`, are within
    /// `error |T - T0| + 1 / least` of rho at T and at T - 1. What lies further than that from the highest lower bound
    /// and cannot pass the lowest upper bound is left out, and likewise above.
    pub fn deciding(&self, slope: f64, error: f64, least: f64) -> Self {
        let every = || self.lows.iter().chain(&self.ups).map(|t| t.at);
        let (Some(first), Some(last)) = (every().min(), every().max()) else {
            return self.clone();
        };
        let middle = first + (last - first) / 2;
        let rho = |value: i64, at: i64| float(value) - slope * float(at - middle);
        let low = |t: &&Threshold| rho(t.value, t.at);
        let up = |t: &&Threshold| rho(t.value, t.at - 1);
        let highest = self
            .lows
            .iter()
            .map(|t| low(&t))
            .fold(f64::NEG_INFINITY, f64::max);
        let lowest = self.ups.iter().map(|t| up(&t)).fold(f64::INFINITY, f64::min);
        let margin = 2.0 * ((error + slope * ROUNDING) * float(last - first + 2) + 1.0 / least + ROUNDING);
        let from = highest.min(lowest) - margin;
        let to = highest.max(lowest) + margin;
        Self {
            lows: self.lows.iter().filter(|t| low(t) >= from).copied().collect(),
            ups: self.ups.iter().filter(|t| up(t) <= to).copied().collect(),
        }
    }
}

/// More than the rounding of `v - slope (T - T0)` in double precision, relative to its parts.
const ROUNDING: f64 = 1e-12;

/// An accumulator or a value as a float; exact below 2^53.
#[allow(clippy::cast_precision_loss, reason = "accumulators stay below 2^53")]
fn float(v: i64) -> f64 {
    v as f64
}
