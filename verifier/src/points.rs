//! Strict decoding of compressed points of G1: one byte string for each point.

use crate::bytes::POINT_BYTES;
use crate::error::PointError;
use group::GroupEncoding;
use halo2_proofs::halo2curves::{CurveAffine, bn256::G1Affine};

/// Decodes a point of G1, the identity included.
///
/// # Errors
/// [`PointError::Encoding`] for bytes that are no point, [`PointError::NotCanonical`] for bytes that stand
/// for a point but are not its encoding.
pub(crate) fn decode_g1(bytes: &[u8; POINT_BYTES]) -> Result<G1Affine, PointError> {
    let mut repr = <G1Affine as GroupEncoding>::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    let point = Option::<G1Affine>::from(G1Affine::from_bytes(&repr)).ok_or(PointError::Encoding)?;
    if point.to_bytes().as_ref() != bytes {
        return Err(PointError::NotCanonical);
    }
    if !bool::from(point.is_on_curve()) {
        return Err(PointError::Encoding);
    }
    Ok(point)
}

/// The one encoding of a point of G1.
pub(crate) fn encode_g1(point: &G1Affine) -> [u8; POINT_BYTES] {
    let mut bytes = [0; POINT_BYTES];
    bytes.copy_from_slice(point.to_bytes().as_ref());
    bytes
}
