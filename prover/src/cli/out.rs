//! Answers on stdout, messages on stderr.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a part of the answer could not be written.
static LOST: AtomicBool = AtomicBool::new(false);

/// Writes a line of the answer.
pub fn line(text: Arguments<'_>) {
    written(writeln!(stdout().lock(), "{text}"));
}

/// Notes what became of a part of the answer. A reader that has gone away does not change the exit code; any other
/// failure does, and is told once.
pub fn written(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != ErrorKind::BrokenPipe
        && !LOST.swap(true, Ordering::Relaxed)
    {
        note!("error: the answer cannot be written: {error}; check what stdout is connected to");
    }
}

/// Writes a line to stderr, or nothing where stderr takes nothing.
pub fn message(text: Arguments<'_>) {
    drop(writeln!(stderr().lock(), "{text}"));
}

/// The exit code `code`, or `lost` in place of success when the answer was lost.
pub fn exit_code(code: u8, lost: u8) -> ExitCode {
    match code {
        0 if LOST.load(Ordering::Relaxed) => ExitCode::from(lost),
        code => ExitCode::from(code),
    }
}

/// Writes a formatted line to stdout.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::out::line(format_args!($($part)*))
    };
}

/// Writes a formatted line to stderr.
macro_rules! note {
    ($($part:tt)*) => {
        $crate::cli::out::message(format_args!($($part)*))
    };
}
pub(crate) use {note, say};
