//! The tape: public rows.
//!
//! Public row r packs to `S_r = sum_l mask_l y_l 256^l`. Each is an instance value, or they are *folded* over the first G
//! rows: with L lanes, instance row `r < G` is
//!
//! ```text
//! I_r = S_r + 256^L S_(r+G) + 256^(2L) S_(r+2G) + ...
//! ```
//!
//! and P carries what comes after the first term: `P_r = S_r + 256^L P_(r+G)`, without the last term where r + G is no public
//! row. The fixed opcode of a row says which of the equations holds; no other row reads P. P lies in column X, which the glue
//! program leaves alone there: it begins after the public rows.
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `public row` | 3 | `q_pub (I - S) = 0` | prove another input or output than it states | `forge_public_row` |
//! | `public row`, folded | 5 | `[last] (P - S) + [carry] (P - S - 256^L P') + [state] (I - S - 256^L P') = 0` | likewise | `only_the_public_rows_stop_another_output` |
//!
//! Every public row is determined: it lies in one chain `r, r + G, ...` that ends in a `last` row, begins in a `state` row,
//! and whose P are all forced, so `I_r` is the sum above. No wrap: every `y_l` is ranged to one byte by [`super::logup`],
//! masked lanes count zero, and a chain has at most 31 bytes ([`crate::statement::Descriptor::validate`]), which stay below
//! the modulus; so an instance value has one unpacking.

use super::columns::Columns;
use super::{constant, select};
use crate::params::CircuitParams;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// Opcodes of public rows; 0 in all others, and 1 in every public row where they are not folded.
pub(crate) mod public {
    pub const LAST: u64 = 1;
    pub const CARRY: u64 = 2;
    pub const STATE: u64 = 3;
}

/// S of the row.
fn packed(params: &CircuitParams, columns: &Columns) -> Expression<Fr> {
    let lanes = columns.cells(params).into_iter().enumerate().rev();
    lanes.fold(constant(0), |sum, (l, cells)| {
        sum * Fr::from(256) + columns.mask(params, l) * cells.y
    })
}

/// `256^L`.
pub(crate) fn lane_shift(params: &CircuitParams) -> Fr {
    (0..params.lanes).fold(Fr::one(), |power, _| power * Fr::from(256))
}

/// Ties the rows of public tensors to the instance column.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("tape", |_| {
        let opcode = columns.public.cur();
        let stated = columns.instance.cur();
        let sum = packed(params, columns);
        let fold = columns.x;
        let Some(rows) = params.folded.and_then(|rows| i32::try_from(rows).ok()) else {
            // q_pub (I - S) = 0
            return [("public row", opcode * (stated - sum))];
        };
        let [last, carry, state] =
            [public::LAST, public::CARRY, public::STATE].map(|op| select(&opcode, op, public::STATE));
        let next: Expression<Fr> = fold.rot(rows) * lane_shift(params);
        // [last] (P - S) + [carry] (P - S - 256^L P') + [state] (I - S - 256^L P') = 0
        let own = last * (fold.cur() - sum.clone());
        let carried = carry * (fold.cur() - sum.clone() - next.clone());
        [("public row", own + carried + state * (stated - sum - next))]
    });
}
