//! This verifier against halo2's.
//!
//! Beside honest proofs and proofs with an error, both read *random* proofs: whoever knows tau can end any beginning with
//! points that open it. Such a proof passes when the sums that a verifier computes are exactly those that the forger
//! solved for, so that halo2's acceptance of what was solved with this verifier's sums shows that both compute the same
//! points, with every term in it.

use super::*;
use crate::backend::Backend;
use crate::points::encode_g1;
use crate::scheme::Generators;
use crate::srs::SrsVerifier;
use crate::statement::{instance_column, statement_scalar};
use crate::tests::fixture::{Model, Spec, small, stock_accepts, stock_accepts_ipa, two_proofs};
use crate::verify::run;
use ff::PrimeField;
use halo2_proofs::arithmetic::eval_polynomial;
use halo2_proofs::halo2curves::bn256::{G1, G2, G2Affine};
use halo2_proofs::halo2curves::group::{Curve, Group};
use halo2_proofs::poly::{commitment::Params, ipa::commitment::ParamsIPA};
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
    let of_key: G1 = sums::bases(key).zip(&sums.key).map(|(base, s)| base * s).sum();
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
fn soundness_random_proofs_that_only_tau_completes() {
    for backend in BACKENDS {
        let model = small(backend);
        compare(model, tau(model, 1), ROUNDS);
        println!(
            "figure: {backend}: {ROUNDS} random transcripts completed with tau, halo2's verifier agrees on each"
        );
    }
}

#[test]
fn soundness_random_proofs_of_other_layouts() {
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
            println!("figure: {backend}, {lanes} lanes: 5 random transcripts likewise");
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

/// A model under the inner product argument, with generators of which the test knows all discrete logarithms.
struct Known {
    model: Model,
    params: ParamsIPA<G1Affine>,
    powers: Vec<Fr>,
    value: Fr,
    blind: Fr,
    /// Logarithms of the generator, the fixed columns and the permutation's columns.
    key: Vec<Fr>,
}

fn at(log: Fr) -> G1Affine {
    (G1::generator() * log).to_affine()
}

impl Known {
    fn new(rng: &mut ChaCha20Rng) -> Self {
        let spec = Spec::small(Backend::Shplonk);
        let mut model = Model::new(spec);
        let tau = tau(&model, spec.tau);
        let part = SrsVerifier::transparent(model.k()).unwrap();
        let powers: Vec<Fr> = (0..1 << model.k()).map(|_| Fr::random(&mut *rng)).collect();
        let (value, blind) = (Fr::random(&mut *rng), Fr::random(&mut *rng));
        let generators = Generators {
            powers: powers.iter().map(|log| at(*log)).collect(),
            value: at(value),
            blind: at(blind),
        };
        let mut bytes = model.k().to_le_bytes().to_vec();
        let points = [
            &generators.powers,
            &generators.powers,
            &vec![at(blind), at(value)],
        ];
        bytes.extend(points.into_iter().flatten().flat_map(encode_g1));
        let params = ParamsIPA::read(&mut bytes.as_slice()).unwrap();
        model.key = model.rekey(Backend::Ipa, part).with_generators(generators);
        let fixed = model.proving.fixed_polys().iter();
        let columns = fixed.chain(model.proving.permutation().polys());
        let logs = columns.map(|column| eval_polynomial(column, tau));
        let key = std::iter::once(powers[0]).chain(logs).collect();
        Self {
            model,
            params,
            powers,
            value,
            blind,
            key,
        }
    }

    /// Both verifiers' answer.
    fn accepted(&self, column: &[Fr], statement: Fr, proof: &[u8]) -> bool {
        let ours = run(&self.model.key, column, statement, proof).is_ok();
        let theirs = stock_accepts_ipa(&self.model, &self.params, column, statement, proof);
        assert_eq!(ours, theirs);
        ours
    }

    /// A random proof, and the logarithms of its points.
    fn noise(&self, rng: &mut ChaCha20Rng) -> (Vec<u8>, Vec<Fr>) {
        let layout = &self.model.key.system().layout;
        let k = usize::try_from(self.model.k()).unwrap();
        let mut logs = Vec::new();
        let mut points = |count: usize, rng: &mut ChaCha20Rng| -> Vec<u8> {
            let first = logs.len();
            logs.extend((0..count).map(|_| Fr::random(&mut *rng)));
            logs[first..]
                .iter()
                .flat_map(|log| encode_g1(&at(*log)))
                .collect()
        };
        let scalars = |count: usize, rng: &mut ChaCha20Rng| -> Vec<u8> {
            (0..count).flat_map(|_| Fr::random(&mut *rng).to_repr()).collect()
        };
        let mut proof = points(layout.num_points(), rng);
        proof.extend(scalars(layout.num_scalars, rng));
        proof.extend(points(1, rng));
        proof.extend(scalars(layout.sets.len(), rng));
        proof.extend(points(1 + 2 * k, rng));
        proof.extend(scalars(2, rng));
        (proof, logs)
    }

    /// Ends the proof with the scalar of the generator for blinding that makes the sum the identity.
    fn forge(&self, column: &[Fr], statement: Fr, proof: &mut [u8], logs: &[Fr]) {
        let sums = read(&self.model.key, column, statement, proof).unwrap();
        let inner = sums.inner.as_ref().unwrap();
        let product = |a: &[Fr], b: &[Fr]| -> Fr {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).map(|(a, b)| a * b).sum()
        };
        let folded = sums::fold(&inner.challenges, inner.folded);
        let rest = product(&sums.key, &self.key)
            + product(&sums.right, logs)
            + product(&folded, &self.powers)
            + inner.value * self.value;
        let last = rest * self.blind.invert().unwrap();
        let at = proof.len() - 32;
        proof[at..].copy_from_slice(&last.to_repr());
    }
}

#[test]
fn soundness_random_inner_product_proofs_that_only_discrete_logarithms_complete() {
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let known = Known::new(&mut rng);
    for round in 0..20 {
        let rows = known.model.key.usable_rows();
        let len = usize::try_from(rng.next_u64()).unwrap() % (rows + 1);
        let column: Vec<Fr> = (0..len).map(|_| Fr::random(&mut rng)).collect();
        let statement = Fr::random(&mut rng);
        let (mut proof, logs) = known.noise(&mut rng);
        assert_eq!(proof.len(), known.model.key.proof_len());
        assert!(
            !known.accepted(&column, statement, &proof),
            "noise of round {round}"
        );
        known.forge(&column, statement, &mut proof, &logs);
        assert!(known.accepted(&column, statement, &proof), "round {round}");
        let element = 32 * (usize::try_from(rng.next_u64()).unwrap() % (proof.len() / 32));
        let (other, _) = known.noise(&mut rng);
        proof[element..element + 32].copy_from_slice(&other[element..element + 32]);
        assert!(
            !known.accepted(&column, statement, &proof),
            "element {element} of round {round}"
        );
    }
}
