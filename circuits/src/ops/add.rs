//! Element-wise sum: `y = clamp(floor((m_a (a - z_a) + m_b (b - z_b) + B) / d), lo, hi)`.
//! With one input it is a rescale.
//!
//! Units: a, b, y in their own steps. Bounds: `sum |m_i| 255 + |B| + d < 2^62`.

use super::{OpDifference, OpError, check_input, check_length};
use crate::graph::TensorInfo;
use crate::quant::{
    DIVISOR_SHIFT, DIVISORS, MAGNITUDE_LIMIT, QuantError, Target, TensorQuant, f32_of, fit_channel,
    round_clamp_f32,
};
use crate::tensor::DType;
use fit::{Multipliers, Sum};
use serde::{Deserialize, Serialize};

mod fit;

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
        if add
            .differing
            .iter()
            .any(|&(a, b, runtime)| (add.apply(&[a, b]) - runtime).abs() > 1)
        {
            return Err(QuantError::Apart { channel: 0 }.into());
        }
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

    /// The values themselves, between `lo` and `hi`: `y = floor((2^12 (x - z) + 2^12 z + 2^11) / 2^12) = x`.
    #[must_use]
    pub fn copy(zero_point: i32, lo: i32, hi: i32) -> Self {
        let m = 1i64 << DIVISOR_SHIFT;
        Self {
            terms: vec![(m, zero_point)],
            b: m * i64::from(zero_point) + m / 2,
            d1: 1,
            lo,
            hi,
            differing: Vec::new(),
        }
    }

    /// The sum with strict rounding: itself, where no input differs.
    ///
    /// # Errors
    /// [`QuantError::Strict`].
    pub fn strict(self) -> Result<Self, OpError> {
        if self.differing.is_empty() {
            return Ok(self);
        }
        let (what, differing) = ("a sum or rescale has no corrections", self.differing.len());
        Err(QuantError::Strict {
            channel: 0,
            what,
            differing,
        }
        .into())
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
