use super::*;
use halo2_proofs::halo2curves::bn256::Fq2;
use halo2_proofs::halo2curves::ff::Field;
use halo2_proofs::halo2curves::group::Curve;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

fn setup(k: u32, seed: u64) -> ParamsKZG<Bn256> {
    ParamsKZG::setup(k, ChaCha20Rng::seed_from_u64(seed))
}

#[test]
fn parts_survive_their_encoding() {
    let tau_g2 = setup(5, 1).s_g2();
    let part = SrsVerifier::new(5, &tau_g2, true).unwrap();
    for (part, point) in [(part, Some(tau_g2)), (SrsVerifier::transparent(5).unwrap(), None)] {
        let bytes = bincode::serde::encode_to_vec(&part, bincode::config::standard()).unwrap();
        assert_eq!(bytes.len(), 66);
        let (read, _): (SrsVerifier, usize) =
            bincode::serde::decode_from_slice(&bytes, bincode::config::standard()).unwrap();
        assert_eq!(read, part);
        assert_eq!(
            (read.point().ok(), read.is_transparent()),
            (point, point.is_none())
        );
    }
}

#[test]
fn generators_have_no_secret_and_a_limit() {
    for k in [0, 21, u32::MAX] {
        assert_eq!(
            SrsVerifier::transparent(k),
            Err(SrsVerifierError::Generators { k })
        );
    }
    let good = SrsVerifier::transparent(6).unwrap();
    let insecure = SrsVerifier {
        insecure: true,
        ..good.clone()
    };
    assert!(matches!(insecure.scheme(), Err(SrsVerifierError::Insecure)));
    let large = SrsVerifier {
        k: 24,
        ..good.clone()
    };
    assert!(matches!(
        large.scheme(),
        Err(SrsVerifierError::Generators { k: 24 })
    ));
    assert_ne!(good.digest(), SrsVerifier::transparent(7).unwrap().digest());
    let one = SrsVerifier::new(6, &G2Affine::generator(), false).unwrap();
    assert_ne!(good.digest(), one.digest());
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
        .point()
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
        assert!(matches!(wrong.point(), Err(SrsVerifierError::Size { .. })));
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
