//! Bounds on the constraint system.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::everything;
use std::collections::BTreeMap;

#[test]
fn soundness_degree_rotations_and_permutation_are_bounded() {
    for (seed, dtype) in [(0, DType::U8), (1, DType::I8), (2, DType::U8), (3, DType::I8)] {
        let graph = everything(seed, dtype).unwrap();
        for limb_split in 1..=3 {
            for lanes in [1, 2, 5] {
                let mut options = PlanOptions {
                    lanes: Some(lanes),
                    limb_split: Some(limb_split),
                    ..PlanOptions::default()
                };
                let mut plan = Plan::new(&graph, &options).unwrap();
                // Each shape once with one public row to an instance value and once with folded ones, with room for them.
                if (seed + u64::from(limb_split)) % 2 == 1 {
                    options.fold_from = Some(1);
                    options.k = Some(plan.k + 1);
                    plan = Plan::new(&graph, &options).unwrap();
                    assert!(plan.params.folded.is_some());
                }
                let checker = Checker::new(&graph, plan, seed, &[]);
                let cs = checker.cs();
                assert_eq!(cs.degree(), 5);
                for gate in cs.gates() {
                    for (i, poly) in gate.polynomials().iter().enumerate() {
                        assert!(poly.degree() <= 5, "{}/{}", gate.name(), gate.constraint_name(i));
                    }
                }
                let mut rotations: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
                for (column, rotation) in cs.advice_queries() {
                    rotations.entry(column.index()).or_default().push(rotation.0);
                }
                assert!(rotations.values().all(|r| r.len() <= 2), "{rotations:?}");
                assert!(cs.permutation().get_columns().len() <= 6);
            }
        }
    }
}
