//! The inferproof program.

fn main() {}
