//! Keys, setup and proofs.
