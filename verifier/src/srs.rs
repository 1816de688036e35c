//! What a verifier needs of an SRS, and the digest that names one.
//!
//! An SRS for `2^k` rows is `g[i] = tau^i G1`, the same points in the Lagrange basis, `G2` and `tau G2`. With the
//! generators fixed, `k` and `tau G2` determine all of it, and KZG verification reads only `g[0]`, `G2`, `tau G2`
//! and `k`. So [`SrsVerifier`] keeps those two: 64 bytes for the point, compressed.

use crate::scheme::{LazyGenerators, Pairing, Scheme};
use halo2_proofs::SerdeFormat;
use halo2_proofs::halo2curves::CurveAffine;
use halo2_proofs::halo2curves::bn256::{Bn256, Fq, G1Affine, G2, G2Affine};
use halo2_proofs::halo2curves::group::GroupEncoding;
use halo2_proofs::halo2curves::group::cofactor::CofactorGroup;
use halo2_proofs::halo2curves::group::prime::PrimeCurveAffine;
use halo2_proofs::halo2curves::serde::SerdeObject;
use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Smallest log2 of the number of rows that an SRS may have.
pub const MIN_K: u32 = 1;
/// Largest log2 of the number of rows that an SRS may have.
pub const MAX_K: u32 = 24;

/// First bytes of the hash that names an SRS; the number is the version of its layout.
const DIGEST_DOMAIN: &[u8] = b"inferproof srs 1\0";
/// As [`DIGEST_DOMAIN`], for generators without a secret.
const GENERATORS_DOMAIN: &[u8] = b"inferproof generators 1\0";
/// Stands where there is no `tau G2`.
const NO_TAU: [[u8; 32]; 2] = [[0; 32]; 2];
/// Largest log2 of the number of rows of a scheme whose verifier computes all generators.
pub const MAX_TRANSPARENT_K: u32 = 20;
/// Flag bits in the last byte of a compressed point: identity (bit 7) and the sign of y (bit 6).
const FLAG_BITS: u8 = 0b1100_0000;
const IDENTITY_BIT: u8 = 0b1000_0000;

/// What is wrong with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointFault {
    /// A coordinate is not smaller than the field's modulus, or the flags are not those of the point.
    #[error("its encoding is not canonical")]
    NotCanonical,
    /// The coordinates do not satisfy the curve equation, or no point has that x.
    #[error("it is not on the curve")]
    NotOnCurve,
    /// The point at infinity.
    #[error("it is the point at infinity")]
    Identity,
    /// On the curve, outside the subgroup of order r.
    #[error("it is not in the subgroup of order r")]
    NotInSubgroup,
}

/// Why the verifier's part of an SRS is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrsVerifierError {
    /// Log2 of the row count outside [`MIN_K`]..=[`MAX_K`].
    #[error("the SRS is for 2^{k} rows; 2^{MIN_K} to 2^{MAX_K} are supported")]
    Size {
        /// The log2 found.
        k: u32,
    },
    /// `tau G2` is not a usable point.
    #[error("the SRS point tau*G2 is refused: {fault}; take the verifying key from its maker again")]
    Point {
        /// What is wrong.
        fault: PointFault,
    },
    /// Log2 of the row count outside [`MIN_K`]..=[`MAX_TRANSPARENT_K`].
    #[error(
        "generators for 2^{k} rows; without a trusted setup 2^{MIN_K} to 2^{MAX_TRANSPARENT_K} are supported, plan the model with fewer rows"
    )]
    Generators {
        /// The log2 found.
        k: u32,
    },
    /// Generators without a secret are marked as if there were one.
    #[error("generators without a secret are marked INSECURE; take the verifying key from its maker again")]
    Insecure,
    /// halo2 refused parameters whose parts were all checked.
    #[error("halo2 refused the SRS parameters: {reason}")]
    Halo2 {
        /// Its own words.
        reason: String,
    },
}

/// The verifier's part of an SRS: `k` and `tau G2`, in bytes.
///
/// Schemes without a secret have no `tau G2`: their generators follow from `k`, see [`SrsVerifier::transparent`].
/// Deserialization checks nothing; [`SrsVerifier::point`] checks everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrsVerifier {
    k: u32,
    /// Compressed `tau G2`: the bytes of x.c0, then those of x.c1 with the flags on top. All zero where there is none.
    tau_g2: [[u8; 32]; 2],
    insecure: bool,
}

impl SrsVerifier {
    /// Takes the verifier's part. `insecure`: whoever made the SRS may know tau.
    ///
    /// # Errors
    /// [`SrsVerifierError::Size`] and [`SrsVerifierError::Point`].
    pub fn new(k: u32, tau_g2: &G2Affine, insecure: bool) -> Result<Self, SrsVerifierError> {
        check_k(k)?;
        check_g2(tau_g2).map_err(|fault| SrsVerifierError::Point { fault })?;
        Ok(Self {
            k,
            tau_g2: compress_g2(tau_g2),
            insecure,
        })
    }

    /// The generators for `2^k` rows of a scheme without a secret.
    ///
    /// # Errors
    /// [`SrsVerifierError::Generators`].
    pub fn transparent(k: u32) -> Result<Self, SrsVerifierError> {
        check_generators(k)?;
        Ok(Self {
            k,
            tau_g2: NO_TAU,
            insecure: false,
        })
    }

    /// True for [`SrsVerifier::transparent`].
    #[must_use]
    pub fn is_transparent(&self) -> bool {
        self.tau_g2 == NO_TAU
    }

