//! Verifying keys: one encoding each, hostile ones refused.

use super::fixture::{Model, Spec, small, srs, srs_verifier};
use super::proofs::mutate;
use crate::{Backend, KeyError, ModelId, PointError, VerifyingKey};
use halo2_proofs::plonk::keygen_vk_custom;
use inferproof_circuits::{statement::Descriptor, tail::TailOp, tensor::Shape};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

fn seal(body: &[u8]) -> Vec<u8> {
    [body, Sha256::digest(body).as_slice()].concat()
}

/// The key's bytes without their checksum.
fn body(key: &VerifyingKey) -> Vec<u8> {
    let bytes = key.to_bytes();
    bytes[..bytes.len() - 32].to_vec()
}

#[test]
fn bytes_round_trip() {
    for backend in [Backend::Shplonk, Backend::Gwc] {
        for (lanes, limb_split) in [(1, 3), (5, 2)] {
            let model = Model::new(Spec {
                lanes,
                limb_split,
                ..Spec::small(backend)
            });
            let key = VerifyingKey::from_bytes(model.key.to_bytes()).unwrap();
            assert_eq!(key, model.key);
            assert_eq!(key.id(), ModelId::of_key_bytes(model.key.to_bytes()));
            let (ours, theirs) = (key.halo2(), model.proving.get_vk());
            assert_eq!(ours.transcript_repr(), theirs.transcript_repr());
            assert_eq!((key.backend(), key.srs()), (backend, model.key.srs()));
        }
    }
}

