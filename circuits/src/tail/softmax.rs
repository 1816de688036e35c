//! Softmax of one line: in floats, and the runtime's 8-bit kernel.

use super::exp::{exp, ln};
use crate::quant::{TensorQuant, f32_of, round_clamp_f32};

/// How far below the largest f32 the sum of the table stays, as a natural logarithm.
const RESERVE: f64 = 5.0;

/// The nearest f32.
#[allow(
    clippy::cast_possible_truncation,
    reason = "rounding to nearest is the formula"
)]
fn f32_round(x: f64) -> f32 {
    x as f32
}

/// `e_i / sum e_j` with `e_i = f32(exp(x_i - max x))`, the difference in f32, sum and quotient in f64, rounded to f32.
///
/// A runtime's own float softmax differs by a few units in the last place: its exponential is an approximation.
#[must_use]
pub fn softmax(x: &[f32]) -> Vec<f32> {
    let max = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let e: Vec<f64> = x
        .iter()
        .map(|x| f64::from(f32_round(exp(f64::from(x - max)))))
        .collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| f32_round(e / sum)).collect()
}

/// The runtime's softmax between two 8-bit tensors of one type, of input scale `s_x` (the zero point cancels):
///
/// `t_i = f32(exp((x_i - max x + shift) s_x))`, `y_i = clamp(rne(t_i c / sum t_j) + z_y)`, `c = floor(1 / s_y)`, in f32,
/// the sum in order of the line. `shift` keeps the sum below the largest f32.
///
/// # Source
/// onnxruntime, `QLinearSoftmax`, with an output past the type's end saturated.
#[must_use]
pub fn qlinear_softmax(x: &[i32], s_x: f32, y: &TensorQuant) -> Vec<i32> {
    let len = f32_of(i64::try_from(x.len()).unwrap_or(i64::MAX));
    let s_x = f64::from(s_x);
    let shift = (ln(f64::from(f32::MAX / len)) - RESERVE).max(0.0) / s_x;
    let max = x.iter().copied().max().unwrap_or(0);
    let table: Vec<f32> = (0..=255)
        .map(|below| f32_round(exp((shift - f64::from(below)) * s_x)))
        .collect();
    let t = |x: &i32| {
        usize::try_from(max - x)
            .ok()
            .and_then(|below| table.get(below))
            .copied()
            .unwrap_or(0.0)
    };
    let sum: f32 = x.iter().map(t).fold(0.0, |sum, t| sum + t);
    let c = (1.0 / y.scale).floor();
    let (lo, hi) = (y.dtype.min(), y.dtype.max());
    x.iter()
        .map(|x| round_clamp_f32(t(x) * c / sum, y.zero_point, lo, hi))
        .collect()
}
