//! Proof bytes: what is not exactly an honest prover's string is refused.

use super::fixture::{Model, Spec, VALUES, assert_refused, parallel, small, two_proofs};
use crate::{Backend, PointError, ProofFile, ProofFileError, TranscriptFault, VerifyError};
use halo2_proofs::halo2curves::{bn256::Fr, ff::PrimeField};
use inferproof_circuits::tail::Value;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::sync::atomic::{AtomicUsize, Ordering};

const BACKENDS: [Backend; 2] = [Backend::Shplonk, Backend::Gwc];

fn with_proof(file: &ProofFile, proof: Vec<u8>) -> ProofFile {
    ProofFile {
        proof,
        ..file.clone()
    }
}

#[test]
fn honest_proofs_are_accepted() {
    for backend in BACKENDS {
        for file in two_proofs(backend) {
            let file = ProofFile::from_bytes(&file.to_bytes().unwrap()).unwrap();
            let verified = small(backend).check(&file).unwrap();
            assert_eq!(verified.model, small(backend).key.id());
            assert_eq!(verified.nonce, file.nonce);
            assert_eq!(verified.outputs[0].1, file.outputs[0].tensor);
        }
    }
}

#[test]
fn length_is_the_one_the_key_implies() {
    for backend in BACKENDS {
        for (lanes, limb_split) in [(1, 3), (2, 3), (4, 2), (6, 3)] {
            let model = Model::new(Spec {
                lanes,
                limb_split,
                ..Spec::small(backend)
            });
            let file = model.prove(&[1, 2, 3, 4], None);
            assert_eq!(
                file.proof.len(),
                model.key.proof_len(),
                "{backend} {lanes} {limb_split}"
            );
            assert!(model.check(&file).is_ok());
        }
    }
}

#[test]
fn final_outputs_follow_the_tail() {
    let file = &two_proofs(Backend::Shplonk)[0];
    let outputs = small(Backend::Shplonk)
        .check(file)
        .unwrap()
        .final_outputs()
        .unwrap();
    let [Value::Float { shape, data }] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert_eq!(shape.dims(), [1, 3]);
    let sum: f32 = data.iter().sum();
    assert!((sum - 1.0).abs() < 1e-6, "a softmax sums to one: {sum}");
    assert_eq!(file.inputs[0].tensor.data().len(), VALUES);
}

/// Whole limbs make the shortest proof there is.
#[test]
fn soundness_every_flipped_bit_is_refused() {
    for (backend, nonce) in [(Backend::Shplonk, None), (Backend::Gwc, Some([7; 32]))] {
        let model = Model::new(Spec {
            limb_split: 1,
            ..Spec::small(backend)
        });
        let file = model.prove(&[1, -2, 3, 100], nonce);
        assert!(model.check(&file).is_ok());
        let malformed = AtomicUsize::new(0);
        let bits = 8 * file.proof.len();
        parallel(bits, |bit| {
            let mut flipped = file.clone();
            flipped.proof[bit / 8] ^= 1 << (bit % 8);
            match model.check(&flipped) {
                Err(VerifyError::Rejected) => {}
                Err(error) if error.is_malformed() => drop(malformed.fetch_add(1, Ordering::Relaxed)),
                other => panic!("{backend} bit {bit}: {other:?}"),
            }
        });
        let malformed = malformed.into_inner();
        println!(
            "figure: {backend}: {bits} flipped bits, {malformed} malformed, the others rejected, 0 accepted"
        );
        assert!(malformed > 0 && malformed < bits);
    }
}

#[test]
fn soundness_every_truncation_and_extension_is_refused() {
    for backend in BACKENDS {
        let file = &two_proofs(backend)[0];
        let refused = |proof: Vec<u8>| {
            let error = small(backend).check(&with_proof(file, proof)).unwrap_err();
            assert!(matches!(error, VerifyError::MalformedLength { .. }), "{error}");
        };
        (0..file.proof.len()).for_each(|len| refused(file.proof[..len].to_vec()));
        for extra in 1..=64 {
            refused([file.proof.as_slice(), &vec![0; extra]].concat());
            refused([file.proof.as_slice(), &file.proof[..extra]].concat());
        }
        println!(
            "figure: {backend}: {} truncations and 128 extensions, 0 accepted",
            file.proof.len()
        );
    }
}

#[test]
fn soundness_spliced_proofs_are_refused() {
    for backend in BACKENDS {
        let [a, b] = two_proofs(backend);
        for cut in (32..a.proof.len()).step_by(32) {
            for (head, tail) in [(a, b), (b, a)] {
                let proof = [&head.proof[..cut], &tail.proof[cut..]].concat();
                assert_refused(
                    small(backend),
                    &with_proof(head, proof.clone()),
                    "head's statement",
                );
                assert_refused(small(backend), &with_proof(tail, proof), "tail's statement");
            }
        }
        assert_eq!(
            small(backend).check(&with_proof(a, b.proof.clone())),
            Err(VerifyError::Rejected)
        );
    }
}

/// The element plus the scalar field's modulus, where 256 bits hold it.
fn plus_modulus(element: &[u8]) -> Option<Vec<u8>> {
    let mut carry = 1u16;
    let minus_one = (-Fr::one()).to_repr();
    let sum = element.iter().zip(minus_one.as_ref()).map(|(a, b)| {
        let byte = u16::from(*a) + u16::from(*b) + carry;
        carry = byte >> 8;
        byte.to_le_bytes()[0]
    });
    let sum = sum.collect();
    (carry == 0).then_some(sum)
}

