//! What the commands print for programs and for people.

use inferproof_circuits::graph::{Graph, NodeDifference};
use inferproof_circuits::tail::Value;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::input::{ElementType, InputKind, Reading};
use inferproof_prover::keys::Model;
use inferproof_prover::prove::Ran;
use serde_json::{Map, Value as Json, json};

/// `{shape, dtype, data}` of what the runtime would return.
pub fn value(value: &Value) -> Json {
    let shape = value.shape().dims();
    match value {
        Value::Quantized(tensor) => self::tensor(tensor),
        Value::Float { data, .. } => json!({"shape": shape, "dtype": "float32", "data": data}),
        Value::Index { data, .. } => json!({"shape": shape, "dtype": "int64", "data": data}),
    }
}

pub fn tensor(tensor: &Tensor) -> Json {
    json!({"shape": tensor.shape().dims(), "dtype": tensor.dtype().to_string(), "data": tensor.data()})
}

/// What stands for the answer where there is none.
pub fn error(message: &str) -> Json {
    let message = message.trim();
    json!({"error": message.strip_prefix("error: ").unwrap_or(message)})
}

/// `{name: ...}` in the order of `names`.
pub fn named<'a>(names: impl Iterator<Item = &'a str>, values: impl Iterator<Item = Json>) -> Json {
    Json::Object(names.map(str::to_owned).zip(values).collect())
}

/// What each input was taken as, by name.
pub fn kinds(kinds: &[InputKind]) -> Json {
    let values = kinds.iter().map(|kind| {
        let (taken_as, clamped) = match kind.reading {
            Reading::Integers => ("integers", 0),
            Reading::Floats { clamped, .. } => ("floats", clamped),
        };
        json!({
            "element": kind.element.to_string(),
            "taken_as": taken_as,
            "values": kind.values,
            "clamped": clamped,
            "dtype": kind.dtype.to_string(),
            "scale": kind.scale,
            "zero_point": kind.zero_point,
        })
    });
    named(kinds.iter().map(|kind| kind.name.as_str()), values)
}

/// What each input was taken as, a line each.
pub fn show_kinds(kinds: &[InputKind]) -> String {
    let line = |kind: &InputKind| {
        let (name, count, element) = (&kind.name, kind.values, kind.element);
        // JSON numbers name themselves.
        let values = if element == ElementType::Json {
            ""
        } else {
            " values"
        };
        let taken = match kind.reading {
            Reading::Integers => format!("taken as {} integers, quantized already", kind.dtype),
            Reading::Floats { clamped, .. } => {
                let (scale, zero_point) = (kind.scale, kind.zero_point);
                format!(
                    "taken as floats, quantized to {} with scale {scale} and zero point {zero_point}, {clamped} clamped",
                    kind.dtype
                )
            }
        };
        format!("input {name}: {count} {element}{values}, {taken}")
    };
    kinds.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Inputs, outputs and exactness of a run.
pub fn ran(graph: &Graph, ran: &Ran) -> Map<String, Json> {
    let inputs = graph.inputs.iter().map(|p| p.name.as_str());
    let outputs = graph.outputs.iter().map(|p| p.name.as_str());
    let mut map = Map::new();
    map.insert("inputs".to_owned(), named(inputs, ran.inputs.iter().map(tensor)));
    map.insert(
        "outputs".to_owned(),
        named(outputs, ran.outputs.iter().map(value)),
    );
    map.insert("bit_exact".to_owned(), ran.differing.is_empty().into());
    let differing = ran.differing.iter().map(|d| difference(graph, d)).collect();
    map.insert("differing".to_owned(), Json::Array(differing));
    map
}

fn difference(graph: &Graph, d: &NodeDifference) -> Json {
    let name = graph.nodes.get(d.node).map(|n| n.name.as_str());
    json!({"node": name, "index": d.index, "proved": d.proved, "runtime": d.runtime})
}

/// The layout's figures.
pub fn plan(model: &Model) -> Map<String, Json> {
    let (plan, cost) = (model.plan(), model.plan().cost);
    let mut map = Map::new();
    let mut put = |name: &str, value: Json| map.insert(name.to_owned(), value);
    put("k", plan.k.into());
    put("batch", plan.batch.into());
    put("lanes", plan.params.lanes.into());
    put("rows", (1u64 << plan.k).into());
    put("cells_small", cost.cells_small.into());
    put("cells_full", cost.cells_full.into());
    put("activations", cost.activations.into());
    map
}

/// Whether the run is bit-exact to onnxruntime, or where it is not.
pub fn exactness(graph: &Graph, differing: &[NodeDifference]) -> String {
    if differing.is_empty() {
        return "bit-exact to onnxruntime on this input".to_owned();
    }
    let mut text = format!(
        "{} values differ from what onnxruntime's operator gives on the same input of that operator; what follows them may \
         differ further (--rounding strict removes this):",
        differing.len()
    );
    for d in differing.iter().take(20) {
        let name = graph.nodes.get(d.node).map_or("?", |n| n.name.as_str());
        let runtime = d
            .runtime
            .map_or("an int32 overflow".to_owned(), |v| v.to_string());
        text.push_str(&format!(
            "\n  node {name}, flat index {}: {} is proved, onnxruntime gives {runtime}",
            d.index, d.proved
        ));
    }
    text
}

/// The outputs, each short enough for a terminal, those of a batch one by one.
pub fn show_outputs(graph: &Graph, outputs: &[Value], batch: usize) -> String {
    let ports = graph.outputs.iter().zip(outputs);
    let lines: Vec<String> = ports
        .map(|(port, value)| show_value(&port.name, value, batch))
        .collect();
    lines.join("\n")
}

/// One output, short enough for a terminal, or as many as the batch has.
pub fn show_value(name: &str, value: &Value, batch: usize) -> String {
    let each = |image: usize| match value {
        Value::Quantized(t) => head(part(t.data(), image, batch)),
        Value::Float { data, .. } => head(part(data, image, batch)),
        Value::Index { data, .. } => head(part(data, image, batch)),
    };
    if batch == 1 {
        return format!("{name} {}: {}", value.shape(), each(0));
    }
    let lines: Vec<String> = (0..batch)
        .map(|image| format!("\n  {image}: {}", each(image)))
        .collect();
    format!("{name} {}:{}", value.shape(), lines.concat())
}

/// The values of one inference.
fn part<T>(values: &[T], image: usize, batch: usize) -> &[T] {
    let len = values.len() / batch.max(1);
    values.get(image * len..(image + 1) * len).unwrap_or_default()
}

fn head<T: std::fmt::Display>(values: &[T]) -> String {
    const MOST: usize = 16;
    let shown: Vec<String> = values.iter().take(MOST).map(ToString::to_string).collect();
    let rest = if values.len() > MOST { ", ..." } else { "" };
    format!("[{}{rest}]", shown.join(", "))
}
