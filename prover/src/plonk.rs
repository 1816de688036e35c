//! The prover of halo2's proof system for our circuits.
//!
//! It writes the proofs that halo2's own `create_proof` would write for the same randomness, for halo2's verifier,
//! several times faster: it knows all challenges when it compiles the gates ([`expression`], [`program`]), works on one
//! coset of the rows at a time ([`quotient`]) and commits columns of small integers for what they are ([`inferproof_verifier::msm`]).
//!
//! # Soundness
//! None of it is trusted. Nothing here can make a false statement verify; a mistake gives a proof that is refused, and
//! every proof is verified before it is handed out.
//!
//! # Zero knowledge
//! The last rows of every advice column and of the permutation's product are random, as is the polynomial that blinds
//! the openings. All of it comes from the generator that the caller seeds from the operating system.

mod domain;
mod expression;
mod open;
mod permutation;
mod primitives;
mod program;
mod quotient;
#[cfg(test)]
mod tests;

use crate::keys::ModelKeys;
use crate::profile::Profile;
pub(crate) use domain::Domain;
use ff::Field;
use halo2_proofs::arithmetic::eval_polynomial;
use halo2_proofs::halo2curves::bn256::{Fr, G1, G1Affine};
use halo2_proofs::halo2curves::group::Curve;
use halo2_proofs::plonk::ProvingKey;
use halo2_proofs::poly::{Rotation, commitment::ParamsProver};
use halo2_proofs::transcript::{
    Blake2bWrite, Challenge255, EncodedChallenge, Transcript, TranscriptWrite, TranscriptWriterBuffer,
};
use inferproof_circuits::assign::{Drawn, Witness};
use inferproof_verifier::{Backend, early, msm};
use open::Query;
pub(crate) use primitives::Primitives;
use rand_chacha::ChaCha20Rng;
use rayon::prelude::*;
use std::io;

type Hash = Blake2bWrite<Vec<u8>, G1Affine, Challenge255<G1Affine>>;

/// Why the prover stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlonkError {
    /// A commitment is the point at infinity, which has no encoding in a transcript.
    #[error("the transcript refused an element ({source}); prove again")]
    Transcript {
        /// halo2's reason.
        #[from]
        source: io::Error,
    },
    /// The permutation argument is laid out in another way than this prover knows.
    #[error(
        "the circuit has {columns} columns under the permutation argument, at most {limit} are supported"
    )]
    Permutation {
        /// Columns.
        columns: usize,
        /// Columns that fit in one set.
        limit: usize,
    },
    /// The setup has no generators for the inner product argument.
    #[error("the setup has no generators for backend ipa; run `inferproof setup` again")]
    Generators,
    /// The backend is not one that this prover knows.
    #[error("this program makes no proofs for backend {backend}")]
    Backend {
        /// The backend.
        backend: Backend,
    },
}

/// A polynomial in both forms.
struct Columns {
    values: Vec<Vec<Fr>>,
    coefficients: Vec<Vec<Fr>>,
}

struct Prover<'a> {
    keys: &'a ModelKeys,
    pk: &'a ProvingKey<G1Affine>,
    domain: Domain,
    hash: Hash,
    rng: ChaCha20Rng,
    profile: Profile,
}

/// Names of the stages of [`Profile`].
mod stage {
    pub const WITNESS: &str = "witness";
    pub const COMMIT_SMALL: &str = "commitments, small";
    pub const COMMIT_FULL: &str = "commitments, full";
    pub const TRANSFORM: &str = "transforms";
    pub const CONSTRAINTS: &str = "constraints";
    pub const PERMUTATION: &str = "permutation";
    pub const OPEN: &str = "openings";
}

/// Proves that the network maps the inputs of `witness` to its outputs.
///
/// `instance`: the public values; `statement`: absorbed before everything else. `rng` blinds the proof and must be
/// seeded afresh.
///
/// # Errors
/// [`PlonkError`].
pub(crate) fn create_proof(
    keys: &ModelKeys,
    witness: &Witness,
    instance: &[Fr],
    statement: Fr,
    rng: ChaCha20Rng,
) -> Result<(Vec<u8>, Profile), PlonkError> {
    let pk = keys.proving();
    let halo2 = pk.get_vk().get_domain();
    let (columns, limit) = (
        pk.get_vk().cs().permutation().get_columns().len(),
        pk.get_vk().cs().degree() - 2,
    );
    if columns > limit {
        return Err(PlonkError::Permutation { columns, limit });
    }
    let mut prover = Prover {
        keys,
        pk,
        domain: Domain::new(halo2.k(), halo2.get_omega()),
        hash: Hash::init(Vec::new()),
        rng,
        profile: Profile::default(),
    };
    prover.hash.common_scalar(statement)?;
    pk.get_vk().hash_into(&mut prover.hash)?;
    for value in instance {
        prover.hash.common_scalar(*value)?;
    }
    prover.prove(witness, instance)?;
    Ok((prover.hash.finalize(), prover.profile))
}

