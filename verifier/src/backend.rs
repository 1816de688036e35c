//! Commitment backends, and the length of a proof that a constraint system implies.

use crate::bytes::{POINT_BYTES, SCALAR_BYTES};
use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem, poly::Rotation};
use std::collections::BTreeSet;

/// How polynomials are committed to and opened.
///
/// A further backend is a variant here, an opening in `num_opening_points`, a codec for its part of the key
/// and an arm in `verify::run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// KZG over BN254, opened with SHPLONK: two points, whatever the number of rotations.
    Shplonk,
    /// KZG over BN254, opened with GWC: one point for each distinct rotation.
    Gwc,
}

impl Backend {
    /// Byte that stands for the backend in keys, proof files and digests.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Shplonk => 1,
            Self::Gwc => 2,
        }
    }

    /// The backend with this byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Shplonk),
            2 => Some(Self::Gwc),
            _ => None,
        }
    }

    fn num_opening_points(self, cs: &ConstraintSystem<Fr>, sets: usize) -> usize {
        match self {
            Self::Shplonk => 2,
            Self::Gwc => distinct_rotations(cs, sets),
        }
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shplonk => "kzg-bn254-shplonk",
            Self::Gwc => "kzg-bn254-gwc",
        })
    }
}

/// Number of rotations at which a KZG proof opens something. Instance columns are not opened.
fn distinct_rotations(cs: &ConstraintSystem<Fr>, sets: usize) -> usize {
    let advice = cs.advice_queries().iter().map(|(_, rotation)| rotation.0);
    let fixed = cs.fixed_queries().iter().map(|(_, rotation)| rotation.0);
    let mut rotations: BTreeSet<i32> = advice.chain(fixed).collect();
    rotations.insert(Rotation::cur().0);
    if sets > 0 {
        rotations.insert(Rotation::next().0);
    }
    if sets > 1 {
        let last = i32::try_from(cs.blinding_factors() + 1).unwrap_or(i32::MAX);
        rotations.insert(-last);
    }
    if !cs.lookups().is_empty() {
        rotations.extend([Rotation::prev().0, Rotation::next().0]);
    }
    rotations.len()
}

/// Exact length in bytes of every proof under a constraint system whose selectors are fixed columns.
///
/// # Source
/// The order of reads of `verify_proof` in halo2-axiom 0.5.3, for one circuit instance.
pub(crate) fn proof_len(backend: Backend, cs: &ConstraintSystem<Fr>) -> usize {
    let degree = cs.degree();
    let permuted = cs.permutation().get_columns().len();
    let sets = permuted.div_ceil(degree.saturating_sub(2).max(1));
    let lookups = cs.lookups().len();
    let quotient = degree - 1;
    let random = 1;
    let points = cs.num_advice_columns()
        + 3 * lookups
        + sets
        + random
        + quotient
        + backend.num_opening_points(cs, sets);
    let set_evals = (3 * sets).saturating_sub(1);
    let scalars =
        cs.advice_queries().len() + cs.fixed_queries().len() + random + permuted + set_evals + 5 * lookups;
    points * POINT_BYTES + scalars * SCALAR_BYTES
}
