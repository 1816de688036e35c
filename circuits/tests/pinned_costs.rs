//! Cost and shape of the shipped models as text. `INFERPROOF_PIN=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use inferproof_circuits::import::onnx::load;
use inferproof_circuits::plan::{Plan, PlanOptions};
use std::path::Path;

#[test]
fn pinned_costs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["digits_cnn", "tiny_cnn", "tiny_mlp"] {
        let bytes = std::fs::read(root.join(format!("../models/{name}.onnx"))).unwrap();
        let plan = Plan::new(&load(&bytes).unwrap(), &PlanOptions::default()).unwrap();
        let text = format!("k: {}\n{:#?}\n{:#?}\n", plan.k, plan.cost, plan.params);
        let path = root.join(format!("tests/pinned/{name}.txt"));
        if std::env::var_os("INFERPROOF_PIN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let pinned = std::fs::read_to_string(&path).unwrap();
        assert!(
            pinned == text,
            "{name}: {}",
            "cost changed; INFERPROOF_PIN=1 writes it anew"
        );
    }
}
