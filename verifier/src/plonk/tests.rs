//! This verifier against halo2's.
//!
//! Beside honest proofs and proofs with an error, both read *random* proofs: whoever knows tau can end any beginning with
//! points that open it. Such a proof passes when the sums that a verifier computes are exactly those that the forger
//! solved for, so that halo2's acceptance of what was solved with this verifier's sums shows that both compute the same
//! points, with every term in it.

use super::*;
use crate::backend::Backend;
use crate::points::encode_g1;
use crate::statement::{instance_column, statement_scalar};
use crate::tests::fixture::{Model, Spec, small, stock_accepts, two_proofs};
use crate::verify::run;
use ff::PrimeField;
use halo2_proofs::halo2curves::bn256::{G1, G2, G2Affine};
use halo2_proofs::halo2curves::group::{Curve, Group};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

const BACKENDS: [Backend; 2] = [Backend::Shplonk, Backend::Gwc];
const ROUNDS: u64 = 100;

/// The secret of the fixture's setup.
fn tau(model: &Model, seed: u64) -> Fr {
    let tau = Fr::random(ChaCha20Rng::seed_from_u64(seed));
    assert_eq!(
        (G2::from(G2Affine::generator()) * tau).to_affine(),
        model.srs.s_g2()
    );
    tau
}

/// Both verifiers' answer.
fn accepted(model: &Model, column: &[Fr], statement: Fr, proof: &[u8]) -> bool {
    let ours = run(&model.key, column, statement, proof).is_ok();
    assert_eq!(ours, stock_accepts(model, column, statement, proof));
    ours
}

/// Random points and evaluations as long as a proof.
fn noise(model: &Model, rng: &mut ChaCha20Rng) -> Vec<u8> {
    let layout = &model.key.system().layout;
    let (openings, _) = model.key.backend().opening().len(layout, model.k());
    let mut point = || encode_g1(&G1::random(&mut *rng).to_affine());
    let points: Vec<u8> = (0..layout.num_points()).flat_map(|_| point()).collect();
    let last: Vec<u8> = (0..openings).flat_map(|_| point()).collect();
    let scalars = (0..layout.num_scalars).flat_map(|_| Fr::random(&mut *rng).to_repr());
    [points, scalars.collect(), last].concat()
}

/// `sum_i s_i P_i` over the terms of R but the last `skipped` points.
fn right(key: &VerifyingKey, sums: &Sums, skipped: usize) -> G1 {
    let bases = std::iter::once(key.generator())
        .chain(key.halo2().fixed_commitments())
        .chain(key.halo2().permutation().commitments());
    let of_key: G1 = bases.zip(&sums.key).map(|(base, s)| base * s).sum();
    let of_proof = sums.points.iter().zip(&sums.right);
    let kept = sums.points.len() - skipped;
    of_key + of_proof.take(kept).map(|(point, s)| point * s).sum::<G1>()
}

/// `R - u P = tau P - u P` for the last point P.
fn forge_shplonk(model: &Model, tau: Fr, column: &[Fr], statement: Fr, proof: &mut [u8]) {
    let sums = read(&model.key, column, statement, proof).unwrap();
    let u = *sums.right.last().unwrap();
    let last = right(&model.key, &sums, 1) * (tau - u).invert().unwrap();
    let at = proof.len() - 32;
    proof[at..].copy_from_slice(&encode_g1(&last.to_affine()));
}

