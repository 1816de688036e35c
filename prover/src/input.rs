//! A caller's arrays: `.npy`, `.npz` and `.json` files, and how they become a graph's integer tensors.
//!
//! The kind of file is known by its first bytes, not by its name. Everything is bounded before it is allocated:
//! the file by [`MAX_FILE_BYTES`], what a compressed file expands to by the same, the number of values in a file
//! by [`MAX_VALUES`], the rank by [`MAX_DIMENSIONS`], the arrays in a file by [`MAX_ARRAYS`].

mod json;
mod npy;
mod npz;
mod resolve;
#[cfg(test)]
mod tests;

pub use resolve::{Claim, resolve_batch, resolve_inputs, resolve_outputs};

use crate::files::{self, FileError};
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

/// Why a file of arrays, or an array for a graph, is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// Cannot be read, or is too large.
    #[error(transparent)]
    File(#[from] FileError),
    /// The contents are not those of a file of arrays.
    #[error("{path}: {fault}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: FormatFault,
    },
    /// No array has the name of a graph's port.
    #[error(
        "{path} has no array for {port:?}: it has {}; none of these fits by name or shape; name the arrays as the graph does: {}",
        list(found),
        list(wanted)
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The port of the graph.
        port: String,
        /// Names and shapes of the arrays in the file.
        found: Vec<String>,
        /// Names of the graph's ports.
        wanted: Vec<String>,
    },
    /// An array has another shape than the graph's.
    #[error(
        "{path}: array {array:?} has shape {found:?}, the graph wants {wanted:?} (a leading 1 may be left out)"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// Its shape.
        found: Vec<usize>,
        /// The graph's shape.
        wanted: Vec<usize>,
    },
    /// Values of a type that the port does not take.
    #[error("{path}: array {array:?} holds {found}, the graph wants {wanted}")]
    Type {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// Type of its values.
        found: ElementType,
        /// What the port takes.
        wanted: String,
    },
    /// An integer outside the range of the graph's type.
    #[error(
        "{path}: array {array:?}: value {value} at flat index {index} does not fit {wanted}; integers are taken as \
         quantized already, pass floats to have them quantized"
    )]
    Range {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// Position in the flat data.
        index: usize,
        /// The value.
        value: i64,
        /// The graph's type.
        wanted: String,
    },
    /// Not a number: it has no quantized value.
    #[error("{path}: array {array:?}: the value at flat index {index} is NaN, which cannot be quantized")]
    NotANumber {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// Position in the flat data.
        index: usize,
    },
    /// The graph's own description of the port is not usable.
    #[error("the graph's tensor for {port:?} cannot be quantized to: its scale, type or index is not valid")]
    Port {
        /// The port of the graph.
        port: String,
    },
    /// A batch whose inputs are too large a tensor.
    #[error("{batch} inputs {port:?} are too large for one tensor; take a smaller batch")]
    Batch {
        /// The port of the graph.
        port: String,
        /// Inferences of the batch.
        batch: usize,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "no array".to_owned()
    } else {
        format!("{names:?}")
    }
}

/// What is wrong with the contents of a file of arrays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatFault {
    /// Neither NumPy's formats nor JSON.
    #[error("this is no .npy, .npz or .json file")]
    Unknown,
    /// The file ends within one of its parts.
    #[error("the file ends within {part}; it is cut off")]
    Truncated {
        /// The part.
        part: &'static str,
    },
    /// A NumPy version that is not read.
    #[error("NumPy format version {major}.{minor} is not supported; versions 1 to 3 are")]
    NpyVersion {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The header of an `.npy` array is not what NumPy writes.
    #[error("the NumPy header is not valid near byte {at}; save the array again with numpy.save")]
    NpyHeader {
        /// Byte within the header.
        at: usize,
    },
    /// A type that is not read.
    #[error(
        "values of NumPy type {descr:?} are not supported; convert with .astype(numpy.float32) or to an integer type"
    )]
    ElementType {
        /// NumPy's name of the type.
        descr: String,
    },
    /// More dimensions than [`MAX_DIMENSIONS`].
    #[error("an array has more than {MAX_DIMENSIONS} dimensions")]
    Rank,
    /// An array has no values, or the arrays have more than [`MAX_VALUES`] together.
    #[error("an array is empty, or the arrays have more than {MAX_VALUES} values together")]
    Size,
    /// Data of another length than shape and type say.
    #[error("the array's data have {found} bytes, its shape and type need {expected}")]
    DataLength {
        /// Bytes needed.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// An unsigned value of 2^63 or more.
    #[error("the value at flat index {index} is 2^63 or more")]
    TooLarge {
        /// Position in the flat data.
        index: usize,
    },
    /// The archive around the arrays is damaged or of a kind that NumPy does not write.
    #[error("the .npz archive is not valid: {reason}; save it again with numpy.savez")]
    Archive {
        /// What is wrong.
        reason: &'static str,
    },
    /// A name that is used twice, is too long, or is not text.
    #[error("an array's name is used twice, is longer than {MAX_NAME_BYTES} bytes or is not UTF-8")]
    Name,
    /// More arrays than [`MAX_ARRAYS`].
    #[error("the file has more than {MAX_ARRAYS} arrays")]
    TooMany,
    /// Not JSON, or JSON of something else than numbers in nested arrays.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the JSON reader says.
        reason: String,
    },
}

/// Reads the arrays of a file.
///
/// # Errors
/// [`InputError::File`] and [`InputError::Format`].
pub fn read_arrays(path: &Path) -> Result<InputFile, InputError> {
    let bytes = files::read_limited(path, MAX_FILE_BYTES)?;
    match parse_arrays(&bytes) {
        Ok(arrays) => Ok(InputFile {
            path: path.to_owned(),
            arrays,
        }),
        Err(fault) => Err(InputError::Format {
            path: path.to_owned(),
            fault,
        }),
    }
}

/// Reads the arrays in the bytes of a file. The bytes may be anything.
///
/// # Errors
/// What is wrong with them.
pub fn parse_arrays(bytes: &[u8]) -> Result<Vec<NamedArray>, FormatFault> {
    let mut budget = MAX_VALUES;
    if bytes.starts_with(npy::MAGIC) {
        return Ok(vec![npy::parse(bytes, None, &mut budget)?]);
    }
    if bytes.starts_with(npz::MAGIC) || bytes.starts_with(npz::MAGIC_EMPTY) {
        return npz::parse(bytes, &mut budget);
    }
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'[' | b'{' | b'-' | b'0'..=b'9') => json::parse(bytes, budget),
        _ => Err(FormatFault::Unknown),
    }
}
