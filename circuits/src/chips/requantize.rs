//! Requantization: `m acc + B = d t + r`, `0 <= r < d`, `y = clamp(t, lo, hi)`, with `d = d1 2^12`, `r = r1 2^12 + r0`.
//!
//! In stored form (`y - lo` in `0..=R`) the unclamped quotient is `t = y + a (2y - R) / R`: `y` itself inside the range,
//! `R + a` at the upper bound, `-a` at the lower. `m acc` needs no cell: it is the expression `d t + r - B` inside the
//! evaluation of the plane ([`super::horner`]).
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `clamp l` | 5 | `active (1 - q_max) a y (R - y) = 0` | give any `y` with a fitting `a` | `forge_clamp` |
//! | `y l`, `a l`, ... | lookups | ranges of y, a, r1, r0, d1 - 1 - r1 ([`super::logup`]) | trade quotient for remainder | `forge_range_of_y`, `_a`, `_r1`, `_r0`, `_gap` |
//!
//! No wrap: `|m acc| + |B| + d < 2^64`, checked for every operator when the plan is made, and the ranges of y and a leave
//! `d |t| < 2^85` to any prover, so the field equation is an integer equation, and `0 <= r < d` makes quotient and remainder
//! unique.

use super::columns::{Columns, LaneCells};
use crate::params::CircuitParams;
use crate::quant::DIVISOR_SHIFT;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// R of the row.
fn range(params: &CircuitParams, columns: &Columns) -> Expression<Fr> {
    match &columns.mixed {
        Some(mixed) => mixed.range.cur(),
        None => super::constant(u64::from(params.ranges[0])),
    }
}

/// 1 in rows that are not max rows.
fn not_max(columns: &Columns) -> Expression<Fr> {
    columns
        .max
        .map_or_else(|| super::constant(1), |q| super::constant(1) - q.cur())
}

/// The clamp of every lane.
pub(crate) fn configure(meta: &mut ConstraintSystem<Fr>, params: &CircuitParams, columns: &Columns) {
    meta.create_gate("requantize", |_| {
        let active = columns.active.cur();
        let range = range(params, columns);
        let clamps = columns.cells(params).into_iter().enumerate().map(|(l, cells)| {
            let (a, y) = (cells.a, cells.y);
            let on = if columns.max.is_some() {
                active.clone() * not_max(columns)
            } else {
                active.clone()
            };
            // active (1 - q_max) a y (R - y) = 0
            (format!("clamp {l}"), on * a * y.clone() * (range.clone() - y))
        });
        clamps.collect::<Vec<_>>()
    });
}

/// `m acc = d t + r - B` of a lane.
pub(crate) fn accumulator(params: &CircuitParams, columns: &Columns, cells: &LaneCells) -> Expression<Fr> {
    let unit = Fr::from(1 << DIVISOR_SHIFT);
    let d = (columns.d1_minus_1.cur() + super::constant(1)) * unit;
    let (y, a) = (cells.y.clone(), cells.a.clone());
    let r = cells.r1.clone() * unit + cells.r0.clone();
    let b = columns.b.cur();
    match &columns.mixed {
        // d (y - a) + (2 d / R) a y + r - B
        Some(mixed) => d * (y.clone() - a.clone()) + mixed.slope.cur() * a * y + r - b,
        // d (y - a + (2 / R) a y) + r - B
        None => {
            let inverse: Option<Fr> = Fr::from(u64::from(params.ranges[0])).invert().into();
            let slope = Fr::from(2) * inverse.unwrap_or_default();
            d * (y.clone() - a.clone() + a * y * slope) + r - b
        }
    }
}
