//! SHPLONK: all openings by two points.
//!
//! # Source
//! Boneh, Drake, Fisch, Gabizon, "Efficient polynomial commitment schemes for multiple points and polynomials", section
//! 4, scaled by halo2 so that the first set has factor 1.

use super::layout::Layout;
use super::opening::{Opening, Queries, interpolation, powers, vanishing};
use super::sums::Sums;
use crate::error::VerifyError;
use crate::transcript::StrictReader;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

pub(crate) struct Shplonk;

impl Opening for Shplonk {
    fn len(&self, _: &Layout, _: u32) -> (usize, usize) {
        (2, 0)
    }

    fn read(
        &self,
        queries: &Queries<'_>,
        mut sums: Sums,
        reader: &mut StrictReader<'_>,
    ) -> Result<Sums, VerifyError> {
        let (y, v) = (reader.challenge(), reader.challenge());
        let quotient = reader.point()?;
        let u = reader.challenge();
        let last = reader.point()?;
        let vanishing_first = combine(queries, &mut sums, [y, v, u]).ok_or(VerifyError::Rejected)?;
        sums.point(quotient, -vanishing_first);
        sums.opened(last, u, Fr::ONE);
        Ok(sums)
    }
}

/// Adds `sum_i v^i (Z_i(u) / Z_0(u)) sum_j y^j (C_ij - r_ij(u))`, `Z_i` vanishing on the points that set i lacks, and
/// gives the polynomial that vanishes on the points of the first set, at u.
fn combine(queries: &Queries<'_>, sums: &mut Sums, [y, v, u]: [Fr; 3]) -> Option<Fr> {
    let sets = &queries.layout.sets;
    let first = sets.first()?;
    let scale = Option::<Fr>::from(vanishing(&queries.points_outside(first), u).invert())?;
    let mut constant = Fr::ZERO;
    for (set, power) in sets.iter().zip(powers(v)) {
        let factor = power * scale * vanishing(&queries.points_outside(set), u);
        let weights = interpolation(&queries.points_of(set), u)?;
        for (member, power) in set.members.iter().zip(powers(y)) {
            let scalar = factor * power;
            sums.commitment(member.commitment, scalar);
            for (query, weight) in member.queries.iter().zip(&weights) {
                constant += scalar * weight * queries.value(*query)?;
            }
        }
    }
    sums.generator(-constant);
    Some(vanishing(&queries.points_of(first), u))
}
