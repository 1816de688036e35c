//! The inferproof program.

// `print!` and `eprint!` panic where a stream takes nothing; `cli/out.rs` has what does not.
#![deny(clippy::print_stderr)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
