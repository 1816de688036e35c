//! What a strict verifier must refuse, on real proofs.

mod batch;
mod environment;
mod fixture;
mod keys;
mod proofs;
mod statements;
