//! Hashes that a file must have before it is parsed.

use super::fault::SrsError;
use blake2b_simd::Params;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{Read, Seek};
use std::path::Path;
use std::str::FromStr;

/// Bytes hashed at a time.
const CHUNK: usize = 1 << 20;

/// The hash that a file must have, as its publisher states it. Text: `sha256:` and 64 hex digits, or `blake2b:`
/// and 128 (the hash that the perpetual powers of tau are published with).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pin {
    /// SHA-256.
    Sha256([u8; 32]),
    /// BLAKE2b with 64 bytes.
    Blake2b([u8; 64]),
}

impl FromStr for Pin {
    type Err = SrsError;

    fn from_str(text: &str) -> Result<Self, SrsError> {
        let parsed = match text.split_once(':') {
            Some(("sha256", hex)) => parse_hex(hex).map(Self::Sha256),
            Some(("blake2b", hex)) => parse_hex(hex).map(Self::Blake2b),
            _ => None,
        };
        parsed.ok_or_else(|| SrsError::PinText {
            text: text.chars().take(160).collect(),
        })
    }
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, bytes) = match self {
            Self::Sha256(bytes) => ("sha256", bytes.as_slice()),
            Self::Blake2b(bytes) => ("blake2b", bytes.as_slice()),
        };
        write!(f, "{name}:{}", to_hex(bytes))
    }
}

impl Pin {
    /// Requires that a file has this hash.
    ///
    /// # Errors
    /// [`SrsError::Pin`] within [`SrsError::At`], [`SrsError::File`].
    pub fn check_file(&self, path: &Path) -> Result<(), SrsError> {
        let mut file = crate::files::open(path)?;
        check(&mut file, Some(self)).map_err(|source| SrsError::At {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Hashes the whole input and compares; leaves the reader at its start.
pub(super) fn check<R: Read + Seek>(reader: &mut R, pin: Option<&Pin>) -> Result<(), SrsError> {
    let Some(pin) = pin else { return Ok(()) };
    reader.rewind()?;
    let found = match pin {
        Pin::Sha256(_) => {
            let mut hash = Sha256::new();
            for_each_chunk(reader, |bytes| hash.update(bytes))?;
            Pin::Sha256(hash.finalize().into())
        }
        Pin::Blake2b(_) => {
            let mut hash = Params::new().hash_length(64).to_state();
            for_each_chunk(reader, |bytes| {
                hash.update(bytes);
            })?;
            Pin::Blake2b(*hash.finalize().as_array())
        }
    };
    reader.rewind()?;
    if found == *pin {
        Ok(())
    } else {
        Err(SrsError::Pin {
            expected: pin.to_string(),
            found: found.to_string(),
        })
    }
}

fn for_each_chunk<R: Read>(reader: &mut R, mut take: impl FnMut(&[u8])) -> Result<(), SrsError> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&chunk[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
}
