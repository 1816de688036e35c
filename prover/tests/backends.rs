//! One circuit on every backend: proofs are accepted, and refused when anything of them or around them is changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::backend::opening;
use inferproof_prover::keys::{KeysError, Model, ModelKeys, Store, setup};
use inferproof_prover::prove::prove;
use inferproof_prover::srs::Srs;
use inferproof_verifier::{
    Backend, ProofFile, Trusted, VerifyError, VerifyOptions, VerifyingKey, verify, verify_batch,
};
use rayon::prelude::*;

const BACKENDS: [Backend; 3] = [Backend::Shplonk, Backend::Gwc, Backend::Ipa];
const MODELS: [&[u8]; 2] = [
    include_bytes!("../../models/tiny_mlp.onnx"),
    include_bytes!("../../models/tiny_cnn.onnx"),
];
const ELEMENT: usize = 32;

fn keys(onnx: &[u8], backend: Backend) -> ModelKeys {
    let options = PlanOptions {
        opening: opening(backend).unwrap(),
        ..PlanOptions::default()
    };
    let model = Model::load(onnx, &options).unwrap();
    let k = model.plan().k;
    let srs = if backend.is_transparent() {
        Srs::transparent(k)
    } else {
        Srs::generate_insecure(k)
    };
    setup(model, backend, srs.unwrap(), Store::Nowhere).unwrap()
}

/// A proof for inputs that depend on `seed`.
fn proved(keys: &ModelKeys, seed: usize) -> ProofFile {
    let tensor = |tensor| {
        let info = keys.graph().tensor(tensor);
        let (low, high) = (info.dtype.min(), info.dtype.max());
        let value = |i| low + i32::try_from((i * 31 + seed * 17) % 200).unwrap();
        let data = (0..info.shape.len()).map(|i| value(i).min(high)).collect();
        Tensor::new(info.shape.clone(), info.dtype, data).unwrap()
    };
    let inputs: Vec<Tensor> = keys.graph().inputs.iter().map(|p| tensor(p.tensor)).collect();
    prove(keys, &inputs, None).unwrap().file
}

fn insecure() -> VerifyOptions {
    VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    }
}

fn accepted(key: &VerifyingKey, file: &ProofFile) -> bool {
    match verify(Trusted::Key(key), file, &insecure()) {
        Ok(_) => true,
        Err(VerifyError::Rejected) => false,
        Err(error) => {
            assert!(error.is_malformed(), "{error}");
            false
        }
    }
}

#[test]
fn every_backend_proves_every_model() {
    for onnx in MODELS {
        let mut digests = Vec::new();
        for backend in BACKENDS {
            let keys = keys(onnx, backend);
            let file = proved(&keys, 1);
            let verified = verify(Trusted::ModelId(keys.verifying().id()), &file, &insecure()).unwrap();
            assert_eq!(file.proof.len(), keys.verifying().proof_len());
            assert_eq!(file.proof.len(), keys.plan().cost.proof_bytes);
            assert_eq!(verified.insecure_srs, !backend.is_transparent());
            assert_eq!(file.backend, backend);
            let read = ProofFile::from_bytes(&file.to_bytes().unwrap()).unwrap();
            assert!(accepted(keys.verifying(), &read));
            digests.push(keys.verifying().id());
            println!(
                "figure: {backend}: k = {}, proof {} bytes",
                keys.plan().k,
                file.proof.len()
            );
        }
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), BACKENDS.len());
    }
}

#[test]
fn a_proof_without_a_trusted_setup_needs_no_permission() {
    let keys = keys(MODELS[0], Backend::Ipa);
    let file = proved(&keys, 2);
    let strict = VerifyOptions::default();
    assert!(verify(Trusted::Key(keys.verifying()), &file, &strict).is_ok());
    let key = VerifyingKey::from_bytes(keys.verifying().to_bytes()).unwrap();
    assert_eq!(key.id(), keys.verifying().id());
    assert!(accepted(&key, &file));
}

#[test]
fn backends_and_setups_must_fit() {
    for backend in BACKENDS {
        let model = Model::load(MODELS[0], &PlanOptions::default()).unwrap();
        let k = model.plan().k;
        let srs = if backend.is_transparent() {
            Srs::generate_insecure(k)
        } else {
            Srs::transparent(k)
        };
        let refused = setup(model, backend, srs.unwrap(), Store::Nowhere);
        assert!(matches!(refused, Err(KeysError::Setup { .. })), "{backend}");
    }
}

