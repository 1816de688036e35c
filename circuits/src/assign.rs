//! Values of all columns: the fixed ones from the plan, the advice ones phase by phase from a witness.
//!
//! Everything here is plain data, so that a test can look at a circuit, change a cell, and check every constraint
//! without a proof. [`crate::circuit`] is the only place that hands cells to halo2.

mod batch;
mod fixed;
mod phases;
mod witness;

pub(crate) use fixed::{FixedTables, fixed_tables};
pub(crate) use phases::{PhaseOne, PhaseTwo, phase_one, phase_three, phase_two};
#[cfg(any(test, feature = "test-dependencies"))]
pub(crate) use phases::{PhaseThree, to_integer};
pub use witness::{Cells, Fault, Witness, WitnessError};

use halo2_proofs::halo2curves::bn256::Fr;

/// The challenges in use, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drawn {
    /// After phase 1: combines output planes.
    pub alpha: Fr,
    /// After phase 1: point of the lookup argument.
    pub beta: Fr,
    /// After phase 1: combines value and tag.
    pub theta: Fr,
}

/// A signed integer as a field element.
pub(crate) fn field(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}
