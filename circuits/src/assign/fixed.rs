//! Fixed columns and copies: they depend on the graph and the plan alone.

use super::field;
use crate::chips::glue::{g_step, k_step};
use crate::chips::tape::public;
use crate::graph::Graph;
use crate::params::STEPS_PER_COLUMN;
use crate::plan::{Evaluated, GStep, KStep, Kind, Plan, Source};
use crate::quant::DIVISOR_SHIFT;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

/// Which evaluation column a copy starts from.
pub(crate) type CopyFrom = (Evaluated, usize);

/// Values of the fixed columns, each with one value per active row and the last of the running sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct FixedTables {
    pub active: Vec<Fr>,
    pub boundary: Vec<Fr>,
    pub public: Vec<Fr>,
    pub d1_minus_1: Vec<Fr>,
    pub b: Vec<Fr>,
    pub table_value: Vec<Fr>,
    pub table_tag: Vec<Fr>,
    pub table_second: Vec<Fr>,
    pub k_step: Vec<Fr>,
    pub g_step: Vec<Fr>,
    pub coef: Vec<Fr>,
    pub range: Vec<Fr>,
    pub tag: Vec<Fr>,
    pub slope: Vec<Fr>,
    pub zero: Vec<Fr>,
    pub max: Vec<Fr>,
    /// Selectors of all patterns but the first.
    pub patterns: Vec<Vec<Fr>>,
    pub value_steps: Vec<Vec<Fr>>,
    /// Empty when the steps are shared.
    pub accumulator_steps: Vec<Vec<Fr>>,
    pub weights: Vec<Vec<Fr>>,
    /// `(evaluation column, row) -> row of X`.
    pub copies: Vec<(CopyFrom, usize)>,
}

/// Opcode of a step of K.
fn k_op(step: KStep) -> u64 {
    match step {
        KStep::Start => k_step::START,
        KStep::Chunk => k_step::CHUNK,
        KStep::Power => k_step::POWER,
        KStep::Shift => k_step::SHIFT,
    }
}

/// Opcode of a step of G.
fn g_op(step: GStep) -> u64 {
    match step {
        GStep::Reset => g_step::RESET,
        GStep::Carry => g_step::CARRY,
        GStep::Shift => g_step::SHIFT,
        GStep::ShiftOverhang => g_step::SHIFT_OVERHANG,
        GStep::Check => g_step::CHECK,
    }
}

/// Opcode of a public row.
fn public_op(plan: &Plan, row: usize) -> u64 {
    match plan.params.folded.map(|rows| rows as usize) {
        Some(stated) if row < stated => public::STATE,
        Some(stated) if row + stated < plan.public_rows => public::CARRY,
        _ => public::LAST,
    }
}

/// Last tape row of a plane: where its evaluation is complete.
pub(crate) fn last_row(plan: &Plan, source: Source) -> usize {
    plan.planes[source.home][source.plane].last_row()
}

/// Builds all fixed columns.
pub(crate) fn fixed_tables(graph: &Graph, plan: &Plan) -> FixedTables {
    let rows = plan.active_rows();
    let column = || vec![Fr::ZERO; rows + 1];
    let mut t = FixedTables {
        active: column(),
        boundary: column(),
        public: column(),
        d1_minus_1: column(),
        b: column(),
        table_value: column(),
        table_tag: column(),
        table_second: column(),
        k_step: column(),
        g_step: column(),
        coef: column(),
        range: column(),
        tag: column(),
        slope: column(),
        zero: column(),
        max: column(),
        patterns: (1..plan.params.patterns.len()).map(|_| column()).collect(),
        value_steps: (0..plan.params.num_step_columns().0).map(|_| column()).collect(),
        accumulator_steps: (0..plan.params.num_step_columns().1).map(|_| column()).collect(),
        weights: (0..plan.params.num_weight_lanes()).map(|_| column()).collect(),
        copies: Vec::new(),
    };
    t.active[..rows].fill(Fr::ONE);
    t.boundary[0] = Fr::ONE;
    t.boundary[rows] = Fr::ONE;
    for (r, opcode) in t.public[..plan.public_rows].iter_mut().enumerate() {
        *opcode = Fr::from(public_op(plan, r));
    }
    fill_table(&mut t, plan);
    fill_tape(&mut t, graph, plan);
    fill_glue(&mut t, plan);
    t
}

/// The lookup table.
fn fill_table(t: &mut FixedTables, plan: &Plan) {
    for (row, (value, tag, second)) in plan.params.table().enumerate() {
        t.table_value[row] = Fr::from(value);
        t.table_tag[row] = Fr::from(tag);
        t.table_second[row] = Fr::from(second);
    }
}

/// Opcode of a step, where the evaluation has columns of its own.
fn name_step(columns: &mut [Vec<Fr>], step: usize, r: usize) {
    let Some(step) = step.checked_sub(1) else { return };
    if let Some(column) = columns.get_mut(step / STEPS_PER_COLUMN) {
        column[r] = Fr::from((step % STEPS_PER_COLUMN + 1) as u64);
    }
}

fn fill_tape(t: &mut FixedTables, graph: &Graph, plan: &Plan) {
    let is_max: Vec<bool> = (0..plan.lowered.homes.len())
        .map(|h| {
            plan.lowered
                .steps
                .iter()
                .any(|s| s.output == h && matches!(s.kind, Kind::Max(..)))
        })
        .collect();
    for (r, (row, affine)) in plan.rows.iter().zip(plan.affines(graph)).enumerate() {
        let home = &plan.lowered.homes[row.home];
        name_step(&mut t.value_steps, row.value_step, r);
        name_step(&mut t.accumulator_steps, row.accumulator_step, r);
        if let Some(pattern) = row.pattern.checked_sub(1) {
            t.patterns[pattern][r] = Fr::ONE;
        }
        t.zero[r] = field(home.zero);
        t.range[r] = Fr::from(u64::from(home.range));
        t.tag[r] = Fr::from(plan.params.tag(home.range).unwrap_or_default());
        if is_max[row.home] {
            t.max[r] = Fr::ONE;
            t.d1_minus_1[r] = Fr::from((1 << DIVISOR_SHIFT) - 1);
        }
        if let Some(affine) = affine {
            let d = affine.divisor();
            t.d1_minus_1[r] = Fr::from(u64::from(affine.d1 - 1));
            t.b[r] = field(affine.b) - field(d) * field(i64::from(home.lo));
            let inverse: Option<Fr> = Fr::from(u64::from(home.range)).invert().into();
            t.slope[r] = field(d).double() * inverse.unwrap_or_default();
        }
    }
}

fn fill_glue(t: &mut FixedTables, plan: &Plan) {
    for (r, row) in plan.program.rows.iter().enumerate() {
        t.k_step[r] = Fr::from(k_op(row.k_step));
        t.g_step[r] = Fr::from(g_op(row.g_step));
        t.coef[r] = field(row.coef);
        if let Some(source) = row.source {
            t.copies.push(((source.of, last_row(plan, source)), r));
        }
    }
    for &(r, lane, w) in &plan.program.weights {
        // Taps that meet at one exponent share the place.
        t.weights[lane][r] += field(w);
    }
}
