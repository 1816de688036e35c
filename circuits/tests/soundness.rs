//! Every part of the circuit is needed: for each there is a forgery that it alone stops. A part is a gate constraint, the
//! copies, a lookup; a constraint in one kind of rows; one end of a lookup's range.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use inferproof_circuits::graph::Graph;
use inferproof_circuits::params::Clamp;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::forge::Adversary;
use inferproof_circuits::testing::models::{Builder, ConvSpec, random_batch};
use inferproof_circuits::testing::{End, Mutant};
use rayon::prelude::*;

/// How a small network is made and laid out.
#[derive(Clone, Copy)]
struct Case {
    limb_split: u32,
    /// Log2 of the rows; more of them than needed let the planner use larger tables.
    k: Option<u32>,
    /// Without a zero point every tensor draws its own.
    zero: Option<i32>,
    /// Kernel of the first convolution: the smaller, the smaller the clamp magnitudes.
    kernel: usize,
    max: bool,
    /// Inferences.
    batch: usize,
}

const SPLIT: Case = Case {
    limb_split: 2,
    k: None,
    zero: None,
    kernel: 3,
    max: true,
    batch: 1,
};
const SEEDS: u64 = 12;

impl Case {
    fn network(self, seed: u64) -> Graph {
        let mut b = Builder::new(seed, DType::U8);
        if let Some(zero) = self.zero {
            b = b.with_zero(zero);
        }
        let x = b.input(&[1, 2, 6, 5]).unwrap();
        let c1 = b
            .conv(x, ConvSpec::square(self.kernel, 1, self.kernel / 2, 1, 4))
            .unwrap();
        let c2 = b.conv(c1, ConvSpec::square(1, 1, 0, 1, 4)).unwrap();
        // A maximum hides a value that it does not take: convolutions before it read every lane.
        let out = if self.max {
            b.max_pool(c2, 3, 1).unwrap()
        } else {
            c2
        };
        b.finish(&[out])
    }

    fn adversary(self, graph: &Graph, seed: u64) -> Adversary<'_> {
        let options = PlanOptions {
            lanes: Some(2),
            limb_split: Some(self.limb_split),
            k: self.k,
            batch: self.batch,
            ..PlanOptions::default()
        };
        let plan = Plan::new(graph, &options).unwrap();
        Adversary::new(graph, plan, random_batch(graph, seed, self.batch).unwrap(), seed).unwrap()
    }

    /// `part -> killed by`, filled up over several networks of the same shape with the same kind of clamp.
    fn table(self, kind: &str) -> Vec<(Mutant, Option<&'static str>)> {
        let mut rows: Vec<(Mutant, Option<&'static str>)> = Vec::new();
        for seed in 0..SEEDS {
            let graph = self.network(seed);
            let cheat = self.adversary(&graph, seed);
            if clamp(&cheat) != kind {
                continue;
            }
            assert_eq!(cheat.checker().failures(cheat.honest(), None), []);
            for mutant in cheat.mutants() {
                if rows.iter().all(|row| row.0 != mutant) {
                    rows.push((mutant, None));
                }
            }
            let is_open = |row: &(Mutant, Option<&str>)| row.1.is_none() && !implied(kind, &row.0);
            let open = rows.par_iter_mut().filter(|row| is_open(row));
            open.for_each(|row| row.1 = cheat.forge(&row.0));
            if !rows.iter().any(is_open) {
                break;
            }
        }
        rows
    }
}

