//! The circuit of honest runs holds, and its output is the reference's.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test fails by panicking; tables of cases are long"
)]

mod common;

use common::circuit::{check, check_batches, check_lanes};
use inferproof_circuits::assign::{Cells, Fault, Witness};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::ops::{Dense, Op};
use inferproof_circuits::plan::{Plan, PlanError, PlanOptions};
use inferproof_circuits::quant::{self as fit, OutputQuant, STEP_DIVISOR};
use inferproof_circuits::statement::Descriptor;
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything, random_inputs};

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

/// The graph with ties in every convolution and matrix product, strictly rounded; returns the number of corrections.
fn with_ties(graph: &mut Graph, log2_scale: i32) -> usize {
    let mut corrections = 0;
    for node in &mut graph.nodes {
        let input = graph.tensors[node.inputs[0].0].dtype;
        let (requantize, bounds) = match &mut node.op {
            Op::Conv2d(conv) => {
                let bounds = conv.bounds(input);
                (&mut conv.requantize, bounds)
            }
            Op::Dense(dense) => {
                let bounds = dense.bounds(input);
                (&mut dense.requantize, bounds)
            }
            _ => continue,
        };
        let centre = i32::midpoint(requantize.lo, requantize.hi);
        let y = OutputQuant {
            scales: [5.0f32, 1.0, 3.0]
                .map(|factor| factor * (log2_scale as f32).exp2())
                .into_iter()
                .cycle()
                .take(bounds.len())
                .collect(),
            zero_point: centre,
            lo: (centre - 9).max(requantize.lo),
            hi: (centre + 7).min(requantize.hi),
        };
        *requantize = fit::requantize(&y, &bounds, &[]).unwrap();
        assert!(requantize.num_differing().0 > 0);
        fit::strict(requantize, &y, &[]).unwrap();
        assert_eq!(requantize.num_differing(), (0, 0));
        corrections += requantize.corrections().count();
    }
    corrections
}

#[test]
fn matches_reference_with_strict_rounding() {
    for seed in 0..3 {
        let dtype = if seed % 2 == 0 { DType::U8 } else { DType::I8 };
        let mut graph = everything(seed, dtype).unwrap();
        assert!(with_ties(&mut graph, -9) > 20);
        for lanes in [1, 3, 4] {
            let options = PlanOptions {
                lanes: Some(lanes),
                ..PlanOptions::default()
            };
            check_batches(&graph, &options, seed);
        }
    }
}

/// Changes one cell of one correction; `kind` says which.
struct Forge {
    kind: usize,
    position: usize,
    done: bool,
}

impl Fault for Forge {
    fn touch(&mut self, _: usize, position: usize, divisor: i64, cells: &mut Cells) {
        if self.done || divisor != STEP_DIVISOR || position != self.position {
            return;
        }
        self.done = true;
        let step = 1 << 12;
        match self.kind {
            0 => cells.y += 1,
            1 => cells.y -= 1,
            // The neighbouring quotient with the remainder that makes up for it.
            2 => (cells.y, cells.r1) = (cells.y + 1, cells.r1 - divisor / step),
            3 => (cells.y, cells.r1) = (cells.y - 1, cells.r1 + divisor / step),
            _ => cells.a = 1,
        }
    }
}

/// A correction that is switched on or off against its accumulator is refused, whatever follows from it honestly.
#[test]
fn forged_corrections_are_refused() {
    let mut graph = everything(1, DType::I8).unwrap();
    assert!(with_ties(&mut graph, -9) > 20);
    let plan = Plan::new(&graph, &PlanOptions::default()).unwrap();
    let descriptor = Descriptor::new(&graph, &plan).unwrap();
    let checker = Checker::new(&graph, plan, 1, &[]);
    let inputs = random_inputs(&graph, 1).unwrap();
    let mut found = std::collections::BTreeSet::new();
    for kind in 0..5 {
        for position in [0, 17, 100] {
            let mut forge = Forge {
                kind,
                position,
                done: false,
            };
            let witness = Witness::with_fault(&graph, checker.plan(), &inputs, &mut forge).unwrap();
            assert!(forge.done, "{kind} {position}");
            let value = |id| witness.tensor(&graph, checker.plan(), id);
            let outputs: Option<Vec<_>> = graph.outputs.iter().map(|o| value(o.tensor)).collect();
            let instance = descriptor.instance(&inputs, &outputs.unwrap()).unwrap();
            forge.done = false;
            let assignment = checker.assign(&graph, &inputs, &mut forge, instance).unwrap();
            let failures = checker.failures(&assignment, None);
            assert!(!failures.is_empty(), "{kind} {position}");
            found.extend(failures.into_iter().map(|f| f.constraint));
        }
    }
    assert!(found.contains("glue/check"), "{found:?}");
}

