//! How the work of a proof grows with the network: the plan's cells, the time of witness and advice columns, and the
//! processor time of the whole prover at 1, 2, 4 and 8 times the channels or the height, with the exponents that fit them.
//!
//! For cells and columns the lanes are fixed, so that only the number of rows answers to the size; proofs have the
//! default plan.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::print_stdout, reason = "the exponents are this bench's result")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inferproof_benches::{
    Axis, BenchError, Honest, MEASUREMENT, SEED, SIZES, WARM_UP, exponent, measured, network, timed,
};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Cost, Plan, PlanOptions};
use inferproof_circuits::tensor::Tensor;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::random_inputs;
use inferproof_prover::keys::{Model, Store, setup};
use inferproof_prover::profile::cpu_ms;
use inferproof_prover::prove::prove;
use inferproof_prover::srs::Srs;
use inferproof_verifier::Backend;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

/// Lanes of every plan.
const LANES: u32 = 4;
/// Runs of which the fastest counts in the exponent.
const RUNS: usize = 3;

fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// One network, ready to be assigned.
struct Size {
    factor: usize,
    graph: Graph,
    inputs: Vec<Tensor>,
    checker: Checker,
    cost: Cost,
}

impl Size {
    fn new(axis: Axis, factor: usize) -> Result<Self, BenchError> {
        let graph = network(axis, factor)?;
        let options = PlanOptions {
            lanes: Some(LANES),
            ..PlanOptions::default()
        };
        let plan = Plan::new(&graph, &options)?;
        let cost = plan.cost;
        let inputs = random_inputs(&graph, SEED)?;
        let checker = Checker::new(&graph, plan, SEED, &[]);
        Ok(Self {
            factor,
            graph,
            inputs,
            checker,
            cost,
        })
    }

    /// Witness and every advice column of all rounds, without commitments.
    fn assign(&self) {
        let assigned = self
            .checker
            .assign(&self.graph, &self.inputs, &mut Honest, Vec::new());
        assert!(black_box(assigned).is_ok(), "the inputs are the graph's own");
    }

    /// Seconds of the fastest of [`RUNS`] runs.
    fn fastest(&self) -> f64 {
        let run = |_| {
            let start = Instant::now();
            self.assign();
            start.elapsed().as_secs_f64()
        };
        (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
    }
}

/// One proof of the network with its default plan.
struct Proof {
    k: u32,
    lanes: u32,
    cpu_ms: f64,
}

impl Proof {
    fn new(size: &Size) -> Result<Self, Box<dyn Error>> {
        let model = Model::from_graph(size.graph.clone(), &PlanOptions::default())?;
        let srs = Srs::generate_insecure(model.plan().k)?;
        let keys = setup(model, Backend::Shplonk, srs, Store::Nowhere)?;
        let before = cpu_ms();
        black_box(prove(&keys, &size.inputs, None)?);
        let spent = cpu_ms().zip(before).map(|(after, before)| after - before);
        Ok(Self {
            k: keys.plan().k,
            lanes: keys.plan().params.lanes,
            cpu_ms: spent.unwrap_or(f64::NAN),
        })
    }
}

/// Proves every size once.
fn report_proofs(axis: Axis, sizes: &[Size]) -> Result<(), Box<dyn Error>> {
    println!(
        "proofs by {}: size, activations, 2^k, lanes, processor ms",
        axis.name()
    );
    let mut points = Vec::new();
    for size in sizes {
        let proof = Proof::new(size)?;
        println!(
            "  {}x {} 2^{} {} {:.0}",
            size.factor, size.cost.activations, proof.k, proof.lanes, proof.cpu_ms
        );
        points.push((real(size.cost.activations), proof.cpu_ms));
    }
    println!(
        "  exponent of the prover in the activations: {:.2}",
        exponent(&points)
    );
    Ok(())
}

fn report(axis: Axis, sizes: &[Size]) {
    println!(
        "growth with {}: size, activations, MACs, tape rows, glue rows, 2^k, assign ms",
        axis.name()
    );
    let times: Vec<f64> = sizes.iter().map(Size::fastest).collect();
    for (s, seconds) in sizes.iter().zip(&times) {
        println!(
            "  {}x {} {} {} {} 2^{} {:.2}",
            s.factor,
            s.cost.activations,
            s.graph.macs(),
            s.cost.tape_rows,
            s.cost.glue_rows,
            s.checker.plan().k,
            seconds * 1e3
        );
    }
    let fit = |costs: Vec<f64>| {
        let factors = sizes.iter().map(|s| real(s.factor));
        exponent(&factors.zip(costs).collect::<Vec<_>>())
    };
    let count = |cost: fn(&Size) -> usize| fit(sizes.iter().map(|s| real(cost(s))).collect());
    println!(
        "  exponents: activations {:.2}, tape rows {:.2}, glue rows {:.2}, cells {:.2}, assign time {:.2}",
        count(|s| s.cost.activations),
        count(|s| s.cost.tape_rows),
        count(|s| s.cost.glue_rows),
        count(|s| s.cost.cells_small + s.cost.cells_full),
        fit(times),
    );
}

fn grow(c: &mut Criterion, axis: Axis) -> Result<(), Box<dyn Error>> {
    let sizes = measured(&SIZES)
        .iter()
        .map(|factor| Size::new(axis, *factor))
        .collect::<Result<Vec<_>, _>>()?;
    if timed() {
        report(axis, &sizes);
        report_proofs(axis, &sizes)?;
    }
    let mut group = c.benchmark_group(format!("growth/{}", axis.name()));
    group
        .sample_size(10)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT);
    for size in &sizes {
        group.throughput(Throughput::Elements(size.cost.activations as u64));
        group.bench_function(BenchmarkId::new("plan", size.factor), |b| {
            let options = PlanOptions {
                lanes: Some(LANES),
                ..PlanOptions::default()
            };
            b.iter(|| Plan::new(black_box(&size.graph), &options));
        });
        group.bench_function(BenchmarkId::new("assign", size.factor), |b| {
            b.iter(|| size.assign())
        });
    }
    group.finish();
    Ok(())
}

fn benches(c: &mut Criterion) {
    for axis in Axis::ALL {
        if let Err(error) = grow(c, axis) {
            panic!("{}: {error}", axis.name());
        }
    }
}

criterion_group!(group, benches);
criterion_main!(group);