#[test]
fn every_difference_has_its_own_id() {
    let model = small(Backend::Shplonk);
    let halo2 = model.proving.get_vk();
    let make = |backend, insecure, change: fn(&mut Descriptor)| {
        let mut descriptor = model.key.descriptor().clone();
        change(&mut descriptor);
        let part = srs_verifier(model.k(), &model.srs, insecure);
        VerifyingKey::from_parts(descriptor, backend, part, halo2)
            .unwrap()
            .id()
    };
    let ids = [
        make(Backend::Shplonk, false, |_| ()),
        make(Backend::Gwc, false, |_| ()),
        make(Backend::Shplonk, true, |_| ()),
        make(Backend::Shplonk, false, |d| d.inputs[0].scale = 0.25),
        make(Backend::Shplonk, false, |d| d.outputs[0].zero_point = 4),
        make(Backend::Shplonk, false, |d| d.outputs[0].name.push('2')),
        make(Backend::Shplonk, false, |d| {
            d.outputs[0].tail.push(TailOp::Softmax { axis: 0 })
        }),
        Model::new(Spec {
            tau: 6,
            ..Spec::small(Backend::Shplonk)
        })
        .key
        .id(),
    ];
    assert_eq!(ids[0], model.key.id());
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn parts_of_other_circuits_are_foreign() {
    let model = small(Backend::Shplonk);
    let wide = Model::new(Spec {
        lanes: 3,
        ..Spec::small(Backend::Shplonk)
    });
    let part = |k| srs_verifier(k, &srs(k, 1), false);
    let assemble = |k, srs_k, halo2| {
        let descriptor = Descriptor {
            k,
            ..model.key.descriptor().clone()
        };
        VerifyingKey::from_parts(descriptor, Backend::Shplonk, part(srs_k), halo2)
    };
    let (k, halo2) = (model.k(), model.proving.get_vk());
    assert_eq!(assemble(k, k, halo2).unwrap(), model.key);
    assert!(matches!(
        assemble(k, k, wide.proving.get_vk()),
        Err(KeyError::Count { .. })
    ));
    assert_eq!(assemble(k + 1, k + 1, halo2), Err(KeyError::Foreign));
    assert_eq!(assemble(k, k + 1, halo2), Err(KeyError::Rows { k, srs_k: k + 1 }));
    let compressed = keygen_vk_custom(&*model.srs, &model.fixture.keygen(), true).unwrap();
    assert!(assemble(k, k, &compressed).is_err());
}

#[test]
fn impossible_descriptors_are_refused() {
    let model = small(Backend::Shplonk);
    let refuse = |change: fn(&mut Descriptor)| {
        let mut descriptor = model.key.descriptor().clone();
        change(&mut descriptor);
        let part = model.key.srs().clone();
        VerifyingKey::from_parts(descriptor, Backend::Gwc, part, model.proving.get_vk()).unwrap_err()
    };
    let described = |change| assert!(matches!(refuse(change), KeyError::Descriptor { .. }));
    described(|d| d.inputs[0].scale = f32::NAN);
    described(|d| d.inputs[0].scale = 0.0);
    described(|d| d.inputs[0].zero_point = 128);
    described(|d| d.inputs[0].blocks.clear());
    described(|d| d.inputs[0].blocks[0].row = u32::MAX);
    described(|d| d.outputs = vec![d.outputs[0].clone(); 1000]);
    described(|d| d.outputs[0].tail.push(TailOp::Softmax { axis: 9 }));
    // More values than there are cells, all of them in one column of one block.
    described(|d| {
        let port = &mut d.inputs[0];
        port.shape = Shape::new(vec![1 << 26]).unwrap();
        let block = port.blocks[0];
        port.blocks = vec![block; 1 << 10];
    });
    described(|d| d.params.lanes = 0);
    described(|d| d.params.lanes = u32::MAX);
    described(|d| d.version += 1);
    described(|d| d.k = 63);
    described(|d| d.k = 0);
    described(|d| d.public_rows = u32::MAX);
    assert_eq!(
        refuse(|d| d.inputs[0].name = "x".repeat(2000)),
        KeyError::Port { port: 0 }
    );
    let long = |d: &mut Descriptor| {
        let reshape = TailOp::Reshape {
            shape: d.outputs[0].shape.clone(),
        };
        d.outputs[0].tail = vec![reshape; 1000];
    };
    assert_eq!(refuse(long), KeyError::Port { port: 1 });
}

#[test]
fn every_flipped_bit_of_a_key_is_refused_or_another_model() {
    let key = &small(Backend::Shplonk).key;
    let body = body(key);
    for bit in 0..8 * body.len() {
        let mut flipped = body.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let unsealed = [flipped.as_slice(), &key.to_bytes()[body.len()..]].concat();
        VerifyingKey::from_bytes(&unsealed).unwrap_err();
        if let Ok(other) = VerifyingKey::from_bytes(&seal(&flipped)) {
            assert_ne!(other.id(), key.id(), "bit {bit}");
            assert_eq!(other.to_bytes(), seal(&flipped));
        }
    }
}

#[test]
fn commitments_are_counted_and_canonical() {
    let key = &small(Backend::Gwc).key;
    let body = body(key);
    let last = body.len() - 1;
    let mut spare = body.clone();
    spare[last] ^= 0x80;
    let error = VerifyingKey::from_bytes(&seal(&spare)).unwrap_err();
    let refused = matches!(
        error,
        KeyError::Commitment {
            source: PointError::NotCanonical,
            ..
        }
    );
    assert!(refused, "{error}");
    let mut identity = body.clone();
    identity[last - 31..].fill(0);
    identity[last] = 0x80;
    let error = VerifyingKey::from_bytes(&seal(&identity)).unwrap_err();
    assert!(
        matches!(
            error,
            KeyError::Commitment {
                source: PointError::Identity,
                ..
            }
        ),
        "{error}"
    );
    for extra in [1, 31, 32, 64] {
        let longer = [body.as_slice(), &vec![0; extra]].concat();
        assert!(matches!(
            VerifyingKey::from_bytes(&seal(&longer)),
            Err(KeyError::Count { .. })
        ));
        let shorter = &body[..body.len() - extra];
        assert!(matches!(
            VerifyingKey::from_bytes(&seal(shorter)),
            Err(KeyError::Count { .. })
        ));
    }
    let counts = body.len()
        - 32 * (key.halo2().fixed_commitments().len() + key.halo2().permutation().commitments().len())
        - 12;
    for field in 0..3 {
        for value in [0, 1, u32::MAX, 1 << 31] {
            let mut other = body.clone();
            other[counts + 4 * field..][..4].copy_from_slice(&value.to_le_bytes());
            assert!(matches!(
                VerifyingKey::from_bytes(&seal(&other)),
                Err(KeyError::Count { .. })
            ));
        }
    }
}

#[test]
fn truncated_and_extended_keys_are_refused() {
    let bytes = small(Backend::Shplonk).key.to_bytes();
    for len in 0..bytes.len() {
        VerifyingKey::from_bytes(&bytes[..len]).unwrap_err();
        if len != bytes.len() - 32 {
            VerifyingKey::from_bytes(&seal(&bytes[..len])).unwrap_err();
        }
    }
    for extra in 1..=64 {
        VerifyingKey::from_bytes(&[bytes, &vec![0; extra]].concat()).unwrap_err();
    }
    let mut other = bytes.to_vec();
    other[8] = 7;
    assert_eq!(
        VerifyingKey::from_bytes(&other),
        Err(KeyError::Version {
            version: 7,
            supported: 2
        })
    );
    let mut other = bytes.to_vec();
    other[0] = 7;
    assert_eq!(VerifyingKey::from_bytes(&other), Err(KeyError::Magic));
    let huge = vec![0; crate::MAX_KEY_BYTES + 1];
    assert!(matches!(
        VerifyingKey::from_bytes(&huge),
        Err(KeyError::TooLong { .. })
    ));
}

#[test]
fn mutated_keys_never_panic() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let key = &small(Backend::Shplonk).key;
    let original = body(key);
    let mut decoded = 0;
    for round in 0..10_000 {
        let mut mutated = original.clone();
        let tail = if round % 2 == 0 {
            mutated.split_off(320)
        } else {
            Vec::new()
        };
        mutate(&mut rng, &mut mutated);
        mutated.extend(tail);
        let sealed = if round % 10 == 0 {
            mutated.clone()
        } else {
            seal(&mutated)
        };
        let Ok(other) = VerifyingKey::from_bytes(&sealed) else {
            continue;
        };
        decoded += 1;
        assert_eq!(other.to_bytes(), sealed);
        assert_eq!(other.id() == key.id(), mutated == original, "round {round}");
    }
    assert!(decoded > 10, "{decoded} mutated keys decode");
}
