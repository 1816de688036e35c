//! The inferproof program.
#![allow(
    clippy::print_stdout,
    reason = "this is the program: its answers go to stdout"
)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
