//! A file of keys. It holds what the model does not give again: the verifying key, and the permutation argument's
//! columns. The fixed columns are computed from the plan whenever keys are loaded. Integers in little endian:
//!
//! ```text
//! magic "INFPPK2\n" | tag 32 | verifying key length u64 | verifying key | sigma columns, 32 bytes a row
//! SHA-256 of everything before it
//! ```
//!
//! The tag is a digest of everything that the keys depend on; a file with another tag is another model's.

use super::DIGEST_BYTES;
use crate::files::{self, FileError};
use crate::plonk::Domain;
use ff::{Field, PrimeField};
use halo2_proofs::halo2curves::bn256::{Fr, G1Affine};
use halo2_proofs::plonk::{ProvingKey, permutation};
use halo2_proofs::poly::Polynomial;
use inferproof_circuits::circuit::Fixture;
use inferproof_circuits::plan::PERMUTATION_COLUMNS;
use inferproof_circuits::statement::Descriptor;
use inferproof_verifier::{MAX_KEY_BYTES, VerifyingKey};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8; 8] = b"INFPPK2\n";
const LENGTH_BYTES: usize = 8;
const SCALAR_BYTES: usize = 32;

/// Bytes of the proving key's part of a file.
pub(super) fn proving_bytes(proving: &ProvingKey<G1Affine>) -> u64 {
    let columns = proving.permutation().permutations();
    columns.iter().map(|c| (c.len() * SCALAR_BYTES) as u64).sum()
}

/// Writes a file, whole or not at all.
pub(super) fn save(
    path: &Path,
    tag: &[u8; DIGEST_BYTES],
    verifying: &VerifyingKey,
    proving: &ProvingKey<G1Affine>,
) -> Result<(), FileError> {
    let key = verifying.to_bytes();
    let mut sigmas = Vec::new();
    for column in proving.permutation().permutations() {
        for value in column.values() {
            sigmas.extend_from_slice(value.to_repr().as_ref());
        }
    }
    let key_length = (key.len() as u64).to_le_bytes();
    let parts: [&[u8]; 5] = [MAGIC, tag, &key_length, key, &sigmas];
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let checksum = hash.finalize();
    files::write_atomic(path, |writer| {
        parts.iter().try_for_each(|part| writer.write_all(part))?;
        writer.write_all(&checksum)
    })
}

