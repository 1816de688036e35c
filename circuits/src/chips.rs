//! The chips: the only place that creates gates and lookups.
//!
//! | chip | columns | what it forces |
//! |---|---|---|
//! | [`tape`] | the lanes | public rows |
//! | [`requantize`] | the lanes | clamp; ties the accumulator to quotient and remainder |
//! | [`max`] | the lanes | one tap of a maximum is met |
//! | [`horner`] | two evaluations | value and accumulator of every plane at v |
//! | [`glue`] | K, X, G, Z | the identity of every operator |
//! | [`logup`] | helpers, sum, multiplicities | every range |
//!
//! Every gate is multiplied by a fixed selector or by fixed columns that are zero in the blinding rows.

pub(crate) mod columns;
pub(crate) mod glue;
pub(crate) mod horner;
pub(crate) mod logup;
pub(crate) mod max;
pub(crate) mod requantize;
pub(crate) mod tape;

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::Expression;

/// `base^e`.
pub(crate) fn power(base: &Expression<Fr>, e: usize) -> Expression<Fr> {
    match e {
        0 => Expression::Constant(Fr::one()),
        1 => base.clone(),
        _ => {
            let half = power(base, e / 2);
            let square = half.clone() * half;
            if e % 2 == 1 { square * base.clone() } else { square }
        }
    }
}

/// The polynomial in `x` that is 1 at `at` and 0 at every other value of 0..=last.
pub(crate) fn select(x: &Expression<Fr>, at: u64, last: u64) -> Expression<Fr> {
    let mut numerator = Expression::Constant(Fr::one());
    let mut denominator = Fr::one();
    for other in (0..=last).filter(|o| *o != at) {
        numerator = numerator * (x.clone() - constant(other));
        denominator *= Fr::from(at) - Fr::from(other);
    }
    let inverse: Option<Fr> = ff::Field::invert(&denominator).into();
    numerator * inverse.unwrap_or_default()
}

/// A constant expression.
pub(crate) fn constant(value: u64) -> Expression<Fr> {
    Expression::Constant(Fr::from(value))
}

/// `sum_i parts[i] 2^(bits i)`.
pub(crate) fn compose(parts: &[Expression<Fr>], bits: u32) -> Expression<Fr> {
    let mut sum = constant(0);
    for (i, part) in (0u32..).zip(parts) {
        sum = sum + part.clone() * Fr::from(1u64 << (bits * i));
    }
    sum
}
