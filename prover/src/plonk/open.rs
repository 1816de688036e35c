//! Openings of many polynomials at few points.

use super::domain::powers;
use ff::Field;
use halo2_proofs::arithmetic::{eval_polynomial, lagrange_interpolate};
use halo2_proofs::halo2curves::bn256::Fr;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// A polynomial, and how far behind x in the rows' order it is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a> {
    pub polynomial: &'a [Fr],
    pub rotation: i32,
}

/// Polynomials that are opened at the same points, combined by powers of a challenge.
struct Set<'a> {
    rotations: BTreeSet<i32>,
    polynomials: Vec<&'a [Fr]>,
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

fn vanishing(points: impl Iterator<Item = Fr>, at: Fr) -> Fr {
    points.map(|p| at - p).product()
}

/// SHPLONK (Boneh, Drake, Fisch, Gabizon, "Efficient polynomial commitment schemes for multiple points and
/// polynomials", scheme of section 4) in the order of halo2's verifier.
pub(super) struct Shplonk<'a> {
    sets: Vec<Set<'a>>,
    /// Every rotation that occurs, with its point.
    points: Vec<(i32, Fr)>,
    /// By set: the combined polynomial and its interpolation over the set's points.
    combined: Vec<(Vec<Fr>, Vec<Fr>)>,
    quotient: Vec<Fr>,
    v: Fr,
}

impl<'a> Shplonk<'a> {
    /// The first polynomial to commit to is [`Shplonk::quotient`].
    pub fn new(queries: &[Query<'a>], point: impl Fn(i32) -> Fr, n: usize, y: Fr, v: Fr) -> Self {
        let sets = sets(queries);
        let rotations: BTreeSet<i32> = queries.iter().map(|q| q.rotation).collect();
        let points: Vec<(i32, Fr)> = rotations.into_iter().map(|r| (r, point(r))).collect();
        let mut shplonk = Self {
            sets,
            points,
            combined: Vec::new(),
            quotient: vec![Fr::ZERO; n],
            v,
        };
        let mut power = Fr::ONE;
        for i in 0..shplonk.sets.len() {
            let p = combine(&shplonk.sets[i].polynomials, y, n);
            let at = shplonk.points_of(i);
            let values: Vec<Fr> = at.iter().map(|x| eval_polynomial(&p, *x)).collect();
            let remainder = lagrange_interpolate(&at, &values);
            let mut quotient = p.clone();
            quotient.iter_mut().zip(&remainder).for_each(|(q, r)| *q -= r);
            at.iter().for_each(|x| divide(&mut quotient, *x));
            for (h, q) in shplonk.quotient.iter_mut().zip(&quotient) {
                *h += power * q;
            }
            power *= v;
            shplonk.combined.push((p, remainder));
        }
        shplonk
    }

    fn points_of(&self, set: usize) -> Vec<Fr> {
        let rotations = &self.sets[set].rotations;
        let of = |(r, x): &(i32, Fr)| rotations.contains(r).then_some(*x);
        self.points.iter().filter_map(of).collect()
    }

    /// The quotient of all sets.
    pub fn quotient(&self) -> &[Fr] {
        &self.quotient
    }

    /// The second polynomial to commit to, after `u` was drawn.
    pub fn at(self, u: Fr) -> Vec<Fr> {
        let mut sum = vec![Fr::ZERO; self.quotient.len()];
        let (mut power, mut first) = (Fr::ONE, None);
        for (i, (p, remainder)) in self.combined.iter().enumerate() {
            let others = self
                .points
                .iter()
                .filter(|p| !self.sets[i].rotations.contains(&p.0));
            let z = vanishing(others.map(|p| p.1), u);
            first.get_or_insert(z);
            let factor = power * z;
            sum.iter_mut().zip(p).for_each(|(s, p)| *s += factor * p);
            sum[0] -= factor * eval_polynomial(remainder, u);
            power *= self.v;
        }
        let z = vanishing(self.points.iter().map(|p| p.1), u);
        sum.iter_mut().zip(&self.quotient).for_each(|(s, q)| *s -= z * q);
        divide(&mut sum, u);
        // u is one of the points with negligible probability only; the proof is checked before it is handed out.
        let scale = first
            .and_then(|z| Option::<Fr>::from(z.invert()))
            .unwrap_or_default();
        sum.iter_mut().for_each(|s| *s *= scale);
        sum
    }
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

/// GWC (Gabizon, Williamson, Ciobotaru, "PLONK"): one polynomial to commit to for each point, in the order of the
/// points' first queries.
pub(super) fn gwc(queries: &[Query<'_>], point: impl Fn(i32) -> Fr, n: usize, v: Fr) -> Vec<Vec<Fr>> {
    let mut rotations: Vec<i32> = Vec::new();
    for query in queries {
        if !rotations.contains(&query.rotation) {
            rotations.push(query.rotation);
        }
    }
    let open = |rotation: i32| {
        let here: Vec<&[Fr]> = queries
            .iter()
            .filter(|q| q.rotation == rotation)
            .map(|q| q.polynomial)
            .collect();
        let mut p = combine(&here, v, n);
        divide(&mut p, point(rotation));
        p
    };
    rotations.into_iter().map(open).collect()
}
