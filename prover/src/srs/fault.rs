//! What can be wrong with an SRS.

use crate::files::FileError;
use inferproof_verifier::srs::{MAX_K, MAX_TRANSPARENT_K, MIN_K, PointFault, SrsVerifierError};
use std::path::PathBuf;

/// Why an SRS is not made or not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SrsError {
    /// Something is wrong with the file at `path`.
    #[error("SRS file {path}: {source}")]
    At {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<SrsError>,
    },
    /// A file cannot be opened or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Reading failed midway.
    #[error("reading the SRS failed: {source}")]
    Read {
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file ends before what its format has.
    #[error("it ends too early; the file is cut off, or no file of this format")]
    CutOff,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness ({reason}); nothing random was made")]
    Entropy {
        /// The system's reason.
        reason: String,
    },
    /// Log2 of the row count outside the supported range.
    #[error("an SRS for 2^{k} rows was asked for or found; 2^{MIN_K} to 2^{MAX_K} are supported")]
    Size {
        /// The log2.
        k: u32,
    },
    /// Log2 of the row count outside the range of schemes without a secret.
    #[error(
        "generators for 2^{k} rows were asked for; without a trusted setup 2^{MIN_K} to 2^{MAX_TRANSPARENT_K} are supported, choose a smaller -k"
    )]
    Generators {
        /// The log2.
        k: u32,
    },
    /// The SRS at hand is smaller than the one wanted.
    #[error("2^{wanted} rows are wanted, this SRS has 2^{available}; use a setup of at least 2^{wanted}")]
    TooSmall {
        /// Log2 of the rows wanted.
        wanted: u32,
        /// Log2 of the rows that it has.
        available: u32,
    },
    /// The file's hash is not the one that the caller pinned.
    #[error("its hash is {found}, the pinned hash is {expected}; get the file from its publisher again")]
    Pin {
        /// The pinned hash.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// A pin that cannot be read.
    #[error("{text:?} is not a hash; write sha256: and 64 hex digits, or blake2b: and 128")]
    PinText {
        /// What was given.
        text: String,
    },
    /// The file does not begin as this kind of file does.
    #[error("this is no {format} file: it does not begin with {format}'s mark")]
    Magic {
        /// The format that was expected.
        format: &'static str,
    },
    /// A version that this program does not know.
    #[error("it is a {format} file of version {found}; version {supported} is supported")]
    Version {
        /// The format.
        format: &'static str,
        /// The version found.
        found: u32,
        /// The version that is read.
        supported: u32,
    },
    /// A header field with a value that no writer makes.
    #[error(
        "the field {field} of its header is not valid; the file is damaged or was made by something else"
    )]
    Header {
        /// The field.
        field: &'static str,
    },
    /// The file's length does not fit its header.
    #[error(
        "{what} has {found} bytes where {expected} are needed; the file is cut off or is another kind of file"
    )]
    Length {
        /// The file, or a part of it.
        what: &'static str,
        /// The length needed, in bytes.
        expected: u64,
        /// The length found, in bytes.
        found: u64,
    },
    /// The hash in the header is not that of the contents.
    #[error("its contents do not have the hash that its header states; the file is damaged, delete it")]
    Digest,
    /// A section of a `.ptau` file is not there, or there twice, or runs past the end of the file.
    #[error("section {section} is {fault}; the .ptau file is damaged or cut off")]
    Section {
        /// Number of the section.
        section: u32,
        /// What is wrong with it.
        fault: SectionFault,
    },
    /// A `.ptau` file of another curve.
    #[error("its points are not on BN254 (bn128): the prime in the header is another one")]
    Curve,
    /// A point is not usable.
    #[error("point {index} of {part} is refused: {fault}")]
    Point {
        /// The group of points.
        part: Part,
        /// Which point.
        index: usize,
        /// What is wrong with it.
        fault: PointFault,
    },
    /// The first point of a group is not the generator.
    #[error("{part} does not begin with the generator; the file is no setup for this curve")]
    Generator {
        /// The group of points.
        part: Part,
    },
    /// The points are not the powers of one tau.
    #[error("the points are not the powers of one secret: the pairing check failed; do not use this file")]
    Powers,
    /// The Lagrange basis does not belong to the points.
    #[error(
        "the Lagrange points do not belong to the powers: the random commitment differs; do not use this file"
    )]
    Lagrange,
    /// The verifier's part is refused.
    #[error(transparent)]
    Verifier(SrsVerifierError),
}

impl From<std::io::Error> for SrsError {
    fn from(source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Read { source },
        }
    }
}

impl From<SrsVerifierError> for SrsError {
    fn from(error: SrsVerifierError) -> Self {
        match error {
            SrsVerifierError::Size { k } => Self::Size { k },
            SrsVerifierError::Generators { k } => Self::Generators { k },
            other => Self::Verifier(other),
        }
    }
}

/// What is wrong with a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SectionFault {
    /// Not in the file.
    #[error("missing")]
    Missing,
    /// There twice.
    #[error("there twice")]
    Duplicate,
    /// Ends after the end of the file.
    #[error("longer than the file")]
    PastTheEnd,
}

/// A group of points in an SRS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Part {
    /// `tau^i G1`.
    #[error("the G1 powers")]
    Powers,
    /// The Lagrange basis in G1.
    #[error("the G1 Lagrange basis")]
    Lagrange,
    /// `G2` and `tau G2`.
    #[error("the G2 powers")]
    G2,
}
