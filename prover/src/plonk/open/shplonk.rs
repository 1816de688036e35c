//! SHPLONK (Boneh, Drake, Fisch, Gabizon, "Efficient polynomial commitment schemes for multiple points and
//! polynomials", scheme of section 4) in the order of halo2's verifier.

use super::{Opening, Query, Set, add_scaled, combine, divide, points, sets};
use crate::plonk::domain::inverse;
use crate::plonk::{PlonkError, Prover, stage};
use ff::Field;
use halo2_proofs::arithmetic::{eval_polynomial, lagrange_interpolate};
use halo2_proofs::halo2curves::bn256::Fr;

pub(super) struct Shplonk;

impl Opening for Shplonk {
    fn open(&self, prover: &mut Prover<'_>, queries: &[Query<'_>], x: Fr) -> Result<(), PlonkError> {
        let n = prover.domain.n;
        let points = points(prover, queries, x);
        let (y, v) = (prover.challenge(), prover.challenge());
        let combination = prover
            .profile
            .time(stage::OPEN, || Combination::new(queries, points, n, y, v));
        prover.commit(std::slice::from_ref(&combination.quotient))?;
        let u = prover.challenge();
        let last = prover.profile.time(stage::OPEN, || combination.at(u));
        prover.commit(&[last])
    }
}

fn vanishing(points: impl Iterator<Item = Fr>, at: Fr) -> Fr {
    points.map(|p| at - p).product()
}

struct Combination<'a> {
    sets: Vec<Set<'a>>,
    /// Every rotation that occurs, with its point.
    points: Vec<(i32, Fr)>,
    /// By set: the combined polynomial and its interpolation over the set's points.
    combined: Vec<(Vec<Fr>, Vec<Fr>)>,
    /// The first polynomial to commit to.
    quotient: Vec<Fr>,
    v: Fr,
}

impl<'a> Combination<'a> {
    fn new(queries: &[Query<'a>], points: Vec<(i32, Fr)>, n: usize, y: Fr, v: Fr) -> Self {
        let sets = sets(queries);
        let mut combined = Vec::with_capacity(sets.len());
        let mut sum = vec![Fr::ZERO; n];
        let mut power = Fr::ONE;
        for set in &sets {
            let p = combine(&set.polynomials, y, n);
            let at = set.points(&points);
            let values: Vec<Fr> = at.iter().map(|x| eval_polynomial(&p, *x)).collect();
            let remainder = lagrange_interpolate(&at, &values);
            // Division drops the remainder.
            let mut quotient = p.clone();
            at.iter().for_each(|x| divide(&mut quotient, *x));
            add_scaled(&mut sum, power, &quotient);
            power *= v;
            combined.push((p, remainder));
        }
        Self {
            sets,
            points,
            combined,
            quotient: sum,
            v,
        }
    }

    /// The second polynomial to commit to, after `u` was drawn.
    fn at(self, u: Fr) -> Vec<Fr> {
        let mut sum = vec![Fr::ZERO; self.quotient.len()];
        let (mut power, mut first) = (Fr::ONE, None);
        for (set, (p, remainder)) in self.sets.iter().zip(&self.combined) {
            let others = self.points.iter().filter(|p| !set.rotations.contains(&p.0));
            let z = vanishing(others.map(|p| p.1), u);
            first.get_or_insert(z);
            let factor = power * z;
            add_scaled(&mut sum, factor, p);
            sum[0] -= factor * eval_polynomial(remainder, u);
            power *= self.v;
        }
        let z = vanishing(self.points.iter().map(|p| p.1), u);
        add_scaled(&mut sum, -z, &self.quotient);
        divide(&mut sum, u);
        // u is one of the points with negligible probability only; the proof is checked before it is handed out.
        let scale = inverse(first.unwrap_or(Fr::ONE));
        sum.iter_mut().for_each(|s| *s *= scale);
        sum
    }
}