/// `C_i - c_i = (tau - z_i) W_i` for each rotation, which `gwc::combined` gives.
fn forge_gwc(model: &Model, tau: Fr, column: &[Fr], statement: Fr, proof: &mut [u8]) {
    let key = &model.key;
    let layout = &key.system().layout;
    let mut reader = StrictReader::new(statement, &key.descriptor().params, proof).unwrap();
    let (points, challenges) = commitments(key, column, &mut reader).unwrap();
    let evaluations = evaluations(key, &mut reader).unwrap();
    let lagrange = Lagrange::new(key.halo2().get_domain(), challenges.x).unwrap();
    let values = values(key, column, &challenges, &evaluations, &lagrange).unwrap();
    let queries = Queries::new(layout, values, &lagrange);
    let v = reader.challenge();
    let rotations = gwc::rotations(&queries);
    let first = proof.len() - 32 * rotations.len();
    for (i, rotation) in rotations.into_iter().enumerate() {
        let mut sums = Sums::new(key, points.clone(), &lagrange);
        gwc::combine(&queries, &mut sums, rotation, v, Fr::ONE);
        let z = queries.point(rotation).unwrap();
        let witness = right(key, &sums, 0) * (tau - z).invert().unwrap();
        proof[first + 32 * i..][..32].copy_from_slice(&encode_g1(&witness.to_affine()));
    }
}

fn forge(model: &Model, tau: Fr, column: &[Fr], statement: Fr, proof: &mut [u8]) {
    match model.key.backend() {
        Backend::Gwc => forge_gwc(model, tau, column, statement, proof),
        _ => forge_shplonk(model, tau, column, statement, proof),
    }
}

fn compare(model: &Model, tau: Fr, rounds: u64) {
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    for round in 0..rounds {
        let rows = model.key.usable_rows();
        let len = usize::try_from(rng.next_u64()).unwrap() % (rows + 1);
        let column: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
        let statement = Fr::random(&mut rng);
        let mut proof = noise(model, &mut rng);
        assert!(
            !accepted(model, &column, statement, &proof),
            "noise of round {round}"
        );
        forge(model, tau, &column, statement, &mut proof);
        assert!(accepted(model, &column, statement, &proof), "round {round}");
        // The same with another element: what was forged is bound to everything before it.
        let at = 32 * (usize::try_from(rng.next_u64()).unwrap() % (proof.len() / 32 - 2));
        let mut other = proof.clone();
        other[at..at + 32].copy_from_slice(&noise(model, &mut rng)[at..at + 32]);
        assert!(
            !accepted(model, &column, statement, &other),
            "element {at} of round {round}"
        );
    }
}

#[test]
fn random_proofs_that_only_tau_completes() {
    for backend in BACKENDS {
        let model = small(backend);
        compare(model, tau(model, 1), ROUNDS);
    }
}

#[test]
fn random_proofs_of_other_layouts() {
    for (backend, lanes, limb_split) in [
        (Backend::Shplonk, 2, 1),
        (Backend::Gwc, 3, 2),
        (Backend::Shplonk, 4, 2),
    ] {
        let spec = Spec {
            values: 9,
            outputs: 5,
            lanes,
            limb_split,
            tau: 5,
            ..Spec::small(backend)
        };
        for model in [Model::new(spec), Model::pair(spec)] {
            compare(&model, tau(&model, 5), 5);
        }
    }
}

#[test]
fn honest_proofs_and_proofs_with_an_error() {
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    for backend in BACKENDS {
        let model = small(backend);
        for file in two_proofs(backend) {
            let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
            let statement = statement_scalar(&model.key, &inputs, &outputs, file.nonce.as_ref()).unwrap();
            let column = instance_column(&model.key, &inputs, &outputs).unwrap();
            assert!(accepted(model, &column, statement, &file.proof));
            let noise = noise(model, &mut rng);
            for at in (0..noise.len()).step_by(32) {
                let mut proof = file.proof.clone();
                proof[at..at + 32].copy_from_slice(&noise[at..at + 32]);
                assert!(
                    !accepted(model, &column, statement, &proof),
                    "{backend}: element {at}"
                );
            }
            for at in 0..column.len() {
                let mut column = column.clone();
                column[at] += Fr::ONE;
                assert!(!accepted(model, &column, statement, &file.proof));
            }
            assert!(!accepted(model, &column, statement + Fr::ONE, &file.proof));
        }
    }
}
