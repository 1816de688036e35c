//! Commitment backends, and the length of a proof that a constraint system implies.

use crate::bytes::{POINT_BYTES, SCALAR_BYTES};
use crate::plonk::{Gwc, Ipa, Layout, Opening, Shplonk};

/// How polynomials are committed to and opened.
///
/// A further backend is a variant here, an `Opening`, and an opening in the prover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// KZG over BN254, opened with SHPLONK: two points, whatever the number of rotations.
    Shplonk,
    /// KZG over BN254, opened with GWC: one point for each distinct rotation.
    Gwc,
    /// The inner product argument over BN254's G1, with generators that nobody chose: two points for each doubling of the
    /// rows, no trusted setup, and a verifier whose work grows with the rows.
    Ipa,
}

impl Backend {
    /// Byte that stands for the backend in keys, proof files and digests.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Shplonk => 1,
            Self::Gwc => 2,
            Self::Ipa => 3,
        }
    }

    /// The backend with this byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Shplonk),
            2 => Some(Self::Gwc),
            3 => Some(Self::Ipa),
            _ => None,
        }
    }

    /// True when the scheme has no secret, and so no setup that must be trusted.
    #[must_use]
    pub const fn is_transparent(self) -> bool {
        matches!(self, Self::Ipa)
    }

    /// How its proofs are opened.
    pub(crate) fn opening(self) -> &'static dyn Opening {
        match self {
            Self::Shplonk => &Shplonk,
            Self::Gwc => &Gwc,
            Self::Ipa => &Ipa,
        }
    }
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Shplonk => "kzg-bn254-shplonk",
            Self::Gwc => "kzg-bn254-gwc",
            Self::Ipa => "ipa-bn254",
        })
    }
}

/// Exact length in bytes of every proof for `2^k` rows.
///
/// # Source
/// The order of reads of `verify_proof` in halo2-axiom 0.5.3, for one circuit instance.
pub(crate) fn proof_len(backend: Backend, layout: &Layout, k: u32) -> usize {
    let (points, scalars) = backend.opening().len(layout, k);
    (layout.num_points() + points) * POINT_BYTES + (layout.num_scalars + scalars) * SCALAR_BYTES
}
