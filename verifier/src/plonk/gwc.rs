//! GWC: one point for each rotation.
//!
//! # Source
//! Gabizon, Williamson, Ciobotaru, "PLONK", section 3.1.

use super::layout::Layout;
use super::opening::{Opening, Queries, powers};
use super::sums::Sums;
use crate::error::VerifyError;
use crate::transcript::StrictReader;
use halo2_proofs::halo2curves::bn256::Fr;

pub(crate) struct Gwc;

impl Opening for Gwc {
    fn len(&self, layout: &Layout, _: u32) -> (usize, usize) {
        (layout.rotations.len(), 0)
    }

    fn read(
        &self,
        queries: &Queries<'_>,
        mut sums: Sums,
        reader: &mut StrictReader<'_>,
    ) -> Result<Sums, VerifyError> {
        let v = reader.challenge();
        let rotations = rotations(queries);
        let mut witnesses = Vec::with_capacity(rotations.len());
        reader.points(rotations.len(), &mut witnesses)?;
        let u = reader.challenge();
        for ((rotation, witness), power) in rotations.into_iter().zip(witnesses).zip(powers(u)) {
            combine(queries, &mut sums, rotation, v, power);
            let point = queries.point(rotation).ok_or(VerifyError::Rejected)?;
            sums.opened(witness, power * point, power);
        }
        Ok(sums)
    }
}

/// Adds `factor sum_j v^j (C_j - c_j)` over the queries at one rotation.
pub(super) fn combine(queries: &Queries<'_>, sums: &mut Sums, rotation: i32, v: Fr, factor: Fr) {
    let here = queries.iter().filter(|(_, r, _)| *r == rotation);
    for ((commitment, _, value), power) in here.zip(powers(v)) {
        let scalar = factor * power;
        sums.commitment(commitment, scalar);
        sums.generator(-scalar * value);
    }
}

/// The rotations in the order of their first queries.
pub(super) fn rotations(queries: &Queries<'_>) -> Vec<i32> {
    let mut rotations: Vec<i32> = Vec::new();
    for (_, rotation, _) in queries.iter() {
        if !rotations.contains(&rotation) {
            rotations.push(rotation);
        }
    }
    rotations
}
