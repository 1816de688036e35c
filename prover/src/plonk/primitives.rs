//! The prover's primitives on made-up numbers, to be timed.

use super::domain::Domain;
use super::expression::{Column, Graph, Linear};
use super::program::Program;
use ff::Field;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::{Curve, Group, prime::PrimeCurveAffine};
use halo2_proofs::poly::EvaluationDomain;
use inferproof_circuits::plan::bucket_additions;
use inferproof_verifier::msm;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::hint::black_box;

/// Log2 of the rows.
const K: u32 = 12;
/// Columns that the made-up constraints read.
const COLUMNS: usize = 24;
/// Bits of the scalars.
const SCALAR_BITS: u32 = 254;

/// Inputs of all primitives.
pub(crate) struct Primitives {
    domain: Domain,
    scalars: Vec<Fr>,
    bases: Vec<G1Affine>,
    program: Program,
    columns: Vec<Vec<Fr>>,
}

impl Primitives {
    /// Makes the inputs.
    pub fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(0);
        let omega = EvaluationDomain::<Fr>::new(1, K).get_omega();
        let domain = Domain::new(K, omega);
        let scalars: Vec<Fr> = (0..domain.n).map(|_| Fr::random(&mut rng)).collect();
        let step = G1::random(&mut rng);
        let points: Vec<G1> = std::iter::successors(Some(step), |p| Some(p + step))
            .take(domain.n)
            .collect();
        let mut bases = vec![G1Affine::identity(); domain.n];
        G1::batch_normalize(&points, &mut bases);
        // Products of sums, as the lookups have them.
        let mut graph = Graph::default();
        let mut form = Linear::default();
        for i in 0..COLUMNS {
            let at = |i: usize| Column::Advice(i % COLUMNS);
            let (a, b, c) = (
                graph.column(at(i), 0),
                graph.column(at(i + 1), 0),
                graph.column(at(i + 2), 0),
            );
            let sum = a.plus(&b.scaled(scalars[i]));
            let product = graph.product(sum, c);
            form = form.plus(&product.scaled(scalars[i + COLUMNS]));
        }
        let program = Program::new(graph, form);
        let columns = vec![scalars.clone(); program.columns.len()];
        Self {
            domain,
            scalars,
            bases,
            program,
            columns,
        }
    }

    /// Additions, butterflies and products of one run of each.
    pub fn counts(&self) -> (f64, f64, f64) {
        let count = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let n = self.domain.n as u64;
        (
            count(bucket_additions(n, SCALAR_BITS)),
            count(n / 2 * u64::from(K)),
            count(n * self.program.num_products() as u64),
        )
    }

    /// One commitment.
    pub fn commit(&self) {
        black_box(msm::multiply(black_box(&self.scalars), &self.bases));
    }

    /// One transform.
    pub fn transform(&self) {
        let mut values = self.scalars.clone();
        self.domain.evaluate(black_box(&mut values));
        black_box(values);
    }

    /// The constraints of one coset.
    pub fn constraints(&self) {
        let mut out = vec![Fr::ZERO; self.domain.n];
        self.program
            .run(&self.columns, &mut self.program.registers(), 0, &mut out);
        black_box(out);
    }
}
