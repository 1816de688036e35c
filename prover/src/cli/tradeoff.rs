//! `inferproof tradeoff`: proof size against time, memory and key size, plan by plan.

mod page;
mod row;

use self::row::{Measured, Row, goal_name};
use super::error::CliError;
use super::options;
use super::out::{note, say};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use inferproof_circuits::batch::stacked_shape;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{K_RANGE, Optimize, Plan, PlanOptions, Rates};
use inferproof_prover::calibrate;
use inferproof_prover::files;
use inferproof_prover::keys::Model;
use inferproof_prover::memory::too_few_for;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of the files in the output folder.
const CSV_FILE: &str = "tradeoff.csv";
const PAGE_FILE: &str = "tradeoff.html";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    /// Folder for `tradeoff.csv` and `tradeoff.html`.
    #[arg(long, value_name = "DIR", default_value = "tradeoff")]
    out: PathBuf,
    /// Inputs to prove: .npy, .npz or .json; zeros when absent.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Takes this row of files that hold several samples; of a batch, the first of as many rows.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    #[command(flatten)]
    batch: options::BatchArgs,
    #[command(flatten)]
    backend: options::BackendArgs,
    #[command(flatten)]
    import: options::ImportArgs,
    /// Proves nothing: the estimates alone.
    #[arg(long)]
    predict: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), CliError> {
    let plan = PlanOptions {
        opening: args.backend.opening(),
        batch: args.batch.batch,
        ..PlanOptions::default()
    };
    let model = options::load_model(&args.model, &plan, &args.import)?;
    if let Some(input) = &args.input {
        options::load_inputs(input, model.graph(), args.sample, args.batch.batch)?;
    }
    std::fs::create_dir_all(&args.out).map_err(|source| files::FileError::Folder {
        path: args.out.clone(),
        source,
    })?;
    let inputs: Vec<&Path> = [Some(args.model.as_path()), args.input.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    for file in [CSV_FILE, PAGE_FILE] {
        files::check_output(&args.out.join(file), &inputs)?;
    }
    let mut rows = sweep(&model, &plan, &calibrate::rates());
    if !args.predict {
        measure(args, model.graph(), &mut rows)?;
    }
    mark_front(&mut rows);
    let lines: Vec<String> = rows.iter().map(Row::csv).collect();
    let csv = format!("{}\n{}\n", Row::CSV_HEADER, lines.join("\n"));
    files::write_bytes(&args.out.join(CSV_FILE), csv.as_bytes())?;
    let name = args.model.display().to_string();
    files::write_bytes(&args.out.join(PAGE_FILE), page::html(&name, &rows)?.as_bytes())?;
    show(args, &rows);
    Ok(())
}

/// The distinct plans for every goal and size, the default plan among them.
fn sweep(model: &Model, plan: &PlanOptions, rates: &Rates) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut add = |plan: &Plan, goal: Optimize| {
        let row = Row::new(plan, goal, rates);
        if seen.insert((row.k, row.lanes, row.limb_split, row.proof_bytes)) {
            rows.push(row);
        }
    };
    add(model.plan(), Optimize::default());
    let mut smallest = u64::MAX;
    for k in K_RANGE {
        let mut here = u64::MAX;
        for goal in [
            Optimize::Time,
            Optimize::Balanced,
            Optimize::Memory,
            Optimize::Size,
        ] {
            let options = PlanOptions {
                k: Some(k),
                optimize: goal,
                ..*plan
            };
            let Ok(plan) = Plan::new(model.graph(), &options) else {
                break;
            };
            here = here.min(plan.cost.proof_bytes as u64);
            add(&plan, goal);
        }
        // More rows make smaller proofs until there is one lane and one weight lane.
        if here != u64::MAX && here >= smallest {
            break;
        }
        smallest = smallest.min(here);
    }
    if let Some(chosen) = rows.first_mut() {
        chosen.chosen = true;
    }
    rows.sort_by_key(|row| (row.k, row.proof_bytes));
    rows
}

fn mark_front(rows: &mut [Row]) {
    let points: Vec<(u64, f64)> = rows.iter().map(|r| (r.proof_bytes, r.time_ms())).collect();
    for row in rows {
        let (size, time) = (row.proof_bytes, row.time_ms());
        row.on_front = !points
            .iter()
            .any(|(s, t)| *s <= size && *t <= time && (*s < size || *t < time));
    }
}

