//! Every constraint and every lookup is needed: for each there is a forgery that it alone stops.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::forge::Adversary;
use inferproof_circuits::testing::models::{Builder, ConvSpec, random_inputs};

/// A small network; without a zero point every tensor draws its own.
fn network(seed: u64, zero: Option<i32>, max: bool) -> Graph {
    let mut b = Builder::new(seed, DType::U8);
    if let Some(zero) = zero {
        b = b.with_zero(zero);
    }
    let x = b.input(&[1, 2, 6, 5]).unwrap();
    let c1 = b.conv(x, ConvSpec::square(3, 1, 1, 1, 4)).unwrap();
    let c2 = b.conv(c1, ConvSpec::square(1, 1, 0, 1, 4)).unwrap();
    // A maximum hides a value that it does not take: convolutions before it read every lane.
    let out = if max { b.max_pool(c2, 2, 1).unwrap() } else { c2 };
    b.finish(&[out])
}

fn adversary(graph: &Graph, limb_split: u32, seed: u64) -> Adversary<'_> {
    let options = PlanOptions {
        lanes: Some(2),
        limb_split: Some(limb_split),
        ..PlanOptions::default()
    };
    let plan = Plan::new(graph, &options).unwrap();
    Adversary::new(graph, plan, random_inputs(graph, seed).unwrap(), seed).unwrap()
}

/// `constraint -> killed by` for one circuit, filled up over several networks of the same shape.
fn table(limb_split: u32, zero: Option<i32>, max: bool) -> Vec<(String, Option<&'static str>)> {
    let mut rows: Vec<(String, Option<&'static str>)> = Vec::new();
    for seed in 0..8 {
        let graph = network(seed, zero, max);
        let cheat = adversary(&graph, limb_split, seed);
        assert_eq!(cheat.checker().failures(cheat.honest(), None), []);
        let gates = cheat
            .checker()
            .constraints()
            .into_iter()
            .chain(["copy".to_owned()]);
        let lookups = cheat.checker().lookups().iter().map(|l| format!("lookup {l}"));
        for name in gates.chain(lookups) {
            let at = rows.iter().position(|r| r.0 == name).unwrap_or_else(|| {
                rows.push((name.clone(), None));
                rows.len() - 1
            });
            if rows[at].1.is_none() {
                rows[at].1 = match name.strip_prefix("lookup ") {
                    Some(lookup) => cheat.kill_lookup(lookup),
                    None => cheat.kill_gate(&name),
                };
            }
        }
        if rows.iter().all(|r| r.1.is_some()) {
            break;
        }
    }
    rows
}

fn assert_all_killed(limb_split: u32, zero: Option<i32>, max: bool) {
    let rows = table(limb_split, zero, max);
    for (name, by) in &rows {
        println!("{name:24} | {}", by.unwrap_or("SURVIVES"));
    }
    let alive: Vec<&String> = rows.iter().filter(|r| r.1.is_none()).map(|r| &r.0).collect();
    println!(
        "{} of {} constraints killed",
        rows.len() - alive.len(),
        rows.len()
    );
    assert!(alive.is_empty(), "no forgery for {alive:?}");
}

#[test]
fn forge_soundness_table_of_split_limbs_with_max_and_mixed_ranges() {
    assert_all_killed(2, None, true);
}

#[test]
fn forge_soundness_table_of_split_limbs_with_one_range() {
    assert_all_killed(2, Some(0), false);
}

#[test]
fn forge_soundness_table_of_whole_limbs_with_max() {
    assert_all_killed(1, None, true);
}