/// The keys in a file, if it is whole, has this tag, and is about this model.
pub(super) fn load(
    path: &Path,
    tag: &[u8; DIGEST_BYTES],
    descriptor: &Descriptor,
    fixture: &Fixture,
) -> Option<(ProvingKey<G1Affine>, VerifyingKey)> {
    let sigmas = (PERMUTATION_COLUMNS * SCALAR_BYTES) << descriptor.k;
    let most = MAGIC.len() + 2 * DIGEST_BYTES + LENGTH_BYTES + MAX_KEY_BYTES + sigmas;
    let bytes = files::read_limited(path, most as u64).ok()?;
    let (body, checksum) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
    let rest = body.strip_prefix(MAGIC)?.strip_prefix(tag)?;
    if <[u8; DIGEST_BYTES]>::from(Sha256::digest(body)) != *checksum {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (key, sigmas) = rest.split_at_checked(length)?;
    let verifying = VerifyingKey::from_bytes(key).ok()?;
    if verifying.descriptor() != descriptor {
        return None;
    }
    let proving = proving(&verifying, fixture, sigmas)?;
    Some((proving, verifying))
}

/// The proving key of a verifying key, the plan's fixed columns, and the permutation's columns.
fn proving(verifying: &VerifyingKey, fixture: &Fixture, sigmas: &[u8]) -> Option<ProvingKey<G1Affine>> {
    let key = verifying.halo2();
    let rows = key.get_domain();
    let domain = Domain::new(rows.k(), rows.get_omega());
    let n = domain.n;
    let num_sigmas = key.cs().permutation().get_columns().len();
    if sigmas.len() != num_sigmas * n * SCALAR_BYTES {
        return None;
    }
    let scalar = |bytes: &[u8]| -> Option<Fr> { Fr::from_repr(bytes.try_into().ok()?).into() };
    let sigmas: Vec<Vec<Fr>> = sigmas
        .par_chunks(n * SCALAR_BYTES)
        .map(|column| column.chunks(SCALAR_BYTES).map(scalar).collect())
        .collect::<Option<_>>()?;
    let mut fixed = fixture.fixed_values();
    if fixed.len() != key.cs().num_fixed_columns() {
        return None;
    }
    fixed.iter_mut().for_each(|column| column.resize(n, Fr::ZERO));
    let interpolate = |values: &Vec<Fr>| {
        let mut coefficients = values.clone();
        domain.interpolate(&mut coefficients);
        coefficients
    };
    let coefficients =
        |columns: &[Vec<Fr>]| -> Vec<Vec<Fr>> { columns.par_iter().map(interpolate).collect() };
    let (fixed_polys, sigma_polys) = (coefficients(&fixed), coefficients(&sigmas));
    let [l_first, l_last, l_active] = row_selectors(n, key.cs().blinding_factors()).map(|c| interpolate(&c));
    let wrap = |columns: Vec<Vec<Fr>>| columns.into_iter().map(Polynomial::new).collect();
    Some(ProvingKey::from_parts(
        key.clone(),
        Polynomial::new(l_first),
        Polynomial::new(l_last),
        Polynomial::new(l_active),
        fixed.into_iter().map(Polynomial::new).collect(),
        wrap(fixed_polys),
        permutation::ProvingKey::from_parts(
            sigmas.into_iter().map(Polynomial::new).collect(),
            wrap(sigma_polys),
        ),
    ))
}

/// Values of the polynomials that select the first row, the last one before the blinding, and all before that.
fn row_selectors(n: usize, blinding_factors: usize) -> [Vec<Fr>; 3] {
    let last = n - blinding_factors - 1;
    let select = |rows: std::ops::Range<usize>| {
        let mut values = vec![Fr::ZERO; n];
        values[rows].fill(Fr::ONE);
        values
    };
    [select(0..1), select(last..last + 1), select(0..last)]
}

#[cfg(test)]
mod tests {
    use super::super::{KeysError, Model, ModelKeys, PROVING_KEY_FILE, Store, setup};
    use crate::srs::Srs;
    use halo2_proofs::SerdeFormat;
    use inferproof_circuits::plan::PlanOptions;
    use inferproof_verifier::Backend;
    use std::path::Path;

    const MODEL: &[u8] = include_bytes!("../../../models/tiny_mlp.onnx");

    fn keys(srs: &Srs, folder: &Path) -> Result<ModelKeys, KeysError> {
        let model = Model::load(MODEL, &PlanOptions::default()).unwrap();
        let store = Store::Folder {
            path: folder,
            replace: false,
        };
        setup(model, Backend::Shplonk, srs.clone(), store)
    }

    #[test]
    fn loaded_keys_are_those_of_halo2s_key_generation() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::load(MODEL, &PlanOptions::default()).unwrap();
        let srs = Srs::generate_insecure(model.plan().k).unwrap();
        let made = keys(&srs, folder.path()).unwrap();
        let loaded = keys(&srs, folder.path()).unwrap();
        assert_eq!(made.verifying(), loaded.verifying());
        let bytes = |keys: &ModelKeys| keys.proving().to_bytes(SerdeFormat::RawBytes);
        assert_eq!(bytes(&made), bytes(&loaded));
    }

    #[test]
    fn damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let model = Model::load(MODEL, &PlanOptions::default()).unwrap();
        let srs = Srs::generate_insecure(model.plan().k).unwrap();
        keys(&srs, folder.path()).unwrap();
        let path = folder.path().join(PROVING_KEY_FILE);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let cases = [Vec::new(), whole[..whole.len() - 1].to_vec(), flipped];
        for bytes in cases {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(
                keys(&srs, folder.path()),
                Err(KeysError::Foreign { .. })
            ));
        }
        let other = Srs::generate_insecure(model.plan().k).unwrap();
        std::fs::write(&path, whole).unwrap();
        assert!(matches!(
            keys(&other, folder.path()),
            Err(KeysError::Foreign { .. })
        ));
    }
}
