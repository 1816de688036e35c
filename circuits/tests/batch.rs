//! Several inferences in one circuit: it holds for honest runs, its outputs are the reference's one by one, and what would
//! carry a value from one inference to another is refused.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables; tables of cases are long"
)]

use inferproof_circuits::assign::{Cells, Fault, Witness};
use inferproof_circuits::batch::{MAX_BATCH, stack};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::plan::{Plan, PlanError, PlanOptions};
use inferproof_circuits::statement::{BATCH_VERSION, CIRCUIT_VERSION, Descriptor};
use inferproof_circuits::tensor::{DType, Tensor};
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything, random_inputs};
use inferproof_circuits::testing::{Checker, Failure, Mutant};

struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

/// Different inputs for each inference, and what the network makes of them, stacked.
fn run(graph: &Graph, batch: usize, seed: u64) -> (Vec<Tensor>, Vec<Tensor>) {
    let seeds = (1000 * seed..).take(batch);
    let inputs: Vec<Vec<Tensor>> = seeds.map(|s| random_inputs(graph, s).unwrap()).collect();
    let outputs = inputs.iter().map(|inputs| {
        let values = graph.run(inputs).unwrap();
        let outputs = graph.outputs.iter().map(|o| values[o.tensor.0].clone());
        outputs.collect::<Vec<_>>()
    });
    let outputs: Vec<Vec<Tensor>> = outputs.collect();
    let stacked = |all: &[Vec<Tensor>]| {
        let port = |at: usize| stack(&all.iter().map(|one: &Vec<Tensor>| one[at].clone()).collect::<Vec<_>>()).unwrap();
        (0..all[0].len()).map(port).collect()
    };
    (stacked(&inputs), stacked(&outputs))
}

fn check(graph: &Graph, options: &PlanOptions, seed: u64) {
    let plan = Plan::new(graph, options).unwrap();
    assert_eq!(plan.batch, options.batch);
    let descriptor = Descriptor::new(graph, &plan).unwrap();
    descriptor.validate().unwrap();
    let checker = Checker::new(graph, plan, seed, &[]);
    let (inputs, outputs) = run(graph, options.batch, seed);
    let witness = Witness::new(graph, checker.plan(), &inputs).unwrap();
    for (port, expected) in graph.outputs.iter().zip(&outputs) {
        assert_eq!(
            &witness.tensor(graph, checker.plan(), port.tensor).unwrap(),
            expected
        );
    }
    let instance = descriptor.instance(&inputs, &outputs).unwrap();
    let assignment = checker.assign(graph, &inputs, &mut Honest, instance).unwrap();
    let failures = checker.failures(&assignment, None);
    assert!(failures.is_empty(), "{options:?}: {failures:?}");
}

/// Plans with these lanes.
fn lanes(batch: usize, lanes: u32) -> PlanOptions {
    PlanOptions {
        lanes: Some(lanes),
        batch,
        ..PlanOptions::default()
    }
}

fn strided() -> Graph {
    let mut b = Builder::new(7, DType::U8);
    let x = b.input(&[1, 3, 8, 8]).unwrap();
    let a = b.conv(x, ConvSpec::square(3, 1, 1, 1, 4)).unwrap();
    let c = b.conv(a, ConvSpec::square(3, 2, 1, 1, 4)).unwrap();
    let s = b.conv(a, ConvSpec::square(1, 2, 0, 1, 4)).unwrap();
    let d = b.conv(c, ConvSpec::square(3, 1, 1, 1, 4)).unwrap();
    let sum = b.add(d, s).unwrap();
    let e = b.conv(sum, ConvSpec::square(3, 1, 1, 1, 2)).unwrap();
    let p = b.max_pool(e, 3, 1).unwrap();
    let flat = b.flatten(p).unwrap();
    let out = b.dense(flat, 4).unwrap();
    b.finish(&[out, c])
}

