//! Keys, proof and verification of the shipped models, and proof and verification of the stored ones where
//! INFERPROOF_SHARED names them. `prove` runs the network, proves it and checks the proof;
//! `keygen` is without the setup, which is made once.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inferproof_benches::{MEASUREMENT, MODELS, SEED, WARM_UP, measured, model_bytes, stored_models};
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::testing::models::random_inputs;
use inferproof_prover::keys::{Model, Store, setup};
use inferproof_prover::prove::prove;
use inferproof_prover::srs::Srs;
use inferproof_verifier::{Backend, Trusted, VerifyOptions, VerifyingKey, verify, verify_batch};
use std::error::Error;
use std::hint::black_box;

/// Proofs that are checked together.
const BATCHES: [usize; 4] = [1, 10, 100, 1000];

/// `whole`: keys and batches too.
fn stages(c: &mut Criterion, name: &str, onnx: &[u8], whole: bool) -> Result<(), Box<dyn Error>> {
    let model = Model::load(onnx, &PlanOptions::default())?;
    let inputs = random_inputs(model.graph(), SEED)?;
    let srs = Srs::generate_insecure(model.plan().k)?;
    let keys = setup(model.clone(), Backend::Shplonk, srs.clone(), Store::Nowhere)?;
    let file = prove(&keys, &inputs, None)?.file;
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    let id = |stage: &str| BenchmarkId::new(stage.to_owned(), name);
    let mut group = c.benchmark_group("proof");
    group
        .sample_size(10)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    group.bench_function(id("prove"), |b| b.iter(|| prove(&keys, black_box(&inputs), None)));
    group.bench_function(id("verify"), |b| {
        b.iter(|| verify(Trusted::Key(keys.verifying()), black_box(&file), &options));
    });
    if !whole {
        return Ok(());
    }
    group.bench_function(id("keygen"), |b| {
        b.iter_batched(
            || (model.clone(), srs.clone()),
            |(model, srs)| setup(model, Backend::Shplonk, srs, Store::Nowhere),
            BatchSize::PerIteration,
        );
    });
    group.bench_function(id("read_key"), |b| {
        b.iter(|| VerifyingKey::from_bytes(black_box(keys.verifying().to_bytes())));
    });
    for backend in [Backend::Gwc, Backend::Ipa] {
        let srs = if backend.is_transparent() {
            Srs::transparent(model.plan().k)?
        } else {
            srs.clone()
        };
        let keys = setup(model.clone(), backend, srs, Store::Nowhere)?;
        let file = prove(&keys, &inputs, None)?.file;
        group.bench_function(id(&format!("prove_{backend}")), |b| {
            b.iter(|| prove(&keys, black_box(&inputs), None));
        });
        group.bench_function(id(&format!("verify_{backend}")), |b| {
            b.iter(|| verify(Trusted::Key(keys.verifying()), black_box(&file), &options));
        });
    }
    for &count in measured(&BATCHES) {
        let items = vec![(Trusted::Key(keys.verifying()), &file); count];
        group.throughput(Throughput::Elements(u64::try_from(count)?));
        group.bench_function(id(&format!("verify_batch_{count}")), |b| {
            b.iter(|| verify_batch(black_box(&items), &options));
        });
    }
    group.finish();
    Ok(())
}

fn benches(c: &mut Criterion) {
    let run = |c: &mut Criterion| -> Result<(), Box<dyn Error>> {
        for name in measured(&MODELS) {
            stages(c, name, &model_bytes(name)?, true)?;
        }
        for (name, onnx) in stored_models()? {
            stages(c, name, &onnx, false)?;
        }
        Ok(())
    };
    if let Err(error) = run(c) {
        panic!("{error}");
    }
}

criterion_group!(group, benches);
criterion_main!(group);