impl Prover<'_> {
    fn prove(&mut self, witness: &Witness, instance: &[Fr]) -> Result<(), PlonkError> {
        let n = self.domain.n;
        let mut padded = instance.to_vec();
        padded.resize(n, Fr::ZERO);
        let instance = self.with_coefficients(vec![padded]);
        let (advice, challenges) = self.advice(witness)?;

        // halo2's challenge for its own lookups, of which the circuit has none.
        self.challenge();
        let (beta, gamma) = (self.challenge(), self.challenge());
        let values = permutation::Values {
            pk: self.pk,
            advice: &advice.values,
            instance: &instance.values,
        };
        let mut product = self.profile.time(stage::PERMUTATION, || {
            permutation::product(&self.domain, &values, beta, gamma)
        });
        let blinded = self.pk.get_vk().cs().blinding_factors();
        product[n - blinded..].fill_with(|| Fr::random(&mut self.rng));
        self.commit_rows(stage::COMMIT_FULL, std::slice::from_ref(&product))?;
        self.profile
            .time(stage::TRANSFORM, || self.domain.interpolate(&mut product));

        let random: Vec<Fr> = (0..n).map(|_| Fr::random(&mut self.rng)).collect();
        self.commit(std::slice::from_ref(&random))?;
        let y = self.challenge();
        let polynomials = quotient::Polynomials {
            pk: self.pk,
            advice: &advice.coefficients,
            instance: &instance.coefficients,
            product: &product,
        };
        let drawn = quotient::Drawn { beta, gamma, y };
        let pieces = quotient::pieces(&self.domain, &polynomials, &challenges, drawn, &mut self.profile);
        self.commit(&pieces)?;

        let x = self.challenge();
        // h = sum_t x^(n t) h_t, which agrees with the quotient at x.
        let mut quotient = vec![Fr::ZERO; n];
        let x_n = x.pow_vartime([n as u64]);
        for piece in pieces.iter().rev() {
            quotient
                .par_iter_mut()
                .zip(piece)
                .for_each(|(h, p)| *h = *h * x_n + p);
        }
        let opened = Opened::new(self.pk, &advice.coefficients, [&product, &random, &quotient]);
        self.open(&opened, x)
    }

    /// The three rounds of the circuit.
    fn advice(&mut self, witness: &Witness) -> Result<(Columns, Vec<Fr>), PlonkError> {
        let keys = self.keys;
        let mut rounds = self
            .profile
            .time(stage::WITNESS, || keys.fixture().rounds(witness));
        let mut values = self.blind(rounds.first());
        self.commit_rows(stage::COMMIT_SMALL, &values)?;
        let drawn = Drawn {
            alpha: self.challenge(),
            beta: self.challenge(),
            theta: self.challenge(),
        };
        let overhang = self.profile.time(stage::WITNESS, || rounds.second(drawn));
        let overhang = self.blind(vec![overhang]);
        self.commit_rows(stage::COMMIT_FULL, &overhang)?;
        values.extend(overhang);
        let v = early::point(&self.hash)?.get_scalar();
        let third = self.profile.time(stage::WITNESS, || rounds.third(v));
        let third = self.blind(third);
        self.commit_rows(stage::COMMIT_FULL, &third)?;
        values.extend(third);
        // halo2 squeezes once more at the end of the phase; v takes that challenge's place.
        self.challenge();
        Ok((
            self.with_coefficients(values),
            vec![drawn.alpha, drawn.beta, drawn.theta, v],
        ))
    }

    fn challenge(&mut self) -> Fr {
        self.hash.squeeze_challenge().get_scalar()
    }

    /// Fills the unusable rows at the end of each column with randomness.
    fn blind(&mut self, mut columns: Vec<Vec<Fr>>) -> Vec<Vec<Fr>> {
        let n = self.domain.n;
        let usable = n - self.pk.get_vk().cs().blinding_factors() - 1;
        for column in &mut columns {
            column.resize(usable, Fr::ZERO);
            column.resize_with(n, || Fr::random(&mut self.rng));
        }
        columns
    }

    fn with_coefficients(&mut self, values: Vec<Vec<Fr>>) -> Columns {
        let domain = &self.domain;
        let interpolate = |column: &Vec<Fr>| {
            let mut coefficients = column.clone();
            domain.interpolate(&mut coefficients);
            coefficients
        };
        let coefficients = self
            .profile
            .time(stage::TRANSFORM, || values.par_iter().map(interpolate).collect());
        Columns { values, coefficients }
    }

    /// Commits to columns given by their rows.
    fn commit_rows(&mut self, stage: &'static str, columns: &[Vec<Fr>]) -> Result<(), PlonkError> {
        let keys = self.keys;
        self.write(stage, columns, keys.srs().lagrange())
    }

    /// Commits to polynomials given by their coefficients.
    fn commit(&mut self, polynomials: &[Vec<Fr>]) -> Result<(), PlonkError> {
        let keys = self.keys;
        self.write(stage::COMMIT_FULL, polynomials, keys.srs().params().get_g())
    }

    fn write(
        &mut self,
        stage: &'static str,
        scalars: &[Vec<Fr>],
        bases: &[G1Affine],
    ) -> Result<(), PlonkError> {
        let commit = || scalars.par_iter().map(|s| msm::multiply(s, bases)).collect();
        let sums: Vec<G1> = self.profile.time(stage, commit);
        sums.iter().try_for_each(|sum| self.point(sum))
    }

    /// Writes the evaluations, then the openings.
    fn open(&mut self, opened: &Opened<'_>, x: Fr) -> Result<(), PlonkError> {
        let rows = self.pk.get_vk().get_domain();
        let point = |rotation: i32| rows.rotate_omega(x, Rotation(rotation));
        let evaluate = |q: &Query<'_>| eval_polynomial(q.polynomial, point(q.rotation));
        let evaluations: Vec<Fr> = self.profile.time(stage::OPEN, || {
            opened.written().par_iter().map(evaluate).collect()
        });
        evaluations.into_iter().try_for_each(|e| self.scalar(e))?;
        let opening = open::opening(self.keys.verifying().backend())?;
        opening.open(self, &opened.combined(), x)
    }

    /// Writes a point.
    fn point(&mut self, point: &G1) -> Result<(), PlonkError> {
        Ok(self.hash.write_point(point.to_affine())?)
    }

    /// Writes a scalar.
    fn scalar(&mut self, scalar: Fr) -> Result<(), PlonkError> {
        Ok(self.hash.write_scalar(scalar)?)
    }
}

