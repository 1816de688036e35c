//! The shipped models, stage by stage: import, plan, fixed columns, witness, and all advice columns.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use inferproof_benches::{
    BenchError, Honest, MEASUREMENT, MODELS, SEED, WARM_UP, measured, model_bytes, planned,
};
use inferproof_circuits::assign::Witness;
use inferproof_circuits::circuit::Fixture;
use inferproof_circuits::import::onnx;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::random_inputs;
use std::hint::black_box;
use std::sync::Arc;

fn stages(c: &mut Criterion, name: &str) -> Result<(), BenchError> {
    let bytes = model_bytes(name)?;
    let (graph, plan) = planned(name)?;
    let inputs = random_inputs(&graph, SEED)?;
    let checker = Checker::new(&graph, plan.clone(), SEED, &[]);
    let plan = Arc::new(plan);
    let id = |stage: &str| BenchmarkId::new(stage.to_owned(), name);
    let mut group = c.benchmark_group("model");
    group
        .sample_size(10)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    group.bench_function(id("import"), |b| b.iter(|| onnx::load(black_box(&bytes))));
    group.bench_function(id("plan"), |b| {
        b.iter(|| Plan::new(black_box(&graph), &PlanOptions::default()));
    });
    group.bench_function(id("fixed_columns"), |b| {
        b.iter(|| Fixture::new(black_box(&graph), plan.clone()));
    });
    group.bench_function(id("witness"), |b| {
        b.iter(|| Witness::new(&graph, &plan, black_box(&inputs)));
    });
    group.bench_function(id("advice_columns"), |b| {
        b.iter(|| checker.assign(&graph, black_box(&inputs), &mut Honest, Vec::new()));
    });
    group.finish();
    Ok(())
}

fn benches(c: &mut Criterion) {
    for name in measured(&MODELS) {
        if let Err(error) = stages(c, name) {
            panic!("{name}: {error}");
        }
    }
}

criterion_group!(group, benches);
criterion_main!(group);
