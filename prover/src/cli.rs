//! Commands, one per file.

mod calibrate;
mod demo;
mod error;
mod inspect;
mod json;
mod options;
mod out;
mod progress;
mod prove;
mod run;
mod setup;
mod srs;
mod tradeoff;
mod verify;

use self::out::{note, say};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Proves and verifies inference of int8 neural networks.
#[derive(Debug, Parser)]
#[command(name = "inferproof", version, about)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Proves and verifies one handwritten digit with the network inside this program.
    Demo(demo::Args),
    /// Shows a model's operators, exactness, cost and layout.
    Inspect(inspect::Args),
    /// Times the prover's primitives on this machine, for the estimates of the other commands.
    Calibrate(calibrate::Args),
    /// Runs a model in the clear, with the integers that would be proved.
    Run(run::Args),
    /// Makes a model's keys and prints its model id.
    Setup(setup::Args),
    /// Runs a model and writes a proof of its outputs.
    Prove(prove::Args),
    /// Proves a model with every plan worth having, and reports proof size against time, memory and keys.
    Tradeoff(tradeoff::Args),
    /// Checks proofs. Exit code: 0 valid, 1 invalid, 2 cannot decide.
    Verify(verify::Args),
    /// Makes, checks and imports structured reference strings.
    #[command(subcommand)]
    Srs(srs::Command),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let program = match Program::try_parse() {
        Ok(program) => program,
        Err(error) => {
            if json && error.use_stderr() {
                say!("{}", json::error(&error.render().to_string()));
            }
            let printed = error.print();
            if !error.use_stderr() {
                out::written(printed);
            }
            return out::exit_code(u8::try_from(error.exit_code()).unwrap_or(2), 1);
        }
    };
    let result = match program.command {
        Command::Demo(args) => demo::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Prove(args) => prove::run(&args),
        Command::Tradeoff(args) => tradeoff::run(&args),
        Command::Verify(args) => return verify::run(&args),
        Command::Srs(command) => srs::run(&command),
    };
    match result {
        Ok(()) => out::exit_code(0, 1),
        Err(error) => {
            let message = error.with_causes();
            note!("error: {message}");
            if json {
                say!("{}", json::error(&message));
            }
            ExitCode::FAILURE
        }
    }
}
