//! Random wrong hints with everything downstream computed from them: no wrong output is accepted.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::assign::{Cells, Fault};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::{DType, Tensor};
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{Builder, ConvSpec, random_inputs};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

const MUTATIONS: u64 = 20_000;
const NETWORKS: u64 = 5;

fn network(seed: u64) -> Graph {
    let mut b = Builder::new(
        seed,
        if seed.is_multiple_of(2) {
            DType::U8
        } else {
            DType::I8
        },
    );
    let x = b.input(&[1, 2, 4, 3]).unwrap();
    let y = b.conv(x, ConvSpec::square(2, 1, 0, 1, 2)).unwrap();
    let y = match seed % 3 {
        0 => b.max_pool(y, 2, 1).unwrap(),
        1 => b.add(y, y).unwrap(),
        _ => b.avg_pool(y, None).unwrap(),
    };
    let flat = b.flatten(y).unwrap();
    let out = b.dense(flat, 3).unwrap();
    b.finish(&[out])
}

/// A network in a circuit of two lanes, and inputs.
fn subject(seed: u64) -> (Graph, Checker, Vec<Tensor>) {
    let graph = network(seed);
    let options = PlanOptions {
        lanes: Some(2),
        limb_split: Some(2 + u32::try_from(seed % 2).unwrap()),
        ..PlanOptions::default()
    };
    let checker = Checker::new(&graph, Plan::new(&graph, &options).unwrap(), seed, &[]);
    let inputs = random_inputs(&graph, seed).unwrap();
    (graph, checker, inputs)
}

/// Changes the value that is made as number `at`.
struct Mutation {
    at: u64,
    seen: u64,
    kind: u64,
    amount: i64,
}

impl Fault for Mutation {
    fn touch(&mut self, _: usize, _: usize, d: i64, c: &mut Cells) {
        self.seen += 1;
        if self.seen - 1 != self.at {
            return;
        }
        let new = |old: i64| match self.amount {
            0 => 0,
            1 => 1,
            2 => -1,
            3 => old + 1,
            4 => old - 1,
            5 => -old,
            6 => 255,
            7 => 256,
            8 => 63,
            9 => 64,
            10 => 4095,
            11 => 4096,
            12 => (d >> 12) - 1,
            13 => d >> 12,
            14 => 4094,
            15 => 4097,
            16 => 254,
            17 => 62,
            18 => 65,
            19 => 15,
            20 => 16,
            21 => d / 2,
            n => old ^ (1 << (n - 22)),
        };
        match self.kind {
            0 => c.y = new(c.y),
            1 => c.a = new(c.a),
            2 => c.r1 = new(c.r1),
            3 => c.r0 = new(c.r0),
            4 => (c.y, c.r0) = (c.y + 1, c.r0 - d),
            5 => (c.y, c.r0) = (c.y - 1, c.r0 + d),
            6 => (c.y, c.r1) = (c.y + 1, c.r1 - (d >> 12)),
            7 => (c.y, c.r1) = (c.y - 1, c.r1 + (d >> 12)),
            8 => (c.y, c.a) = (new(c.y), (c.y - new(c.y)).abs() + c.a),
            _ => (c.y, c.a, c.r1, c.r0) = (c.y + 1, c.a + 1, c.r1 + 1, c.r0 + 1),
        }
    }
}

/// `Some(true)`: accepted with the right output; `Some(false)`: accepted with a wrong one.
fn attempt(
    graph: &Graph,
    checker: &Checker,
    inputs: &[Tensor],
    rng: &mut ChaCha20Rng,
    made: u64,
) -> Option<bool> {
    let mut fault = Mutation {
        at: rng.next_u64() % made,
        seen: 0,
        kind: rng.next_u64() % 10,
        amount: i64::try_from(rng.next_u64() % 30).unwrap(),
    };
    let (witness, assignment) = checker.state(graph, inputs, &mut fault).unwrap();
    if !checker.may_hold(&assignment) || !checker.failures(&assignment, None).is_empty() {
        return None;
    }
    let tensor = |id| witness.tensor(graph, checker.plan(), id);
    let stated: Option<Vec<Tensor>> = graph.inputs.iter().map(|p| tensor(p.tensor)).collect();
    let Some(stated) = stated else { return Some(false) };
    let values = graph.run(&stated).unwrap();
    Some(
        graph
            .outputs
            .iter()
            .all(|o| tensor(o.tensor).as_ref() == Some(&values[o.tensor.0])),
    )
}