    /// Whether proofs on both can be checked by one sum: one tau, or the same generators.
    pub(crate) fn is_one_setup(&self, other: &Self) -> bool {
        self.tau_g2 == other.tau_g2 && (self.k == other.k || !self.is_transparent())
    }

    /// Log2 of the number of rows.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.k
    }

    /// True when whoever made the SRS may know tau, and so can prove anything.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Names the SRS: SHA-256 of the domain `"inferproof srs 1\0"`, k (u32, little-endian), the compressed
    /// generators of G1 and G2 and the compressed `tau G2`. One ceremony at one k has one digest, whatever file
    /// it came in; the INSECURE mark is not part of it. Generators without a secret: the domain
    /// `"inferproof generators 1\0"` and k.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        if self.is_transparent() {
            hash.update(GENERATORS_DOMAIN);
            hash.update(self.k.to_le_bytes());
            return hash.finalize().into();
        }
        hash.update(DIGEST_DOMAIN);
        hash.update(self.k.to_le_bytes());
        hash.update(G1Affine::generator().to_bytes().as_ref());
        hash.update(compress_g2(&G2Affine::generator()).as_flattened());
        hash.update(self.tau_g2.as_flattened());
        hash.finalize().into()
    }

    /// `tau G2`, checked.
    ///
    /// # Errors
    /// [`SrsVerifierError::Size`] and [`SrsVerifierError::Point`].
    pub fn point(&self) -> Result<G2Affine, SrsVerifierError> {
        check_k(self.k)?;
        decompress_g2(&self.tau_g2).map_err(|fault| SrsVerifierError::Point { fault })
    }

    /// What a check needs of it.
    ///
    /// # Errors
    /// As [`SrsVerifier::point`], [`SrsVerifierError::Generators`], and [`SrsVerifierError::Insecure`].
    pub(crate) fn scheme(&self) -> Result<Scheme, SrsVerifierError> {
        if !self.is_transparent() {
            return Ok(Scheme::Kzg(Box::new(Pairing::new(self.point()?))));
        }
        check_generators(self.k)?;
        if self.insecure {
            return Err(SrsVerifierError::Insecure);
        }
        Ok(Scheme::Ipa(LazyGenerators::new(self.k)))
    }
}

/// Parameters of one row with tau = 1, from which [`ParamsKZG::from_parts`] makes others.
///
/// # Errors
/// [`SrsVerifierError::Halo2`].
pub fn one_row_params() -> Result<ParamsKZG<Bn256>, SrsVerifierError> {
    let g1 = G1Affine::generator().to_raw_bytes();
    let g2 = G2Affine::generator().to_raw_bytes();
    let bytes = [0u32.to_le_bytes().to_vec(), g1.clone(), g1, g2.clone(), g2].concat();
    ParamsKZG::read_custom(&mut bytes.as_slice(), SerdeFormat::RawBytes).map_err(|e| {
        SrsVerifierError::Halo2 {
            reason: e.to_string(),
        }
    })
}

/// Requires [`MIN_K`] <= k <= [`MAX_K`].
///
/// # Errors
/// [`SrsVerifierError::Size`].
pub fn check_k(k: u32) -> Result<(), SrsVerifierError> {
    if (MIN_K..=MAX_K).contains(&k) {
        Ok(())
    } else {
        Err(SrsVerifierError::Size { k })
    }
}

fn check_generators(k: u32) -> Result<(), SrsVerifierError> {
    if (MIN_K..=MAX_TRANSPARENT_K).contains(&k) {
        Ok(())
    } else {
        Err(SrsVerifierError::Generators { k })
    }
}

/// Requires a G2 point that is on the curve, in the subgroup of order r, and not the identity.
///
/// # Errors
/// The fault.
pub fn check_g2(point: &G2Affine) -> Result<(), PointFault> {
    if bool::from(point.is_identity()) {
        return Err(PointFault::Identity);
    }
    if !bool::from(point.is_on_curve()) {
        return Err(PointFault::NotOnCurve);
    }
    if !bool::from(G2::from(*point).is_torsion_free()) {
        return Err(PointFault::NotInSubgroup);
    }
    Ok(())
}

fn compress_g2(point: &G2Affine) -> [[u8; 32]; 2] {
    let mut halves = [[0; 32]; 2];
    halves
        .as_flattened_mut()
        .copy_from_slice(point.to_bytes().as_ref());
    halves
}

/// The curve library unwraps both coordinates before it looks whether they are canonical, so that is asked first.
fn decompress_g2(halves: &[[u8; 32]; 2]) -> Result<G2Affine, PointFault> {
    let flags = halves[1][31];
    let mut c1 = halves[1];
    c1[31] &= !FLAG_BITS;
    if !is_canonical(&halves[0]) || !is_canonical(&c1) {
        return Err(PointFault::NotCanonical);
    }
    if flags & IDENTITY_BIT != 0 {
        return Err(PointFault::Identity);
    }
    let mut repr = <G2Affine as GroupEncoding>::Repr::default();
    repr.as_mut().copy_from_slice(halves.as_flattened());
    let point = Option::<G2Affine>::from(G2Affine::from_bytes(&repr)).ok_or(PointFault::NotOnCurve)?;
    check_g2(&point)?;
    if compress_g2(&point) == *halves {
        Ok(point)
    } else {
        Err(PointFault::NotCanonical)
    }
}

/// Whether the little-endian integer is smaller than the modulus of Fq.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    bool::from(Fq::from_bytes(bytes).is_some())
}

#[cfg(test)]
mod tests;
