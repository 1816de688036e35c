//! Exponential and logarithm in f64 from IEEE additions, multiplications and divisions alone, so that every machine
//! computes the same bits. Errors are a few units in the last place of f64: rounded to f32, correct except where the
//! true value lies within about 2^-28 of a rounding boundary, in relative terms.

/// log2(e).
const LOG2_E: f64 = std::f64::consts::LOG2_E;
/// ln(2), upper part: few enough bits that a product with an exponent is exact.
const LN2_HI: f64 = 0.693_147_180_369_123_8;
/// ln(2) minus [`LN2_HI`].
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;
/// Terms of the Taylor series; the first one left out is below 2^-57 for |r| <= ln(2) / 2.
const EXP_TERMS: u32 = 14;
/// Terms of the area tangent series.
const LN_TERMS: u32 = 14;

/// 2^k for a normal exponent.
fn power_of_two(k: i64) -> f64 {
    let biased = (k + 1023).clamp(1, 2046);
    f64::from_bits(u64::try_from(biased).unwrap_or(1) << 52)
}

/// e^x; 0 and infinity where f64 ends, NaN for NaN.
///
/// `x = k ln 2 + r`, `|r| <= ln(2) / 2`, `e^x = 2^k (1 + r (1 + r/2 (1 + r/3 (...))))`.
#[must_use]
pub fn exp(x: f64) -> f64 {
    if x > 710.0 {
        return f64::INFINITY;
    }
    if x < -746.0 {
        return 0.0;
    }
    let k = (x * LOG2_E).round_ties_even();
    let r = (x - k * LN2_HI) - k * LN2_LO;
    let series = (1..EXP_TERMS)
        .rev()
        .fold(1.0, |sum, n| 1.0 + r / f64::from(n) * sum);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "at most 1077 in magnitude; NaN gives 0 and stays NaN"
    )]
    let k = k as i64;
    series * power_of_two(k / 2) * power_of_two(k - k / 2)
}

/// Natural logarithm of a positive normal number.
///
/// `x = 2^k m`, `m` in `[1/sqrt 2, sqrt 2)`, `ln m = 2 (s + s^3/3 + s^5/5 + ...)` with `s = (m - 1) / (m + 1)`.
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut k = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0) - 1023;
    let mut m = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        k += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let series = (0..LN_TERMS)
        .rev()
        .fold(0.0, |sum, n| sum * (s * s) + 1.0 / f64::from(2 * n + 1));
    f64::from(k) * LN2_HI + (f64::from(k) * LN2_LO + 2.0 * s * series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn matches_reference_exp(x in -745.0f64..709.0) {
            let (ours, std) = (exp(x), x.exp());
            prop_assert!((ours - std).abs() <= 4.0 * f64::EPSILON * std + f64::from_bits(2), "{x}: {ours} {std}");
        }

        #[test]
        fn matches_reference_exp_in_f32(x in -104.0f32..88.0) {
            let (ours, std) = (exp(f64::from(x)), f64::from(x).exp());
            #[allow(clippy::cast_possible_truncation, reason = "rounding is the point")]
            let same = ours as f32 == std as f32;
            prop_assert!(same, "{x}");
        }

        #[test]
        fn matches_reference_ln(x in 1e-300f64..1e300, y in 0.5f64..2.0) {
            for x in [x, y] {
                let std = x.ln();
                prop_assert!((ln(x) - std).abs() <= 4.0 * f64::EPSILON * std.abs().max(1e-3), "{x}");
            }
        }
    }

    #[test]
    fn exp_ends() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(1000.0), f64::INFINITY);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert!(exp(f64::NAN).is_nan());
    }
}
