//! The inner product argument (Bowe, Grigg, Hopwood, "Recursive proof composition without a trusted setup"), with halo2's
//! opening at many points, in the order of halo2's verifier.
//!
//! Commitments carry no blinding of their own: as with KZG, every committed column has random rows. What the argument
//! itself would show is hidden by a random mask and by the generator for blinding.

use super::{Opening, Query, combine, divide, points, scale_and_add, sets};
use crate::plonk::domain::{inverse, powers};
use crate::plonk::{PlonkError, Prover, stage};
use crate::srs::Multiplier;
use ff::Field;
use halo2_proofs::arithmetic::{compute_inner_product, eval_polynomial};
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::{Curve, prime::PrimeCurveAffine};
use inferproof_verifier::{Generators, msm};
use rayon::prelude::*;

/// Points that one task folds.
const TASK: usize = 64;

pub(super) struct Ipa;

impl Opening for Ipa {
    fn open(&self, prover: &mut Prover<'_>, queries: &[Query<'_>], x: Fr) -> Result<(), PlonkError> {
        let n = prover.domain.n;
        let points = points(prover, queries, x);
        let (x_1, x_2) = (prover.challenge(), prover.challenge());
        let sets = sets(queries);
        let combined: Vec<Vec<Fr>> = prover.profile.time(stage::OPEN, || {
            let combine = |polynomials: &[&[Fr]]| {
                let last_first: Vec<&[Fr]> = polynomials.iter().rev().copied().collect();
                combine(&last_first, x_1, n)
            };
            sets.iter().map(|set| combine(&set.polynomials)).collect()
        });
        let mut opened = vec![Fr::ZERO; n];
        prover.profile.time(stage::OPEN, || {
            for (set, combined) in sets.iter().zip(&combined) {
                let mut quotient = combined.clone();
                set.points(&points).iter().for_each(|x| divide(&mut quotient, *x));
                scale_and_add(&mut opened, x_2, &quotient);
            }
        });
        prover.commit(std::slice::from_ref(&opened))?;
        let x_3 = prover.challenge();
        for polynomial in &combined {
            prover.scalar(eval_polynomial(polynomial, x_3))?;
        }
        let x_4 = prover.challenge();
        for polynomial in &combined {
            scale_and_add(&mut opened, x_4, polynomial);
        }
        let generators = prover.keys.srs().generators().ok_or(PlonkError::Generators)?;
        inner_product(prover, &generators, opened, x_3)
    }
}

/// Proves what the polynomial, whose commitment the verifier knows, is at `x`.
fn inner_product(
    prover: &mut Prover<'_>,
    generators: &Generators,
    mut polynomial: Vec<Fr>,
    x: Fr,
) -> Result<(), PlonkError> {
    let n = polynomial.len();
    let mut mask: Vec<Fr> = (0..n).map(|_| Fr::random(&mut prover.rng)).collect();
    let at_x = eval_polynomial(&mask, x);
    mask[0] -= at_x;
    let mask_blind = Fr::random(&mut prover.rng);
    let commitment = msm::multiply(&mask, &generators.powers) + generators.blind * mask_blind;
    prover.point(&commitment)?;
    let xi = prover.challenge();
    let z = prover.challenge();
    polynomial.iter_mut().zip(&mask).for_each(|(p, m)| *p += xi * m);
    let at_x = eval_polynomial(&polynomial, x);
    polynomial[0] -= at_x;
    let mut blind = mask_blind * xi;

    let mut points = powers(x, n);
    let mut bases = generators.powers.clone();
    while polynomial.len() > 1 {
        let half = polynomial.len() / 2;
        let (low, high) = polynomial.split_at(half);
        let blinds = [Fr::random(&mut prover.rng), Fr::random(&mut prover.rng)];
        let cross = |values: &[Fr], bases: &[G1Affine], points: &[Fr], blind: Fr| {
            let value = compute_inner_product(values, points) * z;
            msm::multiply(values, bases) + generators.value * value + generators.blind * blind
        };
        let (left, right) = prover.profile.time(stage::OPEN, || {
            rayon::join(
                || cross(high, &bases[..half], &points[..half], blinds[0]),
                || cross(low, &bases[half..], &points[half..], blinds[1]),
            )
        });
        prover.point(&left)?;
        prover.point(&right)?;
        let u = prover.challenge();
        let u_inverse = inverse(u);
        fold(&mut polynomial, u_inverse);
        fold(&mut points, u);
        bases = prover.profile.time(stage::OPEN, || fold_bases(&bases, u));
        blind += blinds[0] * u_inverse + blinds[1] * u;
    }
    prover.scalar(polynomial[0])?;
    prover.scalar(blind)
}

/// The lower half plus `factor` times the upper half.
fn fold(values: &mut Vec<Fr>, factor: Fr) {
    let upper = values.split_off(values.len() / 2);
    values.iter_mut().zip(upper).for_each(|(l, u)| *l += factor * u);
}

/// As [`fold`], of points.
fn fold_bases(bases: &[G1Affine], factor: Fr) -> Vec<G1Affine> {
    let (lower, upper) = bases.split_at(bases.len() / 2);
    let multiplier = Multiplier::new(&factor);
    let tasks = lower.par_chunks(TASK).zip(upper.par_chunks(TASK));
    let folded: Vec<Vec<G1Affine>> = tasks
        .map(|(lower, upper)| {
            let sums: Vec<G1> = lower
                .iter()
                .zip(upper)
                .map(|(l, u)| multiplier.multiply(&u.to_curve()) + l)
                .collect();
            let mut affine = vec![G1Affine::identity(); sums.len()];
            G1::batch_normalize(&sums, &mut affine);
            affine
        })
        .collect();
    folded.concat()
}
