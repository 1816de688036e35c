//! A reader of Blake2b transcripts that accepts one byte string for each proof.
//!
//! The stock reader masks spare bits of compressed points, so that several byte strings decode to one proof,
//! and does not mind bytes that it never reads. This one hashes through the stock code (the challenges are
//! those of halo2's `Blake2bWrite`, except v, see [`crate::early`]), but takes bytes from a slice, requires canonical encodings, and is
//! asked for what is left over by [`StrictReader::finish`].

use crate::bytes::{POINT_BYTES, SCALAR_BYTES};
use crate::early::Rounds;
use crate::error::TranscriptFault;
use crate::points::decode_g1;
use ff::PrimeField;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    transcript::{Blake2bRead, Challenge255, Transcript, TranscriptRead, TranscriptReadBuffer},
};
use inferproof_circuits::params::CircuitParams;
use std::io;

type Hash = Blake2bRead<io::Empty, G1Affine, Challenge255<G1Affine>>;

/// Reads a proof from a slice.
pub(crate) struct StrictReader<'a> {
    hash: Hash,
    rounds: Rounds,
    proof: &'a [u8],
    position: usize,
    fault: Option<TranscriptFault>,
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
            fault: None,
        })
    }

    /// What made a read fail, if one did.
    pub(crate) fn fault(&self) -> Option<TranscriptFault> {
        self.fault.clone()
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

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let rest = self.proof.get(self.position..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk::<N>() else {
            return Err(self.fail(TranscriptFault::Ended {
                offset: self.position,
            }));
        };
        self.position += N;
        Ok(*bytes)
    }

    fn fail(&mut self, fault: TranscriptFault) -> io::Error {
        self.fault.get_or_insert(fault);
        io::Error::from(io::ErrorKind::InvalidData)
    }
}

impl Transcript<G1Affine, Challenge255<G1Affine>> for StrictReader<'_> {
    fn squeeze_challenge(&mut self) -> Challenge255<G1Affine> {
        let ordinary = self.hash.squeeze_challenge();
        self.rounds.challenge(ordinary)
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        let offset = self.position;
        self.hash
            .common_point(point)
            .map_err(|_| self.fail(TranscriptFault::Hash { offset }))
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        let offset = self.position;
        self.hash
            .common_scalar(scalar)
            .map_err(|_| self.fail(TranscriptFault::Hash { offset }))
    }
}

impl TranscriptRead<G1Affine, Challenge255<G1Affine>> for StrictReader<'_> {
    fn read_point(&mut self) -> io::Result<G1Affine> {
        let offset = self.position;
        let bytes = self.take::<POINT_BYTES>()?;
        let point =
            decode_g1(&bytes).map_err(|source| self.fail(TranscriptFault::Point { offset, source }))?;
        self.common_point(point)?;
        self.rounds
            .point(&self.hash)
            .map_err(|_| self.fail(TranscriptFault::Hash { offset }))?;
        Ok(point)
    }

    fn read_scalar(&mut self) -> io::Result<Fr> {
        let offset = self.position;
        let bytes = self.take::<SCALAR_BYTES>()?;
        let scalar = Option::<Fr>::from(Fr::from_repr(bytes));
        let Some(scalar) = scalar.filter(|scalar| scalar.to_repr() == bytes) else {
            return Err(self.fail(TranscriptFault::Scalar { offset }));
        };
        self.common_scalar(scalar)?;
        Ok(scalar)
    }
}
