//! Honest runs, and readers for the test material: npz archives and model folders.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests: it fails by panicking and prints what it measures"
)]

pub mod circuit;
pub mod runtime;
pub mod writer;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The values of one array of an npz archive.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// int8, uint8 or int64.
    Int(Vec<i64>),
    /// float32.
    Float(Vec<f32>),
    /// Anything else.
    Other,
}

/// One array of an npz archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Values, row-major.
    pub data: Data,
}

impl Array {
    /// Values per entry of the first axis.
    pub fn per_sample(&self) -> usize {
        self.dims.iter().skip(1).product()
    }

    /// Entry `index` of the first axis, as i64 or the bits of a float.
    pub fn sample(&self, index: usize) -> Data {
        let range = index * self.per_sample()..(index + 1) * self.per_sample();
        match &self.data {
            Data::Int(v) => Data::Int(v[range].to_vec()),
            Data::Float(v) => Data::Float(v[range].to_vec()),
            Data::Other => Data::Other,
        }
    }
}

/// The folder named by INFERPROOF_SHARED; prints that the test is skipped when it is unset.
pub fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("INFERPROOF_SHARED").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: INFERPROOF_SHARED names no folder with models/ and data/");
    }
    folder
}

/// Every model folder that holds `model.onnx`, sorted.
pub fn onnx_models(shared: &Path) -> Vec<(String, PathBuf)> {
    let mut models: Vec<_> = std::fs::read_dir(shared.join("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("model.onnx").exists())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    models.sort();
    models
}

/// All arrays of an npz archive, by name without `.npy`.
pub fn read_npz(path: &Path) -> BTreeMap<String, Array> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let name = file.name().unwrap().trim_end_matches(".npy").to_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (name, read_npy(&bytes))
        })
        .collect()
}

/// An array in npy format, version 1 or 2, C order.
fn read_npy(bytes: &[u8]) -> Array {
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let (start, length) = match bytes[6] {
        1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
        _ => (
            12,
            usize::try_from(u32::from_le_bytes(bytes[8..12].try_into().unwrap())).unwrap(),
        ),
    };
    let header = std::str::from_utf8(&bytes[start..start + length]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let field = |key: &str| &header[header.find(key).unwrap() + key.len()..];
    let descr = field("'descr': '").split('\'').next().unwrap();
    let dims: Vec<usize> = field("'shape': (")
        .split(')')
        .next()
        .unwrap()
        .split(',')
        .filter_map(|d| d.trim().parse().ok())
        .collect();
    let body = &bytes[start + length..];
    let data = match descr {
        "|i1" => Data::Int(body.iter().map(|b| i64::from(b.cast_signed())).collect()),
        "|u1" => Data::Int(body.iter().map(|b| i64::from(*b)).collect()),
        "<i8" => Data::Int(
            body.as_chunks()
                .0
                .iter()
                .map(|c| i64::from_le_bytes(*c))
                .collect(),
        ),
        "<f4" => Data::Float(
            body.as_chunks()
                .0
                .iter()
                .map(|c| f32::from_le_bytes(*c))
                .collect(),
        ),
        _ => Data::Other,
    };
    Array { dims, data }
}
