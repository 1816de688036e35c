//! The integers of a sum: the fit to the runtime's formula over all pairs of 8-bit values.

use super::OpError;
use crate::quant::{
    DIVISOR_SHIFT, DIVISORS, Offset, QuantError, TensorQuant, best_offset, check_scale, f32_of,
    round_clamp_f32,
};
use std::ops::RangeInclusive;

/// How many divisors are tried before the one with the fewest differing pairs is kept.
const TRIES: usize = 512;
/// Pairs whose exact sum is nearer than this to a step decide between divisors; the winner is checked on all pairs.
const NEAR_STEP: f64 = 1.0 / 32.0;
/// Smallest high factor of a divisor that is tried: its rounding moves a sum by less than [`NEAR_STEP`].
const MIN_D1: u32 = 64;

/// The runtime's fused sum of two 8-bit tensors.
pub(super) struct Sum {
    a: RangeInclusive<i32>,
    b: RangeInclusive<i32>,
    pub z_a: i32,
    pub z_b: i32,
    /// f32(s_a / s_y)
    r_a: f32,
    /// f32(s_b / s_y)
    r_b: f32,
    fix: f32,
    lo: i32,
    hi: i32,
}

/// A pair next to a step: its quotient must be at least `value` (`above`), or below it.
struct Demand {
    a: i64,
    b: i64,
    value: i64,
    above: bool,
}

/// Integers of a sum, offset aside.
#[derive(Clone, Copy)]
pub(super) struct Multipliers {
    pub m_a: i64,
    pub m_b: i64,
    pub d1: u32,
}

impl Sum {
    pub fn new(a: &TensorQuant, b: &TensorQuant, y: &TensorQuant, lo: i32, hi: i32) -> Result<Self, OpError> {
        a.validate("the sum's first input")?;
        b.validate("the sum's second input")?;
        y.validate("the sum's output")?;
        y.check_clamp(lo, hi)?;
        let (r_a, r_b) = (a.scale / y.scale, b.scale / y.scale);
        check_scale("the sum's first input over its output", r_a)?;
        check_scale("the sum's second input over its output", r_b)?;
        let zero = |z: i32| f32_of(i64::from(z));
        let fix = zero(y.zero_point) - r_a.mul_add(zero(a.zero_point), r_b * zero(b.zero_point));
        let range = |t: &TensorQuant| t.dtype.min()..=t.dtype.max();
        Ok(Self {
            a: range(a),
            b: range(b),
            z_a: a.zero_point,
            z_b: b.zero_point,
            r_a,
            r_b,
            fix,
            lo,
            hi,
        })
    }

    /// The sum before rounding.
    fn value(&self, a: i32, b: i32) -> f32 {
        let inner = f32_of(i64::from(b)).mul_add(self.r_b, self.fix);
        f32_of(i64::from(a)).mul_add(self.r_a, inner)
    }

    pub fn runtime(&self, a: i32, b: i32) -> i32 {
        round_clamp_f32(self.value(a, b), 0, self.lo, self.hi)
    }

    pub fn pairs(&self) -> impl Iterator<Item = (i32, i32)> {
        let b = self.b.clone();
        self.a.clone().flat_map(move |a| b.clone().map(move |b| (a, b)))
    }

    /// The pairs within `distance` of a step inside the clamp bounds.
    fn demands(&self, distance: f64) -> Vec<Demand> {
        let near = |(a, b): (i32, i32)| {
            let value = f64::from(self.value(a, b));
            let step = (value - 0.5).round_ties_even();
            let inside = step >= f64::from(self.lo) && step < f64::from(self.hi);
            if !inside || (value - 0.5 - step).abs() > distance {
                return None;
            }
            #[allow(clippy::cast_possible_truncation, reason = "between the clamp bounds, whole")]
            let value = step as i64 + 1;
            let above = i64::from(self.runtime(a, b)) >= value;
            let (a, b) = (i64::from(a - self.z_a), i64::from(b - self.z_b));
            Some(Demand { a, b, value, above })
        };
        self.pairs().filter_map(near).collect()
    }

    /// The multipliers next to `r d`, least rounded first.
    fn candidates(&self) -> Vec<Multipliers> {
        let mut all: Vec<(f64, Multipliers)> = Vec::new();
        for d1 in DIVISORS.skip_while(|d1| *d1 < MIN_D1) {
            let d = f64::from(d1) * f64::from(1u32 << DIVISOR_SHIFT);
            let exact = [f64::from(self.r_a) * d, f64::from(self.r_b) * d];
            let error = exact.iter().map(|e| (e - e.round_ties_even()).abs()).sum::<f64>() / d;
            if exact.iter().all(|e| *e < 4.0e15) {
                #[allow(clippy::cast_possible_truncation, reason = "below 2^53, whole")]
                let [m_a, m_b] = exact.map(|e| e.round_ties_even() as i64);
                all.push((error, Multipliers { m_a, m_b, d1 }));
            }
        }
        all.sort_by(|x, y| x.0.total_cmp(&y.0).then(x.1.d1.cmp(&y.1.d1)));
        all.into_iter().take(TRIES).map(|(_, m)| m).collect()
    }

    pub fn fit(&self) -> Result<(Multipliers, i64), OpError> {
        let mut demands = self.demands(NEAR_STEP);
        if demands.is_empty() {
            demands = self.demands(0.5);
        }
        let mut best: Option<(Multipliers, Offset)> = None;
        let (mut lows, mut ups) = (Vec::new(), Vec::new());
        for candidate in self.candidates() {
            let Multipliers { m_a, m_b, d1 } = candidate;
            let d = i64::from(d1) << DIVISOR_SHIFT;
            lows.clear();
            ups.clear();
            for Demand { a, b, value, above } in &demands {
                let bound = value * d - m_a * a - m_b * b;
                if *above {
                    lows.push(bound)
                } else {
                    ups.push(bound - 1)
                }
            }
            let limit = best.as_ref().map_or(u64::MAX, |(_, offset)| offset.cost);
            if let Some(offset) = best_offset(&mut lows, &mut ups, i64::MAX, limit) {
                best = Some((candidate, offset));
                if offset.cost == 0 {
                    break;
                }
            }
        }
        let (multipliers, offset) = best.ok_or_else(|| {
            let slope = f64::from(self.r_a.max(self.r_b));
            QuantError::NoMultiplier {
                channel: 0,
                slope,
                lo: i64::from(self.lo),
                hi: i64::from(self.hi),
            }
        })?;
        Ok((multipliers, offset.b))
    }
}
