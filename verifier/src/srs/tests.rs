use super::*;
use halo2_proofs::circuit::{Layouter, SimpleFloorPlanner, Value};
use halo2_proofs::halo2curves::bn256::{Fq2, Fr};
use halo2_proofs::halo2curves::ff::Field;
use halo2_proofs::halo2curves::group::Curve;
use halo2_proofs::plonk::{
    Advice, Circuit, Column, ConstraintSystem, Error, Instance, Selector, create_proof, keygen_pk, keygen_vk,
    verify_proof,
};
use halo2_proofs::poly::Rotation;
use halo2_proofs::poly::kzg::commitment::KZGCommitmentScheme;
use halo2_proofs::poly::kzg::multiopen::{ProverSHPLONK, VerifierSHPLONK};
use halo2_proofs::poly::kzg::strategy::SingleStrategy;
use halo2_proofs::transcript::{
    Blake2bRead, Blake2bWrite, Challenge255, TranscriptReadBuffer, TranscriptWriterBuffer,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// x of which x^2 is public.
#[derive(Clone, Default)]
struct Square {
    x: Value<Fr>,
}

impl Circuit<Fr> for Square {
    type Config = (Column<Advice>, Column<Instance>, Selector);
    type FloorPlanner = SimpleFloorPlanner;
    type Params = ();

    fn without_witnesses(&self) -> Self {
        Self::default()
    }

    fn configure(meta: &mut ConstraintSystem<Fr>) -> Self::Config {
        let (x, square, q) = (meta.advice_column(), meta.instance_column(), meta.selector());
        meta.create_gate("square", |meta| {
            let q = meta.query_selector(q);
            let x = meta.query_advice(x, Rotation::cur());
            let square = meta.query_instance(square, Rotation::cur());
            vec![q * (x.clone() * x - square)]
        });
        (x, square, q)
    }

    fn synthesize(&self, config: Self::Config, mut layouter: impl Layouter<Fr>) -> Result<(), Error> {
        layouter.assign_region(
            || "square",
            |mut region| {
                config.2.enable(&mut region, 0)?;
                region.assign_advice(config.0, 0, self.x);
                Ok(())
            },
        )
    }
}

fn setup(k: u32, seed: u64) -> ParamsKZG<Bn256> {
    ParamsKZG::setup(k, ChaCha20Rng::seed_from_u64(seed))
}

fn verify(params: &ParamsKZG<Bn256>, proof: &[u8], key_params: &ParamsKZG<Bn256>, square: u64) -> bool {
    let key = keygen_vk(key_params, &Square::default()).unwrap();
    let mut transcript = Blake2bRead::<_, _, Challenge255<_>>::init(proof);
    verify_proof::<KZGCommitmentScheme<Bn256>, VerifierSHPLONK<Bn256>, _, _, _>(
        params,
        &key,
        SingleStrategy::new(params),
        &[&[&[Fr::from(square)]]],
        &mut transcript,
    )
    .is_ok()
}

#[test]
fn verifier_part_verifies_what_the_whole_does() {
    let whole = setup(5, 1);
    let key = keygen_vk(&whole, &Square::default()).unwrap();
    let key = keygen_pk(&whole, key, &Square::default()).unwrap();
    let mut transcript = Blake2bWrite::<_, _, Challenge255<_>>::init(Vec::new());
    create_proof::<KZGCommitmentScheme<Bn256>, ProverSHPLONK<Bn256>, _, _, _, _>(
        &whole,
        &key,
        &[Square {
            x: Value::known(Fr::from(12)),
        }],
        &[&[&[Fr::from(144)]]],
        ChaCha20Rng::seed_from_u64(2),
        &mut transcript,
    )
    .unwrap();
    let proof = transcript.finalize();
    let part = SrsVerifier::new(5, &whole.s_g2(), true).unwrap();
    let bytes = bincode::serde::encode_to_vec(&part, bincode::config::standard()).unwrap();
    assert_eq!(bytes.len(), 66);
    let (part, _): (SrsVerifier, usize) =
        bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
    let params = part.to_params().unwrap();
    assert!(verify(&params, &proof, &whole, 144));
    assert!(!verify(&params, &proof, &whole, 145));
    let other = SrsVerifier::new(5, &setup(5, 3).s_g2(), true)
        .unwrap()
        .to_params()
        .unwrap();
    assert!(!verify(&other, &proof, &whole, 144));
}

#[test]
fn digest_depends_on_k_and_tau_and_not_on_the_mark() {
    let (a, b) = (setup(1, 1).s_g2(), setup(1, 2).s_g2());
    let digest = |k, point, insecure| SrsVerifier::new(k, point, insecure).unwrap().digest();
    assert_eq!(digest(5, &a, true), digest(5, &a, false));
    assert_ne!(digest(5, &a, true), digest(6, &a, true));
    assert_ne!(digest(5, &a, true), digest(5, &b, true));
}

#[test]
fn pinned_digest_of_tau_2() {
    let tau_g2 = (G2::from(G2Affine::generator()) + G2Affine::generator()).to_affine();
    let digest = SrsVerifier::new(10, &tau_g2, false).unwrap().digest();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "7e4ff386b74736f8963f1d28f6f5ae0a3bbbe1f77ce05e9db5247faa75015e9d"
    );
}

