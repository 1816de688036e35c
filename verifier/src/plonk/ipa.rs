//! The inner product argument: no trusted setup, openings of logarithmic size, verification linear in the rows.
//!
//! # Source
//! Bowe, Grigg, Hopwood, "Recursive proof composition without a trusted setup" (Halo), with halo2's opening at many points
//! and its order of messages.

use super::layout::Layout;
use super::opening::{Opening, Queries, interpolation, powers, vanishing};
use super::sums::{Inner, Sums};
use crate::error::VerifyError;
use crate::transcript::StrictReader;
use ff::{BatchInvert, Field};
use halo2_proofs::halo2curves::bn256::Fr;

pub(crate) struct Ipa;

impl Opening for Ipa {
    fn len(&self, layout: &Layout, k: u32) -> (usize, usize) {
        // The quotient, the mask and two points a round; a value for each set, and the last two scalars.
        (2 + 2 * k as usize, layout.sets.len() + 2)
    }

    fn read(
        &self,
        queries: &Queries<'_>,
        mut sums: Sums,
        reader: &mut StrictReader<'_>,
    ) -> Result<Sums, VerifyError> {
        let sets = &queries.layout.sets;
        let (x_1, x_2) = (reader.challenge(), reader.challenge());
        let quotient = reader.point()?;
        let x_3 = reader.challenge();
        let values = reader.scalars(sets.len())?;
        let x_4 = reader.challenge();

        let quotient_value =
            quotient_value(queries, &values, [x_1, x_2, x_3]).ok_or(VerifyError::Rejected)?;
        // The polynomial that is opened at x_3: the sets' combinations and the quotient by powers of x_4, the last first.
        let mut value = Fr::ZERO;
        let mut power = Fr::ONE;
        for (set, claimed) in sets.iter().zip(&values).rev() {
            for (member, scalar) in set.members.iter().rev().zip(powers(x_1)) {
                sums.commitment(member.commitment, power * scalar);
            }
            value += power * claimed;
            power *= x_4;
        }
        sums.point(quotient, power);
        value += power * quotient_value;
        inner_product(queries.k(), value, x_3, sums, reader)
    }
}

/// The value at `x_3` of `sum_i x_2^i (q_i - r_i) / Z_i`, the last set first: q_i are the combinations of the sets, stated by
/// the proof, r_i what interpolates their values, Z_i what vanishes on their points.
fn quotient_value(queries: &Queries<'_>, values: &[Fr], [x_1, x_2, x_3]: [Fr; 3]) -> Option<Fr> {
    let mut sum = Fr::ZERO;
    for (set, value) in queries.layout.sets.iter().zip(values) {
        let points = queries.points_of(set);
        let weights = interpolation(&points, x_3)?;
        let mut remainder = Fr::ZERO;
        for (member, power) in set.members.iter().rev().zip(powers(x_1)) {
            for (query, weight) in member.queries.iter().zip(&weights) {
                remainder += power * weight * queries.value(*query)?;
            }
        }
        let inverse = Option::<Fr>::from(vanishing(&points, x_3).invert())?;
        sum = sum * x_2 + (*value - remainder) * inverse;
    }
    Some(sum)
}

/// Reads the argument that the polynomial which `sums` commit to is `value` at `x`.
fn inner_product(
    k: u32,
    value: Fr,
    x: Fr,
    mut sums: Sums,
    reader: &mut StrictReader<'_>,
) -> Result<Sums, VerifyError> {
    sums.generator(-value);
    let mask = reader.point()?;
    let xi = reader.challenge();
    sums.point(mask, xi);
    let z = reader.challenge();
    let mut rounds = Vec::with_capacity(k as usize);
    for _ in 0..k {
        let (left, right) = (reader.point()?, reader.point()?);
        rounds.push((left, right, reader.challenge()));
    }
    let challenges: Vec<Fr> = rounds.iter().map(|(_, _, u)| *u).collect();
    if challenges.iter().any(|u| bool::from(u.is_zero())) {
        return Err(VerifyError::Rejected);
    }
    let mut inverses = challenges.clone();
    inverses.iter_mut().batch_invert();
    for ((left, right, u), inverse) in rounds.into_iter().zip(inverses) {
        sums.point(left, inverse);
        sums.point(right, u);
    }
    let (last, blind) = (reader.scalar()?, reader.scalar()?);
    let folded = folded_powers(&challenges, x);
    sums.inner(Inner {
        challenges,
        folded: -last,
        value: -last * folded * z,
        blind: -blind,
    });
    Ok(sums)
}

/// What folding by the challenges leaves of `1, x, x^2, ...`: `prod_i (1 + u_(k-1-i) x^(2^i))`.
fn folded_powers(challenges: &[Fr], x: Fr) -> Fr {
    let squares = std::iter::successors(Some(x), |x| Some(x.square()));
    let factors = challenges.iter().rev().zip(squares);
    factors.map(|(u, power)| Fr::ONE + u * power).product()
}
