//! The tape: public rows.
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `public row` | 3 | `q_pub (I - sum_l mask_l y_l 256^l) = 0` | prove another input or output than it states | `soundness` |
//!
//! No wrap: every `y_l` is ranged to one byte by [`super::logup`], and 24 bytes stay below the modulus, so a packed value
//! has one unpacking.

use super::columns::Columns;
use crate::params::CircuitParams;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::ConstraintSystem;

/// Ties the rows of public tensors to the instance column.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("tape", |_| {
        let q_pub = columns.public.cur();
        let packed = columns.instance.cur();
        let mut sum = super::constant(0);
        for (l, cells) in columns.cells(params).into_iter().enumerate().rev() {
            sum = sum * Fr::from(256) + columns.mask(params, l) * cells.y;
        }
        // q_pub (I - sum_l mask_l y_l 256^l) = 0
        [("public row", q_pub * (packed - sum))]
    });
}
