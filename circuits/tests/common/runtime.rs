//! Runs an imported graph on stored samples and compares it with what onnxruntime stored.

use super::{Array, Data};
use inferproof_circuits::graph::{Graph, InputPort};
use inferproof_circuits::quant::TensorQuant;
use inferproof_circuits::tail::{self, TailOp, Value};
use inferproof_circuits::tensor::Tensor;
use std::collections::BTreeMap;

/// What one network's samples gave.
#[derive(Default)]
pub struct Tally {
    pub samples: usize,
    pub outputs: usize,
    pub equal: usize,
    pub max_difference: f64,
    /// Samples on which an operator met an accumulator that it lists as differing.
    pub flagged: usize,
    /// Values that differ from the stored ones even with every listed difference applied.
    pub unexplained: usize,
}

/// One stored sample as the graph's integer input.
pub fn input_tensor(graph: &Graph, port: &InputPort, sample: &Data) -> Tensor {
    let info = graph.tensor(port.tensor);
    match sample {
        Data::Float(x) => {
            assert!(port.float);
            let quant = TensorQuant {
                scale: info.scale,
                zero_point: info.zero_point,
                dtype: info.dtype,
            };
            tail::quantize(x, &info.shape, &quant).unwrap()
        }
        Data::Int(q) => {
            assert!(!port.float);
            let q = q.iter().map(|v| i32::try_from(*v).unwrap()).collect();
            Tensor::new(info.shape.clone(), info.dtype, q).unwrap()
        }
        Data::Other => panic!("the sample's element type is not read"),
    }
}

/// Values of an output and of its stored counterpart, in units of one step of the output.
fn pairs(got: &Value, stored: &Data, unit: f64) -> Vec<(f64, f64)> {
    match (got, stored) {
        (Value::Quantized(q), Data::Int(w)) => q
            .data()
            .iter()
            .zip(w)
            .map(|(a, b)| (f64::from(*a), *b as f64))
            .collect(),
        (Value::Float { data, .. }, Data::Float(w)) => data
            .iter()
            .zip(w)
            .map(|(a, b)| (f64::from(*a) / unit, f64::from(*b) / unit))
            .collect(),
        (Value::Index { data, .. }, Data::Int(w)) => {
            data.iter().zip(w).map(|(a, b)| (*a as f64, *b as f64)).collect()
        }
        _ => panic!("the output has another kind than the stored one"),
    }
}

/// One step of the output, in its own units.
fn unit(tail: &[TailOp]) -> f64 {
    match tail {
        [TailOp::Dequantize { scale, .. }] => f64::from(*scale),
        _ => 1.0,
    }
}

fn stored_output<'a>(samples: &'a BTreeMap<String, Array>, name: &str) -> &'a Array {
    let fused = samples.get(&format!("out__{name}__int8allowed"));
    fused.or_else(|| samples.get(&format!("out__{name}"))).unwrap()
}

/// Every tensor as onnxruntime computes it: each operator's proved values, with the listed differences applied.
/// Also the number of differences met.
pub fn run_as_runtime(graph: &Graph, inputs: &[Tensor]) -> (Vec<Tensor>, usize) {
    let mut values = graph.run(inputs).unwrap();
    let mut met = 0;
    for node in &graph.nodes {
        let data: Vec<&[i32]> = node.inputs.iter().map(|id| values[id.0].data()).collect();
        let infos: Vec<_> = node.inputs.iter().map(|id| graph.tensor(*id)).collect();
        let info = graph.tensor(node.output);
        let mut y = node.op.reference(&data).unwrap();
        for difference in node.op.differing(&data, &infos, info).unwrap() {
            y[difference.index] = difference.runtime.unwrap();
            met += 1;
        }
        values[node.output.0] = Tensor::new(info.shape.clone(), info.dtype, y).unwrap();
    }
    (values, met)
}

/// Number of values, number of equal ones, largest difference.
fn compare(
    graph: &Graph,
    values: &[Tensor],
    samples: &BTreeMap<String, Array>,
    index: usize,
) -> (usize, usize, f64) {
    let mut total = (0, 0, 0f64);
    for (port, got) in graph.outputs.iter().zip(graph.outputs(values).unwrap()) {
        let stored = stored_output(samples, &port.name).sample(index);
        let pairs = pairs(&got, &stored, unit(&port.tail));
        assert_eq!(got.shape().len(), pairs.len());
        total.0 += pairs.len();
        total.1 += pairs.iter().filter(|(a, b)| a == b).count();
        total.2 = pairs.iter().map(|(a, b)| (a - b).abs()).fold(total.2, f64::max);
    }
    total
}

/// The graph's inputs from stored sample `index`.
pub fn inputs(graph: &Graph, samples: &BTreeMap<String, Array>, index: usize) -> Vec<Tensor> {
    let input = |port: &InputPort| {
        let stored = samples[&format!("in__{}", port.name)].sample(index);
        input_tensor(graph, port, &stored)
    };
    graph.inputs.iter().map(input).collect()
}

pub fn check(graph: &Graph, samples: &BTreeMap<String, Array>) -> Tally {
    let mut tally = Tally {
        samples: samples[&format!("in__{}", graph.inputs[0].name)].dims[0],
        ..Tally::default()
    };
    for index in 0..tally.samples {
        let inputs = inputs(graph, samples, index);
        let values = graph.run(&inputs).unwrap();
        let (outputs, equal, max_difference) = compare(graph, &values, samples, index);
        tally.outputs += outputs;
        tally.equal += equal;
        tally.max_difference = tally.max_difference.max(max_difference);
        let flagged = !graph.differing(&values).unwrap().is_empty();
        assert!(
            flagged || equal == outputs,
            "sample {index} differs, and no listed accumulator was met"
        );
        tally.flagged += usize::from(flagged);
        let (values, met) = run_as_runtime(graph, &inputs);
        assert_eq!(met > 0, flagged);
        let (outputs, equal, _) = compare(graph, &values, samples, index);
        tally.unexplained += outputs - equal;
    }
    tally
}
