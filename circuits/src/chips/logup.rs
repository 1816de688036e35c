//! Ranges by a logarithmic-derivative lookup.
//!
//! Each looked-up expression `e` is `value + theta tag + theta^2 second`; the second component is the clamp magnitude
//! where it is looked up together with its value, and 0 elsewhere. With the table entries `t` and their multiplicities `m`
//!
//! ```text
//! sum over rows and expressions 1 / (beta + e)  =  sum over rows m / (beta + t)
//! ```
//!
//! holds at a random beta only if every `e` is in the table. Helpers hold the sums of three fractions, the running sum
//! takes two more and the table's fraction.
//!
//! | id | degree | constraint | dropped, a prover could ... | test |
//! |---|---|---|---|---|
//! | `helper i` | 5 | `active (h e1 e2 e3 - e1 e2 - e1 e3 - e2 e3) = 0` | leave three ranges | `forge_helper` |
//! | `running sum` | 5 | `active ((s' - s - sum h) t e1 e2 - t (e1 + e2) + m e1 e2) = 0` | leave all ranges | `forge_running_sum` |
//! | `boundary` | 2 | `q_bound s = 0` in the first and the last row | add any constant to the sum | `forge_boundary` |
//!
//! Multiplicities are free field elements: any choice that satisfies the equation for random beta puts every `e` in the
//! table as long as there are fewer lookups than the modulus. Error: (lookups + table rows) / |F|.

use super::columns::{Columns, LaneCells};
use super::constant;
use crate::params::{CircuitParams, EXPRESSIONS_IN_SUM, EXPRESSIONS_PER_HELPER};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::plonk::{ConstraintSystem, Expression};

/// A looked-up value with the tag of its range.
pub(crate) struct Lookup {
    /// For messages and for tests that drop it.
    pub name: String,
    pub value: Expression<Fr>,
    pub tag: Expression<Fr>,
    /// Second component.
    pub second: Expression<Fr>,
}

/// The looked-up expressions of one lane.
fn lane_lookups(params: &CircuitParams, columns: &Columns, l: usize, cells: LaneCells) -> Vec<Lookup> {
    let tag = match &columns.mixed {
        Some(mixed) => mixed.tag.cur(),
        None => constant(1),
    };
    let bits = params.limb_bits();
    let lookup = |name: &str, i: usize, value, tag| Lookup {
        name: format!("{name} {l}.{i}"),
        value,
        tag,
        second: constant(0),
    };
    let second = if params.is_paired() {
        cells.a.clone()
    } else {
        constant(0)
    };
    let mut found = vec![Lookup {
        name: format!("y {l}"),
        value: cells.y,
        tag,
        second,
    }];
    // d1 - 1 - r1 - sum_(i > 0) gap_i 2^(bits i)
    let mut low = columns.d1_minus_1.cur() - cells.r1;
    for (i, gap) in (1u32..).zip(&cells.gap_limbs) {
        low = low - gap.clone() * Fr::from(1u64 << (bits * i));
    }
    let clamp = if params.is_paired() {
        Vec::new()
    } else {
        cells.a_limbs
    };
    let groups = [
        ("a", clamp, params.clamp_tag()),
        ("r1", cells.r1_limbs, 0),
        ("r0", cells.r0_limbs, 0),
    ];
    for (name, limbs, tag) in groups {
        found.extend(
            limbs
                .into_iter()
                .enumerate()
                .map(|(i, value)| lookup(name, i, value, constant(tag))),
        );
    }
    found.push(lookup("gap", 0, low, constant(0)));
    let gaps = cells.gap_limbs.into_iter().enumerate();
    found.extend(gaps.map(|(i, value)| lookup("gap", i + 1, value, constant(0))));
    found
}

/// All looked-up expressions, lane by lane.
pub(crate) fn lookups(params: &CircuitParams, columns: &Columns) -> Vec<Lookup> {
    let lanes = columns.cells(params).into_iter().enumerate();
    lanes
        .flat_map(|(l, cells)| lane_lookups(params, columns, l, cells))
        .collect()
}

/// `prod_i e_i` and `sum_i prod_(j != i) e_j`.
fn fractions(denominators: &[Expression<Fr>]) -> (Expression<Fr>, Expression<Fr>) {
    let mut product = constant(1);
    let mut sum = constant(0);
    for e in denominators {
        sum = sum * e.clone() + product.clone();
        product = product * e.clone();
    }
    (product, sum)
}

/// The argument over all lookups but those named in `dropped`, which is empty outside tests.
pub(crate) fn configure(
    meta: &mut ConstraintSystem<Fr>,
    params: &CircuitParams,
    columns: &Columns,
    dropped: &[String],
) {
    let (beta, theta) = (columns.challenges.beta.expr(), columns.challenges.theta.expr());
    let denominator = |lookup: &Lookup| {
        if dropped.contains(&lookup.name) {
            // A constant entry of the table instead of the cell.
            beta.clone()
        } else {
            beta.clone()
                + lookup.value.clone()
                + theta.clone() * (lookup.tag.clone() + theta.clone() * lookup.second.clone())
        }
    };
    let all: Vec<Expression<Fr>> = lookups(params, columns).iter().map(denominator).collect();
    let (in_sum, in_helpers) = all.split_at(EXPRESSIONS_IN_SUM.min(all.len()));
    meta.create_gate("logup", |_| {
        let active = columns.active.cur();
        let mut constraints = Vec::new();
        let mut total = constant(0);
        for (i, (part, column)) in in_helpers
            .chunks(EXPRESSIONS_PER_HELPER)
            .zip(&columns.helpers)
            .enumerate()
        {
            let h = column.cur();
            let (product, sum) = fractions(part);
            total = total + h.clone();
            // active (h e1 e2 e3 - e1 e2 - e1 e3 - e2 e3) = 0
            constraints.push((format!("helper {i}"), active.clone() * (h * product - sum)));
        }
        let (s, s_next) = (columns.sum.cur(), columns.sum.next());
        let second = columns
            .table_second
            .map_or_else(|| constant(0), |column| column.cur());
        let t = beta.clone()
            + columns.table_value.cur()
            + theta.clone() * (columns.table_tag.cur() + theta.clone() * second);
        let m = columns.multiplicity.cur();
        let (product, sum) = fractions(in_sum);
        // active ((s' - s - sum h) t e1 e2 - t (e1 + e2) + m e1 e2) = 0
        let step = (s_next - s.clone() - total) * t.clone() * product.clone() - t * sum + m * product;
        constraints.push(("running sum".to_owned(), active * step));
        // q_bound s = 0
        constraints.push(("boundary".to_owned(), columns.boundary.cur() * s));
        constraints
    });
}

/// Zero denominators occur with negligible probability; the honest prover then fails with an unsatisfied circuit.
pub(crate) fn invert_all(values: &mut [Fr]) {
    let mut prefix = Vec::with_capacity(values.len());
    let mut product = Fr::ONE;
    for v in values.iter() {
        prefix.push(product);
        if !bool::from(v.is_zero()) {
            product *= v;
        }
    }
    let inverse: Option<Fr> = product.invert().into();
    let mut inverse = inverse.unwrap_or(Fr::ONE);
    for (v, before) in values.iter_mut().zip(prefix).rev() {
        if !bool::from(v.is_zero()) {
            let inverted = inverse * before;
            inverse *= *v;
            *v = inverted;
        }
    }
}
