//! The project's own file for an SRS.
//!
//! ```text
//! "infpSRS\0" | u32 version | u32 flags | u32 k | u32 length of source | source (JSON) | SHA-256 | body
//! body = u32 k | 2^k G1 | 2^k G1 Lagrange | G2 | tau G2        (halo2's own layout, uncompressed points)
//! ```
//!
//! Integers are little-endian. Bit 0 of flags: INSECURE; the others are zero. The hash covers everything before
//! it and the body.

use super::check::{G1_BYTES, G2_BYTES, check_lagrange};
use super::fault::SrsError;
use super::{Srs, SrsSource, Trust, body};
use crate::files;
use halo2_proofs::SerdeFormat;
use inferproof_verifier::srs::check_k;
use sha2::{Digest, Sha256};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

const FORMAT: &str = "inferproof SRS";
const MAGIC: [u8; 8] = *b"infpSRS\0";
const VERSION: u32 = 1;
const INSECURE_FLAG: u32 = 1;
const FIXED_BYTES: usize = 24;
const HASH_BYTES: usize = 32;
/// Longest source text in bytes.
const MAX_SOURCE_BYTES: usize = 1024;

/// Length of halo2's layout for 2^k rows.
pub(super) fn body_bytes(k: u32) -> u64 {
    let points = 2u64 << k;
    4 + points * G1_BYTES as u64 + 2 * G2_BYTES as u64
}

/// Writes the file.
pub(super) fn save(srs: &Srs, path: &Path) -> Result<(), SrsError> {
    let header = header_bytes(srs)?;
    let mut hash = HashWriter {
        hash: Sha256::new_with_prefix(&header),
    };
    srs.params.write_custom(&mut hash, SerdeFormat::RawBytes)?;
    let hash = hash.hash.finalize();
    files::write_atomic(path, |writer| {
        writer.write_all(&header)?;
        writer.write_all(&hash)?;
        srs.params.write_custom(writer, SerdeFormat::RawBytes)
    })?;
    Ok(())
}

fn header_bytes(srs: &Srs) -> Result<Vec<u8>, SrsError> {
    let invalid = SrsError::Header { field: "source" };
    let Ok(source) = serde_json::to_vec(&srs.source) else {
        return Err(invalid);
    };
    let length = u32::try_from(source.len())
        .ok()
        .filter(|_| source.len() <= MAX_SOURCE_BYTES);
    let length = length.ok_or(invalid)?;
    let flags = if srs.is_insecure() { INSECURE_FLAG } else { 0 };
    let mut header = MAGIC.to_vec();
    for field in [VERSION, flags, srs.k(), length] {
        header.extend(field.to_le_bytes());
    }
    header.extend(source);
    Ok(header)
}

struct Header {
    k: u32,
    source: SrsSource,
    hash: [u8; HASH_BYTES],
    /// The bytes that the hash covers before the body.
    bytes: Vec<u8>,
}

/// Reads a file of this format whose hash is always compared; `trust` says which tests of the points follow.
pub(super) fn read<R: Read + Seek>(reader: &mut R, trust: Trust) -> Result<Srs, SrsError> {
    let length = reader.seek(SeekFrom::End(0))?;
    reader.rewind()?;
    let header = read_header(reader)?;
    let start = header.bytes.len() as u64 + HASH_BYTES as u64;
    let expected = start + body_bytes(header.k);
    if length != expected {
        return Err(SrsError::Length {
            what: "the file",
            expected,
            found: length,
        });
    }
    let mut hash = HashWriter {
        hash: Sha256::new_with_prefix(&header.bytes),
    };
    io::copy(reader, &mut hash)?;
    if hash.hash.finalize().as_slice() != header.hash {
        return Err(SrsError::Digest);
    }
    reader.seek(SeekFrom::Start(start))?;
    let transparent = header.source == SrsSource::Generators;
    // Generators are compared with those that their numbers give, and are no powers.
    let parts = body::read(reader, if transparent { Trust::OwnCache } else { trust })?;
    if transparent && trust == Trust::Nothing {
        check_lagrange(parts.k, &parts.g, &parts.g_lagrange)?;
    }
    if parts.k != header.k {
        return Err(SrsError::Header { field: "k" });
    }
    Srs::from_checked(parts, header.source)
}

fn read_header<R: Read>(reader: &mut R) -> Result<Header, SrsError> {
    let mut bytes = vec![0; FIXED_BYTES];
    reader
        .read_exact(&mut bytes)
        .map_err(|_| SrsError::Magic { format: FORMAT })?;
    if bytes[..8] != MAGIC {
        return Err(SrsError::Magic { format: FORMAT });
    }
    let field = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
    let (version, flags, k, source_length) = (field(8), field(12), field(16), field(20));
    if version != VERSION {
        return Err(SrsError::Version {
            format: FORMAT,
            found: version,
            supported: VERSION,
        });
    }
    if flags & !INSECURE_FLAG != 0 {
        return Err(SrsError::Header { field: "flags" });
    }
    check_k(k)?;
    let source_length = usize::try_from(source_length)
        .ok()
        .filter(|n| *n <= MAX_SOURCE_BYTES);
    let source_length = source_length.ok_or(SrsError::Header {
        field: "length of the source",
    })?;
    bytes.resize(FIXED_BYTES + source_length, 0);
    reader.read_exact(&mut bytes[FIXED_BYTES..])?;
    let source: SrsSource =
        serde_json::from_slice(&bytes[FIXED_BYTES..]).map_err(|_| SrsError::Header { field: "source" })?;
    let insecure = flags & INSECURE_FLAG != 0;
    if !source.is_plain() || insecure != (source == SrsSource::Local) {
        return Err(SrsError::Header { field: "source" });
    }
    let mut hash = [0; HASH_BYTES];
    reader.read_exact(&mut hash)?;
    Ok(Header {
        k,
        source,
        hash,
        bytes,
    })
}

/// Hashes what is written to it.
struct HashWriter {
    hash: Sha256,
}

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
