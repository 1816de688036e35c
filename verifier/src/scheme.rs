//! Commitment schemes, as far as a verifier needs them.

use halo2_proofs::halo2curves::{
    CurveExt,
    bn256::{G1, G1Affine, G2Affine, G2Prepared},
    group::{Curve, prime::PrimeCurveAffine},
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What a check needs beside a key's commitments.
#[derive(Clone)]
pub(crate) enum Scheme {
    /// KZG.
    Kzg(Box<Pairing>),
    /// The inner product argument.
    Ipa(LazyGenerators),
}

/// Generators that are derived when a proof is checked: a key that was only read costs nothing.
#[derive(Clone)]
pub(crate) struct LazyGenerators {
    k: u32,
    derived: OnceLock<Arc<Generators>>,
}

impl LazyGenerators {
    pub(crate) fn new(k: u32) -> Self {
        Self {
            k,
            derived: OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> &Generators {
        if let Some(generators) = self.derived.get() {
            return generators;
        }
        // Derived before the cell is locked: a thread of the pool that waits for parts of it may come by here again.
        let generators = Generators::of(self.k);
        self.derived.get_or_init(|| generators)
    }
}

#[cfg(test)]
impl From<Generators> for LazyGenerators {
    fn from(generators: Generators) -> Self {
        let k = generators.powers.len().ilog2();
        Self {
            k,
            derived: OnceLock::from(Arc::new(generators)),
        }
    }
}

/// The fixed side of a pairing check.
#[derive(Clone)]
pub(crate) struct Pairing {
    pub(crate) tau_g2: G2Prepared,
    pub(crate) minus_g2: G2Prepared,
}

impl Pairing {
    pub(crate) fn new(tau_g2: G2Affine) -> Self {
        Self {
            tau_g2: G2Prepared::from(tau_g2),
            minus_g2: G2Prepared::from(-G2Affine::generator()),
        }
    }
}

/// Generators of G1 between which nobody knows a relation: each is the hash of its number.
#[derive(Debug, PartialEq, Eq)]
pub struct Generators {
    /// One for each coefficient.
    pub powers: Vec<G1Affine>,
    /// For the value of an opening.
    pub value: G1Affine,
    /// For blinding.
    pub blind: G1Affine,
}

/// Points that are hashed by one task.
const CHUNK: usize = 256;

impl Generators {
    /// The generators for polynomials of `2^k` coefficients: those of halo2's `ParamsIPA`. They are kept for the life
    /// of the process.
    #[must_use]
    pub fn of(k: u32) -> Arc<Self> {
        static KNOWN: Mutex<BTreeMap<u32, Arc<Generators>>> = Mutex::new(BTreeMap::new());
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(generators) = known().get(&k) {
            return Arc::clone(generators);
        }
        // No lock is held while the pool works: its threads may come by here again. Two may derive the same.
        let generators = Arc::new(Self::derive(k));
        Arc::clone(known().entry(k).or_insert(generators))
    }

    fn derive(k: u32) -> Self {
        let numbers: Vec<u32> = (0..1u32 << k).collect();
        let chunks: Vec<Vec<G1Affine>> = numbers
            .par_chunks(CHUNK)
            .map(|numbers| {
                let hash = G1::hash_to_curve(DOMAIN);
                let points: Vec<G1> = numbers
                    .iter()
                    .map(|number| hash(&[&[0], number.to_le_bytes().as_slice()].concat()))
                    .collect();
                let mut affine = vec![G1Affine::identity(); points.len()];
                G1::batch_normalize(&points, &mut affine);
                affine
            })
            .collect();
        let hash = G1::hash_to_curve(DOMAIN);
        Self {
            powers: chunks.concat(),
            blind: hash(&[1]).to_affine(),
            value: hash(&[2]).to_affine(),
        }
    }
}

/// What halo2 hashes the numbers with.
const DOMAIN: &str = "Halo2-Parameters";

#[cfg(test)]
mod tests {
    use super::*;
    use ff::Field;
    use halo2_proofs::halo2curves::bn256::Fr;
    use halo2_proofs::poly::commitment::{Blind, Params, ParamsProver};
    use halo2_proofs::poly::{Polynomial, ipa::commitment::ParamsIPA};

    #[test]
    fn generators_are_halo2s() {
        const K: u32 = 4;
        let (ours, theirs) = (Generators::of(K), ParamsIPA::<G1Affine>::new(K));
        assert_eq!(ours.powers, theirs.get_g());
        let zero = Polynomial::new(vec![Fr::ZERO; 1 << K]);
        let blind = theirs.commit(&zero, Blind(Fr::ONE)).to_affine();
        assert_eq!(ours.blind, blind);
        let mut bytes = Vec::new();
        theirs.write(&mut bytes).unwrap();
        let (_, value) = bytes.split_last_chunk::<32>().unwrap();
        assert_eq!(*value, crate::points::encode_g1(&ours.value));
    }

    /// A lock that is held while the thread pool works would be waited for by the pool itself.
    #[test]
    fn many_threads_derive_at_once() {
        const K: u32 = 11;
        let lazy = LazyGenerators::new(K);
        let expected = Generators::derive(K).powers;
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| rayon::scope(|_| assert_eq!(lazy.get().powers, expected)));
            }
        });
        let all: Vec<bool> = (0..64)
            .into_par_iter()
            .map(|i| *LazyGenerators::new(K + i % 2).get() == *Generators::of(K + i % 2))
            .collect();
        assert!(all.iter().all(|same| *same));
    }

    #[test]
    fn fewer_rows_have_the_same_generators() {
        assert_eq!(Generators::of(3).powers, Generators::of(5).powers[..8]);
    }
}
