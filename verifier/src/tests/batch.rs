//! Batches: the answers of single checks, for any mix of models.

use super::fixture::{Model, small, two_proofs};
use crate::{Backend, ProofFile, Trusted, VerifyError, VerifyOptions, verify, verify_batch};
use inferproof_circuits::circuit::CircuitParams;
use std::time::Instant;

fn agree(items: &[(Trusted<'_>, &ProofFile)]) -> Vec<Result<(), VerifyError>> {
    let options = VerifyOptions::default();
    let batch = verify_batch(items, &options);
    let single: Vec<_> = items
        .iter()
        .map(|(trusted, file)| verify(*trusted, file, &options))
        .collect();
    assert_eq!(batch, single);
    batch.into_iter().map(|result| result.map(|_| ())).collect()
}

#[test]
fn mixed_models_backends_and_setups() {
    let params = CircuitParams {
        values: 2,
        lookup: false,
        extra: 2,
    };
    let other = Model::new(6, params, Backend::Gwc, 77);
    let far = other.prove(&[1, 2], Some([1; 32]));
    let (shplonk, gwc) = (two_proofs(Backend::Shplonk), two_proofs(Backend::Gwc));
    let mut items = Vec::new();
    for backend in [Backend::Shplonk, Backend::Gwc] {
        let key = &small(backend).key;
        let files = if backend == Backend::Gwc { gwc } else { shplonk };
        items.extend(files.iter().map(|file| (Trusted::Key(key), file)));
        items.extend(files.iter().map(|file| (Trusted::ModelId(key.id()), file)));
    }
    items.push((Trusted::ModelId(other.key.id()), &far));
    assert_eq!(agree(&items), vec![Ok(()); 9]);
    assert!(agree(&[]).is_empty());
}

#[test]
fn bad_proofs_are_named() {
    let model = small(Backend::Shplonk);
    let [a, b] = two_proofs(Backend::Shplonk);
    let swapped = ProofFile {
        proof: b.proof.clone(),
        ..a.clone()
    };
    let cut = ProofFile {
        proof: a.proof[1..].to_vec(),
        ..a.clone()
    };
    let mut spare = a.clone();
    spare.proof[31] ^= 0x80;
    let mut evaluation = b.clone();
    let last = evaluation.proof.len() - 96;
    evaluation.proof[last] ^= 1;
    let foreign = &two_proofs(Backend::Gwc)[0];
    let files = [a, &swapped, b, &cut, &spare, &evaluation, foreign, a];
    let items = files.map(|file| (Trusted::Key(&model.key), file));
    let results = agree(&items);
    let good: Vec<_> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, false, false, false, false, true]);
    assert_eq!(results[1], Err(VerifyError::Rejected));
    assert_eq!(results[5], Err(VerifyError::Rejected));
}

#[test]
fn errors_do_not_cancel_out() {
    let model = small(Backend::Gwc);
    let [a, b] = two_proofs(Backend::Gwc);
    let swap = |x: &ProofFile, y: &ProofFile| {
        let mut x = x.clone();
        let at = x.proof.len() - 32;
        x.proof[at..].copy_from_slice(&y.proof[at..]);
        x
    };
    let (ab, ba) = (swap(a, b), swap(b, a));
    let items = [&ab, &ba, &ab, &ba].map(|file| (Trusted::Key(&model.key), file));
    assert_eq!(agree(&items), vec![Err(VerifyError::Rejected); 4]);
}

/// `RAYON_NUM_THREADS=1 cargo test -p inferproof-verifier batch_of_a_thousand -- --ignored --nocapture`
#[test]
#[ignore = "a measurement: about 10 seconds on one thread"]
fn batch_of_a_thousand() {
    let params = CircuitParams {
        values: 100,
        lookup: false,
        extra: 30,
    };
    let model = Model::new(9, params, Backend::Shplonk, 8);
    let x = |seed: i32| (0..100).map(|i| (i * seed) % 100).collect::<Vec<_>>();
    let files: Vec<_> = (0..20).map(|seed| model.prove(&x(seed), None)).collect();
    let items: Vec<_> = (0..1000)
        .map(|i| (Trusted::Key(&model.key), &files[i % files.len()]))
        .collect();
    let options = VerifyOptions::default();
    let start = Instant::now();
    for (trusted, file) in &items[..100] {
        verify(*trusted, file, &options).map(|_| ()).unwrap();
    }
    let single = start.elapsed() / 100;
    let start = Instant::now();
    let results = verify_batch(&items, &options);
    let batch = start.elapsed() / 1000;
    assert!(results.iter().all(Result::is_ok));
    println!(
        "proof {} bytes: alone {single:?}, in a batch of 1000 {batch:?} each",
        model.key.proof_len()
    );
    assert!(batch < single);
}
