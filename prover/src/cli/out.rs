//! Answers on stdout.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stdout};

/// Writes a line. A reader that has gone away does not change what the program answers with its exit code; any other
/// failure is told on stderr.
pub fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(stdout().lock(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: the answer cannot be written: {error}; check what stdout is connected to");
    }
}

/// Writes a formatted line to stdout.
macro_rules! say {
    ($($part:tt)*) => {
        $crate::cli::out::line(format_args!($($part)*))
    };
}
pub(crate) use say;
