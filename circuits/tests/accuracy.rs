//! Predictions over data sets: the reference's classes are those that onnxruntime predicts, sample by sample. A class may
//! be another one only where the run met listed differences; with these applied it is onnxruntime's. `vectors/make_predictions.py` wrote onnxruntime's. Runs when INFERPROOF_SHARED names the
//! folder with `models/` and `data/`; takes the first samples of each set, as many as `vectors/predictions.txt` has.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::runtime::{input_tensor, run_as_runtime};
use common::{Array, Data, read_npz, shared};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::tail::Value;
use std::path::Path;
use std::time::Instant;

const PREDICTIONS: &str = include_str!("vectors/predictions.txt");

/// One line of the vector.
struct Run {
    model: &'static str,
    data: &'static str,
    correct: usize,
    predictions: Vec<usize>,
}

fn runs() -> Vec<Run> {
    let lines = PREDICTIONS.lines().filter(|l| !l.starts_with('#'));
    let run = |line: &'static str| {
        let fields: Vec<&str> = line.split(" | ").collect();
        let digits = fields[5].chars().map(|c| c.to_digit(16).unwrap());
        let predictions: Vec<usize> = digits.map(|d| usize::try_from(d).unwrap()).collect();
        assert_eq!(predictions.len(), fields[2].parse::<usize>().unwrap());
        Run {
            model: fields[0],
            data: fields[1],
            correct: fields[3].parse().unwrap(),
            predictions,
        }
    };
    lines.map(run).collect()
}

/// Samples and labels of a data set.
fn data(shared: &Path, name: &str) -> (Array, Vec<i64>) {
    let (file, key) = match name {
        "mnist" => ("mnist_t10k.npz", "images"),
        "kws" => ("kws_mfcc_int8_1000.npz", "features"),
        _ => ("cifar10_test_first932.npz", "images"),
    };
    let mut arrays = read_npz(&shared.join("data").join(file));
    let Some(Data::Int(labels)) = arrays.remove("labels").map(|a| a.data) else {
        panic!("{file} has no labels");
    };
    (arrays.remove(key).unwrap(), labels)
}

/// What a float model's stored samples are: pixels as they are, or as parts of 255.
fn pixel_scale(folder: &Path, input: &str) -> f32 {
    let samples = read_npz(&folder.join("samples.npz"));
    match &samples[&format!("in__{input}")].data {
        Data::Float(x) if x.iter().all(|v| *v <= 1.0) => 1.0 / 255.0,
        _ => 1.0,
    }
}

/// A sample as the model takes it: pixels times the scale, pixels less 128, or features, which are int8 already.
fn feed(graph: &Graph, run: &Run, sample: Data, scale: f32) -> Data {
    let Data::Int(values) = sample else {
        panic!("the samples are integers")
    };
    if graph.inputs[0].float {
        return Data::Float(values.iter().map(|v| *v as f32 * scale).collect());
    }
    let low = if run.data == "kws" { 0 } else { 128 };
    Data::Int(values.iter().map(|v| v - low).collect())
}

/// Position of the first largest output.
fn class(value: &Value) -> usize {
    let values: Vec<f32> = match value {
        Value::Float { data, .. } => data.clone(),
        Value::Quantized(q) => q.data().iter().map(|v| *v as f32).collect(),
        Value::Index { data, .. } => return usize::try_from(data[0]).unwrap(),
    };
    let best = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().position(|v| *v == best).unwrap()
}

#[test]
fn fixture_predictions_equal_onnxruntime() {
    let Some(shared) = shared() else { return };
    println!("model | data | first samples | onnxruntime correct | reference correct | explained others | s");
    let mut failures = Vec::new();
    for run in runs() {
        let started = Instant::now();
        let folder = shared.join("models").join(run.model);
        let graph = load(&std::fs::read(folder.join("model.onnx")).unwrap()).unwrap();
        let (samples, labels) = data(&shared, run.data);
        let scale = pixel_scale(&folder, &graph.inputs[0].name);
        let (mut correct, mut explained, mut other) = (0, 0, 0);
        for (at, expected) in run.predictions.iter().enumerate() {
            let sample = feed(&graph, &run, samples.sample(at), scale);
            let input = input_tensor(&graph, &graph.inputs[0], &sample);
            let values = graph.run(std::slice::from_ref(&input)).unwrap();
            let found = class(&graph.outputs(&values).unwrap()[0]);
            correct += usize::from(i64::try_from(found).unwrap() == labels[at]);
            if found != *expected {
                let (values, met) = run_as_runtime(&graph, &[input]);
                let runtime = class(&graph.outputs(&values).unwrap()[0]);
                explained += usize::from(met > 0 && runtime == *expected);
                other += usize::from(met == 0 || runtime != *expected);
            }
        }
        let (count, seconds) = (run.predictions.len(), started.elapsed().as_secs_f32());
        println!(
            "{} | {} | {count} | {} | {correct} | {explained} | {seconds:.1}",
            run.model, run.data, run.correct
        );
        if other > 0 || (explained == 0 && correct != run.correct) {
            failures.push(format!("{}: {other} other predictions", run.model));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
