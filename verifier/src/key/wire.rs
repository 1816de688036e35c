//! The bytes of a key.

use super::MAX_KEY_BYTES;
use super::header::Header;
use crate::backend::Backend;
use crate::bytes::{DIGEST_BYTES, POINT_BYTES, Reader, decode};
use crate::error::{KeyError, PointError};
use crate::points::decode_g1;
use crate::srs::SrsVerifier;
use halo2_proofs::halo2curves::{bn256::G1Affine, group::prime::PrimeCurveAffine};
use inferproof_circuits::statement::Descriptor;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"INFPKEY\n";
const FORMAT_VERSION: u32 = 2;
pub(super) const MAX_DESCRIPTOR_BYTES: usize = 3 << 20;
pub(super) const MAX_SRS_BYTES: usize = 256;

/// The first bytes of a key.
pub(super) fn begin() -> Vec<u8> {
    [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes()].concat()
}

/// Appends the checksum.
///
/// # Errors
/// [`KeyError::TooLong`].
pub(super) fn seal(mut bytes: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    if bytes.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { bytes: bytes.len() });
    }
    Ok(bytes)
}

/// Checks envelope and header, and gives the bytes of the commitments, exactly as many as the constraint
/// system asks for.
pub(super) fn read_header(bytes: &[u8]) -> Result<(Header, Reader<'_>), KeyError> {
    let body = read_envelope(bytes)?;
    let mut reader = Reader::new(body);
    let code = reader.byte().ok_or(KeyError::Truncated { field: "backend" })?;
    let backend = Backend::from_code(code).ok_or(KeyError::Backend { code })?;
    let descriptor = read_part(&mut reader, "descriptor")?;
    let descriptor = decode::<MAX_DESCRIPTOR_BYTES, Descriptor>(descriptor);
    let descriptor = descriptor.ok_or(KeyError::Field { field: "descriptor" })?;
    let srs = read_part(&mut reader, "SRS part")?;
    let srs = decode::<MAX_SRS_BYTES, SrsVerifier>(srs).ok_or(KeyError::Field { field: "SRS part" })?;
    let mut count = || reader.count().ok_or(KeyError::Truncated { field: "counts" });
    let (degree, fixed, permutation) = (count()?, count()?, count()?);
    let header = Header::check(descriptor, backend, srs)?;
    header.check_counts(degree, fixed, permutation)?;
    let expected = (fixed + permutation) * POINT_BYTES;
    if reader.len() != expected {
        return Err(KeyError::Count {
            what: "bytes of commitments",
            expected,
            actual: reader.len(),
        });
    }
    Ok((header, reader))
}

/// Checks length, magic, version and checksum, and gives what lies between.
fn read_envelope(bytes: &[u8]) -> Result<&[u8], KeyError> {
    if bytes.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong { bytes: bytes.len() });
    }
    let mut reader = Reader::new(bytes);
    if reader.slice(MAGIC.len()) != Some(MAGIC.as_slice()) {
        return Err(KeyError::Magic);
    }
    let version = reader.u32().ok_or(KeyError::Truncated { field: "version" })?;
    if version != FORMAT_VERSION {
        return Err(KeyError::Version {
            version,
            supported: FORMAT_VERSION,
        });
    }
    let body = reader
        .len()
        .checked_sub(DIGEST_BYTES)
        .and_then(|len| reader.slice(len));
    let body = body.ok_or(KeyError::Truncated { field: "checksum" })?;
    let checksum: [u8; DIGEST_BYTES] = reader.array().ok_or(KeyError::Truncated { field: "checksum" })?;
    let (covered, _) = bytes.split_at(bytes.len() - DIGEST_BYTES);
    if <[u8; DIGEST_BYTES]>::from(Sha256::digest(covered)) != checksum {
        return Err(KeyError::Checksum);
    }
    Ok(body)
}

fn read_part<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a [u8], KeyError> {
    let len = reader.count().ok_or(KeyError::Truncated { field })?;
    reader.slice(len).ok_or(KeyError::Truncated { field })
}

/// Reads commitments. A fixed column may be zero, so its commitment may be the identity; a permutation
/// polynomial takes 2^k different values and is never zero.
pub(super) fn read_points(
    reader: &mut Reader<'_>,
    count: usize,
    what: &'static str,
) -> Result<Vec<G1Affine>, KeyError> {
    let next = |_| reader.array().ok_or(KeyError::Truncated { field: "commitments" });
    let bytes: Vec<[u8; POINT_BYTES]> = (0..count).map(next).collect::<Result<_, _>>()?;
    let decode = |(index, bytes): (usize, &[u8; POINT_BYTES])| {
        let refused = |source| KeyError::Commitment { what, index, source };
        let point = decode_g1(bytes).map_err(refused)?;
        if what == "permutation" && bool::from(point.is_identity()) {
            return Err(refused(PointError::Identity));
        }
        Ok(point)
    };
    let points: Vec<_> = bytes.par_iter().enumerate().map(decode).collect();
    points.into_iter().collect()
}

pub(super) fn push_part(
    out: &mut Vec<u8>,
    part: Option<Vec<u8>>,
    field: &'static str,
) -> Result<(), KeyError> {
    let part = part.ok_or(KeyError::Field { field })?;
    push_count(out, part.len(), field)?;
    out.extend_from_slice(&part);
    Ok(())
}

pub(super) fn push_count(out: &mut Vec<u8>, count: usize, field: &'static str) -> Result<(), KeyError> {
    let count = u32::try_from(count).map_err(|_| KeyError::Field { field })?;
    out.extend_from_slice(&count.to_le_bytes());
    Ok(())
}
