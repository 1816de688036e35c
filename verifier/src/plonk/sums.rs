//! Sums of points that say whether proofs are valid.
//!
//! A KZG proof is valid when `e(L, tau G2) = e(R, G2)` for two sums L and R of points, a proof of the inner product argument
//! when one sum R is the identity. For many proofs on one setup, the sums with random weights are checked at once: a batch
//! with a bad proof passes with probability 1/r, r the order of the group (254 bits).

use super::lagrange::Lagrange;
use super::layout::Commitment;
use super::opening::powers;
use crate::key::VerifyingKey;
use crate::msm;
use crate::scheme::{Generators, Scheme};
use crate::srs::SrsVerifier;
use ff::Field;
use halo2_proofs::{
    arithmetic::best_multiexp,
    halo2curves::{
        bn256::{Bn256, Fr, G1, G1Affine},
        group::{Curve, Group, prime::PrimeCurveAffine},
        pairing::{MillerLoopResult, MultiMillerLoop},
    },
};
use std::{collections::BTreeMap, ops::Range};

/// Up to this many terms the curve library's own sum is as fast.
const FEW: usize = 256;

/// The sums of one proof.
pub(crate) struct Sums {
    /// The proof's points.
    pub(super) points: Vec<G1Affine>,
    /// Their scalars in R.
    pub(super) right: Vec<Fr>,
    /// Points and scalars of L.
    left: Vec<(Fr, G1Affine)>,
    /// Scalars in R of the generator, the fixed columns and the permutation's columns.
    pub(super) key: Vec<Fr>,
    num_fixed: usize,
    /// The quotient's pieces, and `x^n`.
    quotient: (Range<usize>, Fr),
    pub(super) inner: Option<Inner>,
}

/// What the inner product argument adds to R.
pub(super) struct Inner {
    /// Challenges of the rounds.
    pub challenges: Vec<Fr>,
    /// Factor of the folded generators.
    pub folded: Fr,
    /// Scalar of the generator for values.
    pub value: Fr,
    /// Scalar of the generator for blinding.
    pub blind: Fr,
}

impl Sums {
    pub(super) fn new(key: &VerifyingKey, points: Vec<G1Affine>, lagrange: &Lagrange<'_>) -> Self {
        let num_fixed = key.halo2().fixed_commitments().len();
        let num_sigmas = key.halo2().permutation().commitments().len();
        Self {
            right: vec![Fr::ZERO; points.len()],
            points,
            left: Vec::new(),
            key: vec![Fr::ZERO; 1 + num_fixed + num_sigmas],
            num_fixed,
            quotient: (key.system().layout.quotient.clone(), lagrange.x_n()),
            inner: None,
        }
    }

    /// Adds to R a commitment, times a scalar.
    pub(super) fn commitment(&mut self, commitment: Commitment, scalar: Fr) {
        match commitment {
            Commitment::Fixed(column) => self.key[1 + column] += scalar,
            Commitment::Sigma(column) => self.key[1 + self.num_fixed + column] += scalar,
            Commitment::Proof(point) => self.right[point] += scalar,
            Commitment::Quotient => {
                let (pieces, x_n) = self.quotient.clone();
                for (piece, power) in pieces.zip(powers(x_n)) {
                    self.right[piece] += scalar * power;
                }
            }
        }
    }

    /// Adds to R the generator, times a scalar.
    pub(super) fn generator(&mut self, scalar: Fr) {
        self.key[0] += scalar;
    }

    /// Adds to R a further point of the proof, times a scalar.
    pub(super) fn point(&mut self, point: G1Affine, scalar: Fr) {
        self.points.push(point);
        self.right.push(scalar);
    }

    /// As [`Sums::point`], and to L with another scalar.
    pub(super) fn opened(&mut self, point: G1Affine, right: Fr, left: Fr) {
        self.point(point, right);
        self.left.push((left, point));
    }

    /// Completes the sum of an inner product argument.
    pub(super) fn inner(&mut self, inner: Inner) {
        self.inner = Some(inner);
    }
}

/// Weighted sums of proofs on one setup.
pub(crate) struct Batch<'a> {
    srs: &'a SrsVerifier,
    scheme: &'a Scheme,
    /// By the digest of the key: its scalars.
    keys: BTreeMap<[u8; 32], (&'a VerifyingKey, Vec<Fr>)>,
    left: Vec<(Fr, G1Affine)>,
    right: Vec<(Fr, G1Affine)>,
    inner: Option<InnerSum<'a>>,
}

struct InnerSum<'a> {
    generators: &'a Generators,
    scalars: Vec<Fr>,
    value: Fr,
    blind: Fr,
}

