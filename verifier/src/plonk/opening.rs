//! What commitment schemes have in common: how a proof shows the values of committed polynomials.

use super::lagrange::Lagrange;
use super::layout::{Commitment, Layout, Set};
use super::sums::Sums;
use crate::error::VerifyError;
use crate::transcript::StrictReader;
use ff::{BatchInvert, Field};
use halo2_proofs::halo2curves::bn256::Fr;

/// The openings of a commitment scheme. A further scheme is an implementation, a variant of [`crate::Backend`] and its
/// part of the prover.
pub(crate) trait Opening: Sync {
    /// Points and scalars that the openings take in a proof for `2^k` rows.
    fn len(&self, layout: &Layout, k: u32) -> (usize, usize);

    /// Reads the openings of all queries and completes the sums.
    ///
    /// # Errors
    /// [`VerifyError::MalformedProof`], and [`VerifyError::Rejected`] when a challenge hits a point of the queries.
    fn read(
        &self,
        queries: &Queries<'_>,
        sums: Sums,
        reader: &mut StrictReader<'_>,
    ) -> Result<Sums, VerifyError>;
}

/// Polynomials, by their commitments, with what they are claimed to be.
pub(crate) struct Queries<'a> {
    pub layout: &'a Layout,
    /// By query.
    values: Vec<Fr>,
    /// By rotation that occurs.
    points: Vec<(i32, Fr)>,
    k: u32,
}

impl<'a> Queries<'a> {
    pub fn new(layout: &'a Layout, values: Vec<Fr>, lagrange: &Lagrange<'_>) -> Self {
        let points = layout
            .rotations
            .iter()
            .map(|r| (*r, lagrange.rotated(*r)))
            .collect();
        Self {
            layout,
            values,
            points,
            k: lagrange.k(),
        }
    }

    /// Commitment, rotation and value of each query.
    pub fn iter(&self) -> impl Iterator<Item = (Commitment, i32, Fr)> + '_ {
        let queries = self.layout.queries.iter().zip(&self.values);
        queries.map(|((commitment, rotation), value)| (*commitment, *rotation, *value))
    }

    /// Log2 of the rows.
    pub fn k(&self) -> u32 {
        self.k
    }

    pub fn value(&self, query: usize) -> Option<Fr> {
        self.values.get(query).copied()
    }

    /// The point that a rotation stands for.
    pub fn point(&self, rotation: i32) -> Option<Fr> {
        self.points
            .iter()
            .find(|(r, _)| *r == rotation)
            .map(|(_, point)| *point)
    }

    /// The points of a set.
    pub fn points_of(&self, set: &Set) -> Vec<Fr> {
        let inside = self.points.iter().filter(|(r, _)| set.rotations.contains(r));
        inside.map(|(_, point)| *point).collect()
    }

    /// All other points.
    pub fn points_outside(&self, set: &Set) -> Vec<Fr> {
        let outside = self.points.iter().filter(|(r, _)| !set.rotations.contains(r));
        outside.map(|(_, point)| *point).collect()
    }
}

/// `1, base, base^2, ...`
pub(super) fn powers(base: Fr) -> impl Iterator<Item = Fr> {
    std::iter::successors(Some(Fr::ONE), move |power| Some(power * base))
}

/// `prod_p (at - p)`
pub(super) fn vanishing(points: &[Fr], at: Fr) -> Fr {
    points.iter().map(|p| at - p).product()
}

/// The weights `w` with `sum_i w_i f(points_i) = f(at)` for every polynomial f of smaller degree than there are points.
/// `None` when two points are equal.
pub(super) fn interpolation(points: &[Fr], at: Fr) -> Option<Vec<Fr>> {
    let others = |i: usize| points.iter().enumerate().filter(move |(j, _)| *j != i);
    let product = |i: usize, from: Fr| others(i).map(|(_, q)| from - q).product::<Fr>();
    let mut weights: Vec<Fr> = points.iter().enumerate().map(|(i, p)| product(i, *p)).collect();
    if weights.iter().any(|w| bool::from(w.is_zero())) {
        return None;
    }
    if points.len() > 1 {
        weights.iter_mut().batch_invert();
    }
    for (i, weight) in weights.iter_mut().enumerate() {
        *weight *= product(i, at);
    }
    Some(weights)
}
