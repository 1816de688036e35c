//! The program from outside: proofs that are accepted and refused, exit codes, bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, shipped, text};

#[test]
fn a_proof_is_accepted_for_its_model_and_refused_without_trust() {
    let place = Place::new();
    let proof = place.proved();
    let id = proof["model_id"].as_str().unwrap();
    let accepted = place.run(&[
        "verify",
        "a.proof",
        "--model-id",
        id,
        "--allow-insecure-srs",
        "--json",
    ]);
    assert_eq!(accepted.status.code(), Some(0), "{}", text(&accepted.stderr));
    let report: serde_json::Value = serde_json::from_slice(&accepted.stdout).unwrap();
    assert_eq!(report["valid"], true);
    let untrusted = place.run(&["verify", "a.proof"]);
    assert_eq!(untrusted.status.code(), Some(2));
    assert!((text(&untrusted.stdout) + &text(&untrusted.stderr)).contains(id));
    let insecure = place.run(&["verify", "a.proof", "--model-id", id]);
    assert_eq!(insecure.status.code(), Some(2));
}

#[test]
fn a_changed_proof_and_another_model_are_refused() {
    let place = Place::new();
    let id = place.proved()["model_id"].as_str().unwrap().to_owned();
    let other: String = id.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    let verify = |file: &str, id: &str| {
        let output = place.run(&["verify", file, "--model-id", id, "--allow-insecure-srs"]);
        assert!(!text(&output.stderr).contains("panicked"));
        output.status.code()
    };
    assert_ne!(verify("a.proof", &other), Some(0));
    let bytes = std::fs::read(place.path("a.proof")).unwrap();
    for at in [bytes.len() / 2, bytes.len() - 40] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        std::fs::write(place.path("changed.proof"), changed).unwrap();
        assert_ne!(verify("changed.proof", &id), Some(0), "byte {at}");
    }
    std::fs::write(place.path("short.proof"), &bytes[..bytes.len() / 2]).unwrap();
    assert_ne!(verify("short.proof", &id), Some(0));
}

#[test]
fn bad_input_is_an_error_without_a_panic() {
    let place = Place::new();
    let (model, input) = shipped();
    let bytes = std::fs::read(&model).unwrap();
    std::fs::write(place.path("short.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(place.path("wrong.json"), "[[1, 2, 3, 4, 5, 6, 7, 8, 9]]").unwrap();
    std::fs::write(place.path("broken.json"), "[[1, 2").unwrap();
    let cases: [&[&str]; 6] = [
        &["run", "short.onnx", "--input", &input],
        &["run", "missing.onnx", "--input", &input],
        &["run", &model, "--input", "wrong.json"],
        &["run", &model, "--input", "broken.json"],
        &["verify", "missing.proof", "--model-id", "00"],
        &["srs", "check", "wrong.json"],
    ];
    for case in cases {
        let output = place.run(case);
        assert!(!output.status.success(), "{case:?}");
        let message = text(&output.stderr);
        assert!(message.contains("error"), "{case:?}: {message}");
        assert!(!message.contains("panicked"), "{case:?}: {message}");
    }
}

#[test]
fn too_few_rows_name_a_number_that_works() {
    let place = Place::new();
    let (model, _) = shipped();
    let inspect = |k: u32| place.run(&["inspect", &model, "-k", &k.to_string()]);
    let refused = inspect(4);
    assert!(!refused.status.success());
    let message = text(&refused.stderr);
    let (_, tail) = message.split_once("needs at least ").unwrap();
    let rows: usize = tail.split_once(" rows").unwrap().0.parse().unwrap();
    let k = rows.ilog2();
    assert!(rows.is_power_of_two() && (5..=12).contains(&k), "{message}");
    assert!(tail.contains(&format!("(k {k})")), "{message}");
    assert!(inspect(k).status.success(), "k {k}");
    assert!(!inspect(k - 1).status.success(), "k {}", k - 1);
}