/// Proves every plan, each in a process of its own, so that its memory is its own.
fn measure(args: &Args, graph: &Graph, rows: &mut [Row]) -> Result<(), CliError> {
    let folder = tempfile::tempdir().map_err(|source| files::FileError::Folder {
        path: std::env::temp_dir(),
        source,
    })?;
    let zeros = folder.path().join("zeros.json");
    let input = match &args.input {
        Some(path) => path.clone(),
        None => {
            files::write_bytes(
                &zeros,
                zero_inputs(graph, args.batch.batch)?.to_string().as_bytes(),
            )?;
            zeros
        }
    };
    let bar = ProgressBar::new(rows.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("proving plan {pos} of {len} {wide_bar} {elapsed}") {
        bar.set_style(style);
    }
    for row in rows {
        // Estimated, as nothing is measured yet.
        let needed = row.memory();
        if let Some(available) = too_few_for(needed) {
            bar.suspend(|| {
                note!(
                    "the plan with k {} and {} lanes is estimated only: it needs about {:.0} MB of memory, {:.0} MB are available",
                    row.k,
                    row.lanes,
                    options::megabytes(needed),
                    options::megabytes(available)
                );
            });
            bar.inc(1);
            continue;
        }
        let measured = prove(args, row, &input, folder.path())?;
        row.proof_bytes = measured.proof_bytes;
        row.measured = Some(measured);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn prove(args: &Args, row: &Row, input: &Path, folder: &Path) -> Result<Measured, CliError> {
    let failed = |reason: String| CliError::Child {
        k: row.k,
        lanes: row.lanes,
        reason,
    };
    let program = std::env::current_exe().map_err(|e| failed(e.to_string()))?;
    let mut command = Command::new(program);
    command.arg("prove").arg(&args.model).arg("--input").arg(input);
    if let (Some(sample), Some(_)) = (args.sample, &args.input) {
        command.args(["--sample", &sample.to_string()]);
    }
    command.args(["-k", &row.k.to_string()]);
    command.args(["--batch", &row.batch.to_string()]);
    command.args(["--optimize", goal_name(row.goal)]);
    command.args(["--backend", &args.backend.name()]);
    let rounding = args.import.rounding.to_possible_value();
    command.args(["--rounding", rounding.as_ref().map_or("exact", |v| v.get_name())]);
    // Keys of large plans would fill the disk: they go when they have been used.
    let keys = folder.join("keys");
    command.arg("--keys").arg(&keys);
    command.arg("-o").arg(folder.join("proof")).arg("--json");
    // The first run makes the keys, the second one is what a proof takes.
    let mut answer = Vec::new();
    for _ in 0..2 {
        let output = command.output().map_err(|e| failed(e.to_string()))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(failed(
                text.lines().last().unwrap_or("no reason given").to_owned(),
            ));
        }
        answer = output.stdout;
    }
    let measured = serde_json::from_slice(&answer).map_err(|e| failed(e.to_string()))?;
    std::fs::remove_dir_all(&keys).map_err(|e| failed(e.to_string()))?;
    Ok(measured)
}

/// Inputs that are all zero, those of a batch stacked.
fn zero_inputs(graph: &Graph, batch: usize) -> Result<Json, CliError> {
    let mut inputs = serde_json::Map::new();
    for port in &graph.inputs {
        let shape = stacked_shape(&graph.tensor(port.tensor).shape, batch)?;
        let zeros = shape
            .dims()
            .iter()
            .rev()
            .fold(json!(0), |inner, dim| Json::Array(vec![inner; *dim]));
        inputs.insert(port.name.clone(), zeros);
    }
    Ok(Json::Object(inputs))
}

fn show(args: &Args, rows: &[Row]) {
    if args.json {
        let rows: Vec<Json> = rows.iter().map(Row::json).collect();
        say!("{}", json!({ "batch": args.batch.batch, "plans": rows }));
        return;
    }
    say!("  k lanes  proof B   time s  memory MB   key MB  verify ms");
    for row in rows {
        let verify = row
            .measured
            .map_or_else(|| "-".to_owned(), |m| format!("{:.1}", m.verify_ms));
        let mark = match (row.chosen, row.on_front) {
            (true, _) => "  the default plan",
            (false, true) => "  on the front",
            (false, false) => "",
        };
        say!(
            "{:>3} {:>5} {:>8} {:>8.2} {:>10.0} {:>8.1} {:>10}{mark}",
            row.k,
            row.lanes,
            row.proof_bytes,
            row.time_ms() / 1e3,
            options::megabytes(row.memory()),
            options::megabytes(row.key_bytes()),
            verify
        );
        if row.batch > 1 {
            say!(
                "    per inference: {:>4.0} {:>8.2}",
                row.byte_share(),
                row.share(row.time_ms()) / 1e3
            );
        }
    }
    say!(
        "{} processor time; {} and {} in {}",
        if args.predict { "estimated" } else { "measured" },
        CSV_FILE,
        PAGE_FILE,
        args.out.display()
    );
}
