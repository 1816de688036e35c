//! The circuit of honest runs holds, and its output is the reference's.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking; tables of cases are long"
)]

use inferproof_circuits::assign::{Cells, Fault, Witness};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::statement::Descriptor;
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything, random_inputs};

struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

fn check(graph: &Graph, options: &PlanOptions, seed: u64) {
    graph.validate().unwrap();
    let plan = Plan::new(graph, options).unwrap();
    let descriptor = Descriptor::new(graph, &plan).unwrap();
    descriptor.validate().unwrap();
    let checker = Checker::new(graph, plan, seed, &[]);
    let inputs = random_inputs(graph, seed).unwrap();
    let values = graph.run(&inputs).unwrap();
    let witness = Witness::new(graph, checker.plan(), &inputs).unwrap();
    let outputs: Vec<_> = graph.outputs.iter().map(|o| values[o.tensor.0].clone()).collect();
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

#[test]
fn matches_reference_on_every_operator_and_plan() {
    for seed in 0..4 {
        let dtype = if seed % 2 == 0 { DType::U8 } else { DType::I8 };
        let graph = everything(seed, dtype).unwrap();
        for lanes in [1, 2, 3, 5, 8] {
            for limb_split in [1, 2, 3] {
                let options = PlanOptions {
                    lanes: Some(lanes),
                    limb_split: Some(limb_split),
                    ..PlanOptions::default()
                };
                check(&graph, &options, seed);
            }
        }
    }
}

#[test]
fn matches_reference_on_odd_windows() {
    let specs = [
        ConvSpec {
            kernel: (3, 2),
            stride: (2, 1),
            dilation: (1, 2),
            pad_begin: (1, 0),
            pad_end: (0, 1),
            groups: 1,
            c_out: 3,
        },
        ConvSpec {
            kernel: (10, 4),
            stride: (2, 2),
            dilation: (1, 1),
            pad_begin: (4, 1),
            pad_end: (5, 1),
            groups: 1,
            c_out: 2,
        },
        ConvSpec {
            kernel: (1, 1),
            stride: (2, 2),
            dilation: (1, 1),
            pad_begin: (0, 0),
            pad_end: (0, 0),
            groups: 1,
            c_out: 5,
        },
        ConvSpec {
            kernel: (5, 5),
            stride: (3, 3),
            dilation: (1, 1),
            pad_begin: (2, 2),
            pad_end: (2, 2),
            groups: 2,
            c_out: 4,
        },
        ConvSpec {
            kernel: (3, 3),
            stride: (1, 1),
            dilation: (2, 2),
            pad_begin: (2, 2),
            pad_end: (2, 2),
            groups: 2,
            c_out: 6,
        },
    ];
    for (seed, spec) in (0u64..).zip(specs) {
        let mut b = Builder::new(seed, DType::I8);
        let x = b.input(&[1, 2, 12, 13]).unwrap();
        let y = b.conv(x, spec).unwrap();
        let graph = b.finish(&[y]);
        for lanes in [1, 3, 4] {
            check(
                &graph,
                &PlanOptions {
                    lanes: Some(lanes),
                    ..PlanOptions::default()
                },
                seed,
            );
        }
    }
}

#[test]
fn matches_reference_where_strides_meet() {
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
    let graph = b.finish(&[out, c]);
    for lanes in [1, 2, 4] {
        check(
            &graph,
            &PlanOptions {
                lanes: Some(lanes),
                ..PlanOptions::default()
            },
            7,
        );
    }
}

#[test]
fn matches_reference_on_vectors_and_rows() {
    let mut b = Builder::new(9, DType::I8);
    let x = b.input(&[1, 37]).unwrap();
    let y = b.dense(x, 11).unwrap();
    let z = b.dense(y, 3).unwrap();
    check(&b.finish(&[z]), &PlanOptions::default(), 9);
    let mut b = Builder::new(10, DType::U8);
    let x = b.input(&[1, 6, 5]).unwrap();
    let y = b.dense(x, 4).unwrap();
    let z = b.dense(y, 3).unwrap();
    check(&b.finish(&[z]), &PlanOptions::default(), 10);
    check(&everything(3, DType::I8).unwrap(), &PlanOptions::default(), 3);
}

#[test]
fn matches_reference_on_channels_last_input() {
    let mut b = Builder::new(11, DType::I8);
    let x = b.input(&[1, 7, 6, 3]).unwrap();
    let t = b.transpose(x, &[0, 3, 1, 2]).unwrap();
    let y = b.conv(t, ConvSpec::square(3, 2, 1, 1, 4)).unwrap();
    let u = b.transpose(y, &[0, 2, 3, 1]).unwrap();
    let flat = b.flatten(u).unwrap();
    let out = b.dense(flat, 5).unwrap();
    let graph = b.finish(&[out]);
    for lanes in [1, 2, 5] {
        check(
            &graph,
            &PlanOptions {
                lanes: Some(lanes),
                ..PlanOptions::default()
            },
            11,
        );
    }
}
