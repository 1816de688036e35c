//! The digest that names a model.

use sha2::{Digest, Sha256};
use std::str::FromStr;

/// Separates this digest from every other use of SHA-256, and numbers its definition.
const DOMAIN: &[u8] = b"inferproof model id, version 1";
/// Bytes of the digest.
const LEN: usize = 32;

/// Digest of a verifying key: names the network, its parameters, the constraint degree, the backend and the
/// SRS.
///
/// `SHA-256(domain || len as u64 LE || bytes)`, with the key's canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelId([u8; LEN]);

/// Text that names no model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelIdError {
    /// Not 64 characters.
    #[error("a model id has 64 hexadecimal digits, not {chars} characters")]
    Length {
        /// Number of characters.
        chars: usize,
    },
    /// Not a lower-case hexadecimal digit.
    #[error("character {position} of the model id is not one of 0-9, a-f")]
    Digit {
        /// Position of the character, from 0.
        position: usize,
    },
}

impl ModelId {
    /// The digest of the bytes of a verifying key.
    #[must_use]
    pub fn of_key_bytes(bytes: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(crate::statement::len_bytes(bytes.len()));
        hasher.update(bytes);
        Self(hasher.finalize().into())
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }

    /// The digest's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ModelId {
    type Err = ModelIdError;

    fn from_str(text: &str) -> Result<Self, ModelIdError> {
        let text = text.as_bytes();
        if text.len() != 2 * LEN {
            return Err(ModelIdError::Length { chars: text.len() });
        }
        let mut bytes = [0; LEN];
        for (i, pair) in text.chunks_exact(2).enumerate() {
            let high = digit(pair[0]).ok_or(ModelIdError::Digit { position: 2 * i })?;
            let low = digit(pair[1]).ok_or(ModelIdError::Digit { position: 2 * i + 1 })?;
            bytes[i] = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

const fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let id = ModelId::of_key_bytes(b"key");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ab".parse::<ModelId>(), Err(ModelIdError::Length { chars: 2 }));
        let upper = id.to_string().replace(|c: char| c.is_ascii_digit(), "G");
        assert!(matches!(
            upper.parse::<ModelId>(),
            Err(ModelIdError::Digit { .. })
        ));
        assert_ne!(id, ModelId::of_key_bytes(b"kex"));
    }
}
