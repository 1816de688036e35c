//! Element-wise sum: `y = clamp(floor((m_a (a - z_a) + m_b (b - z_b) + B) / d), lo, hi)`.
//! With one input it is a rescale.
//!
//! Units: a, b, y in their own steps. Bounds: `sum |m_i| 255 + |B| + d < 2^62`.

use super::{OpDifference, OpError, check_input, check_length};
use crate::graph::TensorInfo;
use crate::quant::{
    DIVISOR_SHIFT, DIVISORS, MAGNITUDE_LIMIT, Offset, QuantError, Target, TensorQuant, best_offset,
    check_scale, f32_of, fit_channel, round_clamp_f32,
};
use crate::tensor::DType;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How many divisors are tried before the one with the fewest differing pairs is kept.
const TRIES: usize = 512;
/// Pairs whose exact sum is nearer than this to a step decide between divisors; the winner is checked on all pairs.
const NEAR_STEP: f64 = 1.0 / 32.0;
/// Smallest high factor of a divisor that is tried: its rounding moves a sum by less than [`NEAR_STEP`].
const MIN_D1: u32 = 64;

/// `y = clamp(floor((sum_i m_i (x_i - z_i) + b) / d))` over one or two inputs of one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// Per input: integer multiplier m_i and zero point z_i.
    pub terms: Vec<(i64, i32)>,
    /// Offset B, output zero point and rounding included.
    pub b: i64,
    /// High factor of the divisor, `d = d1 * 2^12`.
    pub d1: u32,
    /// Lower clamp bound.
    pub lo: i32,
    /// Upper clamp bound.
    pub hi: i32,
    /// Inputs (each value pair, or each value and 0) at which the runtime returns something else, with what it
    /// returns; ascending.
    pub differing: Vec<(i32, i32, i32)>,
}

