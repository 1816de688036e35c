//! Verifies proofs of inference.

pub mod srs;