/// A point of the curve outside the subgroup.
fn outside_the_subgroup() -> [[u8; 32]; 2] {
    let b = Fq2::new(Fq::from(3), Fq::ZERO) * Fq2::new(Fq::from(9), Fq::ONE).invert().unwrap();
    for i in 1u64.. {
        let x = Fq2::new(Fq::from(i), Fq::ZERO);
        if let Some(y) = Option::<Fq2>::from((x.square() * x + b).sqrt()) {
            let point = G2Affine { x, y };
            if check_g2(&point) == Err(PointFault::NotInSubgroup) {
                return compress_g2(&point);
            }
        }
    }
    unreachable!()
}

#[test]
fn forge_points_are_refused() {
    let good = SrsVerifier::new(5, &setup(1, 1).s_g2(), false).unwrap();
    let fault = |tau_g2: [[u8; 32]; 2]| {
        let error = SrsVerifier {
            tau_g2,
            ..good.clone()
        }
        .to_params()
        .unwrap_err();
        let SrsVerifierError::Point { fault } = error else {
            panic!("{error}")
        };
        fault
    };
    let modulus = {
        let mut bytes = (-Fq::ONE).to_bytes();
        bytes[0] += 1;
        bytes
    };
    let mut identity = [[0; 32]; 2];
    identity[1][31] = IDENTITY_BIT;
    assert_eq!(fault(identity), PointFault::Identity);
    assert_eq!(fault([good.tau_g2[0], modulus]), PointFault::NotCanonical);
    assert_eq!(fault([modulus, good.tau_g2[1]]), PointFault::NotCanonical);
    assert_eq!(fault([[255; 32]; 2]), PointFault::NotCanonical);
    assert_eq!(fault(outside_the_subgroup()), PointFault::NotInSubgroup);
    let mut flagged = good.tau_g2;
    flagged[1][31] |= IDENTITY_BIT;
    assert_eq!(fault(flagged), PointFault::Identity);
    assert!(SrsVerifier::new(5, &G2Affine::identity(), false).is_err());
    for k in [0, 25, u32::MAX] {
        let wrong = SrsVerifier { k, ..good.clone() };
        assert!(matches!(wrong.to_params(), Err(SrsVerifierError::Size { .. })));
    }
}

#[test]
fn fuzz_points() {
    let good = SrsVerifier::new(5, &setup(1, 1).s_g2(), false).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for run in 0..10_000u32 {
        let mut bad = good.clone();
        if run % 2 == 0 {
            rng.fill_bytes(bad.tau_g2.as_flattened_mut());
        } else {
            let at = usize::try_from(rng.next_u32() % 64).unwrap();
            bad.tau_g2.as_flattened_mut()[at] ^= 1 << (rng.next_u32() % 8);
        }
        // The sign of y is the one bit whose change gives another valid point.
        let mut negated = good.tau_g2;
        negated[1][31] ^= FLAG_BITS & !IDENTITY_BIT;
        assert_eq!(bad.point().is_ok(), bad.tau_g2 == negated);
    }
}
