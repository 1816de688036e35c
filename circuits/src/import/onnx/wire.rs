//! A walk over the wire format before any message is built: lengths, nesting, counts, and an upper bound of
//! what the decoder will allocate. It keeps an explicit stack and allocates nothing per field.

use super::ImportError;

/// Largest file, in bytes.
pub const MAX_BYTES: usize = 64 << 20;
/// Deepest nesting of messages.
pub const MAX_DEPTH: usize = 64;
/// Most nodes, over all graphs in the file.
pub const MAX_NODES: usize = 20_000;
/// Largest decoded size, estimated, in bytes.
pub const MAX_DECODED: usize = 160 << 20;
/// What one decoded message is taken to cost beside its fields, in bytes.
const MESSAGE_COST: usize = 320;
/// What one decoded string is taken to cost beside its bytes.
const STRING_COST: usize = 32;

/// The messages that may hold messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    /// `TypeProto.Tensor` and `TypeProto.SparseTensor`.
    TensorType,
    /// `TypeProto.Sequence` and `TypeProto.Optional`.
    ElementType,
    Map,
    Shape,
    /// No message inside.
    Leaf,
}

impl Kind {
    /// What the length-delimited field `number` of this message holds, if that is a message.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 25) => Self::Function,
            (Self::Model, 8) | (Self::Shape, 1) | (Self::Tensor, 13) => Self::Leaf,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Self::Tensor,
            (Self::Graph, 11..=13) | (Self::Function, 12) => Self::ValueInfo,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::SparseTensor,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::ValueInfo, 2) | (Self::Attribute, 14 | 15) => Self::Type,
            (Self::ElementType, 1) | (Self::Map, 2) => Self::Type,
            (Self::Type, 1 | 8) => Self::TensorType,
            (Self::Type, 4 | 9) => Self::ElementType,
            (Self::Type, 5) => Self::Map,
            (Self::TensorType, 2) => Self::Shape,
            _ => return None,
        })
    }

    /// Whether the field `number` is a list of numbers that may be packed; then its decoded size per element.
    fn packed(self, number: u64) -> Option<Packed> {
        Some(match (self, number) {
            (Self::Tensor, 1 | 7) | (Self::Attribute, 8) => Packed::Varint(8),
            (Self::Tensor, 5) => Packed::Varint(4),
            (Self::Tensor, 4) | (Self::Attribute, 7) => Packed::Fixed,
            _ => return None,
        })
    }
}

/// How a list of numbers is packed.
enum Packed {
    /// Varints, with the decoded size of one in bytes.
    Varint(usize),
    /// Four bytes each.
    Fixed,
}

/// The scan's position and totals.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: usize,
    decoded: usize,
}

impl Scan<'_> {
    fn wire(&self, what: &'static str) -> ImportError {
        ImportError::Wire {
            offset: self.at,
            what,
        }
    }

    fn varint(&mut self, end: usize) -> Result<u64, ImportError> {
        let mut value = 0u64;
        for shift in 0..10u32 {
            let byte = match self.bytes.get(self.at) {
                Some(&b) if self.at < end => b,
                _ => return Err(self.wire("a number is cut off")),
            };
            self.at += 1;
            if shift == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.wire("a number is longer than 64 bits"))
    }

    fn skip(&mut self, length: usize, end: usize) -> Result<(), ImportError> {
        match self.at.checked_add(length) {
            Some(to) if to <= end => {
                self.at = to;
                Ok(())
            }
            _ => Err(self.wire("a field is longer than the message around it")),
        }
    }

    fn cost(&mut self, bytes: usize) -> Result<(), ImportError> {
        self.decoded = self.decoded.saturating_add(bytes);
        if self.decoded > MAX_DECODED {
            return Err(ImportError::TooMany {
                what: "bytes of decoded fields",
                limit: MAX_DECODED,
            });
        }
        Ok(())
    }

    /// Reads one field; returns the message to enter, with its end.
    fn field(&mut self, kind: Kind, end: usize) -> Result<Option<(Kind, usize)>, ImportError> {
        let tag = self.varint(end)?;
        let number = tag >> 3;
        if number == 0 || number >= 1 << 29 {
            return Err(self.wire("a field number is out of range"));
        }
        match tag & 7 {
            0 => {
                self.varint(end)?;
                self.cost(8)?;
            }
            1 => self.skip(8, end)?,
            5 => {
                self.skip(4, end)?;
                self.cost(4)?;
            }
            2 => return self.delimited(kind, number, end),
            _ => return Err(self.wire("a field has an unknown wire type")),
        }
        Ok(None)
    }

    fn delimited(
        &mut self,
        kind: Kind,
        number: u64,
        end: usize,
    ) -> Result<Option<(Kind, usize)>, ImportError> {
        let length = self.varint(end)?;
        let length = usize::try_from(length).map_err(|_| self.wire("a length is out of range"))?;
        let start = self.at;
        self.skip(length, end)?;
        if let Some(inner) = kind.field(number) {
            if inner == Kind::Node {
                self.nodes += 1;
                if self.nodes > MAX_NODES {
                    return Err(ImportError::TooMany {
                        what: "nodes",
                        limit: MAX_NODES,
                    });
                }
            }
            self.cost(MESSAGE_COST)?;
            let inner_end = self.at;
            self.at = start;
            return Ok(Some((inner, inner_end)));
        }
        match kind.packed(number) {
            Some(Packed::Varint(size)) => {
                let payload = self.bytes.get(start..self.at).unwrap_or_default();
                let count = payload.iter().filter(|b| **b & 0x80 == 0).count();
                self.cost(count.saturating_mul(size))?;
            }
            Some(Packed::Fixed) => self.cost(length)?,
            None => self.cost(length.saturating_add(STRING_COST))?,
        }
        Ok(None)
    }
}

/// Checks the whole file.
///
/// # Errors
/// [`ImportError::TooLarge`], [`ImportError::Wire`], [`ImportError::TooDeep`], [`ImportError::TooMany`].
pub fn check(bytes: &[u8]) -> Result<(), ImportError> {
    if bytes.len() > MAX_BYTES {
        return Err(ImportError::TooLarge {
            bytes: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    let mut scan = Scan {
        bytes,
        at: 0,
        nodes: 0,
        decoded: 0,
    };
    let mut stack = vec![(Kind::Model, bytes.len())];
    while let Some(&(kind, end)) = stack.last() {
        if scan.at >= end {
            stack.pop();
            continue;
        }
        if let Some(inner) = scan.field(kind, end)? {
            if stack.len() >= MAX_DEPTH {
                return Err(ImportError::TooDeep {
                    offset: scan.at,
                    limit: MAX_DEPTH,
                });
            }
            stack.push(inner);
        }
    }
    Ok(())
}
