//! Advice columns of the three rounds. Rounds two and three are committed in halo2's second phase
//! ([`crate::circuit::PointSource`]).

mod one;
mod three;
mod two;

pub(crate) use one::phase_one;
#[cfg(any(test, feature = "test-dependencies"))]
pub(crate) use one::to_integer;
pub(crate) use three::phase_three;
pub(crate) use two::phase_two;

use halo2_proofs::halo2curves::bn256::Fr;

/// Columns of phase 1 in the order lane by lane (y, clamp, r1, r0, gap), then the multiplicities.
pub(crate) type PhaseOne = Vec<Vec<Fr>>;

/// Columns of phase 2.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhaseTwo {
    pub helpers: Vec<Vec<Fr>>,
    pub sum: Vec<Fr>,
    pub overhang: Vec<Fr>,
}

/// Columns of round 3.
#[derive(Debug, Clone, Default)]
pub(crate) struct PhaseThree {
    pub value: Vec<Fr>,
    pub accumulator: Vec<Fr>,
    pub k: Vec<Fr>,
    pub x: Vec<Fr>,
    pub g: Vec<Fr>,
}