impl<'a> Batch<'a> {
    /// An empty batch for proofs under keys with the setup of this one.
    pub(crate) fn new(key: &'a VerifyingKey) -> Self {
        let scheme = key.scheme();
        let inner = match scheme {
            Scheme::Kzg(_) => None,
            Scheme::Ipa(lazy) => Some(InnerSum {
                generators: lazy.get(),
                scalars: vec![Fr::ZERO; lazy.get().powers.len()],
                value: Fr::ZERO,
                blind: Fr::ZERO,
            }),
        };
        Self {
            srs: key.srs(),
            scheme,
            keys: BTreeMap::new(),
            left: Vec::new(),
            right: Vec::new(),
            inner,
        }
    }

    /// Whether proofs under the key can be in this batch.
    pub(crate) fn takes(&self, key: &VerifyingKey) -> bool {
        self.srs.is_one_setup(key.srs())
    }

    /// Adds the sums of a proof under `key`, times a weight.
    pub(crate) fn add(&mut self, key: &'a VerifyingKey, sums: Sums, weight: Fr) {
        let entry = self.keys.entry(*key.id().as_bytes());
        let (_, scalars) = entry.or_insert_with(|| (key, vec![Fr::ZERO; sums.key.len()]));
        for (sum, scalar) in scalars.iter_mut().zip(&sums.key) {
            *sum += weight * scalar;
        }
        let right = sums.right.iter().zip(sums.points);
        self.right
            .extend(right.map(|(scalar, point)| (weight * scalar, point)));
        self.left
            .extend(sums.left.into_iter().map(|(s, point)| (weight * s, point)));
        if let (Some(sum), Some(inner)) = (&mut self.inner, sums.inner) {
            sum.value += weight * inner.value;
            sum.blind += weight * inner.blind;
            let folded = fold(&inner.challenges, weight * inner.folded);
            sum.scalars.iter_mut().zip(folded).for_each(|(s, f)| *s += f);
        }
    }

    /// Whether all proofs are valid.
    pub(crate) fn check(mut self) -> bool {
        for (key, scalars) in self.keys.values() {
            self.right.extend(scalars.iter().copied().zip(bases(key)));
        }
        if let Some(inner) = self.inner {
            let generators = inner.generators;
            let powers = generators.powers.iter().copied();
            self.right.extend(inner.scalars.into_iter().zip(powers));
            self.right.push((inner.value, generators.value));
            self.right.push((inner.blind, generators.blind));
        }
        let (left, right) = rayon::join(|| multiply(&self.left), || multiply(&self.right));
        match self.scheme {
            Scheme::Ipa(_) => bool::from(right.is_identity()),
            Scheme::Kzg(pairing) => {
                let (left, right) = (left.to_affine(), right.to_affine());
                let terms = [(&left, &pairing.tau_g2), (&right, &pairing.minus_g2)];
                let product = Bn256::multi_miller_loop(&terms).final_exponentiation();
                bool::from(product.is_identity())
            }
        }
    }
}

/// What the scalars of a key are for: the commitment to the constant 1, the fixed columns, the permutation's columns.
pub(super) fn bases(key: &VerifyingKey) -> impl Iterator<Item = G1Affine> + '_ {
    let generator = match key.scheme() {
        Scheme::Kzg(_) => Some(G1Affine::generator()),
        Scheme::Ipa(lazy) => lazy.get().powers.first().copied(),
    };
    let (fixed, sigmas) = (
        key.halo2().fixed_commitments(),
        key.halo2().permutation().commitments(),
    );
    generator.into_iter().chain(fixed.iter().chain(sigmas).copied())
}

/// The coefficients of `factor prod_i (1 + u_(k-1-i) X^(2^i))`: what folding by the challenges leaves of each generator.
pub(super) fn fold(challenges: &[Fr], factor: Fr) -> Vec<Fr> {
    challenges.iter().rev().fold(vec![factor], |mut folded, u| {
        let upper: Vec<Fr> = folded.iter().map(|s| s * u).collect();
        folded.extend(upper);
        folded
    })
}

/// `sum_i s_i P_i`. The identity, which a proof or a zero fixed column may hold, is left out: neither sum knows it.
fn multiply(terms: &[(Fr, G1Affine)]) -> G1 {
    let counts =
        |(scalar, point): &&(Fr, G1Affine)| !bool::from(scalar.is_zero()) && !bool::from(point.is_identity());
    let (scalars, points): (Vec<Fr>, Vec<G1Affine>) = terms.iter().filter(counts).copied().unzip();
    match scalars.len() {
        0 => G1::identity(),
        1..=FEW => best_multiexp(&scalars, &points),
        _ => msm::multiply(&scalars, &points),
    }
}
