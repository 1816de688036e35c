//! Several inferences in one circuit: it holds for honest runs, its outputs are the reference's one by one, and what would
//! carry a value from one inference to another is refused.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables; tables of cases are long"
)]

mod common;

use common::circuit::{Honest, check, run};
use inferproof_circuits::assign::{Cells, Fault, Witness};
use inferproof_circuits::batch::{MAX_BATCH, stack};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::plan::{Plan, PlanError, PlanOptions};
use inferproof_circuits::statement::{
    BATCH_VERSION, CIRCUIT_VERSION, Descriptor, FOLDED_VERSION, StatementError,
};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::forge::Adversary;
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything};
use inferproof_circuits::testing::{Checker, Failure, Mutant};

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

/// The options with public rows folded, and twice the rows for the glue program that begins after them.
fn folded(graph: &Graph, options: &PlanOptions) -> PlanOptions {
    let plan = Plan::new(graph, options).unwrap();
    let options = PlanOptions {
        fold_from: Some(1),
        k: Some(plan.k + 1),
        ..*options
    };
    assert!(Plan::new(graph, &options).unwrap().params.folded.is_some());
    options
}

#[test]
fn batches_match_the_reference_with_folded_statements() {
    for batch in [2, 5] {
        for of_lanes in [1, 3, 10] {
            let graph = everything(2, DType::I8).unwrap();
            check(&graph, &folded(&graph, &lanes(batch, of_lanes)), 3);
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

/// Keeps what an honest run makes.
#[derive(Default)]
struct Record(Vec<Vec<Cells>>);

impl Fault for Record {
    fn touch(&mut self, home: usize, position: usize, _: i64, cells: &mut Cells) {
        self.0.resize(self.0.len().max(home + 1), Vec::new());
        assert_eq!(self.0[home].len(), position);
        self.0[home].push(*cells);
    }
}

/// Gives every value these cells.
struct Given<'a>(&'a [Vec<Cells>]);

impl Fault for Given<'_> {
    fn touch(&mut self, home: usize, position: usize, _: i64, cells: &mut Cells) {
        *cells = self.0[home][position];
    }
}

fn names(failures: &[Failure]) -> Vec<&str> {
    failures.iter().map(|f| f.constraint.as_str()).collect()
}

fn without(name: &str) -> Mutant {
    Mutant::Constraint {
        name: name.to_owned(),
        rows: None,
    }
}

fn three_convolutions() -> Graph {
    let mut b = Builder::new(4, DType::U8);
    let x = b.input(&[1, 2, 5, 4]).unwrap();
    let y = b.conv(x, ConvSpec::square(3, 1, 1, 1, 3)).unwrap();
    let z = b.conv(y, ConvSpec::square(3, 1, 1, 1, 3)).unwrap();
    let w = b.conv(z, ConvSpec::square(1, 1, 0, 1, 2)).unwrap();
    b.finish(&[w])
}

/// Two inferences with their inputs and outputs, and each other's activations between them.
#[test]
fn swapped_activations_are_refused_by_the_identities_alone() {
    let graph = three_convolutions();
    let plan = Plan::new(&graph, &lanes(2, 2)).unwrap();
    let descriptor = Descriptor::new(&graph, &plan).unwrap();
    let (inputs, outputs) = run(&graph, 2, 1);
    let instance = descriptor.instance(&inputs, &outputs).unwrap();
    let mut honest = Record::default();
    Witness::with_fault(&graph, &plan, &inputs, &mut honest).unwrap();
    for hidden in [1, 2] {
        let mut forged = honest.0.clone();
        let half = forged[hidden].len() / 2;
        forged[hidden].rotate_left(half);
        assert_ne!(forged[hidden], honest.0[hidden]);
        let verdict = |mutants: &[Mutant]| {
            let checker = Checker::new(&graph, plan.clone(), 1, mutants);
            let fault = &mut Given(&forged);
            let assignment = checker.assign(&graph, &inputs, fault, instance.clone()).unwrap();
            checker.failures(&assignment, None)
        };
        assert_eq!(names(&verdict(&[])), ["glue/check"], "home {hidden}");
        assert_eq!(verdict(&[without("glue/check")]), []);
    }
}

/// A single value of one inference where the other's belongs.
#[test]
fn one_activation_of_another_inference_is_refused() {
    let graph = three_convolutions();
    let plan = Plan::new(&graph, &lanes(3, 2)).unwrap();
    let descriptor = Descriptor::new(&graph, &plan).unwrap();
    let checker = Checker::new(&graph, plan.clone(), 1, &[]);
    let (inputs, outputs) = run(&graph, 3, 2);
    let instance = descriptor.instance(&inputs, &outputs).unwrap();
    let mut honest = Record::default();
    Witness::with_fault(&graph, &plan, &inputs, &mut honest).unwrap();
    let len = honest.0[1].len() / 3;
    let mut tried = 0;
    for position in (0..2 * len).step_by(7) {
        let mut forged = honest.0.clone();
        forged[1].swap(position, position + len);
        if forged == honest.0 {
            continue;
        }
        tried += 1;
        let fault = &mut Given(&forged);
        let assignment = checker.assign(&graph, &inputs, fault, instance.clone()).unwrap();
        let failures = checker.failures(&assignment, None);
        assert_eq!(names(&failures), ["glue/check"], "value {position}");
    }
    assert!(tried > 10);
}

/// The answers in another order than the questions.
#[test]
fn swapped_outputs_are_refused_by_the_public_rows_alone() {
    let graph = three_convolutions();
    for options in [lanes(3, 2), folded(&graph, &lanes(3, 2))] {
        let plan = Plan::new(&graph, &options).unwrap();
        let descriptor = Descriptor::new(&graph, &plan).unwrap();
        let (inputs, outputs) = run(&graph, 3, 1);
        let shape = &graph.tensor(graph.outputs[0].tensor).shape;
        let mut parts = inferproof_circuits::batch::split(&outputs[0], shape).unwrap();
        parts.swap(0, 2);
        assert_ne!(stack(&parts).unwrap(), outputs[0]);
        let instance = descriptor.instance(&inputs, &[stack(&parts).unwrap()]).unwrap();
        let verdict = |mutants: &[Mutant]| {
            let checker = Checker::new(&graph, plan.clone(), 1, mutants);
            let assignment = checker.assign(&graph, &inputs, &mut Honest, instance.clone());
            checker.failures(&assignment.unwrap(), None)
        };
        assert_eq!(names(&verdict(&[])), ["tape/public row"]);
        assert_eq!(verdict(&[without("tape/public row")]), []);
    }
}

/// A wrong value in each inference, and an overhang cell that would hide it if the program read one there.
#[test]
fn overhang_at_a_window_is_not_read() {
    for (image, fold) in [(0, false), (1, false), (2, false), (1, true)] {
        let found = (0..12).find_map(|seed| {
            let mut b = Builder::new(seed, DType::U8);
            let x = b.input(&[1, 2, 6, 5]).unwrap();
            // The statement's values are the second operator's.
            let y = b.conv(x, ConvSpec::square(3, 1, 1, 1, 2)).unwrap();
            let z = b.conv(y, ConvSpec::square(3, 1, 1, 1, 3)).unwrap();
            let graph = b.finish(&[z]);
            let mut options = lanes(3, 2);
            if fold {
                options = folded(&graph, &options);
            }
            let plan = Plan::new(&graph, &options).unwrap();
            let (inputs, _) = run(&graph, 3, seed);
            let cheat = Adversary::new(&graph, plan, inputs, seed).unwrap();
            cheat.overhang_in_window(image)
        });
        let found = found.unwrap();
        assert_eq!(names(&found.planned), ["glue/check"], "inference {image}");
        assert_eq!(found.open, [], "inference {image}");
    }
}

#[test]
fn sweep_soundness_of_a_batch() {
    for (name, graph, batch) in [
        ("batch of 2, every operator", everything(1, DType::I8).unwrap(), 2),
        ("batch of 3, tiny_mlp", shipped("tiny_mlp"), 3),
        ("batch of 3, convolutions", three_convolutions(), 3),
    ] {
        let options = PlanOptions {
            limb_split: Some(2),
            batch,
            ..PlanOptions::default()
        };
        let checker = Checker::new(&graph, Plan::new(&graph, &options).unwrap(), 1, &[]);
        let (inputs, _) = run(&graph, batch, 1);
        let (_, assignment) = checker.state(&graph, &inputs, &mut Honest).unwrap();
        assert_eq!(checker.failures(&assignment, None), []);
        let found = checker.sweep(&assignment);
        println!(
            "figure: {name}: {} advice cells changed by +-1, {} accepted; free: {:?}",
            found.cells,
            found.accepted.len(),
            found.free
        );
        assert!(found.cells > 0);
        assert_eq!(found.accepted, [], "columns and rows that nothing pins");
        assert_eq!(found.not_free, [], "the list of free cells is too long");
    }
}

/// Tensors that are not stacks of the batch's length are refused, whoever gives them.
#[test]
fn other_counts_are_refused() {
    let graph = three_convolutions();
    let plan = Plan::new(&graph, &lanes(3, 2)).unwrap();
    let descriptor = Descriptor::new(&graph, &plan).unwrap();
    for count in [1, 2, 4] {
        let (inputs, outputs) = run(&graph, count, 1);
        let error = descriptor.instance(&inputs, &outputs).unwrap_err().to_string();
        assert!(error.contains("[3, 2, 5, 4]"), "{error}");
        let error = Witness::new(&graph, &plan, &inputs).unwrap_err().to_string();
        let given = format!("[{count}, 2, 5, 4]");
        assert!(
            error.contains("[3, 2, 5, 4]") && error.contains(&given),
            "{error}"
        );
    }
}

#[test]
fn descriptors_state_the_batch_and_are_checked() {
    let graph = three_convolutions();
    let of = |batch| Descriptor::new(&graph, &Plan::new(&graph, &lanes(batch, 2)).unwrap()).unwrap();
    let (one, three) = (of(1), of(3));
    assert_eq!((one.version, one.batch), (CIRCUIT_VERSION, 1));
    assert_eq!((three.version, three.batch), (BATCH_VERSION, 3));
    let with = |version: u32, batch: u32| {
        let changed = Descriptor {
            version,
            batch,
            ..three.clone()
        };
        changed.validate()
    };
    assert_eq!(with(BATCH_VERSION, 3), Ok(()));
    // A batch of one more has more public rows than there are.
    for (version, batch) in [
        (BATCH_VERSION, 0),
        (BATCH_VERSION, 1),
        (BATCH_VERSION, 4),
        (BATCH_VERSION, u32::try_from(MAX_BATCH).unwrap() + 1),
        (BATCH_VERSION, u32::MAX),
        (CIRCUIT_VERSION, 3),
        (FOLDED_VERSION, 3),
        (FOLDED_VERSION + 1, 3),
    ] {
        assert!(with(version, batch).is_err(), "version {version}, batch {batch}");
    }
}

#[test]
fn folded_descriptors_are_of_a_version_of_their_own() {
    let graph = three_convolutions();
    for batch in [1, 3] {
        let plan = Plan::new(&graph, &folded(&graph, &lanes(batch, 2))).unwrap();
        let descriptor = Descriptor::new(&graph, &plan).unwrap();
        assert_eq!(descriptor.version, FOLDED_VERSION);
        assert_eq!(descriptor.validate(), Ok(()));
        for (version, fold) in [
            (CIRCUIT_VERSION, true),
            (BATCH_VERSION, true),
            (FOLDED_VERSION, false),
        ] {
            let mut changed = descriptor.clone();
            changed.version = version;
            changed.params.folded = changed.params.folded.filter(|_| fold);
            let refused = changed.validate().unwrap_err();
            let named = matches!(
                refused,
                StatementError::Folded { .. } | StatementError::Descriptor { .. }
            );
            assert!(named, "{refused}");
        }
    }
}

#[test]
fn plans_that_cannot_be_had_say_so() {
    let graph = three_convolutions();
    let options = PlanOptions {
        k: Some(8),
        ..lanes(100, 1)
    };
    let error = Plan::new(&graph, &options).unwrap_err();
    // 40 inputs and 160 activations in each inference, a lane wide: 20,000 rows.
    let PlanError::NoPlan { rows: 0x8000, .. } = error else {
        panic!("{error:?}")
    };
    assert!(error.to_string().contains("a batch of 100"), "{error}");
}
