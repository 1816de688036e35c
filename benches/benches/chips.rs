//! The constraints of each chip on a block of rows, one after the other, and how many there are and of which degree.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]
#![allow(clippy::print_stdout, reason = "the counts are part of this bench's result")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{Circuit, ConstraintSystem, Expression};
use inferproof_benches::{BenchError, MEASUREMENT, WARM_UP, planned};
use inferproof_circuits::circuit::InferenceCircuit;
use std::hint::black_box;

/// The network whose columns the chips have; it has max pools, so that all chips have constraints.
const MODEL: &str = "digits_cnn";
/// Rows of a block.
const ROWS: u64 = 64;

/// A cell that depends on row, kind, column and rotation, full-size as challenges and running sums are.
fn cell(row: u64, kind: u64, column: usize, rotation: i32) -> Fr {
    let place = Fr::from(row) + Fr::from(1000 * kind + u64::from(rotation.unsigned_abs()));
    (place * Fr::MULTIPLICATIVE_GENERATOR + Fr::from(column as u64)).square()
}

/// The constraint in a row where everything is selected.
fn evaluate(constraint: &Expression<Fr>, row: u64) -> Fr {
    constraint.evaluate(
        &|constant| constant,
        &|_| Fr::ONE,
        &|query| cell(row, 1, query.column_index(), query.rotation().0),
        &|query| cell(row, 2, query.column_index(), query.rotation().0),
        &|query| cell(row, 3, query.column_index(), query.rotation().0),
        &|challenge| cell(0, 4, challenge.index(), 0),
        &|a| -a,
        &|a, b| a + b,
        &|a, b| a * b,
        &|a, factor| a * factor,
    )
}

fn chips(c: &mut Criterion) -> Result<(), BenchError> {
    let (_, plan) = planned(MODEL)?;
    let mut cs = ConstraintSystem::default();
    InferenceCircuit::configure_with_params(&mut cs, plan.params.clone());
    let mut group = c.benchmark_group("chips");
    group
        .sample_size(10)
        .warm_up_time(WARM_UP)
        .measurement_time(MEASUREMENT)
        .throughput(Throughput::Elements(ROWS));
    for gate in cs.gates() {
        let constraints = gate.polynomials();
        let degree = constraints.iter().map(Expression::degree).max().unwrap_or(0);
        println!(
            "{}: {} constraints, degree {degree}",
            gate.name(),
            constraints.len()
        );
        group.bench_function(BenchmarkId::new(gate.name(), MODEL), |b| {
            b.iter(|| {
                (0..ROWS)
                    .flat_map(|row| constraints.iter().map(move |p| evaluate(black_box(p), row)))
                    .sum::<Fr>()
            });
        });
    }
    group.finish();
    Ok(())
}

fn benches(c: &mut Criterion) {
    if let Err(error) = chips(c) {
        panic!("{MODEL}: {error}");
    }
}

criterion_group!(all, benches);
criterion_main!(all);
