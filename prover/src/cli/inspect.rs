//! `inferproof inspect`

use super::out::say;
use super::{error::CliError, json, options};
use inferproof_circuits::batch::stacked_shape;
use inferproof_circuits::graph::{InputPort, Node, OutputPort, TensorId};
use inferproof_circuits::ops::NumDiffering;
use inferproof_circuits::plan::{BOUND_BITS, FIELD_BITS, Prediction};
use inferproof_circuits::tail::TailOp;
use inferproof_prover::calibrate;
use inferproof_prover::keys::Model;
use inferproof_verifier::Backend;
use serde_json::{Map, Value as Json, json};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    #[command(flatten)]
    plan: options::PlanArgs,
    #[command(flatten)]
    import: options::ImportArgs,
    /// Shows upper bounds of what a cheating prover can hope for.
    #[arg(long)]
    soundness: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), CliError> {
    let model = options::load_model(&args.model, &args.plan.options(), &args.import)?;
    if args.json {
        let mut map = json::plan(&model);
        map.append(&mut figures(&model));
        map.insert("inputs".to_owned(), inputs(&model)?);
        map.insert("outputs".to_owned(), outputs(&model)?);
        map.insert(
            "operators".to_owned(),
            model.graph().nodes.iter().map(|n| layer(&model, n)).collect(),
        );
        if args.soundness {
            map.insert("soundness".to_owned(), json!(model.plan().risks()));
            map.insert("no_wrap".to_owned(), json!(model.plan().no_wrap(model.graph())));
        }
        say!("{}", Json::Object(map));
        return Ok(());
    }
    show_network(&model);
    show_plan(&model, args.plan.backend());
    if args.soundness {
        show_risks(&model);
    }
    Ok(())
}

/// The tensor of a port, by what a caller needs to fill or read it; that of a batch is stacked.
fn port(model: &Model, id: TensorId) -> Result<Map<String, Json>, CliError> {
    let info = model.graph().tensor(id);
    let shape = stacked_shape(&info.shape, model.plan().batch)?;
    let mut map = Map::new();
    map.insert("shape".to_owned(), json!(shape.dims()));
    map.insert("dtype".to_owned(), info.dtype.to_string().into());
    map.insert("scale".to_owned(), json!(info.scale));
    map.insert("zero_point".to_owned(), info.zero_point.into());
    Ok(map)
}

/// The graph's inputs by name.
fn inputs(model: &Model) -> Result<Json, CliError> {
    let one = |input: &InputPort| {
        let mut map = port(model, input.tensor)?;
        map.insert("takes_floats".to_owned(), input.float.into());
        Ok((input.name.clone(), Json::Object(map)))
    };
    model.graph().inputs.iter().map(one).collect()
}

/// The graph's outputs by name: the proved tensors, with what is computed of them in the clear.
fn outputs(model: &Model) -> Result<Json, CliError> {
    let one = |output: &OutputPort| {
        let mut map = port(model, output.tensor)?;
        map.insert("in_the_clear".to_owned(), output.tail.iter().map(step).collect());
        Ok((output.name.clone(), Json::Object(map)))
    };
    model.graph().outputs.iter().map(one).collect()
}

/// An operator in the clear.
fn step(op: &TailOp) -> Json {
    let operator = op.kind();
    match op {
        TailOp::Dequantize { scale, zero_point } => {
            json!({"operator": operator, "scale": scale, "zero_point": zero_point})
        }
        TailOp::Quantize {
            scale,
            zero_point,
            dtype,
        } => json!({
            "operator": operator, "scale": scale, "zero_point": zero_point, "dtype": dtype.to_string(),
        }),
        TailOp::Softmax { axis } => json!({"operator": operator, "axis": axis}),
        TailOp::ArgMax {
            axis,
            keep_dims,
            select_last,
        } => json!({
            "operator": operator, "axis": axis, "keep_dims": keep_dims, "select_last": select_last,
        }),
        TailOp::Reshape { shape } => json!({"operator": operator, "shape": shape.dims()}),
    }
}

/// The soundness account: degrees per challenge and the total error.
fn show_risks(model: &Model) {
    say!(
        "\nsoundness: a false statement passes each check with a chance of at most degree / |F|, |F| > 2^{FIELD_BITS}"
    );
    let risks = model.plan().risks();
    for risk in &risks {
        say!("  {:<22} {:<46} {:>16}", risk.challenge, risk.what, risk.degree);
    }
    let total: u128 = risks.iter().map(|r| r.degree).sum();
    let bits = u128::BITS - total.leading_zeros();
    say!("  total: {total} < 2^{bits}, error < 2^-{}", FIELD_BITS - bits);
    say!(
        "\nno wrap: |m acc| + |B| + d of every operator, at most 2^{BOUND_BITS}, the field has 2^{FIELD_BITS}"
    );
    for bound in model.plan().no_wrap(model.graph()) {
        say!("  {:<32} < 2^{}", bound.node, bound.bits);
    }
}

/// How many accumulators of a node onnxruntime may round otherwise.
fn differing(model: &Model, node: &Node) -> NumDiffering {
    let graph = model.graph();
    let inputs: Vec<_> = node.inputs.iter().map(|id| graph.tensor(*id)).collect();
    node.op.num_differing(&inputs, graph.tensor(node.output))
}

