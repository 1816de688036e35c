//! Keys, setup and proofs.

pub mod backend;
pub mod calibrate;
mod entropy;
pub mod files;
pub mod input;
pub mod keys;
pub mod memory;
mod plonk;
pub mod profile;
pub mod prove;
pub mod srs;
