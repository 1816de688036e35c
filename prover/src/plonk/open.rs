//! Openings of many polynomials at few points.

mod gwc;
mod ipa;
mod shplonk;

use super::domain::powers;
use super::{PlonkError, Prover};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::poly::Rotation;
use inferproof_verifier::Backend;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// The prover's part of a commitment scheme: it shows the values of polynomials that were committed to. The commitments
/// themselves are the same for all, sums over the bases of [`crate::srs::Srs`].
pub(super) trait Opening {
    /// Draws the scheme's challenges and writes what opens all queries around `x`.
    ///
    /// # Errors
    /// [`PlonkError::Transcript`].
    fn open(&self, prover: &mut Prover<'_>, queries: &[Query<'_>], x: Fr) -> Result<(), PlonkError>;
}

/// The opening of a backend, if this prover knows it.
pub(super) fn opening(backend: Backend) -> Result<&'static dyn Opening, PlonkError> {
    match backend {
        Backend::Shplonk => Ok(&shplonk::Shplonk),
        Backend::Gwc => Ok(&gwc::Gwc),
        Backend::Ipa => Ok(&ipa::Ipa),
        backend => Err(PlonkError::Backend { backend }),
    }
}

/// A polynomial, and how far behind x in the rows' order it is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub polynomial: &'a [Fr],
    pub rotation: i32,
}

/// Every rotation that occurs, with its point.
fn points(prover: &Prover<'_>, queries: &[Query<'_>], x: Fr) -> Vec<(i32, Fr)> {
    let rows = prover.pk.get_vk().get_domain();
    let rotations: BTreeSet<i32> = queries.iter().map(|q| q.rotation).collect();
    let point = |rotation| (rotation, rows.rotate_omega(x, Rotation(rotation)));
    rotations.into_iter().map(point).collect()
}

/// Polynomials that are opened at the same points.
struct Set<'a> {
    rotations: BTreeSet<i32>,
    polynomials: Vec<&'a [Fr]>,
}

impl Set<'_> {
    /// Its points among all.
    fn points(&self, all: &[(i32, Fr)]) -> Vec<Fr> {
        let inside = all.iter().filter(|(r, _)| self.rotations.contains(r));
        inside.map(|(_, point)| *point).collect()
    }
}

/// `sum_i challenge^i polynomials_i`.
fn combine(polynomials: &[&[Fr]], challenge: Fr, n: usize) -> Vec<Fr> {
    let powers = powers(challenge, polynomials.len());
    let mut sum = vec![Fr::ZERO; n];
    let tasks = sum.par_chunks_mut(1024).enumerate();
    tasks.for_each(|(i, chunk)| {
        for (polynomial, power) in polynomials.iter().zip(&powers) {
            let rows = polynomial.get(i * 1024..).unwrap_or_default();
            chunk.iter_mut().zip(rows).for_each(|(s, p)| *s += p * power);
        }
    });
    sum
}

/// `p / (X - point)` without its remainder, in place of p.
fn divide(p: &mut [Fr], point: Fr) {
    let mut carry = Fr::ZERO;
    for coefficient in p.iter_mut().rev() {
        let quotient = carry;
        carry = *coefficient + carry * point;
        *coefficient = quotient;
    }
}

/// `a + factor b`, in place of a.
fn add_scaled(a: &mut [Fr], factor: Fr, b: &[Fr]) {
    a.par_iter_mut().zip(b).for_each(|(a, b)| *a += factor * b);
}

/// `factor a + b`, in place of a.
fn scale_and_add(a: &mut [Fr], factor: Fr, b: &[Fr]) {
    a.par_iter_mut().zip(b).for_each(|(a, b)| *a = *a * factor + b);
}

/// Polynomials by the set of their rotations, both in the order of their first query.
fn sets<'a>(queries: &[Query<'a>]) -> Vec<Set<'a>> {
    let mut polynomials: Vec<(&[Fr], BTreeSet<i32>)> = Vec::new();
    for query in queries {
        let known = polynomials
            .iter_mut()
            .find(|(p, _)| std::ptr::eq(*p, query.polynomial));
        match known {
            Some((_, rotations)) => {
                rotations.insert(query.rotation);
            }
            None => polynomials.push((query.polynomial, BTreeSet::from([query.rotation]))),
        }
    }
    let mut sets: Vec<Set<'a>> = Vec::new();
    for (polynomial, rotations) in polynomials {
        match sets.iter_mut().find(|s| s.rotations == rotations) {
            Some(set) => set.polynomials.push(polynomial),
            None => sets.push(Set {
                rotations,
                polynomials: vec![polynomial],
            }),
        }
    }
    sets
}
