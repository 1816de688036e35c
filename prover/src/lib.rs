//! Keys, setup and proofs.

mod entropy;
pub mod files;
pub mod input;
pub mod keys;
pub mod prove;
pub mod srs;
