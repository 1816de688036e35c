//! What a strict verifier must refuse, on real proofs.

mod batch;
mod environment;
pub(crate) mod fixture;
mod hygiene;
mod keys;
mod mutations;
mod proofs;
mod rounds;
mod statements;