/// Everything that is opened.
struct Opened<'a> {
    advice: Vec<Query<'a>>,
    product: [Query<'a>; 2],
    fixed: Vec<Query<'a>>,
    sigmas: Vec<Query<'a>>,
    random: Query<'a>,
    /// The verifier computes its value from the others.
    quotient: Query<'a>,
}

impl<'a> Opened<'a> {
    fn new(
        pk: &'a ProvingKey<G1Affine>,
        columns: &'a [Vec<Fr>],
        [product, random, quotient]: [&'a [Fr]; 3],
    ) -> Self {
        let cs = pk.get_vk().cs();
        let query = |polynomial: &'a [Fr], rotation: i32| Query { polynomial, rotation };
        let advice = cs.advice_queries().iter();
        let fixed = cs.fixed_queries().iter();
        let sigmas = pk.permutation().polys().iter();
        Self {
            advice: advice
                .map(|(column, at)| query(&columns[column.index()], at.0))
                .collect(),
            product: [query(product, 0), query(product, 1)],
            fixed: fixed
                .map(|(column, at)| query(pk.fixed_polys()[column.index()].values(), at.0))
                .collect(),
            sigmas: sigmas.map(|p| query(p.values(), 0)).collect(),
            random: query(random, 0),
            quotient: query(quotient, 0),
        }
    }

    /// In the order in which the evaluations are written.
    fn written(&self) -> Vec<Query<'a>> {
        let parts: [&[Query<'a>]; 5] = [
            &self.advice,
            &self.fixed,
            std::slice::from_ref(&self.random),
            &self.sigmas,
            &self.product,
        ];
        parts.concat()
    }

    /// In the order in which the verifier combines the openings.
    fn combined(&self) -> Vec<Query<'a>> {
        let parts: [&[Query<'a>]; 5] = [
            &self.advice,
            &self.product,
            &self.fixed,
            &self.sigmas,
            &[self.quotient, self.random],
        ];
        parts.concat()
    }
}
