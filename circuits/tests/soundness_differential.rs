//! Reference, witness and circuit agree on random small networks.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

mod common;

use common::circuit::Honest;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{Builder, ConvSpec, random_inputs};
use rayon::prelude::*;

fn network(seed: u64) -> Graph {
    let mut b = Builder::new(
        seed,
        if seed.is_multiple_of(2) {
            DType::U8
        } else {
            DType::I8
        },
    );
    let n = usize::try_from(seed / 10).unwrap();
    let x = b.input(&[1, 2, 5 + n % 4, 4 + n % 3]).unwrap();
    let out = match seed % 10 {
        0 => b.conv(x, ConvSpec::square(3, 1 + n % 2, n % 2, 1, 3)),
        1 => b.conv(x, ConvSpec::square(3, 1 + n % 2, 1, 2, 2)),
        2 => b.conv(x, ConvSpec::square(1 + n % 3, 1 + n % 3, 0, 2, 4)),
        3 => b.flatten(x).and_then(|f| b.dense(f, 1 + n % 7)),
        4 => b.rescale(x).and_then(|y| b.add(x, y)),
        5 => b.rescale(x),
        6 => b.max_pool(x, 2 + n % 2, 1 + n % 2),
        7 => b.avg_pool(x, Some((2 + n % 2, 1 + n % 2))),
        8 => b.avg_pool(x, None),
        _ => b
            .transpose(x, &[0, 2, 3, 1])
            .and_then(|t| b.flatten(t))
            .and_then(|f| b.dense(f, 3)),
    };
    let out = out.unwrap();
    b.finish(&[out])
}

#[test]
fn matches_soundness_reference_on_a_thousand_inputs_of_all_operators() {
    (0u64..100).into_par_iter().for_each(|seed| {
        let graph = network(seed);
        graph.validate().unwrap();
        let options = PlanOptions {
            lanes: Some(1 + u32::try_from(seed / 10 % 4).unwrap()),
            limb_split: Some(2 + u32::try_from(seed % 2).unwrap()),
            ..PlanOptions::default()
        };
        let checker = Checker::new(&graph, Plan::new(&graph, &options).unwrap(), seed, &[]);
        for input in 0..10 {
            let inputs = random_inputs(&graph, seed * 10 + input).unwrap();
            let values = graph.run(&inputs).unwrap();
            let (witness, assignment) = checker.state(&graph, &inputs, &mut Honest).unwrap();
            for port in &graph.outputs {
                let made = witness.tensor(&graph, checker.plan(), port.tensor).unwrap();
                assert_eq!(made, values[port.tensor.0], "operator {}", seed % 10);
            }
            assert_eq!(checker.failures(&assignment, None), [], "operator {}", seed % 10);
        }
    });
}
