//! Checks many proofs, of any mix of models: one sum and one pairing for some hundred proofs on one SRS.
//!
//! Each proof leaves two sums of points ([`crate::plonk`]); what is checked is their sum with weights that are drawn
//! from the operating system after the proofs are there. When it does not hold, each proof of it is checked alone.

use crate::error::VerifyError;
use crate::key::{VerifyingKey, check_environment};
use crate::model_id::ModelId;
use crate::plonk::{Batch, Sums};
use crate::proof::ProofFile;
use crate::verify::{Claim, Trusted, Verified, VerifyOptions, check_model};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use rand_core::OsRng;
use rayon::prelude::*;
use std::collections::HashMap;

/// Proofs under one sum: bounds the points that wait for it.
const AT_ONCE: usize = 512;

/// Checks each proof file against what the caller trusts for it; `options` holds for all of them.
///
/// The results have the order of `items`, and are those of [`crate::verify`].
#[must_use]
pub fn verify_batch(
    items: &[(Trusted<'_>, &ProofFile)],
    options: &VerifyOptions,
) -> Vec<Result<Verified, VerifyError>> {
    // Inside of the thread pool, where small jobs cost no switch of threads.
    rayon::scope(|_| verify_here(items, options))
}

fn verify_here(
    items: &[(Trusted<'_>, &ProofFile)],
    options: &VerifyOptions,
) -> Vec<Result<Verified, VerifyError>> {
    let keys = decode_keys(items);
    let claims: Vec<_> = items
        .par_iter()
        .map(|(trusted, file)| claim(&keys, *trusted, file, options))
        .collect();
    let mut errors = vec![None; items.len()];
    for (chunk, claims) in claims.chunks(AT_ONCE).enumerate() {
        let first = chunk * AT_ONCE;
        for (index, error) in (first..).zip(check(claims)) {
            errors[index] = error;
        }
    }
    let results = claims
        .iter()
        .zip(errors)
        .map(|(claim, error)| match (claim, error) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(error.clone()),
            (Ok(claim), None) => Ok(claim.verified()),
        });
    results.collect()
}

/// Checks some claims with one sum for each setup, and the claims of a setup whose sum fails one by one.
fn check(claims: &[Result<Claim<'_>, VerifyError>]) -> Vec<Option<VerifyError>> {
    let read = |claim: &Result<Claim<'_>, VerifyError>| claim.as_ref().map_err(Clone::clone)?.sums();
    let read: Vec<Result<Sums, VerifyError>> = claims.par_iter().map(read).collect();
    let mut errors = vec![None; claims.len()];
    let mut groups: Vec<(Batch<'_>, Vec<usize>)> = Vec::new();
    for (index, (claim, sums)) in claims.iter().zip(read).enumerate() {
        match (claim, sums) {
            (Ok(claim), Ok(sums)) => {
                let (batch, members) = group(&mut groups, claim.key);
                batch.add(claim.key, sums, Fr::random(OsRng));
                members.push(index);
            }
            (Err(error), _) => errors[index] = Some(error.clone()),
            (_, Err(error)) => errors[index] = Some(error),
        }
    }
    let suspects: Vec<usize> = groups
        .into_par_iter()
        .flat_map(|(batch, members)| if batch.check() { Vec::new() } else { members })
        .collect();
    let one = |index: usize| {
        let claim = claims[index].as_ref().map_err(Clone::clone);
        (index, claim.and_then(Claim::check_alone).err())
    };
    // Without a secret a check takes memory that grows with the rows, and all processors by itself.
    let (large, small): (Vec<usize>, Vec<usize>) = suspects.into_iter().partition(|index| {
        claims[*index]
            .as_ref()
            .is_ok_and(|c| c.key.srs().is_transparent())
    });
    let mut alone: Vec<(usize, Option<VerifyError>)> = small.into_par_iter().map(one).collect();
    alone.extend(large.into_iter().map(one));
    for (index, error) in alone {
        errors[index] = error;
    }
    errors
}

/// The batch for proofs under a key, with the positions of its proofs.
fn group<'g, 'a>(
    groups: &'g mut Vec<(Batch<'a>, Vec<usize>)>,
    key: &'a VerifyingKey,
) -> &'g mut (Batch<'a>, Vec<usize>) {
    let position = groups.iter().position(|(batch, _)| batch.takes(key));
    let position = position.unwrap_or_else(|| {
        groups.push((Batch::new(key), Vec::new()));
        groups.len() - 1
    });
    &mut groups[position]
}

type Keys = HashMap<ModelId, Result<VerifyingKey, VerifyError>>;

/// Decodes each key that is known by its digest alone, once.
fn decode_keys(items: &[(Trusted<'_>, &ProofFile)]) -> Keys {
    let mut keys = Keys::new();
    for (trusted, file) in items {
        if let (Trusted::ModelId(id), Ok(())) = (trusted, check_model(*trusted, file)) {
            keys.entry(*id)
                .or_insert_with(|| Ok(VerifyingKey::from_bytes(&file.key)?));
        }
    }
    keys
}

fn claim<'a>(
    keys: &'a Keys,
    trusted: Trusted<'a>,
    file: &'a ProofFile,
    options: &VerifyOptions,
) -> Result<Claim<'a>, VerifyError> {
    check_environment()?;
    check_model(trusted, file)?;
    let key = match trusted {
        Trusted::Key(key) => key,
        Trusted::ModelId(expected) => match keys.get(&expected) {
            Some(key) => key.as_ref().map_err(Clone::clone)?,
            None => {
                return Err(VerifyError::WrongModel {
                    expected,
                    actual: file.model,
                });
            }
        },
    };
    Claim::new(key, file, options)
}