fn odd_windows() -> Graph {
    let mut b = Builder::new(3, DType::I8);
    let x = b.input(&[1, 2, 12, 13]).unwrap();
    let y = b
        .conv(
            x,
            ConvSpec {
                kernel: (10, 4),
                stride: (2, 2),
                dilation: (1, 1),
                pad_begin: (4, 1),
                pad_end: (5, 1),
                groups: 1,
                c_out: 2,
            },
        )
        .unwrap();
    let z = b
        .conv(
            y,
            ConvSpec {
                kernel: (3, 2),
                stride: (2, 1),
                dilation: (1, 2),
                pad_begin: (1, 0),
                pad_end: (0, 1),
                groups: 1,
                c_out: 3,
            },
        )
        .unwrap();
    b.finish(&[z])
}

fn vectors() -> Graph {
    let mut b = Builder::new(9, DType::I8);
    let x = b.input(&[1, 37]).unwrap();
    let y = b.dense(x, 11).unwrap();
    let z = b.dense(y, 3).unwrap();
    b.finish(&[z])
}

fn rows_of_vectors() -> Graph {
    let mut b = Builder::new(10, DType::U8);
    let x = b.input(&[1, 6, 5]).unwrap();
    let y = b.dense(x, 4).unwrap();
    let z = b.dense(y, 3).unwrap();
    b.finish(&[z])
}

/// The leading axis is no batch axis.
fn channels_last() -> Graph {
    let mut b = Builder::new(11, DType::I8);
    let x = b.input(&[7, 6, 3]).unwrap();
    let r = b.reshape(x, vec![1, 7, 6, 3]).unwrap();
    let t = b.transpose(r, &[0, 3, 1, 2]).unwrap();
    let y = b.conv(t, ConvSpec::square(3, 2, 1, 1, 4)).unwrap();
    let u = b.transpose(y, &[0, 2, 3, 1]).unwrap();
    let flat = b.flatten(u).unwrap();
    let out = b.dense(flat, 5).unwrap();
    b.finish(&[out])
}

fn two_ports() -> Graph {
    let mut b = Builder::new(12, DType::I8);
    let (x, y) = (b.input(&[1, 2, 5, 4]).unwrap(), b.input(&[1, 2, 5, 4]).unwrap());
    let c = b.conv(x, ConvSpec::square(3, 1, 1, 1, 3)).unwrap();
    let d = b.conv(y, ConvSpec::square(1, 1, 0, 1, 3)).unwrap();
    let sum = b.add(c, d).unwrap();
    b.finish(&[sum, d])
}

fn networks() -> Vec<(&'static str, Graph)> {
    vec![
        ("every operator, uint8", everything(0, DType::U8).unwrap()),
        ("every operator, int8", everything(1, DType::I8).unwrap()),
        ("strides that meet", strided()),
        ("odd windows", odd_windows()),
        ("vectors", vectors()),
        ("rows of vectors", rows_of_vectors()),
        ("channels last", channels_last()),
        ("two ports", two_ports()),
    ]
}

fn shipped(name: &str) -> Graph {
    let path = format!("{}/../models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    load(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn batches_match_the_reference_on_every_network_and_plan() {
    for (name, graph) in networks() {
        println!("{name}");
        for batch in [1, 2, 3, 5] {
            for of_lanes in [1, 2, 5] {
                check(&graph, &lanes(batch, of_lanes), 7);
            }
        }
    }
}

#[test]
fn batches_match_the_reference_with_folded_statements() {
    for batch in [2, 5] {
        for of_lanes in [1, 3, 10] {
            let options = PlanOptions {
                fold_from: Some(1),
                ..lanes(batch, of_lanes)
            };
            check(&everything(2, DType::I8).unwrap(), &options, 3);
        }
    }
}

#[test]
fn batches_of_shipped_networks_match_the_reference() {
    for name in ["tiny_mlp", "tiny_cnn", "digits_cnn"] {
        for batch in [1, 2, 3, 5] {
            let options = PlanOptions {
                batch,
                ..PlanOptions::default()
            };
            check(&shipped(name), &options, 1);
        }
    }
}
