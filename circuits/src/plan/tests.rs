use super::*;
use crate::tensor::DType;
use crate::testing::models::{Builder, ConvSpec, everything};
use std::collections::{BTreeMap, BTreeSet};

fn plan(graph: &Graph, lanes: u32, batch: usize) -> Plan {
    let options = PlanOptions {
        lanes: Some(lanes),
        batch,
        ..PlanOptions::default()
    };
    Plan::new(graph, &options).unwrap()
}

fn strided() -> Graph {
    let mut b = Builder::new(7, DType::U8);
    let x = b.input(&[1, 2, 9, 7]).unwrap();
    let a = b.conv(x, ConvSpec::square(3, 1, 1, 1, 3)).unwrap();
    let c = b.conv(a, ConvSpec::square(5, 2, 2, 1, 2)).unwrap();
    let d = b.conv(c, ConvSpec::square(3, 2, 0, 2, 2)).unwrap();
    let flat = b.flatten(d).unwrap();
    let out = b.dense(flat, 4).unwrap();
    b.finish(&[out])
}

/// Exponents and images of everything that an identity reads, value by value.
fn reached(plan: &Plan, identity: &Identity) -> Vec<(usize, usize)> {
    let at = plan.point();
    let mut found = Vec::new();
    let mut read = |exponent: usize, source: Source| {
        let home = &plan.lowered.homes[source.home];
        let scale = match source.of {
            Evaluated::Value => home.value_scale,
            Evaluated::Accumulator => home.accumulator_scale,
        };
        let plane = &plan.planes[source.home][source.plane];
        for (image, offset) in at.offsets().enumerate() {
            for i in 0..plane.height {
                let row = (0..plane.width).map(|j| plane.exponent(i, j, at, scale));
                found.extend(row.map(|e| (exponent + offset + e, image)));
            }
        }
    };
    for term in &identity.dense {
        read(term.exponent, term.source);
    }
    for run in &identity.powers {
        run.terms.iter().for_each(|t| read(run.exponent, t.1));
    }
    for run in &identity.factored {
        for (exponent, _) in &run.kernel {
            run.terms.iter().for_each(|t| read(*exponent, t.1));
        }
    }
    found
}

/// At every exponent that no overhang cell stands for, all values are of one inference.
#[test]
fn inferences_of_a_batch_never_meet_outside_the_overhang() {
    for graph in [
        everything(0, DType::U8).unwrap(),
        everything(1, DType::I8).unwrap(),
        strided(),
    ] {
        for (lanes, batch) in [(1, 2), (2, 3), (3, 5), (8, 4)] {
            let plan = plan(&graph, lanes, batch);
            for identity in &plan.identities {
                let overhang: BTreeSet<usize> = identity.overhang.iter().copied().collect();
                let mut images: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
                for (exponent, image) in reached(&plan, identity) {
                    images.entry(exponent).or_default().insert(image);
                }
                images.retain(|exponent, _| !overhang.contains(exponent));
                assert!(images.values().all(|of| of.len() == 1), "{lanes} lanes");
                let seen: BTreeSet<usize> = images.values().flatten().copied().collect();
                assert_eq!(seen.len(), batch);
            }
        }
    }
}

/// The degree that the soundness account has covers every exponent of every inference.
#[test]
fn the_account_covers_the_batch() {
    for graph in [everything(1, DType::I8).unwrap(), strided()] {
        let mut last = 0;
        for batch in [1, 2, 5, 9] {
            let plan = plan(&graph, 2, batch);
            let risk = plan.risks().into_iter().find(|r| r.challenge == "v").unwrap();
            let top = |i: &Identity| reached(&plan, i).into_iter().map(|r| r.0).max().unwrap_or(0);
            let sum: usize = plan.identities.iter().map(top).sum();
            assert!(risk.degree >= sum as u128);
            assert!(sum > last);
            last = sum;
        }
    }
}

/// A pitch at which what one inference leaves over reaches the next one's window is refused.
#[test]
fn a_pitch_that_is_too_small_is_refused() {
    let mut b = Builder::new(1, DType::U8);
    let x = b.input(&[1, 2, 4, 6]).unwrap();
    let y = b.conv(x, ConvSpec::square(5, 1, 2, 1, 2)).unwrap();
    let graph = b.finish(&[y]);
    let plan = plan(&graph, 1, 3);
    let identity = |pitch: usize| {
        let context = Context {
            graph: &graph,
            lowered: &plan.lowered,
            planes: &plan.planes,
            at: Point {
                pitch,
                ..plan.point()
            },
            weight_lanes: plan.params.num_weight_lanes(),
        };
        context.identity(&plan.lowered.steps[0]).err()
    };
    // Two columns on each side of six.
    assert_eq!(plan.pitch, 8);
    for pitch in 6..8 {
        assert_eq!(identity(pitch), Some(PlanError::RowStride), "pitch {pitch}");
    }
    assert_eq!(identity(8), None);
}

#[test]
fn batches_of_none_and_of_too_many_are_refused() {
    let graph = everything(1, DType::I8).unwrap();
    for batch in [0, MAX_BATCH + 1, usize::MAX] {
        let options = PlanOptions {
            batch,
            ..PlanOptions::default()
        };
        let limit = MAX_BATCH;
        assert_eq!(
            Plan::new(&graph, &options).err(),
            Some(PlanError::Batch { batch, limit })
        );
    }
}

/// Weights and their rows are there once, whatever the batch.
#[test]
fn weights_are_shared() {
    let graph = strided();
    let (one, five) = (plan(&graph, 1, 1), plan(&graph, 1, 5));
    // Ones that begin a run of powers come and go with the number of weights in a row.
    let (weights, of_five) = (one.program.weights.len(), five.program.weights.len());
    assert!(weights.abs_diff(of_five) * 20 < weights, "{weights}, {of_five}");
    assert_eq!(five.cost.tape_rows, 5 * one.cost.tape_rows);
    assert!(five.cost.glue_rows < 5 * one.cost.glue_rows);
}
