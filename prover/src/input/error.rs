//! Why arrays are refused.

use super::{ElementType, MAX_ARRAYS, MAX_DIMENSIONS, MAX_NAME_BYTES, MAX_VALUES};
use crate::files::FileError;
use inferproof_circuits::batch::MAX_BATCH;
use std::path::PathBuf;

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
        "{path} has no array for {port:?}: it has {}; name the arrays as the graph does: {}",
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
        "{path}: array {array:?} has shape {found:?}, the graph wants {wanted:?} (a leading 1 may be left out){}",
        samples_hint(found, wanted)
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
    /// An array that the caller names as nothing that is stated.
    #[error("{path}: there is no {side} named {array:?}; the proof has {}", list(known))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Input or output.
        side: &'static str,
        /// Name of the array.
        array: String,
        /// Names of the ports.
        known: Vec<String>,
    },
    /// Rows that an array does not have.
    #[error(
        "{path}: there {} in array {array:?}, which has shape {shape:?}; samples count from 0",
        missing_samples(*first, *batch)
    )]
    Sample {
        /// The file.
        path: PathBuf,
        /// The array.
        array: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The first row that is asked for.
        first: usize,
        /// Rows that are asked for.
        batch: usize,
    },
    /// Floats for a tensor that is stated in integers.
    #[error(
        "{path}: array {array:?} holds {found} that are no integers, the proof states {wanted}; floats are never rounded to a claim: \
         give the integers that `run --json` prints"
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// Type of its values.
        found: ElementType,
        /// What is stated.
        wanted: String,
    },
    /// Booleans, which are neither floats nor quantized integers.
    #[error(
        "{path}: array {array:?} holds booleans, which are neither floats nor quantized integers; convert with \
         .astype(numpy.float32), or with .astype(numpy.{wanted}) if 0 and 1 are quantized values"
    )]
    Bool {
        /// The file.
        path: PathBuf,
        /// The array, or the port when it has no name.
        array: String,
        /// The graph's type.
        wanted: String,
    },
    /// An integer outside the range of the graph's type.
    #[error("{path}: array {array:?}: value {value} at flat index {index} does not fit {wanted}; {advice}")]
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
        /// How to mend it.
        advice: &'static str,
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

/// Samples that are not there.
fn missing_samples(first: usize, batch: usize) -> String {
    match batch {
        1 => format!("is no sample {first}"),
        _ => format!("are no {batch} samples from {first} on"),
    }
}

/// What to do when only the first axes differ, as those of samples do.
fn samples_hint(found: &[usize], wanted: &[usize]) -> String {
    let (rows, batch) = match (found, wanted) {
        ([rows, found @ ..], [batch, wanted @ ..]) if is_sample(found, wanted) => (*rows, *batch),
        ([rows, found @ ..], wanted) if is_sample(found, wanted) => (*rows, 1),
        (found, [batch, wanted @ ..]) if is_sample(found, wanted) => (1, *batch),
        _ => return String::new(),
    };
    if rows < batch {
        return format!(
            "; the first axis is that of {batch} inferences (--batch {batch}), the array has {rows}"
        );
    }
    let take = match batch {
        1 => "--sample N takes the one in row N".to_owned(),
        _ => format!("--sample N takes {batch} of them from row N on"),
    };
    let all = if rows <= MAX_BATCH {
        format!(", `prove --batch {rows}` takes all")
    } else {
        String::new()
    };
    format!("; its first axis looks like that of {rows} samples: {take}{all}")
}

/// Whether the shapes are those of one sample, of which the found one may have a leading 1 more.
fn is_sample(found: &[usize], wanted: &[usize]) -> bool {
    found == wanted || found.split_first() == Some((&1, wanted))
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
    /// An array has no values.
    #[error("an array is empty; it needs at least one value")]
    Empty,
    /// The arrays have more than [`MAX_VALUES`] values together.
    #[error("the arrays have more than {MAX_VALUES} values together, the limit; split the file")]
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
    /// A string that is longer than any name may be.
    #[error(
        "a string is longer than a name may be ({MAX_NAME_BYTES} bytes); the file may hold nested arrays of numbers, and names for them"
    )]
    LongString,
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