#[test]
fn forge_soundness_no_mutation_of_a_hint_changes_the_output() {
    let mut totals = [0u64; 2];
    for seed in 0..NETWORKS {
        let (graph, checker, inputs) = subject(seed);
        let cost = checker.plan().cost;
        let made = u64::try_from(cost.activations + cost.inputs).unwrap();
        let verdicts: Vec<Option<bool>> = (0..MUTATIONS / NETWORKS)
            .into_par_iter()
            .map(|n| {
                let mut rng = ChaCha20Rng::seed_from_u64(seed << 32 | n);
                attempt(&graph, &checker, &inputs, &mut rng, made)
            })
            .collect();
        totals[0] += u64::try_from(verdicts.iter().filter(|v| v.is_some()).count()).unwrap();
        totals[1] += u64::try_from(verdicts.iter().filter(|v| **v == Some(false)).count()).unwrap();
    }
    println!(
        "figure: {MUTATIONS} hint mutations recomputed downstream: {} true statements, {} wrong outputs accepted",
        totals[0], totals[1]
    );
    // Another in-range input is a true statement about that input, and a no-op changes nothing.
    assert!(totals[0] > 0 && totals[0] < MUTATIONS / 2);
    assert_eq!(totals[1], 0);
}

/// Field elements in single cells of each network.
const ELEMENTS: u64 = 1_000;

/// A value that a cheat may put into a cell instead of `old`.
fn element(old: Fr, kind: u64, d: u64, rng: &mut ChaCha20Rng) -> Fr {
    let power = |bits: u64| Fr::from(1 << bits);
    match kind {
        0 => Fr::ZERO,
        1 => -Fr::ONE,
        2 => -old,
        3 => old + Fr::ONE,
        4 => old - Fr::ONE,
        5 => Checker::quotient(old, d),
        6 => Checker::quotient(old + Fr::ONE, 255),
        7 => Checker::quotient(Fr::ONE, 2),
        8 => power([4, 6, 8, 12, 24][usize::try_from(rng.next_u64() % 5).unwrap()]),
        9 => power([4, 6, 8, 12, 24][usize::try_from(rng.next_u64() % 5).unwrap()]) - Fr::ONE,
        10 => old + power(32) * power(32),
        11 => -power(rng.next_u64() % 13),
        _ => Fr::random(rng),
    }
}

#[test]
fn forge_soundness_no_field_element_in_a_cell_changes_the_statement() {
    let mut totals = [0usize; 3];
    for seed in 0..NETWORKS {
        let (graph, checker, inputs) = subject(seed);
        let mut honest = Mutation {
            at: u64::MAX,
            seen: 0,
            kind: 0,
            amount: 0,
        };
        let (_, honest) = checker.state(&graph, &inputs, &mut honest).unwrap();
        let (hints, rows) = (
            checker.hints(),
            checker.plan().cost.activations + checker.plan().cost.inputs,
        );
        let verdicts: Vec<(bool, bool)> = (0..ELEMENTS)
            .into_par_iter()
            .map(|n| {
                let mut rng = ChaCha20Rng::seed_from_u64(seed << 40 | n);
                let mut below =
                    |n: usize| usize::try_from(rng.next_u64() % u64::try_from(n).unwrap()).unwrap();
                let (hint, row) = (hints[below(hints.len())], below(rows));
                let (kind, d) = (rng.next_u64() % 13, 4096 * (1 + rng.next_u64() % 64));
                let salt = rng.next_u64();
                let change = |old: Fr| element(old, kind, d, &mut ChaCha20Rng::seed_from_u64(salt));
                let forged = checker.with_hint(&honest, hint, row, change);
                let accepted = checker.failures(&forged, None).is_empty();
                (accepted, accepted && !Checker::same_statement(&honest, &forged))
            })
            .collect();
        totals[0] += verdicts.len();
        totals[1] += verdicts.iter().filter(|v| v.0).count();
        totals[2] += verdicts.iter().filter(|v| v.1).count();
    }
    let [all, accepted, wrong] = totals;
    println!(
        "figure: {all} field elements in small cells, multiplicities, helpers and overhangs: {accepted} change nothing, {wrong} other statements accepted"
    );
    assert!(accepted < all / 2);
    assert_eq!(wrong, 0);
}