#[test]
fn setups_without_a_secret_survive_their_file_and_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("generators.srs");
    let srs = Srs::transparent(6).unwrap();
    srs.save(&path).unwrap();
    for read in [Srs::open(&path), Srs::load_cached(&path)] {
        let read = read.unwrap();
        assert_eq!((read.digest(), read.k()), (srs.digest(), 6));
        assert!(!read.is_insecure());
    }
    // The same file with the powers of a tau that someone knows.
    let whole = std::fs::read(&path).unwrap();
    Srs::generate_insecure(6).unwrap().save(&path).unwrap();
    let powers = std::fs::read(&path).unwrap();
    let body = 4 + (2 << 6) * 64 + 2 * 128;
    let forged = [&whole[..whole.len() - body], &powers[powers.len() - body..]].concat();
    std::fs::write(&path, &forged).unwrap();
    assert!(Srs::open(&path).is_err());
    assert!(Srs::load_cached(&path).is_err());
    // And with the hash made to fit.
    use sha2::{Digest, Sha256};
    let header = whole.len() - body - 32;
    let hash = Sha256::digest([&whole[..header], &powers[powers.len() - body..]].concat());
    let forged = [&whole[..header], hash.as_slice(), &powers[powers.len() - body..]].concat();
    std::fs::write(&path, &forged).unwrap();
    assert!(Srs::open(&path).is_err());
    assert!(Srs::load_cached(&path).is_err());
}

#[test]
fn soundness_inner_product_proofs_with_any_byte_changed_are_refused() {
    let keys = keys(MODELS[0], Backend::Ipa);
    let file = proved(&keys, 3);
    assert!(accepted(keys.verifying(), &file));
    (0..file.proof.len()).into_par_iter().for_each(|at| {
        let mut changed = file.clone();
        changed.proof[at] ^= 1 << (at % 8);
        assert!(!accepted(keys.verifying(), &changed), "byte {at}");
    });
    for len in (0..file.proof.len()).step_by(7) {
        let mut cut = file.clone();
        cut.proof.truncate(len);
        assert!(!accepted(keys.verifying(), &cut), "{len} bytes");
    }
    for more in 1..=2 * ELEMENT {
        let mut longer = file.clone();
        longer.proof.resize(file.proof.len() + more, 0);
        assert!(!accepted(keys.verifying(), &longer), "{more} bytes more");
    }
    println!(
        "figure: the inner product argument: {} bytes changed, 0 accepted",
        file.proof.len()
    );
}

#[test]
fn soundness_spliced_inner_product_proofs_are_refused() {
    let keys = keys(MODELS[0], Backend::Ipa);
    let (a, b) = (proved(&keys, 4), proved(&keys, 5));
    let elements = a.proof.len() / ELEMENT;
    (1..elements).into_par_iter().for_each(|at| {
        let mut mixed = a.clone();
        mixed.proof[at * ELEMENT..].copy_from_slice(&b.proof[at * ELEMENT..]);
        assert!(!accepted(keys.verifying(), &mixed), "from element {at} on");
    });
    let mut other = a.clone();
    other.proof.clone_from(&b.proof);
    assert!(!accepted(keys.verifying(), &other));
    let mut outputs = a.clone();
    let tensor = &a.outputs[0].tensor;
    let mut data = tensor.data().to_vec();
    data[0] += if data[0] > 0 { -1 } else { 1 };
    outputs.outputs[0].tensor = Tensor::new(tensor.shape().clone(), tensor.dtype(), data).unwrap();
    assert!(!accepted(keys.verifying(), &outputs));
}

#[test]
fn batches_of_all_backends_name_the_bad_proof() {
    let keys = BACKENDS.map(|backend| keys(MODELS[0], backend));
    let mut files: Vec<(usize, ProofFile)> = (0..9).map(|i| (i % 3, proved(&keys[i % 3], i))).collect();
    let check = |files: &[(usize, ProofFile)]| {
        let items: Vec<_> = files
            .iter()
            .map(|(which, file)| (Trusted::Key(keys[*which].verifying()), file))
            .collect();
        let results = verify_batch(&items, &insecure());
        results.iter().map(Result::is_ok).collect::<Vec<_>>()
    };
    assert_eq!(check(&files), [true; 9]);
    for bad in [1, 5] {
        let at = files[bad].1.proof.len() - ELEMENT;
        files[bad].1.proof[at] ^= 1;
    }
    let expected: Vec<bool> = (0..9).map(|i| i != 1 && i != 5).collect();
    assert_eq!(check(&files), expected);
}
