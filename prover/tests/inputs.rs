//! The program from outside: what input files are taken as, names, samples, and the JSON object of every command.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, shipped, text};
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Output;

/// An `.npy` file of one row.
fn npy(descr: &str, count: usize, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, {count})}}");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &length[..], header.as_bytes(), data].concat()
}

fn write(place: &Place, name: &str, bytes: impl AsRef<[u8]>) {
    std::fs::write(place.path(name), bytes).unwrap();
}

fn object(output: &Output) -> Json {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)))
}

#[test]
fn the_program_says_what_it_took_the_inputs_as() {
    let place = Place::new();
    let (model, _) = shipped();
    let run = |file: &str, more: &[&str]| place.run(&[&["run", &model, "--input", file], more].concat());
    let numbers = [120u8, 125, 130, 140];
    write(&place, "typed.npy", npy("|u1", 4, &numbers));
    write(&place, "plain.json", json!([numbers]).to_string());
    let floats: Vec<u8> = [0.5f32, -1.0, 0.0, 2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    write(&place, "floats.npy", npy("<f4", 4, &floats));
    write(&place, "bool.npy", npy("|b1", 4, &[0, 1, 1, 0]));

    let typed = run("typed.npy", &[]);
    assert!(text(&typed.stdout).contains("input features: 4 uint8 values, taken as uint8 integers"));
    assert!(typed.stderr.is_empty(), "{}", text(&typed.stderr));
    let typed = object(&run("typed.npy", &["--json"]));
    assert_eq!(typed["inputs"]["features"]["data"], json!(numbers));
    let kind = &typed["input_kinds"]["features"];
    assert_eq!(
        (&kind["element"], &kind["taken_as"]),
        (&json!("uint8"), &json!("integers"))
    );

    let plain = run("plain.json", &[]);
    assert!(plain.status.success());
    assert!(
        text(&plain.stdout).contains("4 JSON numbers, taken as floats, quantized to uint8 with scale 0.0206")
    );
    let warning = text(&plain.stderr);
    assert!(
        warning.contains("warning: input features: 4 of 4 values")
            && warning.contains("NumPy array of uint8"),
        "{warning}"
    );
    let kind = &object(&run("plain.json", &["--json"]))["input_kinds"]["features"];
    assert_eq!(
        (&kind["taken_as"], &kind["clamped"]),
        (&json!("floats"), &json!(4))
    );

    let proved = place.run(&[
        "prove",
        &model,
        "--input",
        "floats.npy",
        "-o",
        "f.proof",
        "--json",
    ]);
    let kind = &object(&proved)["input_kinds"]["features"];
    assert_eq!(
        (&kind["element"], &kind["clamped"]),
        (&json!("float32"), &json!(0))
    );
    let shown = place.run(&["prove", &model, "--input", "floats.npy", "-o", "f.proof"]);
    assert!(text(&shown.stdout).contains("4 float32 values, taken as floats"));

    let refused = run("bool.npy", &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("astype(numpy.float32)"));
}

/// Exit code of a verification with a claim, and what it says.
fn claim(place: &Place, proof: &Json, side: &str, value: &Json) -> (i32, String) {
    let id = proof["model_id"].as_str().unwrap();
    write(place, "claim.json", value.to_string());
    let trust = ["verify", "a.proof", "--model-id", id, "--allow-insecure-srs"];
    let output = place.run(&[&trust[..], &[side, "claim.json"]].concat());
    (output.status.code().unwrap(), text(&output.stderr))
}

/// The real values that the proved inputs stand for: named JSON numbers are floats for this model.
fn features(proof: &Json) -> Vec<f64> {
    let real = |q: &Json| (q.as_f64().unwrap() - 123.0) * f64::from(0.020_605_862_f32);
    let data = proof["inputs"]["features"]["data"].as_array().unwrap();
    data.iter().map(real).collect()
}

#[test]
fn claims_of_things_that_are_not_stated_are_undecided() {
    let place = Place::new();
    let proof = place.proved();
    let logits = json!([proof["outputs"]["logits"]["data"]]);
    let features = features(&proof);
    let no_output = "no output named \"nope\"; the proof has [\"logits\"]";
    let cases = [
        ("--output", json!({"logits": logits}), 0, ""),
        ("--output", logits.clone(), 0, ""),
        ("--output", json!({"nope": logits}), 2, no_output),
        ("--output", json!({"logits": logits, "nope": [1]}), 2, no_output),
        (
            "--output",
            json!({"logits": [[9, 9]]}),
            1,
            "not about the expected",
        ),
        ("--input", json!({"features": features}), 0, ""),
        (
            "--input",
            json!({"features": features, "x": [1]}),
            2,
            "no input named \"x\"",
        ),
        (
            "--input",
            json!({"feature": features}),
            2,
            "no input named \"feature\"",
        ),
    ];
    for (side, value, code, said) in cases {
        let answer = claim(&place, &proof, side, &value);
        assert_eq!(answer.0, code, "{side} {value}: {}", answer.1);
        assert!(answer.1.contains(said), "{}", answer.1);
    }
}

#[test]
fn inputs_are_named_as_the_model_does() {
    let place = Place::new();
    let (model, _) = shipped();
    let run = |value: &Json| {
        write(&place, "x.json", value.to_string());
        place.run(&["run", &model, "--input", "x.json"])
    };
    let values = [0.5, 1.0, -1.0, 0.25];
    let foreign = run(&json!({ "foo": values }));
    assert_eq!(foreign.status.code(), Some(1));
    let said = text(&foreign.stderr);
    assert!(
        said.contains("name the arrays as the graph does: [\"features\"]"),
        "{said}"
    );
    assert!(
        run(&json!({ "features": values, "labels": [1] }))
            .status
            .success()
    );
    assert!(run(&json!([values])).status.success());
}

#[test]
fn verify_takes_the_samples_that_prove_took() {
    let place = Place::new();
    let (model, input) = shipped();
    for (batch, sample, other) in [("1", "3", "4"), ("3", "2", "3")] {
        let proof = place.proved_as("s.proof", sample, &["--batch", batch]);
        let id = proof["model_id"].as_str().unwrap();
        let ask = |more: &[&str]| {
            let trust = ["verify", "s.proof", "--model-id", id, "--allow-insecure-srs"];
            place.run(&[&trust[..], more].concat())
        };
        let of = |sample: &str| ask(&["--input", &input, "--sample", sample]);
        assert_eq!(of(sample).status.code(), Some(0), "{}", text(&of(sample).stderr));
        assert_eq!(of(other).status.code(), Some(1));
        let beyond = of("9999");
        assert_eq!(beyond.status.code(), Some(2));
        assert!(text(&beyond.stderr).contains("samples count from 0"));
        assert_eq!(
            ask(&["--sample", sample]).status.code(),
            Some(2),
            "rows of nothing"
        );
    }
    let whole = place.run(&["run", &model, "--input", &input]);
    assert_eq!(whole.status.code(), Some(1));
    let said = text(&whole.stderr);
    assert!(
        said.contains("10 samples: --sample N takes") && said.contains("--batch 10"),
        "{said}"
    );
}

#[test]
fn every_command_answers_with_one_object() {
    let place = Place::new();
    let ptau = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny.ptau");
    let ptau = ptau.to_string_lossy().into_owned();
    let new = object(&place.run(&["srs", "new", "-k", "5", "-o", "a.srs", "--json"]));
    assert_eq!(
        (&new["k"], &new["rows"], &new["insecure_srs"]),
        (&json!(5), &json!(32), &json!(true))
    );
    for command in [
        &["srs", "info", "a.srs", "--json"],
        &["srs", "check", "a.srs", "--json"],
    ] {
        assert_eq!(object(&place.run(command)), new);
    }
    let imported = object(&place.run(&[
        "srs", "import", "--ptau", &ptau, "-k", "2", "-o", "b.srs", "--json",
    ]));
    assert_eq!((&imported["k"], &imported["valid"]), (&json!(2), &json!(true)));
    assert_eq!(imported["digest"].as_str().unwrap().len(), 64);
    let demo = place.run(&["demo", "--digit", "2", "--json"]);
    assert!(demo.status.success(), "{}", text(&demo.stderr));
    let demo = object(&demo);
    assert_eq!(
        (&demo["digit"], &demo["answer"], &demo["valid"]),
        (&json!(2), &json!(2), &json!(true))
    );
    assert_eq!(demo["changed_output_valid"], false);
    let failed: [&[&str]; 4] = [
        &["demo", "--digit", "10", "--json"],
        &["srs", "info", "missing.srs", "--json"],
        &["srs", "new", "-k", "99", "-o", "c.srs", "--json"],
        &["verify", "a", "--no-such-option", "--json"],
    ];
    for command in failed {
        let output = place.run(command);
        assert!(!output.status.success(), "{command:?}");
        let answer = object(&output);
        let said = answer["error"].as_str().unwrap();
        assert!(
            !said.is_empty() && !said.starts_with("error"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn inspect_shows_how_to_fill_inputs_and_read_outputs() {
    let place = Place::new();
    let (model, _) = shipped();
    let shown = object(&place.run(&["inspect", &model, "--json"]));
    let input = &shown["inputs"]["features"];
    assert_eq!(
        (&input["shape"], &input["dtype"]),
        (&json!([1, 4]), &json!("uint8"))
    );
    assert_eq!(
        (&input["takes_floats"], &input["zero_point"]),
        (&json!(true), &json!(123))
    );
    assert!((input["scale"].as_f64().unwrap() - 0.020_605_862).abs() < 1e-7);
    let output = &shown["outputs"]["logits"];
    assert_eq!(
        (&output["shape"], &output["dtype"]),
        (&json!([1, 2]), &json!("uint8"))
    );
    let step = &output["in_the_clear"][0];
    assert_eq!(
        (&step["operator"], &step["zero_point"]),
        (&json!("dequantize"), &json!(146))
    );
    let batch = object(&place.run(&["inspect", &model, "--batch", "6", "--json"]));
    assert_eq!(batch["inputs"]["features"]["shape"], json!([6, 4]));
    assert_eq!(batch["outputs"]["logits"]["shape"], json!([6, 2]));
}

/// The rows of a table by its header.
fn table(text: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines
        .map(|line| header.iter().cloned().zip(line).collect::<Vec<_>>())
        .inspect(|row| assert_eq!(row.len(), header.len()))
        .collect()
}

#[test]
fn tradeoff_takes_batches() {
    let place = Place::new();
    let (model, input) = shipped();
    let options = ["--batch", "3", "--input", &input, "--sample", "7", "--json"];
    let ask = |more: &[&str]| place.run(&[&["tradeoff", &model], &options[..], more].concat());
    let answer = ask(&["--predict"]);
    assert!(answer.status.success(), "{}", text(&answer.stderr));
    let answer = object(&answer);
    assert_eq!(answer["batch"], 3);
    let plan = &answer["plans"][0];
    let share =
        |whole: &Json, part: &Json| (whole.as_f64().unwrap() - 3.0 * part.as_f64().unwrap()).abs() < 1e-6;
    assert!(
        share(&plan["proof_bytes"], &plan["per_inference"]["proof_bytes"]),
        "{plan}"
    );
    assert!(
        share(&plan["estimate"]["cpu_ms"], &plan["per_inference"]["cpu_ms"]),
        "{plan}"
    );
    let csv = std::fs::read_to_string(place.path("tradeoff/tradeoff.csv")).unwrap();
    let rows = table(&csv);
    assert!(!rows.is_empty());
    for row in &rows {
        let field = |name: &str| &row.iter().find(|(n, _)| n == name).unwrap().1;
        assert_eq!(field("batch"), "3");
        let (whole, part): (f64, f64) = (
            field("proof_bytes").parse().unwrap(),
            field("proof_bytes_per_inference").parse().unwrap(),
        );
        assert!((whole / 3.0 - part).abs() < 0.06, "{whole} {part}");
        assert_eq!(field("verify_ms_per_inference"), "");
    }
    let page = std::fs::read_to_string(place.path("tradeoff/tradeoff.html")).unwrap();
    assert!(page.contains("3 inferences in one proof"));
    // Proved, with the keys and inputs of a batch.
    let proved = ask(&["--out", "proved"]);
    assert!(proved.status.success(), "{}", text(&proved.stderr));
    let plan = &object(&proved)["plans"][0];
    assert!(
        share(
            &plan["measured"]["verify_ms"],
            &plan["per_inference"]["verify_ms"]
        ),
        "{plan}"
    );
    // No three samples from there on.
    let beyond = ask(&["--predict", "--sample", "8"]);
    assert!(!beyond.status.success());
}