/// The runtime's fused sum of two 8-bit tensors.
struct Sum {
    a: RangeInclusive<i32>,
    b: RangeInclusive<i32>,
    z_a: i32,
    z_b: i32,
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
struct Multipliers {
    m_a: i64,
    m_b: i64,
    d1: u32,
}

impl Sum {
    fn new(a: &TensorQuant, b: &TensorQuant, y: &TensorQuant, lo: i32, hi: i32) -> Result<Self, OpError> {
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

    fn runtime(&self, a: i32, b: i32) -> i32 {
        round_clamp_f32(self.value(a, b), 0, self.lo, self.hi)
    }

    fn pairs(&self) -> impl Iterator<Item = (i32, i32)> {
        let b = self.b.clone();
        self.a.clone().flat_map(move |a| b.clone().map(move |b| (a, b)))
    }

    /// The pairs within [`NEAR_STEP`] of a step inside the clamp bounds.
    fn demands(&self) -> Vec<Demand> {
        let near = |(a, b): (i32, i32)| {
            let value = f64::from(self.value(a, b));
            let step = (value - 0.5).round_ties_even();
            if (value - 0.5 - step).abs() > NEAR_STEP
                || step < f64::from(self.lo)
                || step >= f64::from(self.hi)
            {
                return None;
            }
            #[allow(clippy::cast_possible_truncation, reason = "between the clamp bounds, whole")]
            let value = step as i64 + 1;
            let above = i64::from(self.runtime(a, b)) >= value;
            Some(Demand {
                a: i64::from(a - self.z_a),
                b: i64::from(b - self.z_b),
                value,
                above,
            })
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

    fn fit(&self) -> Result<(Multipliers, i64), OpError> {
        let demands = self.demands();
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

impl Add {
    /// Fits the integers to the runtime's fused sum, over all pairs of 8-bit values:
    /// `fix = z_y - fma(r_a, z_a, f32(r_b z_b))`, `y = clamp(rne(fma(a, r_a, fma(b, r_b, fix))))`.
    ///
    /// # Errors
    /// [`OpError::Quant`].
    ///
    /// # Source
    /// onnxruntime, `MlasQLinearAdd`.
    pub fn new(a: &TensorQuant, b: &TensorQuant, y: &TensorQuant, lo: i32, hi: i32) -> Result<Self, OpError> {
        let (dtype_a, dtype_b) = (a.dtype, b.dtype);
        let sum = Sum::new(a, b, y, lo, hi)?;
        let (Multipliers { m_a, m_b, d1 }, b) = sum.fit()?;
        let terms = vec![(m_a, sum.z_a), (m_b, sum.z_b)];
        let mut add = Self {
            terms,
            b,
            d1,
            lo,
            hi,
            differing: Vec::new(),
        };
        add.check_fields(&[dtype_a, dtype_b])?;
        let differs = |(a, b)| (add.apply(&[a, b]) != sum.runtime(a, b)).then(|| (a, b, sum.runtime(a, b)));
        add.differing = sum.pairs().filter_map(differs).collect();
        Ok(add)
    }

    /// One input with another scale, zero point or clamp: `y = clamp(rne(f32((x - z_x) s_x) / s_y) + z_y)`.
    ///
    /// # Errors
    /// [`OpError::Quant`].
    pub fn rescale(x: &TensorQuant, y: &TensorQuant, lo: i32, hi: i32) -> Result<Self, OpError> {
        x.validate("the rescale's input")?;
        y.validate("the rescale's output")?;
        y.check_clamp(lo, hi)?;
        let (min, max) = x.centered();
        let reachable = (i64::from(min), i64::from(max));
        let target = Target {
            step: |acc: i64| round_clamp_f32(f32_of(acc) * x.scale / y.scale, y.zero_point, lo, hi),
            slope: f64::from(x.scale) / f64::from(y.scale),
            reachable,
            fitted: reachable,
            lo,
            hi,
        };
        let fit = fit_channel(0, &target)?;
        let z_x = x.zero_point;
        let value = |acc: i64| i32::try_from(acc).unwrap_or(0) + z_x;
        let differing = fit
            .differing
            .iter()
            .map(|d| (value(d.acc), 0, d.runtime))
            .collect();
        let terms = vec![(fit.affine.m, z_x)];
        Ok(Self {
            terms,
            b: fit.affine.b,
            d1: fit.affine.d1,
            lo,
            hi,
            differing,
        })
    }

    /// The divisor d.
    #[must_use]
    pub fn divisor(&self) -> i64 {
        i64::from(self.d1) << DIVISOR_SHIFT
    }

    /// Quotient t, before the clamp, of one value per input.
    #[must_use]
    pub fn quotient(&self, x: &[i32]) -> i64 {
        let terms = self.terms.iter().zip(x).map(|((m, z), x)| m * i64::from(x - z));
        (terms.sum::<i64>() + self.b).div_euclid(self.divisor())
    }

    /// The proved output for one value per input.
    #[must_use]
    pub fn apply(&self, x: &[i32]) -> i32 {
        let t = self.quotient(x).clamp(i64::from(self.lo), i64::from(self.hi));
        i32::try_from(t).unwrap_or(self.lo)
    }

    /// What the runtime returns for one value per input, where that is not what [`Add::apply`] returns.
    #[must_use]
    pub fn runtime(&self, x: &[i32]) -> Option<i32> {
        let key = (x.first().copied()?, x.get(1).copied().unwrap_or(0));
        let at = self.differing.binary_search_by_key(&key, |d| (d.0, d.1)).ok()?;
        Some(self.differing[at].2)
    }

    /// Where the runtime returns something else on these inputs.
    pub(super) fn differing_at(&self, inputs: &[&[i32]]) -> Result<Vec<OpDifference>, OpError> {
        let proved = self.reference(inputs)?.into_iter().enumerate();
        let difference = |(at, y): (usize, i32)| {
            let x: Vec<i32> = inputs.iter().map(|x| x[at]).collect();
            OpDifference::new(at, y, Some(self.runtime(&x)?))
        };
        Ok(if self.differing.is_empty() {
            Vec::new()
        } else {
            proved.filter_map(difference).collect()
        })
    }

    /// Largest `|t - clamp(t)|` over every value of the inputs' types, in output units.
    #[must_use]
    pub fn excess_bound(&self, inputs: &[DType]) -> i64 {
        let ends: (Vec<i32>, Vec<i32>) = inputs.iter().map(|t| (t.min(), t.max())).unzip();
        let below = i64::from(self.lo) - self.quotient(&ends.0);
        let above = self.quotient(&ends.1) - i64::from(self.hi);
        below.max(above).max(0)
    }

    fn check_fields(&self, inputs: &[DType]) -> Result<(), OpError> {
        let malformed = |what| Err(QuantError::Malformed { channel: 0, what }.into());
        if !DIVISORS.contains(&self.d1) {
            return malformed("divisor factor d1 is not in 1..4096");
        }
        if self.terms.iter().any(|(m, _)| *m < 0) {
            return malformed("multiplier m is negative");
        }
        if self
            .terms
            .iter()
            .zip(inputs)
            .any(|((_, z), t)| *z < t.min() || *z > t.max())
        {
            return malformed("zero point is outside the input's type");
        }
        if self
            .differing
            .windows(2)
            .any(|w| (w[0].0, w[0].1) >= (w[1].0, w[1].1))
        {
            return malformed("differing values are not ascending");
        }
        let sum: i128 = self.terms.iter().map(|(m, _)| i128::from(*m) * 255).sum();
        if sum + i128::from(self.b).abs() + i128::from(self.divisor()) >= i128::from(MAGNITUDE_LIMIT) {
            let m = self.terms.iter().map(|(m, _)| *m).max().unwrap_or(0);
            return Err(QuantError::Magnitude {
                channel: 0,
                m,
                acc: 255,
            }
            .into());
        }
        Ok(())
    }

    /// Checks fields and tensors.
    ///
    /// # Errors
    /// [`OpError::Inputs`], [`OpError::Shape`], [`OpError::Mismatch`], [`OpError::Quant`].
    pub fn validate(&self, inputs: &[&TensorInfo], y: &TensorInfo) -> Result<(), OpError> {
        let expected = self.terms.len();
        if inputs.len() != expected || expected == 0 || expected > 2 {
            return Err(OpError::Inputs {
                what: "add",
                expected: expected.clamp(1, 2),
                actual: inputs.len(),
            });
        }
        for (x, (_, z)) in inputs.iter().zip(&self.terms) {
            if x.shape != y.shape {
                let (tensor, actual) = (x.name.clone(), x.shape.dims().to_vec());
                return Err(OpError::Shape {
                    what: "add input",
                    tensor,
                    actual,
                    expected: y.shape.to_string(),
                });
            }
            check_input("add input", x, *z)?;
        }
        let (lo, hi, min, max) = (self.lo, self.hi, y.dtype.min(), y.dtype.max());
        if lo < min || hi > max || lo >= hi {
            return Err(QuantError::Clamp { lo, hi, min, max }.into());
        }
        let types: Vec<DType> = inputs.iter().map(|x| x.dtype).collect();
        self.check_fields(&types)
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Inputs`], [`OpError::Length`].
    pub fn reference(&self, inputs: &[&[i32]]) -> Result<Vec<i32>, OpError> {
        match (self.terms.len(), inputs) {
            (1, [x]) => Ok(x.iter().map(|&x| self.apply(&[x])).collect()),
            (2, [a, b]) => {
                check_length("add inputs", a.len(), b.len())?;
                Ok(a.iter()
                    .zip(b.iter())
                    .map(|(&a, &b)| self.apply(&[a, b]))
                    .collect())
            }
            (expected, _) => Err(OpError::Inputs {
                what: "add",
                expected,
                actual: inputs.len(),
            }),
        }
    }
}
