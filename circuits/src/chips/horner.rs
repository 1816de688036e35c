//! Evaluation of planes at the random point v, one row after another.
//!
//! ```text
//! H = step_H * H_prev + sum_l mask_l (y_l - z) v^(a (L-1-l))          value of a plane
//! E = step_E * E_prev + sum_l mask_l P_l v^(b (L-1-l))                accumulator of a plane
//! ```
//!
//! Each evaluation has a scale (a', a) or (b', b): `step` is 0 in the first row of a plane, `v^(a L)` inside an image
//! row, `v^(S a' - a L (T - 1))` at the start of the next.
//! `P_l` is `m acc` ([`super::requantize`]) or the combined differences of a max row ([`super::max`]).
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `value` | 5 | `active H = step H_prev + ...` | feed an operator another input | `forge_value` |
//! | `accumulator` | 5 | `active E = step E_prev + ...` | give an operator another output | `forge_accumulator` |
//!
//! Exponents of a plane are distinct and below `S * height`; the error of one evaluation is at most that over |F|.

use super::columns::Columns;
use super::{constant, max, power, requantize, select};
use crate::params::{CircuitParams, STEPS_PER_COLUMN};
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{Column, ConstraintSystem, Expression, Fixed};

/// `sum_s [row has step s] v^exponents[s]`, as a Horner sum: a power is written out factor by factor in the key's
/// constraints, so the steps share theirs.
fn row_step(columns: &Columns, exponents: &[u32], names: &[Column<Fixed>]) -> Expression<Fr> {
    let v = columns.challenges.v.expr();
    let mut steps: Vec<(u32, Expression<Fr>)> = Vec::new();
    for (exponents, column) in exponents.chunks(STEPS_PER_COLUMN).zip(names) {
        for (i, e) in (1u64..).zip(exponents) {
            steps.push((*e, select(&column.cur(), i, exponents.len() as u64)));
        }
    }
    steps.sort_by_key(|step| std::cmp::Reverse(step.0));
    let below = steps
        .iter()
        .skip(1)
        .map(|step| step.0)
        .chain([0])
        .collect::<Vec<_>>();
    let above = steps.into_iter().zip(below);
    above.fold(constant(0), |sum, ((e, selected), below)| {
        (sum + selected) * power(&v, (e - below) as usize)
    })
}

/// The two evaluations.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("horner", |_| {
        let active = columns.active.cur();
        let value_step = row_step(columns, &params.value_steps, &columns.value_steps);
        let accumulator_step = row_step(columns, &params.accumulator_steps, &columns.accumulator_steps);
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
            let mut p = requantize::accumulator(params, columns, &cells);
            if let Some(q_max) = columns.max {
                let q_max = q_max.cur();
                p = (constant(1) - q_max.clone()) * p + q_max * max::accumulator(columns, &cells);
            }
            values = values + columns.lane_weight(params, l, |p| p.value_base) * (cells.y - zero.clone());
            accumulators = accumulators + columns.lane_weight(params, l, |p| p.accumulator_base) * p;
        }
        let (h, h_prev) = (columns.value.cur(), columns.value.prev());
        let (e, e_prev) = (columns.accumulator.cur(), columns.accumulator.prev());
        [
            // active H = step H_prev + sum_l mask_l (y_l - z) v^(a (L-1-l))
            ("value", active.clone() * h - value_step * h_prev - values),
            // active E = step E_prev + sum_l mask_l P_l v^(b (L-1-l))
            (
                "accumulator",
                active * e - accumulator_step * e_prev - accumulators,
            ),
        ]
    });
}