#[test]
fn other_encodings_are_malformed() {
    let mut spare_bits = 0;
    let mut wrapped = 0;
    for backend in BACKENDS {
        let file = &two_proofs(backend)[0];
        for start in (0..file.proof.len()).step_by(32) {
            let element = &file.proof[start..start + 32];
            let mut infinity = file.proof.clone();
            infinity[start + 31] ^= 0x80;
            let error = small(backend).check(&with_proof(file, infinity)).unwrap_err();
            assert!(error.is_malformed(), "{error}");
            let source = PointError::NotCanonical;
            let fault = TranscriptFault::Point {
                offset: start,
                source,
            };
            spare_bits += u32::from(error == VerifyError::MalformedProof { source: fault });
            if let Some(sum) = plus_modulus(element) {
                let proof = [&file.proof[..start], &sum, &file.proof[start + 32..]].concat();
                let error = small(backend).check(&with_proof(file, proof)).unwrap_err();
                let fault = TranscriptFault::Scalar { offset: start };
                let scalar = error == VerifyError::MalformedProof { source: fault };
                assert!(
                    scalar || error.is_malformed() || error == VerifyError::Rejected,
                    "{error}"
                );
                wrapped += u32::from(scalar);
            }
        }
    }
    assert!(spare_bits > 10, "{spare_bits} points with a spare bit");
    assert!(wrapped > 10, "{wrapped} scalars beyond the modulus");
}

#[test]
fn all_zero_and_identity_proofs_are_refused() {
    for backend in BACKENDS {
        let file = &two_proofs(backend)[0];
        assert_refused(
            small(backend),
            &with_proof(file, vec![0; file.proof.len()]),
            "zeros",
        );
        for start in (0..file.proof.len()).step_by(32) {
            let mut proof = file.proof.clone();
            proof[start..start + 32].fill(0);
            if proof != file.proof {
                assert_refused(small(backend), &with_proof(file, proof.clone()), "zero element");
            }
            proof[start + 31] = 0x80;
            assert_refused(small(backend), &with_proof(file, proof), "identity");
        }
    }
}

/// One seeded change of a byte string.
pub fn mutate(rng: &mut ChaCha20Rng, bytes: &mut Vec<u8>) {
    let mut below = |n: usize| usize::try_from(rng.next_u64() % u64::try_from(n).unwrap()).unwrap();
    let at = below(bytes.len());
    match below(8) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, 0xff),
        2 => drop(bytes.remove(at)),
        3 => bytes[at] ^= 1 << below(8),
        4 => bytes.extend_from_within(at..),
        5 => {
            let end = (at + 8).min(bytes.len());
            bytes[at..end].fill([0, 0xff, 0x7f, 0x80][below(4)]);
        }
        6 => {
            let from = below(bytes.len());
            let len = below(40).min(bytes.len() - at.max(from));
            bytes.copy_within(from..from + len, at);
        }
        _ => bytes[at] = u8::try_from(below(256)).unwrap(),
    }
}

#[test]
fn mutated_proof_files_never_panic_and_never_pass() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let original = &two_proofs(Backend::Shplonk)[1];
    let bytes = original.to_bytes().unwrap();
    let mut decoded = 0;
    for round in 0..10_000 {
        let mut mutated = bytes.clone();
        let header = round % 4 != 0;
        if header {
            let tail = mutated.split_off(200);
            mutate(&mut rng, &mut mutated);
            mutated.extend(tail);
        } else {
            mutate(&mut rng, &mut mutated);
        }
        let Ok(file) = ProofFile::from_bytes(&mutated) else {
            continue;
        };
        assert_eq!(file.to_bytes().unwrap(), mutated, "round {round}");
        decoded += 1;
        if file != *original {
            small(Backend::Shplonk).check(&file).unwrap_err();
        }
    }
    assert!(decoded > 100, "{decoded} mutated files decode");
}

#[test]
fn every_truncation_and_extension_of_a_file_is_refused() {
    let bytes = two_proofs(Backend::Gwc)[0].to_bytes().unwrap();
    for len in 0..bytes.len() {
        ProofFile::from_bytes(&bytes[..len]).unwrap_err();
    }
    for extra in 1..=64 {
        let longer = [bytes.as_slice(), &vec![0; extra]].concat();
        assert_eq!(ProofFile::from_bytes(&longer), Err(ProofFileError::Body));
    }
}

#[test]
fn other_formats_and_versions_are_named() {
    let bytes = two_proofs(Backend::Shplonk)[0].to_bytes().unwrap();
    let mut other = bytes.clone();
    other[0] ^= 1;
    assert_eq!(ProofFile::from_bytes(&other), Err(ProofFileError::Magic));
    let mut other = bytes.clone();
    other[8] += 1;
    assert_eq!(
        ProofFile::from_bytes(&other),
        Err(ProofFileError::Version {
            version: 2,
            supported: 1
        })
    );
    let mut other = bytes.clone();
    other[12] = 9;
    assert_eq!(
        ProofFile::from_bytes(&other),
        Err(ProofFileError::Backend { code: 9 })
    );
    let huge = vec![0; crate::MAX_PROOF_FILE_BYTES + 1];
    assert!(matches!(
        ProofFile::from_bytes(&huge),
        Err(ProofFileError::TooLong { .. })
    ));
}
