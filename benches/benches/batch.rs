//! One proof of 1, 4 and 16 inferences: what proving and verifying cost, as a table by inference and as measurements. The
//! shipped digits network, and the keyword-spotting network where INFERPROOF_SHARED names the stored ones.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::print_stdout, reason = "the table is this bench's result")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inferproof_benches::{MEASUREMENT, SEED, WARM_UP, model_bytes, stored_models, timed};
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tensor::Tensor;
use inferproof_circuits::testing::models::random_batch;
use inferproof_prover::keys::{Model, ModelKeys, Store, setup};
use inferproof_prover::profile::cpu_ms;
use inferproof_prover::prove::prove;
use inferproof_prover::srs::Srs;
use inferproof_verifier::{Backend, ProofFile, Trusted, VerifyOptions, verify};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

/// Inferences in one proof.
const BATCHES: [usize; 3] = [1, 4, 16];
/// As [`BATCHES`], where each bench runs once and is not timed.
const TRIED: [usize; 1] = [2];
/// The stored network that is measured.
const STORED: &str = "mlperf_kws_tf2onnx_qdq";
/// Runs of which the fastest counts in the table.
const VERIFICATIONS: usize = 21;
const PROOFS: usize = 2;

/// Keys, inputs and a proof of one batch.
struct Batch {
    size: usize,
    keys: ModelKeys,
    inputs: Vec<Tensor>,
    file: ProofFile,
}

impl Batch {
    fn new(onnx: &[u8], size: usize) -> Result<Self, Box<dyn Error>> {
        let options = PlanOptions {
            batch: size,
            ..PlanOptions::default()
        };
        let model = Model::load(onnx, &options)?;
        let srs = Srs::generate_insecure(model.plan().k)?;
        let keys = setup(model, Backend::Shplonk, srs, Store::Nowhere)?;
        let inputs = random_batch(keys.graph(), SEED, size)?;
        let file = prove(&keys, &inputs, None)?.file;
        Ok(Self {
            size,
            keys,
            inputs,
            file,
        })
    }

    fn verify(&self) {
        let options = VerifyOptions {
            allow_insecure_srs: true,
            ..VerifyOptions::default()
        };
        let trusted = Trusted::Key(self.keys.verifying());
        assert!(
            verify(trusted, black_box(&self.file), &options).is_ok(),
            "an honest proof"
        );
    }

    /// Processor milliseconds of the fastest proof.
    fn prove_ms(&self) -> Result<f64, Box<dyn Error>> {
        let mut fastest = f64::INFINITY;
        for _ in 0..PROOFS {
            let before = cpu_ms();
            black_box(prove(&self.keys, &self.inputs, None)?);
            let spent = cpu_ms().zip(before).map(|(after, before)| after - before);
            fastest = fastest.min(spent.unwrap_or(f64::NAN));
        }
        Ok(fastest)
    }

    /// Milliseconds of the fastest verification.
    fn verify_ms(&self) -> f64 {
        let run = |_| {
            let start = Instant::now();
            self.verify();
            start.elapsed().as_secs_f64() * 1e3
        };
        (0..VERIFICATIONS).map(run).fold(f64::INFINITY, f64::min)
    }

    fn report(&self, name: &str) -> Result<(), Box<dyn Error>> {
        let (plan, size) = (self.keys.plan(), f64::from(u32::try_from(self.size)?));
        let (prove_ms, verify_ms) = (self.prove_ms()?, self.verify_ms());
        let proof = self.file.proof.len();
        println!(
            "| {name} | {} | {} | {} | {:.0} | {:.0} | {proof} | {:.0} | {verify_ms:.1} | {:.2} |",
            self.size,
            plan.k,
            plan.params.lanes,
            prove_ms,
            prove_ms / size,
            f64::from(u32::try_from(proof)?) / size,
            verify_ms / size,
        );
        Ok(())
    }
}

/// `whole`: proofs too; criterion takes ten of each, the table two.
fn measure(c: &mut Criterion, name: &str, onnx: &[u8], whole: bool) -> Result<(), Box<dyn Error>> {
    let mut group = c.benchmark_group("batch");
    group
        .sample_size(10)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    for size in if timed() { BATCHES.as_slice() } else { &TRIED } {
        let size = *size;
        let batch = Batch::new(onnx, size)?;
        if timed() {
            batch.report(name)?;
        }
        group.throughput(Throughput::Elements(u64::try_from(size)?));
        if whole {
            group.bench_function(BenchmarkId::new(format!("prove/{name}"), size), |b| {
                b.iter(|| prove(&batch.keys, black_box(&batch.inputs), None));
            });
        }
        group.bench_function(BenchmarkId::new(format!("verify/{name}"), size), |b| {
            b.iter(|| batch.verify());
        });
    }
    group.finish();
    Ok(())
}

fn benches(c: &mut Criterion) {
    let run = |c: &mut Criterion| -> Result<(), Box<dyn Error>> {
        println!(
            "| network | inferences | k | lanes | prove, CPU ms | each | proof bytes | each | verify ms | each |"
        );
        measure(c, "digits_cnn", &model_bytes("digits_cnn")?, true)?;
        let stored = stored_models()?.into_iter().find(|(name, _)| *name == STORED);
        if let Some((name, onnx)) = stored {
            measure(c, name, &onnx, false)?;
        }
        Ok(())
    };
    if let Err(error) = run(c) {
        panic!("{error}");
    }
}

criterion_group!(group, benches);
criterion_main!(group);
