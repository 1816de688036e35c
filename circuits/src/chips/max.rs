//! Maximum of three taps: `delta_i = y - x_i >= 0` and one of them is zero.
//!
//! The differences lie in the cells a, r1 and r0 of the output's row. They are ranged by [`super::logup`] and tied to the
//! taps by the identity `sum_i alpha^i delta_i = sum_i alpha^i (y - x_i)` of the planes' evaluations.
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `max l` | 4 | `q_max a r1 r0 = 0` | give any value above all taps | `forge_max` |
//!
//! No wrap: y and the taps are bytes, the differences are ranged to less than 2^60.

use super::columns::{Columns, LaneCells};
use crate::params::CircuitParams;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// One difference of every lane is zero in max rows.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    let Some(max) = columns.max else { return };
    meta.create_gate("max", |_| {
        let q_max = max.cur();
        let products = columns.cells(params).into_iter().enumerate().map(|(l, cells)| {
            // q_max a r1 r0 = 0
            (format!("max {l}"), q_max.clone() * cells.a * cells.r1 * cells.r0)
        });
        products.collect::<Vec<_>>()
    });
}

/// `delta_0 + alpha delta_1 + alpha^2 delta_2` of a lane.
pub(crate) fn accumulator(columns: &Columns, cells: &LaneCells) -> Expression<Fr> {
    let alpha = columns.challenges.alpha.expr();
    (cells.r0.clone() * alpha.clone() + cells.r1.clone()) * alpha + cells.a.clone()
}
