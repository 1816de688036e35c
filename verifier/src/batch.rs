//! Checks many proofs, of any mix of models, with one pairing for about a hundred proofs on one SRS, on all processors.
//!
//! A KZG proof is valid when `e(L_i, tau G2) = e(R_i, G2)` for two sums of points that the verifier computes.
//! With weights `w_i`, scalars that are drawn from the operating system after all proofs are there,
//! `e(sum w_i L_i, tau G2) = e(sum w_i R_i, G2)` holds for a batch with a bad proof with probability 1/r,
//! r the order of the group (254 bits). When it does not hold, each proof of the group is checked alone.
//!
//! A group has at most [`MAX_TERMS`] points.

use crate::error::VerifyError;
use crate::key::{MAX_TERMS, VerifyingKey, check_environment};
use crate::model_id::ModelId;
use crate::proof::ProofFile;
use crate::verify::{Claim, Kzg, Trusted, Verified, VerifyOptions, check_model};
use ff::Field;
use halo2_proofs::{
    halo2curves::bn256::{Bn256, Fr, G2Affine},
    plonk,
    poly::{
        VerificationStrategy,
        commitment::Verifier,
        kzg::{
            commitment::ParamsKZG,
            msm::DualMSM,
            strategy::{AccumulatorStrategy, GuardKZG},
        },
    },
};
use rand_core::OsRng;
use rayon::prelude::*;
use std::collections::HashMap;

/// Proofs that are read at a time: bounds the terms that wait for their sum.
const AT_ONCE: usize = 128;

/// Checks each proof file against what the caller trusts for it; `options` holds for all of them.
///
/// The results have the order of `items`, and are those of [`crate::verify`].
#[must_use]
pub fn verify_batch(
    items: &[(Trusted<'_>, &ProofFile)],
    options: &VerifyOptions,
) -> Vec<Result<Verified, VerifyError>> {
    // Inside of the thread pool, where halo2's small jobs cost no switch of threads.
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
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (chunk, claims) in claims.chunks(AT_ONCE).enumerate() {
        let pending: Vec<_> = claims.par_iter().map(terms).collect();
        for (index, pending) in (chunk * AT_ONCE..).zip(pending) {
            match pending {
                Ok((key, terms)) => Group::find(&mut groups, key).add(index, terms),
                Err(error) => errors[index] = Some(error),
            }
        }
    }
    let suspects: Vec<Vec<usize>> = groups.into_par_iter().filter_map(Group::suspects).collect();
    let alone: Vec<(usize, Option<VerifyError>)> = suspects
        .into_par_iter()
        .flatten()
        .map(|index| {
            let claim = claims[index].as_ref().map_err(Clone::clone);
            (index, claim.and_then(Claim::check_alone).err())
        })
        .collect();
    for (index, error) in alone {
        errors[index] = error;
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

/// The terms of one proof, scaled by a random weight.
fn terms<'a>(
    claim: &'a Result<Claim<'a>, VerifyError>,
) -> Result<(&'a VerifyingKey, DualMSM<'a, Bn256>), VerifyError> {
    let claim = claim.as_ref().map_err(Clone::clone)?;
    let mut terms = claim.run(Sums(claim.key.params()))?;
    terms.scale(Fr::random(OsRng));
    Ok((claim.key, terms))
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

/// The weighted sums of some proofs on one SRS.
struct Group<'a> {
    tau_g2: G2Affine,
    members: Vec<usize>,
    num_terms: usize,
    sums: DualMSM<'a, Bn256>,
}

impl<'a> Group<'a> {
    /// The group on the key's SRS that has room for one more proof.
    fn find<'g>(groups: &'g mut Vec<Self>, key: &'a VerifyingKey) -> &'g mut Self {
        let tau_g2 = key.params().s_g2();
        let room = |group: &Self| group.tau_g2 == tau_g2 && group.num_terms + key.max_terms() <= MAX_TERMS;
        let position = groups.iter().rposition(room).unwrap_or_else(|| {
            let sums = DualMSM::new(key.params());
            groups.push(Self {
                tau_g2,
                members: Vec::new(),
                num_terms: 0,
                sums,
            });
            groups.len() - 1
        });
        let group = &mut groups[position];
        group.num_terms += key.max_terms();
        group
    }

    /// Adds the terms of a proof, which must have been scaled by a random weight.
    fn add(&mut self, index: usize, terms: DualMSM<'a, Bn256>) {
        self.members.push(index);
        self.sums.add_msm(terms);
    }

    /// The members, unless all of them are proved valid at once.
    fn suspects(self) -> Option<Vec<usize>> {
        (!self.sums.check()).then_some(self.members)
    }
}

/// Gives the sums `(L_i, R_i)` of one proof up to a common factor: [`AccumulatorStrategy`] hands over what it
/// has accumulated, scaled at random, when it is handed a second proof, and that second one is never added.
struct Sums<'p>(&'p ParamsKZG<Bn256>);

impl<'p, V> VerificationStrategy<'p, Kzg, V> for Sums<'p>
where
    V: Verifier<'p, Kzg, MSMAccumulator = DualMSM<'p, Bn256>, Guard = GuardKZG<'p, Bn256>>,
{
    type Output = DualMSM<'p, Bn256>;

    fn new(params: &'p ParamsKZG<Bn256>) -> Self {
        Self(params)
    }

    fn process(
        self,
        f: impl FnOnce(DualMSM<'p, Bn256>) -> Result<GuardKZG<'p, Bn256>, plonk::Error>,
    ) -> Result<DualMSM<'p, Bn256>, plonk::Error> {
        type Stock<'p> = AccumulatorStrategy<'p, Bn256>;
        let stock = Stock::new(self.0);
        let one = <Stock<'p> as VerificationStrategy<'p, Kzg, V>>::process(stock, f)?;
        let mut scaled = None;
        let take = |sums: DualMSM<'p, Bn256>| {
            scaled = Some(sums);
            Err(plonk::Error::Opening)
        };
        match <Stock<'p> as VerificationStrategy<'p, Kzg, V>>::process(one, take) {
            Ok(_) => Err(plonk::Error::Opening),
            Err(error) => scaled.ok_or(error),
        }
    }

    fn finalize(self) -> bool {
        false
    }
}
