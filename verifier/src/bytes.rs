//! Bounded reading of bytes, and the one bincode configuration of this crate.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// A compressed point of G1.
pub(crate) const POINT_BYTES: usize = 32;
/// A scalar.
pub(crate) const SCALAR_BYTES: usize = 32;
/// A SHA-256 digest.
pub(crate) const DIGEST_BYTES: usize = 32;

/// Little endian, fixed-size integers, at most `LIMIT` bytes: one encoding for each value.
const fn config<const LIMIT: usize>() -> Configuration<LittleEndian, Fixint, Limit<LIMIT>> {
    bincode::config::legacy().with_limit::<LIMIT>()
}

/// Encodes a value, or `None` where it cannot be encoded.
pub(crate) fn encode<const LIMIT: usize, T: Serialize>(value: &T) -> Option<Vec<u8>> {
    let bytes = bincode::serde::encode_to_vec(value, config::<LIMIT>()).ok()?;
    (bytes.len() <= LIMIT).then_some(bytes)
}

/// Decodes a value that fills `bytes` and encodes to the same bytes.
pub(crate) fn decode<const LIMIT: usize, T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    if bytes.len() > LIMIT {
        return None;
    }
    let (value, used) = bincode::serde::decode_from_slice::<T, _>(bytes, config::<LIMIT>()).ok()?;
    if used != bytes.len() || encode::<LIMIT, T>(&value)? != bytes {
        return None;
    }
    Some(value)
}

/// Splits fields off the front of a byte slice.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A `u32` that counts something in memory.
    pub(crate) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}
