//! One proof of several inferences: what it states, what is refused, and the program's `--batch`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, shipped, text};
use inferproof_circuits::batch::{split, stack};
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tail::Value;
use inferproof_circuits::tensor::Tensor;
use inferproof_circuits::testing::models::{random_batch, random_inputs};
use inferproof_prover::keys::{Model, ModelKeys, Store, setup};
use inferproof_prover::prove::{ProveError, Proved, prove, run};
use inferproof_prover::srs::Srs;
use inferproof_verifier::{
    Backend, ProofFile, StatementMismatch, Trusted, VerifyError, VerifyOptions, VerifyingKey, verify,
    verify_batch,
};
use serde_json::{Value as Json, json};
use std::path::Path;

fn keys(name: &str, batch: usize, backend: Backend) -> ModelKeys {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../models/{name}.onnx"));
    let options = PlanOptions {
        batch,
        ..PlanOptions::default()
    };
    let model = Model::load(&std::fs::read(path).unwrap(), &options).unwrap();
    let srs = Srs::generate_insecure(model.plan().k).unwrap();
    setup(model, backend, srs, Store::Nowhere).unwrap()
}

/// Inputs of each inference, stacked.
fn inputs(keys: &ModelKeys, batch: usize) -> Vec<Tensor> {
    random_batch(keys.graph(), 1, batch).unwrap()
}

fn options() -> VerifyOptions {
    VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    }
}

fn proved(keys: &ModelKeys, batch: usize) -> Proved {
    prove(keys, &inputs(keys, batch), None).unwrap()
}

/// Proves, verifies from the bytes, and compares every answer with that of its own inference.
fn check(name: &str, batch: usize, backend: Backend) {
    let keys = keys(name, batch, backend);
    let bytes = proved(&keys, batch).file.to_bytes().unwrap();
    let file = ProofFile::from_bytes(&bytes).unwrap();
    let verified = verify(Trusted::ModelId(keys.verifying().id()), &file, &options()).unwrap();
    let answers = verified.final_outputs().unwrap();
    for (image, seed) in (1..).take(batch).enumerate() {
        let inputs = random_inputs(keys.graph(), seed).unwrap();
        let alone = run(keys.graph(), &inputs).unwrap();
        for (at, (port, tensor)) in verified.outputs.iter().enumerate() {
            let parts = split(tensor, &port.shape).unwrap();
            assert_eq!(parts.len(), batch);
            assert_eq!(parts[image], alone.tensors[at], "{name}, inference {image}");
            let (Value::Float { data, shape }, Value::Float { data: own, .. }) =
                (&answers[at], &alone.outputs[at])
            else {
                panic!("floats");
            };
            assert_eq!(shape.dims()[0], batch);
            assert_eq!(data[image * own.len()..(image + 1) * own.len()], own[..]);
        }
    }
    let key = VerifyingKey::from_bytes(keys.verifying().to_bytes()).unwrap();
    assert_eq!(&key, keys.verifying());
    assert_eq!(key.descriptor().num_inferences(), batch);
}

#[test]
fn batches_of_the_shipped_networks_are_proved() {
    for batch in [1, 2, 3, 5] {
        for backend in [Backend::Shplonk, Backend::Gwc] {
            check("tiny_mlp", batch, backend);
        }
        check("tiny_cnn", batch, Backend::Shplonk);
    }
    for batch in [2, 5] {
        check("digits_cnn", batch, Backend::Shplonk);
    }
}

/// The tensor with the inferences in another order.
fn reordered(tensor: &Tensor, own: &Tensor, order: &[usize]) -> Tensor {
    let parts = split(tensor, own.shape()).unwrap();
    let parts: Vec<Tensor> = order.iter().map(|at| parts[*at].clone()).collect();
    stack(&parts).unwrap()
}

