//! One function for each parser of bytes from outside, for libFuzzer (`fuzz/run`) and for the bounded run of the
//! ordinary tests (`prover/tests/malformed.rs`, which includes this file).
//!
//! Each takes any bytes, returns whether they were accepted, and panics only where a promise is broken: a parser that
//! panics, an accepted file with a second encoding, an error without a message. Formats with a checksum are tried twice, as
//! they are and with the checksum made right, so that what lies behind it is reached.

use inferproof_circuits::import::onnx::load;
use inferproof_prover::input::parse_arrays;
use inferproof_prover::srs::{ImportOptions, Srs, SrsError};
use inferproof_verifier::{ProofFile, Trusted, VerifyOptions, VerifyingKey, verify};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::io::Write;
use std::path::Path;

/// Length of a SHA-256.
const HASH: usize = 32;
/// Where an SRS file states how long its source text is, and where that text begins (`prover/src/srs/container.rs`).
const SOURCE: (usize, usize) = (20, 24);

/// A parser under test.
pub struct Target {
    /// Name of the function and of the fuzz target.
    pub name: &'static str,
    /// Parses; true when the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
    /// Where good files lie, from the root of the repository: folders, and endings of the files in them.
    pub seeds: &'static [(&'static str, &'static str)],
}

/// All parsers.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "onnx",
        run: onnx,
        seeds: &[("models", "onnx"), ("circuits/tests/vectors/quirks", "onnx")],
    },
    Target {
        name: "proof_file",
        run: proof_file,
        seeds: &[("prover/tests/pinned", "proof")],
    },
    Target {
        name: "verifying_key",
        run: verifying_key,
        seeds: &[("prover/tests/pinned", "key")],
    },
    Target {
        name: "srs_own",
        run: srs_own,
        seeds: &[("fuzz/seeds/srs_own", "srs")],
    },
    Target {
        name: "srs_raw",
        run: srs_raw,
        seeds: &[("fuzz/seeds/srs_raw", "bin")],
    },
    Target {
        name: "srs_ptau",
        run: srs_ptau,
        seeds: &[("prover/tests/data", "ptau")],
    },
    Target {
        name: "arrays",
        run: arrays,
        seeds: &[
            ("prover/tests/data", "npz"),
            ("prover/tests/data", "npy"),
            ("models", "npz"),
            ("fuzz/seeds/arrays", "json"),
        ],
    },
];

/// True for a value; an error must say something, in bounds.
fn accepted<T, E: Error>(result: Result<T, E>) -> Option<T> {
    result
        .inspect_err(|error| {
            let length = error.to_string().len();
            assert!((1..10_000).contains(&length), "a message of {length} bytes");
        })
        .ok()
}

/// An ONNX model: what is imported is a valid graph.
pub fn onnx(bytes: &[u8]) -> bool {
    let Some(graph) = accepted(load(bytes)) else {
        return false;
    };
    accepted(graph.validate()).expect("an imported graph is valid");
    true
}

/// A proof file: one encoding, and the verifier decides on whatever it says, trusting the model that it names.
pub fn proof_file(bytes: &[u8]) -> bool {
    let Some(file) = accepted(ProofFile::from_bytes(bytes)) else {
        return false;
    };
    assert_eq!(
        file.to_bytes().ok().as_deref(),
        Some(bytes),
        "two encodings of one file"
    );
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    accepted(verify(Trusted::ModelId(file.model), &file, &options)).is_some()
}

fn key(bytes: &[u8]) -> bool {
    let key = accepted(VerifyingKey::from_bytes(bytes));
    key.is_some_and(|key| {
        assert_eq!(key.to_bytes(), bytes, "two encodings of one key");
        true
    })
}

/// A verifying key, as it is and with its checksum made right.
pub fn verifying_key(bytes: &[u8]) -> bool {
    let body = &bytes[..bytes.len().saturating_sub(HASH)];
    let sealed = [body, &Sha256::digest(body)].concat();
    let as_it_is = key(bytes);
    key(&sealed) || as_it_is
}

/// Opens the bytes as a file.
fn in_file(bytes: &[u8], open: impl Fn(&Path) -> Result<Srs, SrsError>) -> bool {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room for a temporary file");
    accepted(open(file.path())).is_some()
}

/// A setup in the project's own format, as it is and with its hash made right.
pub fn srs_own(bytes: &[u8]) -> bool {
    let as_it_is = in_file(bytes, Srs::open);
    let length = bytes.get(SOURCE.0..SOURCE.1).and_then(|b| b.try_into().ok());
    let at = SOURCE
        .1
        .saturating_add(length.map_or(0, u32::from_le_bytes) as usize);
    let Some((header, (_, body))) = bytes
        .split_at_checked(at)
        .and_then(|(header, rest)| Some((header, rest.split_at_checked(HASH)?)))
    else {
        return as_it_is;
    };
    let hash = Sha256::new_with_prefix(header).chain_update(body).finalize();
    in_file(&[header, &hash, body].concat(), Srs::open) || as_it_is
}

/// A setup in halo2's layout.
pub fn srs_raw(bytes: &[u8]) -> bool {
    in_file(bytes, |path| Srs::import_halo2(path, &ImportOptions::default()))
}

/// A setup of snarkjs, cut to four rows.
pub fn srs_ptau(bytes: &[u8]) -> bool {
    let options = ImportOptions {
        k: Some(2),
        pin: None,
    };
    in_file(bytes, |path| Srs::import_ptau(path, &options))
}

/// Arrays in `.npy`, `.npz` or JSON: as many values as the shape says.
pub fn arrays(bytes: &[u8]) -> bool {
    let arrays = accepted(parse_arrays(bytes));
    arrays.is_some_and(|arrays| {
        for array in &arrays {
            assert_eq!(array.data.len(), array.shape.iter().product::<usize>());
        }
        true
    })
}