/// Corrections beside strides on both sides, one position per channel, rows of vectors, and clamps that leave the zero
/// point out.
#[test]
fn matches_reference_with_strict_rounding_and_strides() {
    let mut b = Builder::new(5, DType::I8);
    let x = b.input(&[1, 2, 11, 9]).unwrap();
    let a = b.conv(x, ConvSpec::square(3, 2, 1, 1, 3)).unwrap();
    let c = b.conv(a, ConvSpec::square(3, 2, 1, 3, 3)).unwrap();
    let p = b.max_pool(a, 2, 2).unwrap();
    let q = b.conv(p, ConvSpec::square(1, 1, 0, 1, 3)).unwrap();
    let single = b.conv(c, ConvSpec::square(3, 1, 0, 1, 2)).unwrap();
    let mut strided = b.finish(&[single, q]);
    let mut b = Builder::new(6, DType::U8).with_zero(255);
    let x = b.input(&[1, 6, 5]).unwrap();
    let y = b.dense(x, 4).unwrap();
    let z = b.dense(y, 3).unwrap();
    let mut rows = b.finish(&[z]);
    for (graph, scale) in [(&mut strided, -8), (&mut rows, -7)] {
        assert!(with_ties(graph, scale) > 10);
        for lanes in [1, 2, 5] {
            let options = PlanOptions {
                lanes: Some(lanes),
                ..PlanOptions::default()
            };
            check_batches(graph, &options, 5);
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
            check_batches(
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

/// A clamp magnitude of more than 32 bits has no cells: no plan, rather than one that honest witnesses do not satisfy.
#[test]
fn quotients_beyond_the_clamp_have_no_plan() {
    let outcome = |scale: f32| {
        let mut b = Builder::new(44, DType::I8).with_zero(0);
        let x = b.input(&[1, 4]).unwrap();
        let y = b.dense(x, 1).unwrap();
        let mut graph = b.finish(&[y]);
        let quant = OutputQuant {
            scales: vec![scale],
            zero_point: 0,
            lo: -128,
            hi: 127,
        };
        let input = graph.tensor(x).quant();
        let dense = Dense::new(1, 4, 1, vec![127; 4], &input, &[0], &quant).unwrap();
        graph.nodes[0].op = Op::Dense(dense);
        graph.validate().unwrap();
        Plan::new(&graph, &PlanOptions::default())
    };
    // Accumulators reach 2^16.
    assert!(outcome(1024.0).is_ok());
    let refused = outcome(1_048_576.0).unwrap_err();
    assert!(matches!(refused, PlanError::TooLarge { .. }), "{refused}");
}

/// Taps that lie outside the input everywhere may meet other taps at one exponent.
#[test]
fn matches_reference_on_windows_much_wider_than_the_input() {
    for (size, kernel, pad) in [((2, 2), 5, 2), ((1, 3), 7, 3), ((3, 1), 5, 4), ((2, 3), 9, 6)] {
        let mut b = Builder::new(43, DType::U8);
        let x = b.input(&[1, 2, size.0, size.1]).unwrap();
        let y = b.conv(x, ConvSpec::square(kernel, 1, pad, 1, 2)).unwrap();
        let y = b.conv(y, ConvSpec::square(3, 1, 1, 2, 2)).unwrap();
        let graph = b.finish(&[y]);
        check_lanes(&graph, &[1, 2, 4], 43);
    }
}
