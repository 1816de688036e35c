//! Small networks with the habits of real exporters, made by `vectors/make_quirks.py`, against onnxruntime.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::read_npz;
use common::runtime::check;
use inferproof_circuits::import::ImportError;
use inferproof_circuits::import::onnx::load;
use std::path::PathBuf;

fn quirks() -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/quirks");
    let mut models: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    models.sort();
    models
}

/// Each value equals onnxruntime's, once the differences that the graph lists are applied.
#[test]
fn fixture_quirks_equal_onnxruntime() {
    println!("model | samples | outputs | equal | max difference | samples with listed differences");
    let mut failures = Vec::new();
    let mut met = 0;
    for (name, path) in quirks().into_iter().filter(|m| !m.0.starts_with("refused")) {
        met += 1;
        let graph = match load(&std::fs::read(&path).unwrap()) {
            Ok(graph) => graph,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let t = check(&graph, &read_npz(&path.with_extension("npz")));
        println!(
            "{name} | {} | {} | {} | {} | {}",
            t.samples, t.outputs, t.equal, t.max_difference, t.flagged
        );
        if t.unexplained > 0 {
            failures.push(format!(
                "{name}: {} values differ beyond the listed accumulators",
                t.unexplained
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(met >= 17, "only {met} networks were found");
}

#[test]
fn batch_norm_is_refused_with_advice() {
    let (_, path) = quirks()
        .into_iter()
        .find(|m| m.0 == "refused_batch_norm")
        .unwrap();
    let error = load(&std::fs::read(path).unwrap()).unwrap_err();
    assert!(
        matches!(&error, ImportError::Unsupported { at, .. } if at.op == "BatchNormalization"),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("fold it into the convolution"),
        "{error}"
    );
}