/// How the clamp magnitude is ranged.
fn clamp(cheat: &Adversary<'_>) -> &'static str {
    match cheat.checker().plan().params.clamp {
        Clamp::Limbs(_) => "limbs",
        Clamp::Range(_) => "a table",
        Clamp::Pair(_) => "pairs",
    }
}

/// The clamp's constraint says of a pair what its table says already.
fn implied(clamp: &str, mutant: &Mutant) -> bool {
    let constraint =
        matches!(mutant, Mutant::Constraint { name, .. } if name.starts_with("requantize/clamp"));
    constraint && clamp == "pairs"
}

fn assert_all_killed(case: Case, clamp: &str) {
    let rows = case.table(clamp);
    for (mutant, by) in &rows {
        let by = by.unwrap_or(if implied(clamp, mutant) {
            "implied by the table of pairs"
        } else {
            "SURVIVES"
        });
        println!("{:40} | {by}", mutant.to_string());
    }
    let needed: Vec<_> = rows.iter().filter(|row| !implied(clamp, &row.0)).collect();
    let alive: Vec<String> = needed
        .iter()
        .filter(|row| row.1.is_none())
        .map(|row| row.0.to_string())
        .collect();
    let (killed, all) = (needed.len() - alive.len(), needed.len());
    println!("figure: clamp by {clamp}: {killed} of {all} mutants of the circuit killed");
    assert!(all > 0, "no network of this case has its clamp by {clamp}");
    assert!(alive.is_empty(), "no forgery for {alive:?}");
}

#[test]
fn soundness_table_of_split_limbs_with_max_and_mixed_ranges() {
    assert_all_killed(SPLIT, "limbs");
}

#[test]
fn soundness_table_of_split_limbs_with_one_range() {
    let case = Case {
        zero: Some(0),
        max: false,
        ..SPLIT
    };
    assert_all_killed(case, "limbs");
}

#[test]
fn soundness_table_of_whole_limbs_with_max() {
    let case = Case {
        limb_split: 1,
        ..SPLIT
    };
    assert_all_killed(case, "limbs");
}

#[test]
fn soundness_table_of_limbs_in_three() {
    let case = Case {
        limb_split: 3,
        ..SPLIT
    };
    assert_all_killed(case, "limbs");
}

#[test]
fn soundness_table_of_clamps_with_a_table() {
    let case = Case {
        limb_split: 3,
        k: Some(12),
        kernel: 1,
        ..SPLIT
    };
    assert_all_killed(case, "a table");
}

#[test]
fn soundness_table_of_pairs() {
    let case = Case {
        k: Some(13),
        zero: Some(0),
        kernel: 1,
        max: false,
        ..SPLIT
    };
    assert_all_killed(case, "pairs");
}

#[test]
fn soundness_table_of_a_batch() {
    assert_all_killed(Case { batch: 2, ..SPLIT }, "limbs");
}

/// The forgery that a part of the circuit alone stops.
fn forge(mutant: &Mutant) {
    let label = (0..SEEDS).find_map(|seed| {
        let graph = SPLIT.network(seed);
        SPLIT.adversary(&graph, seed).forge(mutant)
    });
    println!("{mutant}: {}", label.unwrap_or("SURVIVES"));
    assert!(label.is_some(), "no forgery for {mutant}");
}

fn forge_constraint(name: &str, rows: &[&'static str]) {
    let mutant = |rows| Mutant::Constraint {
        name: name.to_owned(),
        rows,
    };
    forge(&mutant(None));
    rows.iter().for_each(|kind| forge(&mutant(Some(*kind))));
}

fn forge_lookup(name: &str, ends: &[End], rows: &[&'static str]) {
    let mutant = |end, rows| Mutant::Lookup {
        name: name.to_owned(),
        end,
        rows,
    };
    forge(&mutant(None, None));
    ends.iter().for_each(|end| forge(&mutant(Some(*end), None)));
    rows.iter().for_each(|kind| forge(&mutant(None, Some(*kind))));
}

#[test]
fn forge_public_row() {
    forge_constraint("tape/public row", &["public input", "public output"]);
}

#[test]
fn forge_clamp() {
    forge_constraint("requantize/clamp 0", &[]);
}

#[test]
fn forge_max() {
    forge_constraint("max/max 0", &[]);
}

#[test]
fn forge_value() {
    forge_constraint("horner/value", &["value start", "value step"]);
}

#[test]
fn forge_accumulator() {
    forge_constraint("horner/accumulator", &["accumulator start", "accumulator step"]);
}

#[test]
fn forge_weights() {
    forge_constraint("glue/weights", &["K start"]);
}

#[test]
fn forge_identity() {
    forge_constraint("glue/identity", &["G carry", "G check"]);
}

#[test]
fn forge_check() {
    forge_constraint("glue/check", &["G check"]);
}

#[test]
fn forge_copy() {
    forge_constraint("copy", &[]);
}

#[test]
fn forge_helper() {
    forge_constraint("logup/helper 0", &["no value"]);
}

#[test]
fn forge_running_sum() {
    forge_constraint("logup/running sum", &["no value"]);
}

#[test]
fn forge_boundary() {
    forge_constraint("logup/boundary", &["first", "last"]);
}

#[test]
fn forge_range_of_y() {
    forge_lookup("y 0", &[End::Below, End::Above], &["input"]);
}

#[test]
fn forge_range_of_a() {
    forge_lookup("a 0.0", &[End::Below], &["maximum", "requantized"]);
}

#[test]
fn forge_range_of_r1() {
    forge_lookup("r1 0.0", &[End::Below], &[]);
}

#[test]
fn forge_range_of_r0() {
    forge_lookup("r0 0.0", &[End::Below, End::Above], &["maximum", "requantized"]);
}

#[test]
fn forge_range_of_gap() {
    forge_lookup("gap 0.0", &[End::Below], &[]);
}

/// No constraint can see that the overhang was chosen after v. The verifier's transcript does:
/// `verifier/src/tests/rounds.rs`.
#[test]
fn forge_overhang_chosen_after_the_point_satisfies_every_constraint() {
    let found = (0..SEEDS).any(|seed| {
        let graph = SPLIT.network(seed);
        SPLIT.adversary(&graph, seed).overhang_after_point().is_some()
    });
    assert!(found);
}
