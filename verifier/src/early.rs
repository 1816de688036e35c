//! The challenge v, drawn between two commitments of one halo2 phase.
//!
//! halo2-axiom completes at most two phases, the circuit needs three rounds (see
//! [`inferproof_circuits::circuit`]). Both transcripts count the proof's points; when the overhang's commitment has
//! been absorbed, v is squeezed from a copy of the hash state, to which a tag is added, and kept for the place
//! that a challenge of the second phase has in halo2's order. v thus depends on the statement, on every commitment of the first phase, on the
//! challenges drawn after them and on the overhang, and on nothing that the prover chooses later except through
//! the proof itself. The ordinary squeeze at that place still advances the transcript; its result is dropped.

#[cfg(test)]
mod prover;

#[cfg(test)]
pub(crate) use prover::Session;

use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    transcript::{Challenge255, Transcript},
};
use inferproof_circuits::{
    circuit::{CHALLENGES_BEFORE_POINT, early_points},
    params::CircuitParams,
};
use std::io;

/// What the copy of the transcript absorbs before v is squeezed from it: no other copy is ever squeezed.
const TAG: u64 = u64::from_le_bytes(*b"inferp v");

/// Counts a transcript's points and challenges, and holds v in between.
#[derive(Debug, Clone)]
pub struct Rounds {
    points_left: usize,
    challenges_left: usize,
    early: Option<Challenge255<G1Affine>>,
}

impl Rounds {
    /// The rounds of a circuit with these parameters.
    #[must_use]
    pub fn new(params: &CircuitParams) -> Self {
        Self {
            points_left: early_points(params),
            challenges_left: CHALLENGES_BEFORE_POINT + 1,
            early: None,
        }
    }

    /// Takes note that `hash` has absorbed the proof's next point. True when v was drawn now.
    ///
    /// # Errors
    /// When the hash does not absorb a scalar; Blake2b always does.
    pub fn point<H>(&mut self, hash: &H) -> io::Result<bool>
    where
        H: Transcript<G1Affine, Challenge255<G1Affine>> + Clone,
    {
        let is_early = self.points_left == 1;
        self.points_left = self.points_left.saturating_sub(1);
        if is_early {
            self.early = Some(point(hash)?);
        }
        Ok(is_early)
    }

    /// The next challenge, `ordinary` being what the transcript gives. Where v is asked for before it is drawn,
    /// which no constraint system of ours does, it gets a challenge over everything absorbed so far.
    #[must_use]
    pub fn challenge(&mut self, ordinary: Challenge255<G1Affine>) -> Challenge255<G1Affine> {
        let is_early = self.challenges_left == 1;
        self.challenges_left = self.challenges_left.saturating_sub(1);
        self.early.filter(|_| is_early).unwrap_or(ordinary)
    }
}

/// v, from the state right after the overhang's commitment.
///
/// # Errors
/// When the hash does not absorb a scalar; Blake2b always does.
pub fn point<H>(hash: &H) -> io::Result<Challenge255<G1Affine>>
where
    H: Transcript<G1Affine, Challenge255<G1Affine>> + Clone,
{
    let mut copy = hash.clone();
    copy.common_scalar(Fr::from(TAG))?;
    Ok(copy.squeeze_challenge())
}