#[test]
fn statements_in_another_order_or_of_another_length_are_refused() {
    let keys = keys("tiny_mlp", 3, Backend::Shplonk);
    let file = proved(&keys, 3).file;
    let one = inputs(&keys, 1);
    let own = [one[0].clone(), run(keys.graph(), &one).unwrap().tensors.remove(0)];
    let trusted = Trusted::Key(keys.verifying());
    let _ = verify(trusted, &file, &options()).unwrap();
    let with = |order: &[usize], inputs: bool, outputs: bool| {
        let mut other = file.clone();
        if inputs {
            other.inputs[0].tensor = reordered(&file.inputs[0].tensor, &own[0], order);
        }
        if outputs {
            other.outputs[0].tensor = reordered(&file.outputs[0].tensor, &own[1], order);
        }
        assert_ne!(other, file);
        let alone = verify(trusted, &other, &options()).map(|_| ());
        let together = verify_batch(&[(trusted, &file), (trusted, &other)], &options());
        assert!(together[0].is_ok());
        assert_eq!(together[1].clone().map(|_| ()), alone);
        alone
    };
    for order in [[1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [0, 0, 2]] {
        assert_eq!(with(&order, true, false), Err(VerifyError::Rejected));
        assert_eq!(with(&order, false, true), Err(VerifyError::Rejected));
        // True pairs in another order: another statement, which this proof does not show.
        assert_eq!(with(&order, true, true), Err(VerifyError::Rejected));
    }
    for order in [&[0, 1][..], &[0], &[0, 1, 2, 2]] {
        for (inputs, outputs) in [(true, false), (false, true), (true, true)] {
            let error = with(order, inputs, outputs).unwrap_err();
            assert!(
                matches!(
                    error,
                    VerifyError::Statement {
                        source: StatementMismatch::Shape { .. }
                    }
                ),
                "{error:?}"
            );
        }
    }
}

#[test]
fn a_proof_is_of_its_own_batch_alone() {
    let ids = |batch| keys("tiny_mlp", batch, Backend::Shplonk);
    let (one, two, three) = (ids(1), ids(2), ids(3));
    let all = [&one, &two, &three];
    for (n, batch) in (1..).zip(all) {
        let file = proved(batch, n).file;
        for other in all {
            let result = verify(Trusted::Key(other.verifying()), &file, &options());
            match result {
                Ok(_) => assert_eq!(other.verifying().id(), batch.verifying().id()),
                Err(error) => assert!(matches!(error, VerifyError::WrongModel { .. }), "{error:?}"),
            }
        }
    }
    // Not even with the model id of the other batch in the file.
    let mut file = proved(&two, 2).file;
    file.model = three.verifying().id();
    file.key = three.verifying().to_bytes().to_vec();
    verify(Trusted::Key(three.verifying()), &file, &options()).unwrap_err();
}

#[test]
fn another_number_of_inputs_is_refused_before_anything_is_proved() {
    let keys = keys("tiny_mlp", 3, Backend::Shplonk);
    for count in [1, 2, 4] {
        let error = prove(&keys, &inputs(&keys, count), None).unwrap_err();
        let ProveError::Graph { source } = error else {
            panic!("{error:?}")
        };
        let said = source.to_string();
        assert!(
            said.contains("[3, 4]") && said.contains(&format!("[{count}, 4]")),
            "{said}"
        );
    }
}

fn json_of(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_program_proves_and_verifies_batches() {
    let place = Place::new();
    let (model, input) = shipped();
    let proof = place.proved_as("b.proof", "2", &["--batch", "4"]);
    assert_eq!(proof["batch"], 4);
    let logits = &proof["outputs"]["logits"];
    assert_eq!(logits["shape"], json!([4, 2]));
    let id = proof["model_id"].as_str().unwrap();
    assert_ne!(place.proved()["model_id"], *id);
    let trust = ["verify", "b.proof", "--model-id", id, "--allow-insecure-srs"];
    let report = place.run(&[&trust[..], &["--json"]].concat());
    assert_eq!(report.status.code(), Some(0), "{}", text(&report.stderr));
    let report = json_of(&report.stdout);
    assert_eq!(&report["outputs"]["logits"], logits);
    assert_eq!(report["inputs"]["features"]["shape"], json!([4, 4]));
    // Each answer is that of the network on its own sample.
    for (image, sample) in ["2", "3", "4", "5"].iter().enumerate() {
        let alone = place.run(&["run", &model, "--input", &input, "--sample", sample, "--json"]);
        let alone = json_of(&alone.stdout);
        let own = alone["outputs"]["logits"]["data"].as_array().unwrap();
        let all = logits["data"].as_array().unwrap();
        assert_eq!(all[2 * image..2 * image + 2], own[..]);
    }
    let shown = text(&place.run(&trust).stdout);
    assert!(
        shown.contains("\n  0: [") && shown.contains("\n  3: ["),
        "{shown}"
    );
}

#[test]
fn the_program_compares_expected_batches() {
    let place = Place::new();
    let proof = place.proved_as("b.proof", "0", &["--batch", "3"]);
    let id = proof["model_id"].as_str().unwrap();
    let write = |name: &str, value: &Json| std::fs::write(place.path(name), value.to_string()).unwrap();
    let rows = |of: &Json, width: usize| -> Vec<Json> {
        let data = of["data"].as_array().unwrap();
        data.chunks(width).map(|row| json!(row)).collect()
    };
    let features = rows(&proof["inputs"]["features"], 4);
    let logits = rows(&proof["outputs"]["logits"], 2);
    let ask = |side: &str, file: &str| {
        let trust = ["verify", "b.proof", "--model-id", id, "--allow-insecure-srs"];
        place.run(&[&trust[..], &[side, file]].concat())
    };
    write("out.json", &json!({ "logits": logits }));
    assert_eq!(ask("--output", "out.json").status.code(), Some(0));
    let other: Vec<&Json> = logits.iter().rev().collect();
    write("swapped.json", &json!({ "logits": other }));
    assert_eq!(ask("--output", "swapped.json").status.code(), Some(1));
    write("short.json", &json!({ "logits": logits[..2] }));
    assert_ne!(ask("--output", "short.json").status.code(), Some(0));
    write("in.json", &json!({ "features": features[..2] }));
    let short = ask("--input", "in.json");
    assert_eq!(short.status.code(), Some(2));
    let said = text(&short.stderr);
    assert!(said.contains("[2, 4]") && said.contains("[3, 4]"), "{said}");
}

#[test]
fn the_program_refuses_other_counts() {
    let place = Place::new();
    let (model, input) = shipped();
    let prove = |more: &[&str]| {
        let output = place.run(&[&["prove", &model, "--input", &input, "-o", "x.proof"], more].concat());
        assert_ne!(output.status.code(), Some(0), "{more:?}");
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        said
    };
    // Ten samples in the file.
    let said = prove(&["--batch", "3"]);
    assert!(said.contains("[10, 4]") && said.contains("[3, 4]"), "{said}");
    let said = prove(&["--batch", "4", "--sample", "7"]);
    assert!(
        said.contains("no 4 samples from 7 on") && said.contains("[10, 4]"),
        "{said}"
    );
    for batch in ["0", "4097", "-1", "x"] {
        let said = prove(&[&format!("--batch={batch}")]);
        assert!(said.contains("1 to 4096"), "{said}");
    }
    let shown = place.run(&["inspect", &model, "--batch", "8"]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("8 inferences in one proof") && shown.contains("per inference"));
}
