//! What a backend means for a plan.

use inferproof_circuits::plan::Opening;
use inferproof_verifier::Backend;

/// The opening by which a plan for this backend is priced ([`inferproof_circuits::plan::PlanOptions::opening`]); none for a
/// backend that this prover does not know.
#[must_use]
pub fn opening(backend: Backend) -> Option<Opening> {
    match backend {
        Backend::Shplonk => Some(Opening::Shplonk),
        Backend::Gwc => Some(Opening::Gwc),
        Backend::Ipa => Some(Opening::Ipa),
        _ => None,
    }
}
