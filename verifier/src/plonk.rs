//! The verifier of halo2's proof system for our circuits: reads a proof, and leaves sums of points to be checked.
//!
//! It accepts what `verify_proof` of halo2-axiom 0.5.3 accepts, for one circuit instance, no lookups or shuffles of
//! halo2's own and an instance column that the verifier evaluates itself; the tests compare the two on honest proofs and on
//! random transcripts that only someone who knows the setup's secret can complete. What it does otherwise: gates are
//! compiled once for a key ([`gates`]), scalars of the key's commitments are summed before they meet a point, so that many
//! proofs under one key share them ([`sums`]), and nothing panics.
//!
//! # Source
//! Gabizon, Williamson, Ciobotaru, "PLONK", with halo2's order of messages and its permutation argument.

mod gates;
mod gwc;
mod ipa;
mod lagrange;
mod layout;
mod opening;
mod permutation;
mod shplonk;
mod sums;
#[cfg(test)]
mod tests;

use crate::error::{TranscriptFault, VerifyError};
use crate::key::VerifyingKey;
use crate::transcript::StrictReader;
use ff::Field;
use gates::{Gates, Values};
pub(crate) use gwc::Gwc;
use halo2_proofs::{
    halo2curves::bn256::{Fr, G1Affine},
    plonk::ConstraintSystem,
};
pub(crate) use ipa::Ipa;
use lagrange::Lagrange;
pub(crate) use layout::Layout;
pub(crate) use opening::Opening;
use opening::Queries;
pub(crate) use shplonk::Shplonk;
pub(crate) use sums::{Batch, Sums};

/// What is compiled once for all proofs under a key.
#[derive(Debug, Clone)]
pub(crate) struct System {
    gates: Gates,
    pub(crate) layout: Layout,
}

impl System {
    /// `None` for a constraint system with lookups of halo2's own, with selectors that are not columns, or with a column under
    /// the permutation argument that no gate can read.
    pub(crate) fn new(cs: &ConstraintSystem<Fr>) -> Option<Self> {
        if !cs.lookups().is_empty() {
            return None;
        }
        Some(Self {
            gates: Gates::new(cs)?,
            layout: Layout::new(cs)?,
        })
    }
}

/// What the verifier drew.
struct Challenges {
    circuit: Vec<Fr>,
    beta: Fr,
    gamma: Fr,
    y: Fr,
    x: Fr,
}

/// The evaluations that a proof states.
struct Evaluations {
    advice: Vec<Fr>,
    fixed: Vec<Fr>,
    random: Fr,
    sigmas: Vec<Fr>,
    products: Vec<permutation::Product>,
}

/// Reads a whole proof about an instance column. The proof is valid when the sums hold.
///
/// # Errors
/// [`VerifyError::MalformedProof`], and [`VerifyError::Rejected`] when a challenge hits one of the few values for which a
/// quotient is not defined.
pub(crate) fn read(
    key: &VerifyingKey,
    instance: &[Fr],
    statement: Fr,
    proof: &[u8],
) -> Result<Sums, VerifyError> {
    let mut reader = StrictReader::new(statement, &key.descriptor().params, proof)?;
    let (points, challenges) = commitments(key, instance, &mut reader)?;
    let evaluations = evaluations(key, &mut reader)?;
    let lagrange = Lagrange::new(key.halo2().get_domain(), challenges.x).ok_or(VerifyError::Rejected)?;
    let values = values(key, instance, &challenges, &evaluations, &lagrange).ok_or(VerifyError::Rejected)?;
    let layout = &key.system().layout;
    let queries = Queries::new(layout, values, &lagrange);
    let sums = Sums::new(key, points, &lagrange);
    let sums = key.backend().opening().read(&queries, sums, &mut reader)?;
    reader.finish()?;
    Ok(sums)
}

fn commitments(
    key: &VerifyingKey,
    instance: &[Fr],
    reader: &mut StrictReader<'_>,
) -> Result<(Vec<G1Affine>, Challenges), TranscriptFault> {
    let (halo2, layout) = (key.halo2(), &key.system().layout);
    reader.absorb(halo2.transcript_repr())?;
    instance.iter().try_for_each(|value| reader.absorb(*value))?;

    let (columns, phases) = (halo2.cs().advice_column_phase(), halo2.cs().challenge_phase());
    let mut points = Vec::with_capacity(layout.num_points());
    let mut circuit = vec![Fr::ZERO; phases.len()];
    for phase in 0..=columns.iter().chain(&phases).max().copied().unwrap_or(0) {
        let count = columns.iter().filter(|p| **p == phase).count();
        reader.points(count, &mut points)?;
        let drawn = circuit.iter_mut().zip(&phases).filter(|(_, p)| **p == phase);
        drawn.for_each(|(challenge, _)| *challenge = reader.challenge());
    }
    // halo2's challenge for its own lookups, of which the circuit has none.
    reader.challenge();
    let (beta, gamma) = (reader.challenge(), reader.challenge());
    // Products of the permutation, and what blinds the openings.
    reader.points(layout.quotient.start - layout.products, &mut points)?;
    let y = reader.challenge();
    reader.points(layout.quotient.len(), &mut points)?;
    let x = reader.challenge();
    let challenges = Challenges {
        circuit,
        beta,
        gamma,
        y,
        x,
    };
    Ok((points, challenges))
}

fn evaluations(key: &VerifyingKey, reader: &mut StrictReader<'_>) -> Result<Evaluations, TranscriptFault> {
    let cs = key.halo2().cs();
    let permutation = &key.system().layout.permutation;
    Ok(Evaluations {
        advice: reader.scalars(cs.advice_queries().len())?,
        fixed: reader.scalars(cs.fixed_queries().len())?,
        random: reader.scalar()?,
        sigmas: reader.scalars(permutation.num_columns())?,
        products: permutation.read(reader)?,
    })
}

/// The value of each query, the quotient's being the one that the constraints give it.
fn values(
    key: &VerifyingKey,
    instance: &[Fr],
    challenges: &Challenges,
    evaluations: &Evaluations,
    lagrange: &Lagrange<'_>,
) -> Option<Vec<Fr>> {
    let cs = key.halo2().cs();
    let public = cs.instance_queries().iter();
    let public: Option<Vec<Fr>> = public
        .map(|(_, at)| lagrange.interpolate(instance, at.0))
        .collect();
    let values = Values {
        fixed: &evaluations.fixed,
        advice: &evaluations.advice,
        instance: &public?,
        challenges: &challenges.circuit,
    };
    let claims = permutation::Claims {
        values: &values,
        sigmas: &evaluations.sigmas,
        products: &evaluations.products,
        beta: challenges.beta,
        gamma: challenges.gamma,
    };
    let mut constraints = key.system().gates.evaluate(&values)?;
    constraints.extend(key.system().layout.permutation.constraints(&claims, lagrange)?);
    let folded = constraints.iter().fold(Fr::ZERO, |sum, c| sum * challenges.y + c);
    let quotient = folded * lagrange.vanishing_inverse();
    let products = permutation::values(&evaluations.products);
    let parts: [&[Fr]; 5] = [
        &evaluations.advice,
        &products,
        &evaluations.fixed,
        &evaluations.sigmas,
        &[quotient, evaluations.random],
    ];
    Some(parts.concat())
}
