//! Evaluation of planes at the random point v, one row after another.
//!
//! ```text
//! H = step * H_prev + sum_l mask_l (y_l - z) v^(L-1-l)          value of a plane
//! E = step * E_prev + sum_l mask_l P_l v^(L-1-l)                accumulator of a plane
//! ```
//!
//! `step` is 0 in the first row of a plane, `v^L` inside an image row, `v^(S - L (T - 1))` at the start of the next.
//! `P_l` is `m acc` ([`super::requantize`]) or the combined differences of a max row ([`super::max`]).
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `value` | 5 | `active H = step H_prev + ...` | feed an operator another input | `forge_value_evaluation` |
//! | `accumulator` | 5 | `active E = step E_prev + ...` | give an operator another output | `forge_accumulator_evaluation` |
//!
//! Exponents of a plane are distinct and below `S * height`; the error of one evaluation is at most that over |F|.

use super::columns::Columns;
use super::{constant, max, power, requantize, select};
use crate::params::{CircuitParams, STEPS_PER_COLUMN};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// `sum_s [row has step s] v^steps[s]`.
fn row_step(params: &CircuitParams, columns: &Columns) -> Expression<Fr> {
    let v = columns.challenges.v.expr();
    let mut sum = constant(0);
    for (exponents, column) in params.steps.chunks(STEPS_PER_COLUMN).zip(&columns.steps) {
        for (i, e) in (1u64..).zip(exponents) {
            sum = sum + select(&column.cur(), i, exponents.len() as u64) * power(&v, *e as usize);
        }
    }
    sum
}

/// The two evaluations.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("horner", |_| {
        let active = columns.active.cur();
        let v = columns.challenges.v.expr();
        let step = row_step(params, columns);
        let zero = match (&columns.zero, params.uniform_zero) {
            (Some(column), _) => column.cur(),
            (None, z) => {
                let z = z.unwrap_or(0);
                let magnitude = constant(u64::from(z.unsigned_abs()));
                if z < 0 { -magnitude } else { magnitude }
            }
        };
        let (mut values, mut accumulators) = (constant(0), constant(0));
        for (l, cells) in columns.cells(params).into_iter().enumerate() {
            let mask = columns.mask(params, l);
            let mut p = requantize::accumulator(params, columns, &cells);
            if let Some(q_max) = columns.max {
                let q_max = q_max.cur();
                p = (constant(1) - q_max.clone()) * p + q_max * max::accumulator(columns, &cells);
            }
            values = values * v.clone() + mask.clone() * (cells.y - zero.clone());
            accumulators = accumulators * v.clone() + mask * p;
        }
        let running =
            |cur: Expression<Fr>, prev: Expression<Fr>, sum| active.clone() * cur - step.clone() * prev - sum;
        [
            // active H = step H_prev + sum_l mask_l (y_l - z) v^(L-1-l)
            (
                "value",
                running(columns.value.cur(), columns.value.prev(), values),
            ),
            // active E = step E_prev + sum_l mask_l P_l v^(L-1-l)
            (
                "accumulator",
                running(
                    columns.accumulator.cur(),
                    columns.accumulator.prev(),
                    accumulators,
                ),
            ),
        ]
    });
}
