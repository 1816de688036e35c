//! Keys, setup and proofs.

pub mod files;
pub mod input;
pub mod srs;