/// Corrections of strict rounding.
fn corrections(node: &Node) -> usize {
    node.op.requantize().map_or(0, |r| r.corrections().count())
}

fn layer(model: &Model, node: &Node) -> Json {
    let info = model.graph().tensor(node.output);
    let differing = differing(model, node);
    json!({
        "name": node.name,
        "operator": node.op.kind(),
        "shape": info.shape.dims(),
        "dtype": info.dtype.to_string(),
        "scale": info.scale,
        "zero_point": info.zero_point,
        "macs": node.op.macs(),
        "differing_accumulators": differing.accumulators,
        "differing_channels": differing.channels,
        "reachable_accumulators": differing.reachable,
        "corrections": corrections(node),
    })
}

/// Small and full-size cells for each value on the tape: the activations and the graph's inputs.
fn per_value(model: &Model) -> (f64, f64) {
    let cost = model.plan().cost;
    let values = count(cost.activations + cost.inputs).max(1.0);
    (count(cost.cells_small) / values, count(cost.cells_full) / values)
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// What a proof will take, at this machine's rates where it was calibrated.
fn estimate(model: &Model) -> Prediction {
    model.plan().work().predict(&calibrate::rates())
}

/// Processor milliseconds and bytes of proof for each inference of a batch.
fn per_inference(model: &Model) -> (f64, f64) {
    let batch = count(model.plan().batch).max(1.0);
    (
        estimate(model).cpu_ms / batch,
        count(model.plan().cost.proof_bytes) / batch,
    )
}

fn figures(model: &Model) -> Map<String, Json> {
    let cost = model.plan().cost;
    let (small, full) = per_value(model);
    let figures = json!({
        "macs": model.graph().macs(),
        "cost": cost,
        "proof_bytes": cost.proof_bytes,
        "cells_small_per_value": small,
        "cells_full_per_value": full,
        "cells_full_per_activation": count(cost.cells_full) / count(cost.activations).max(1.0),
        "degree": cost.degree,
        "columns_permutation": cost.columns_permutation,
        "work": model.plan().work(),
        "estimate": estimate(model),
        "per_inference": {
            "cpu_ms": per_inference(model).0,
            "proof_bytes": per_inference(model).1,
        },
    });
    match figures {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn show_network(model: &Model) {
    let graph = model.graph();
    for port in &graph.inputs {
        let info = graph.tensor(port.tensor);
        let kind = if port.float {
            "float, quantized to"
        } else {
            "taken as"
        };
        say!(
            "input {} {}: {kind} {}, scale {}, zero point {}",
            port.name,
            info.shape,
            info.dtype,
            info.scale,
            info.zero_point
        );
    }
    say!(
        "{:<28} {:<10} {:<18} {:>12}  differs from onnxruntime",
        "node",
        "operator",
        "output",
        "mults"
    );
    for node in &graph.nodes {
        let info = graph.tensor(node.output);
        let differing = differing(model, node);
        let exact = match (differing.accumulators, corrections(node)) {
            (0, 0) => "never".to_owned(),
            (0, count) => format!("never, by {count} corrections"),
            (count, _) => format!(
                "by one step, at {count} of {} accumulators, in {} channels",
                differing.reachable, differing.channels
            ),
        };
        say!(
            "{:<28} {:<10} {:<18} {:>12}  {exact}; {} scale {} zero point {}",
            node.name,
            node.op.kind(),
            info.shape.to_string(),
            node.op.macs(),
            info.dtype,
            info.scale,
            info.zero_point
        );
    }
    for port in &graph.outputs {
        let tail: Vec<&str> = port.tail.iter().map(|op| op.kind()).collect();
        say!("output {}: in the clear {tail:?}", port.name);
    }
}

fn show_plan(model: &Model, backend: Backend) {
    let (plan, cost) = (model.plan(), model.plan().cost);
    let (small, full) = per_value(model);
    let batch = match plan.batch {
        1 => String::new(),
        batch => format!(", {batch} inferences in one proof"),
    };
    say!(
        "\nlayout: k {} (2^{} rows), {} lanes{batch}",
        plan.k,
        plan.k,
        plan.params.lanes
    );
    say!(
        "rows: tape {}, glue {}, table {}; activations {}, inputs {}, weights {}, multiplications {}",
        cost.tape_rows,
        cost.glue_rows,
        cost.table_rows,
        cost.activations,
        cost.inputs,
        cost.weights,
        model.graph().macs()
    );
    say!(
        "columns: {} small, {} full-size, {} fixed, {} under permutation; gate degree {}",
        cost.columns_small,
        cost.columns_full,
        cost.columns_fixed,
        cost.columns_permutation,
        cost.degree
    );
    say!(
        "cells: {} small and {} full-size; {small:.2} and {full:.2} for each activation or input",
        cost.cells_small,
        cost.cells_full
    );
    say!("proof: {} bytes with {backend}", cost.proof_bytes);
    let estimate = estimate(model);
    say!(
        "estimate: {:.1} s of processor time, {:.0} MB of memory, proving key {:.1} MB",
        estimate.cpu_ms / 1e3,
        options::megabytes(estimate.peak_bytes),
        options::megabytes(estimate.pk_bytes)
    );
    if plan.batch > 1 {
        let (cpu_ms, proof_bytes) = per_inference(model);
        say!(
            "per inference: {:.2} s of processor time, {proof_bytes:.0} bytes of proof",
            cpu_ms / 1e3
        );
    }
}
