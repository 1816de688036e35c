//! The runtimes' float formulas: single IEEE operations and round-half-to-even, the same on every machine.

/// `clamp(rne(x) + z, lo, hi)`; infinities saturate, NaN gives `z` clamped (no staircase here makes one).
#[must_use]
pub fn round_clamp_f32(x: f32, z: i32, lo: i32, hi: i32) -> i32 {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, and the clamp follows"
    )]
    let rounded = i64::from(x.round_ties_even() as i32);
    let y = (rounded + i64::from(z)).clamp(i64::from(lo), i64::from(hi));
    i32::try_from(y).unwrap_or(lo)
}

/// The nearest f32, ties to even, of an integer.
#[allow(clippy::cast_precision_loss, reason = "rounding to nearest is the formula")]
pub(crate) fn f32_of(v: i64) -> f32 {
    v as f32
}

/// `clamp(rne(f32(acc) * scale) + z, lo, hi)`: the fused int8 kernels' output for `acc`, bias included.
///
/// # Source
/// onnxruntime, `MlasRequantizeOutput`.
#[must_use]
pub fn requantize_f32(acc: i64, scale: f32, z: i32, lo: i32, hi: i32) -> i32 {
    round_clamp_f32(f32_of(acc) * scale, z, lo, hi)
}
