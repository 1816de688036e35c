//! A caller's arrays: `.npy`, `.npz` and `.json` files, and how they become a graph's integer tensors.
//!
//! The kind of file is known by its first bytes, not by its name. Everything is bounded before it is allocated:
//! the file by [`MAX_FILE_BYTES`], what a compressed file expands to by the same, the number of values in a file
//! by [`MAX_VALUES`], the rank by [`MAX_DIMENSIONS`], the arrays in a file by [`MAX_ARRAYS`]. JSON is read as a stream: of it
//! only the values are kept.

mod error;
mod json;
mod npy;
mod npz;
mod port;
mod resolve;
mod sample;
#[cfg(test)]
mod tests;

pub use error::{FormatFault, InputError};
pub use port::{InputKind, Reading};
pub use resolve::{
    Claim, TakenInput, resolve_batch, resolve_claimed_inputs, resolve_inputs, resolve_outputs,
};
pub use sample::take_samples;

use crate::files::{self, FileError};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Largest file in bytes, and most bytes that the members of an `.npz` may have together.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// Most values that the arrays of one file may have together.
pub const MAX_VALUES: usize = 1 << 24;
/// Largest rank of an array.
pub const MAX_DIMENSIONS: usize = 8;
/// Most arrays in one file.
pub const MAX_ARRAYS: usize = 64;
/// Longest name of an array in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Type of an array's values in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Numbers of a JSON text, which have no type.
    Json,
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::Json => "JSON numbers",
        })
    }
}

/// Values, row-major. The 13 types of a file need three here: each holds its values exactly.
#[derive(Debug, Clone, PartialEq)]
pub enum ArrayData {
    /// `float16` and `float32`.
    F32(Vec<f32>),
    /// `float64`, and JSON numbers of which at least one has a fraction or an exponent.
    F64(Vec<f64>),
    /// Integers and booleans, and JSON numbers that are all integers.
    I64(Vec<i64>),
}

impl ArrayData {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as single precision, each rounded to nearest.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "rounding to single precision is what is asked for"
    )]
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F64(values) => values.iter().map(|v| *v as f32).collect(),
            Self::I64(values) => values.iter().map(|v| *v as f32).collect(),
        }
    }
}

/// One array of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedArray {
    /// Its name; none for an `.npy` file or a JSON text that is just an array.
    pub name: Option<String>,
    /// Type of the values in the file.
    pub element: ElementType,
    /// Dimensions, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// The values.
    pub data: ArrayData,
}

/// The arrays of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct InputFile {
    /// The file, for messages.
    pub path: PathBuf,
    /// Its arrays, in its order. Names are unique.
    pub arrays: Vec<NamedArray>,
}

/// What ends the reading of a file.
enum Stop {
    Format(FormatFault),
    Read(io::Error),
}

impl From<FormatFault> for Stop {
    fn from(fault: FormatFault) -> Self {
        Self::Format(fault)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Bytes that tell the kinds of files apart.
const HEAD_BYTES: u64 = 6;
/// What some programs put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads the arrays of a file.
///
/// # Errors
/// [`InputError::File`] and [`InputError::Format`].
pub fn read_arrays(path: &Path) -> Result<InputFile, InputError> {
    let path = path.to_owned();
    let file = files::open(&path)?;
    let length = file.metadata().map(|data| data.len());
    let mut source = BufReader::new(file).take(MAX_FILE_BYTES + 1);
    let read = length.map_err(Stop::Read).and_then(|length| match length {
        // The rest is not read.
        length if length > MAX_FILE_BYTES => {
            source.set_limit(0);
            Ok(Vec::new())
        }
        length => parse(&mut source, length),
    });
    if source.limit() == 0 {
        let max = MAX_FILE_BYTES;
        return Err(FileError::TooLarge { path, max }.into());
    }
    match read {
        Ok(arrays) => Ok(InputFile { path, arrays }),
        Err(Stop::Format(fault)) => Err(InputError::Format { path, fault }),
        Err(Stop::Read(source)) => Err(FileError::Read { path, source }.into()),
    }
}

/// Reads the arrays in the bytes of a file. The bytes may be anything.
///
/// # Errors
/// What is wrong with them.
pub fn parse_arrays(bytes: &[u8]) -> Result<Vec<NamedArray>, FormatFault> {
    parse(bytes, bytes.len() as u64).map_err(|stop| match stop {
        Stop::Format(fault) => fault,
        Stop::Read(_) => FormatFault::Truncated { part: "the bytes" },
    })
}

/// Reads a source of about `length` bytes: whole if it is one of NumPy's, as a stream if it is JSON.
fn parse<R: Read>(mut source: R, length: u64) -> Result<Vec<NamedArray>, Stop> {
    let mut bytes = Vec::new();
    source.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes)?;
    let is_array = bytes.starts_with(npy::MAGIC);
    if is_array || bytes.starts_with(npz::MAGIC) || bytes.starts_with(npz::MAGIC_EMPTY) {
        let room = usize::try_from(length).unwrap_or(0);
        bytes.try_reserve_exact(room).map_err(io::Error::from)?;
        source.read_to_end(&mut bytes)?;
        let mut budget = MAX_VALUES;
        return Ok(if is_array {
            vec![npy::parse(&bytes, None, &mut budget)?]
        } else {
            npz::parse(&bytes, &mut budget)?
        });
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        None if text.is_empty() => Err(FormatFault::Unknown.into()),
        None | Some(b'[' | b'{' | b'-' | b'0'..=b'9') => json::parse(text.chain(source), MAX_VALUES),
        Some(_) => Err(FormatFault::Unknown.into()),
    }
}
