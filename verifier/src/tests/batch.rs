//! Batches: the answers of single checks, for any mix of models.

use super::fixture::{Model, Spec, small, two_proofs};
use crate::{Backend, ProofFile, Trusted, VerifyError, VerifyOptions, verify, verify_batch};
use std::time::Duration;

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
    let spec = Spec {
        values: 2,
        lanes: 2,
        tau: 77,
        ..Spec::small(Backend::Gwc)
    };
    let other = Model::new(spec);
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

#[test]
fn points_at_infinity_in_large_batches_do_not_panic() {
    let model = small(Backend::Shplonk);
    let honest = &two_proofs(Backend::Shplonk)[0];
    let hostile: Vec<_> = (0..4)
        .map(|i| {
            let mut file = honest.clone();
            file.proof[32 * i..32 * i + 31].fill(0);
            file.proof[32 * i + 31] = 0x80;
            file
        })
        .collect();
    let files = (0..300).map(|i| if i % 3 == 0 { &hostile[i % 4] } else { honest });
    let items: Vec<_> = files.map(|file| (Trusted::Key(&model.key), file)).collect();
    let results = verify_batch(&items, &VerifyOptions::default());
    for (i, result) in results.iter().enumerate() {
        assert_eq!(result.is_ok(), i % 3 != 0, "proof {i}");
    }
}

/// User and system time of this process, in clock ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// `RAYON_NUM_THREADS=1 cargo test -p inferproof-verifier batch_of_a_thousand -- --ignored --nocapture`
#[test]
#[ignore = "a measurement of some seconds"]
fn batch_of_a_thousand() {
    let spec = Spec {
        values: 200,
        outputs: 10,
        lanes: 4,
        limb_split: 1,
        ..Spec::small(Backend::Shplonk)
    };
    let model = Model::new(spec);
    let x = |seed: i32| (0..200).map(|i| (i * seed) % 100).collect::<Vec<_>>();
    let files: Vec<_> = (0..10).map(|seed| model.prove(&x(seed), None)).collect();
    let items: Vec<_> = (0..1000)
        .map(|i| (Trusted::Key(&model.key), &files[i % files.len()]))
        .collect();
    let options = VerifyOptions::default();
    let start = cpu();
    for (trusted, file) in &items[..200] {
        assert!(verify(*trusted, file, &options).is_ok());
    }
    let single = (cpu() - start) / 200;
    let start = cpu();
    let results = verify_batch(&items, &options);
    let batch = (cpu() - start) / 1000;
    assert!(results.iter().all(Result::is_ok));
    let (k, bytes, rows) = (
        model.k(),
        model.key.proof_len(),
        model.key.descriptor().public_rows,
    );
    println!("k = {k}, {rows} public rows, proof {bytes} bytes, CPU time for each proof:");
    println!("alone {single:?}, in a batch of 1000 {batch:?}");
    assert!(batch < single);
}
