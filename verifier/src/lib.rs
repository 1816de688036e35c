//! Verifies proofs of inference.
