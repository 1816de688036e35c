//! A reader of Blake2b transcripts that accepts one byte string for each proof.
//!
//! The stock reader masks spare bits of compressed points, so that several byte strings decode to one proof,
//! and does not mind bytes that it never reads. This one hashes through the stock code (the challenges are
//! those of halo2's `Blake2bWrite`, except v, see [`crate::early`]), but takes bytes from a slice, requires canonical encodings, and is
//! asked for what is left over by [`StrictReader::finish`].

use crate::bytes::{POINT_BYTES, SCALAR_BYTES};
use crate::early::Rounds;
use crate::error::{PointError, TranscriptFault};
use crate::points::decode_g1;
use ff::PrimeField;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    transcript::{Blake2bRead, Challenge255, EncodedChallenge, Transcript, TranscriptReadBuffer},
};
use inferproof_circuits::params::CircuitParams;
use rayon::prelude::*;
use std::io;

type Hash = Blake2bRead<io::Empty, G1Affine, Challenge255<G1Affine>>;

/// Reads a proof from a slice.
pub(crate) struct StrictReader<'a> {
    hash: Hash,
    rounds: Rounds,
    proof: &'a [u8],
    position: usize,
}

impl<'a> StrictReader<'a> {
    /// A reader that has absorbed `statement`, as the prover does before its first message.
    ///
    /// # Errors
    /// [`TranscriptFault::Hash`], which Blake2b over a scalar never gives.
    pub(crate) fn new(
        statement: Fr,
        params: &CircuitParams,
        proof: &'a [u8],
    ) -> Result<Self, TranscriptFault> {
        let mut hash = Hash::init(io::empty());
        hash.common_scalar(statement)
            .map_err(|_| TranscriptFault::Hash { offset: 0 })?;
        Ok(Self {
            hash,
            rounds: Rounds::new(params),
            proof,
            position: 0,
        })
    }

    /// Checks that every byte was read.
    ///
    /// # Errors
    /// [`TranscriptFault::Unread`].
    pub(crate) fn finish(&self) -> Result<(), TranscriptFault> {
        match self.proof.len() - self.position {
            0 => Ok(()),
            bytes => Err(TranscriptFault::Unread { bytes }),
        }
    }

    /// The next challenge.
    pub(crate) fn challenge(&mut self) -> Fr {
        let ordinary = self.hash.squeeze_challenge();
        self.rounds.challenge(ordinary).get_scalar()
    }

    /// Absorbs a scalar that both sides know.
    ///
    /// # Errors
    /// [`TranscriptFault::Hash`], which Blake2b over a scalar never gives.
    pub(crate) fn absorb(&mut self, scalar: Fr) -> Result<(), TranscriptFault> {
        let offset = self.position;
        self.hash
            .common_scalar(scalar)
            .map_err(|_| TranscriptFault::Hash { offset })
    }

    /// Reads and absorbs a point.
    ///
    /// # Errors
    /// [`TranscriptFault`], also for the point at infinity, which the hash does not absorb.
    pub(crate) fn point(&mut self) -> Result<G1Affine, TranscriptFault> {
        let offset = self.position;
        let bytes = self.take::<POINT_BYTES>()?;
        self.absorb_point(offset, decode_g1(&bytes))
    }

    /// Reads and absorbs `count` points, and appends them. They are decoded on all processors.
    ///
    /// # Errors
    /// As [`StrictReader::point`].
    pub(crate) fn points(&mut self, count: usize, out: &mut Vec<G1Affine>) -> Result<(), TranscriptFault> {
        let first = self.position;
        let bytes: Result<Vec<_>, _> = (0..count).map(|_| self.take::<POINT_BYTES>()).collect();
        let decoded: Vec<_> = bytes?.par_iter().map(decode_g1).collect();
        for (i, point) in decoded.into_iter().enumerate() {
            out.push(self.absorb_point(first + i * POINT_BYTES, point)?);
        }
        Ok(())
    }

    fn absorb_point(
        &mut self,
        offset: usize,
        decoded: Result<G1Affine, PointError>,
    ) -> Result<G1Affine, TranscriptFault> {
        let point = decoded.map_err(|source| TranscriptFault::Point { offset, source })?;
        let absorbed = self.hash.common_point(point);
        let absorbed = absorbed.and_then(|()| self.rounds.point(&self.hash));
        absorbed.map_err(|_| TranscriptFault::Hash { offset })?;
        Ok(point)
    }

    /// Reads and absorbs a scalar.
    ///
    /// # Errors
    /// [`TranscriptFault`].
    pub(crate) fn scalar(&mut self) -> Result<Fr, TranscriptFault> {
        let offset = self.position;
        let bytes = self.take::<SCALAR_BYTES>()?;
        let scalar = Option::<Fr>::from(Fr::from_repr(bytes)).filter(|scalar| scalar.to_repr() == bytes);
        let scalar = scalar.ok_or(TranscriptFault::Scalar { offset })?;
        self.absorb(scalar)?;
        Ok(scalar)
    }

    /// Reads and absorbs `count` scalars.
    ///
    /// # Errors
    /// As [`StrictReader::scalar`].
    pub(crate) fn scalars(&mut self, count: usize) -> Result<Vec<Fr>, TranscriptFault> {
        (0..count).map(|_| self.scalar()).collect()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], TranscriptFault> {
        let rest = self.proof.get(self.position..).unwrap_or_default();
        let bytes = *rest.first_chunk::<N>().ok_or(TranscriptFault::Ended {
            offset: self.position,
        })?;
        self.position += N;
        Ok(bytes)
    }
}
