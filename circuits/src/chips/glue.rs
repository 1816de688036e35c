//! Glue: weights at the random point, and the identity of each operator.
//!
//! ```text
//! K = k_step * K_prev + sum_l w_l alpha^l          k_step: 0, alpha^LW, alpha, v
//! G = g_step * G_prev + [Z] + coef * K * X         g_step: 0, 1, v, v with Z, 1 with check
//! ```
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `weights` | 4 | `active K = k_step K_prev + sum_l w_l alpha^l` | use other weights | `forge_weights` |
//! | `identity` | 5 | `active G = g_step G_prev + [Z] + coef K X` | leave out a term | `forge_identity` |
//! | `check` | 5 | `[check] G = 0` | leave the identity open | `forge_check` |
//! | copy of X | permutation | X = evaluation of the plane | use another input | `forge_copy` |
//!
//! Z is read only in rows whose exponent of v lies outside the output window.

use super::columns::Columns;
use super::{constant, power, select};
use crate::params::CircuitParams;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// Opcodes of K.
pub(crate) mod k_step {
    pub const START: u64 = 0;
    pub const CHUNK: u64 = 1;
    pub const POWER: u64 = 2;
    pub const SHIFT: u64 = 3;
    pub const LAST: u64 = SHIFT;
}

/// Opcodes of G.
pub(crate) mod g_step {
    pub const RESET: u64 = 0;
    pub const CARRY: u64 = 1;
    pub const SHIFT: u64 = 2;
    pub const SHIFT_OVERHANG: u64 = 3;
    pub const CHECK: u64 = 4;
    pub const LAST: u64 = CHECK;
}

/// The two accumulators and the check.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("glue", |_| {
        let active = columns.active.cur();
        let (alpha, v) = (columns.challenges.alpha.expr(), columns.challenges.v.expr());
        let (k_op, g_op) = (columns.k_step.cur(), columns.g_step.cur());
        let (k, k_prev) = (columns.k.cur(), columns.k.prev());
        let (g, g_prev) = (columns.g.cur(), columns.g.prev());
        let (x, z, coef) = (columns.x.cur(), columns.overhang.cur(), columns.coef.cur());
        let is_k = |op| select(&k_op, op, k_step::LAST);
        let is_g = |op| select(&g_op, op, g_step::LAST);
        let k_factor = is_k(k_step::CHUNK) * power(&alpha, params.num_weight_lanes())
            + is_k(k_step::POWER) * alpha.clone()
            + is_k(k_step::SHIFT) * v.clone();
        let mut weights: Expression<Fr> = constant(0);
        for w in columns.weights.iter().rev() {
            weights = weights * alpha.clone() + w.cur();
        }
        let g_factor = is_g(g_step::CARRY)
            + is_g(g_step::CHECK)
            + (is_g(g_step::SHIFT) + is_g(g_step::SHIFT_OVERHANG)) * v;
        [
            // active K = k_step K_prev + sum_l w_l alpha^l
            (
                "weights",
                active.clone() * k.clone() - k_factor * k_prev - weights,
            ),
            // active G = g_step G_prev + [Z] + coef K X
            (
                "identity",
                active * g.clone() - g_factor * g_prev - is_g(g_step::SHIFT_OVERHANG) * z - coef * k * x,
            ),
            // [check] G = 0
            ("check", is_g(g_step::CHECK) * g),
        ]
    });
}
