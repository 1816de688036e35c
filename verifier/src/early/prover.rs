//! halo2's own prover for the tests: a transcript that can say what v will be before halo2 commits the overhang.

use super::Rounds;
use ff::Field;
use halo2_proofs::{
    halo2curves::{
        bn256::{Bn256, Fr, G1Affine},
        group::Curve,
    },
    poly::{
        LagrangeCoeff, Polynomial,
        commitment::{Blind, Params},
        kzg::commitment::ParamsKZG,
    },
    transcript::{
        Blake2bWrite, Challenge255, EncodedChallenge, Transcript, TranscriptWrite, TranscriptWriterBuffer,
    },
};
use inferproof_circuits::{circuit::PointSource, params::CircuitParams};
use rand_core::{CryptoRng, Error, RngCore};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Hash = Blake2bWrite<Vec<u8>, G1Affine, Challenge255<G1Affine>>;

/// Why a session gives no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EarlyError {
    /// The overhang was not committed as it was when v was drawn.
    #[error(
        "the overhang that halo2 committed is not the one that v was drawn from; this is a bug, please report it"
    )]
    Commitment,
    /// The overhang has more values than the column has rows for them.
    #[error("the overhang has more values than usable rows; this is a bug, please report it")]
    Rows,
    /// The transcript refused an element.
    #[error("the transcript cannot absorb a commitment; prove again")]
    Hash,
}

struct State<R> {
    hash: Hash,
    rounds: Rounds,
    rng: R,
    /// The commitment that v was drawn from.
    early: Option<G1Affine>,
    fault: Option<EarlyError>,
}

/// Transcript and randomness of one proof, shared by halo2 and by the circuit's [`PointSource`].
///
/// halo2 panics on errors of a transcript, so that errors wait here until [`Session::finish`].
pub struct Session<R> {
    state: Arc<Mutex<State<R>>>,
}

impl<R> Clone for Session<R> {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
        }
    }
}

impl<R: RngCore + Clone + Send + 'static> Session<R> {
    /// A session whose transcript has absorbed `statement`. `rng` blinds the proof and must be seeded afresh.
    #[must_use]
    pub fn new(statement: Fr, params: &CircuitParams, rng: R) -> Self {
        let mut hash = Hash::init(Vec::new());
        let fault = hash.common_scalar(statement).err().map(|_| EarlyError::Hash);
        let state = State {
            hash,
            rounds: Rounds::new(params),
            rng,
            early: None,
            fault,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What the circuit asks for v. `column` is a column of zeros of the proof's domain, `blinded` the number of
    /// its last rows that halo2 fills from the rng.
    #[must_use]
    pub fn point_source(
        &self,
        params: Arc<ParamsKZG<Bn256>>,
        column: Polynomial<Fr, LagrangeCoeff>,
        blinded: usize,
    ) -> Arc<dyn PointSource> {
        Arc::new(Source {
            session: self.clone(),
            params,
            column,
            blinded,
        })
    }

    /// The proof's bytes, after halo2 is done.
    ///
    /// # Errors
    /// [`EarlyError`]: what was written is no proof.
    pub fn finish(self) -> Result<Vec<u8>, EarlyError> {
        let state = self.lock();
        match state.fault {
            Some(fault) => Err(fault),
            None => Ok(state.hash.clone().finalize()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> State<R> {
    fn note<T>(&mut self, result: io::Result<T>) -> Option<T> {
        if result.is_err() {
            self.fault.get_or_insert(EarlyError::Hash);
        }
        result.ok()
    }
}

impl<R: RngCore + Clone + Send + 'static> Transcript<G1Affine, Challenge255<G1Affine>> for Session<R> {
    fn squeeze_challenge(&mut self) -> Challenge255<G1Affine> {
        let mut state = self.lock();
        let ordinary = state.hash.squeeze_challenge();
        state.rounds.challenge(ordinary)
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        let mut state = self.lock();
        let result = state.hash.common_point(point);
        state.note(result);
        Ok(())
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        let mut state = self.lock();
        let result = state.hash.common_scalar(scalar);
        state.note(result);
        Ok(())
    }
}

impl<R: RngCore + Clone + Send + 'static> TranscriptWrite<G1Affine, Challenge255<G1Affine>> for Session<R> {
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let result = state.hash.write_point(point);
        state.note(result);
        let result = state.rounds.point(&state.hash);
        if state.note(result) == Some(true) && state.early != Some(point) {
            state.fault.get_or_insert(EarlyError::Commitment);
        }
        Ok(())
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        let mut state = self.lock();
        let result = state.hash.write_scalar(scalar);
        state.note(result);
        Ok(())
    }
}

impl<R: RngCore + Clone + Send + 'static> RngCore for Session<R> {
    fn next_u32(&mut self) -> u32 {
        self.lock().rng.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.lock().rng.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.lock().rng.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.lock().rng.try_fill_bytes(dest)
    }
}

impl<R: CryptoRng> CryptoRng for Session<R> {}

struct Source<R> {
    session: Session<R>,
    params: Arc<ParamsKZG<Bn256>>,
    column: Polynomial<Fr, LagrangeCoeff>,
    blinded: usize,
}

impl<R: RngCore + Clone + Send + 'static> PointSource for Source<R> {
    /// halo2 fills the last rows of the phase's columns from the rng, column by column, and the overhang is the
    /// first: a copy of the rng gives the same values. KZG commitments take no other blinding.
    fn draw(&self, overhang: &[Fr]) -> Fr {
        let mut guard = self.session.lock();
        let state = &mut *guard;
        let mut column = self.column.clone();
        let usable = column.len().saturating_sub(self.blinded);
        if overhang.len() > usable {
            state.fault.get_or_insert(EarlyError::Rows);
            return Fr::ONE;
        }
        let mut rng = state.rng.clone();
        let values: &mut [Fr] = &mut column;
        values[..overhang.len()].copy_from_slice(overhang);
        values[usable..].fill_with(|| Fr::random(&mut rng));
        let point = self.params.commit_lagrange(&column, Blind::default()).to_affine();
        state.early = Some(point);
        let mut hash = state.hash.clone();
        let result = hash.common_point(point).and_then(|()| super::point(&hash));
        state.note(result).map_or(Fr::ONE, |v| v.get_scalar())
    }
}
