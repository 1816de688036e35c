//! What a plan costs, and which plans are worth building.

use super::lower::{Kind, Lowered};
use super::predict::{Rates, Work};
use super::{K_RANGE, Plan, PlanOptions, RESERVED_ROWS};
use crate::graph::Graph;
use crate::ops::Op;
use crate::params::{CircuitParams, Clamp, MAX_CLAMP, MAX_LANES, MAX_WEIGHT_LANES, Pattern};
use crate::quant::DIVISOR_SHIFT;
use serde::Serialize;

/// What the planner minimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimize {
    /// Prover time.
    Time,
    /// Proof size.
    Size,
    /// Prover memory.
    Memory,
    /// Prover time, with a price on proof size.
    #[default]
    Balanced,
}

/// Counts of one plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Rows of the tape.
    pub tape_rows: usize,
    /// Rows of the glue program (weights, identities, overhang).
    pub glue_rows: usize,
    /// Rows before it: the public ones, where they are folded.
    pub glue_begins: usize,
    /// Rows of the lookup table.
    pub table_rows: usize,
    /// Requantized and pooled values; graph inputs not counted.
    pub activations: usize,
    /// Values of the graph's inputs.
    pub inputs: usize,
    /// Weights with a place in a fixed column.
    pub weights: usize,
    /// Cells of small advice columns over all rows.
    pub cells_small: usize,
    /// Cells of full-size advice columns over all rows.
    pub cells_full: usize,
    /// Overhang cells that are used.
    pub overhang: usize,
    /// Small advice columns.
    pub columns_small: usize,
    /// Full-size advice columns.
    pub columns_full: usize,
    /// Fixed columns.
    pub columns_fixed: usize,
    /// Columns under the permutation argument.
    pub columns_permutation: usize,
    /// Degree of the constraint system.
    pub degree: usize,
    /// Bytes of the halo2 proof with KZG and SHPLONK.
    pub proof_bytes: usize,
}

/// Up to this size of a proof, by inference, a balanced plan looks at time alone.
const BALANCED_BYTES: f64 = 3000.0;

/// Columns under the permutation argument: value evaluation, accumulator evaluation, X.
pub const PERMUTATION_COLUMNS: usize = 3;
/// Degree of the constraint system.
pub const DEGREE: usize = 5;

impl Cost {
    /// Rows that must be had.
    #[must_use]
    pub fn rows_needed(&self) -> usize {
        let glue = self.glue_begins + self.glue_rows;
        self.tape_rows.max(glue).max(self.table_rows)
    }

    /// Counts of a built plan.
    pub(crate) fn of(graph: &Graph, plan: &Plan) -> Self {
        let p = &plan.params;
        let n = 1usize << plan.k;
        let values = |h: &super::lower::Home| plan.batch * h.index.len();
        let inputs = graph.inputs.len();
        Self {
            tape_rows: plan.rows.len(),
            glue_rows: plan.program.rows.len() - plan.glue_begins(),
            glue_begins: plan.glue_begins(),
            table_rows: p.table_rows(),
            activations: plan.lowered.homes.iter().skip(inputs).map(values).sum(),
            inputs: plan.lowered.homes.iter().take(inputs).map(values).sum(),
            weights: plan.program.weights.len(),
            cells_small: n * p.num_small_columns(),
            cells_full: n * p.num_full_columns(),
            overhang: plan.program.overhang.len(),
            columns_small: p.num_small_columns(),
            columns_full: p.num_full_columns(),
            columns_fixed: p.num_fixed_columns(),
            columns_permutation: PERMUTATION_COLUMNS,
            degree: DEGREE,
            proof_bytes: proof_bytes(p, plan.k, plan.opening),
        }
    }
}

/// How a commitment scheme opens polynomials, as far as the price of a plan depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Opening {
    /// SHPLONK: two points.
    #[default]
    Shplonk,
    /// GWC: one point for each of the rotations.
    Gwc,
    /// The inner product argument: two points for each doubling of the rows.
    Ipa,
}

/// Rotations at which something is opened, and as many sets of them.
const ROTATIONS: usize = 3;

impl Opening {
    /// Points and scalars in a proof for `2^k` rows; `folded` public rows are opened at a rotation of their own.
    #[must_use]
    pub fn elements(self, k: u32, folded: bool) -> usize {
        let rotations = ROTATIONS + usize::from(folded);
        match self {
            Self::Shplonk => 2,
            Self::Gwc => rotations,
            // The quotient, the mask, the rounds; a value for each set, and the last two scalars.
            Self::Ipa => 2 + 2 * k as usize + rotations + 2,
        }
    }
}

/// Bytes of a proof for `2^k` rows: 32 per commitment and per evaluation.
#[must_use]
pub fn proof_bytes(p: &CircuitParams, k: u32, opening: Opening) -> usize {
    let advice = p.num_small_columns() + p.num_full_columns();
    // One permutation product, the random polynomial, degree - 1 quotient pieces.
    let commitments = advice + 1 + 1 + (DEGREE - 1);
    // Running sum, both plane evaluations, K, G and X of folded rows are read at two rows.
    let evaluations =
        advice + 5 + usize::from(p.folded.is_some()) + p.num_fixed_columns() + 1 + PERMUTATION_COLUMNS + 2;
    32 * (commitments + evaluations + opening.elements(k, p.folded.is_some()))
}

/// One choice to build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub k: u32,
    pub lanes: usize,
    pub limb_split: u32,
    pub weight_lanes: usize,
    pub clamp: Clamp,
    /// Glue rows without the walk over exponents.
    pub glue_rows: usize,
    score: f64,
}

/// Tape rows of one inference for this many lanes.
fn tape_rows(lowered: &Lowered, lanes: usize) -> usize {
    let rows = |h: &super::lower::Home| {
        if h.flat {
            return h.index.len().div_ceil(lanes);
        }
        let g = &h.geometry;
        let phases = (0..g.phases.0).flat_map(|a| (0..g.phases.1).map(move |b| (a, b)));
        let per_channel: usize = phases
            .map(|p| {
                let (height, width) = g.plane_size(p);
                let chunks = if h.breaks.is_empty() {
                    width.div_ceil(lanes)
                } else {
                    g.starts(p.1, lanes, &h.breaks).len()
                };
                height * chunks
            })
            .sum();
        g.channels * per_channel
    };
    lowered.homes.iter().map(rows).sum()
}

/// Glue rows for this many weight lanes; an estimate that leaves out the walk over exponents.
fn glue_rows(graph: &Graph, lowered: &Lowered, weight_lanes: usize) -> usize {
    let rows = |s: &super::lower::Step| {
        let phases = |h: usize| {
            let (a, b) = lowered.homes[h].geometry.phases;
            a * b
        };
        let q = phases(s.output);
        let outputs = |s: &super::lower::Step, channels: usize| match s.kind {
            Kind::Corrections(_) => lowered.homes[s.output].geometry.channels,
            _ => channels,
        };
        match &s.kind {
            Kind::Max(_, m) => 9 * m.channels * q,
            Kind::Copy(..) => 2 * lowered.homes[s.output].geometry.channels * q,
            Kind::Node(n) | Kind::Corrections(n) => match &graph.nodes[*n].op {
                Op::Conv2d(c) => {
                    let taps = c.window.kernel.0 * c.window.kernel.1 * q;
                    let runs = if c.groups == c.c_in && c.c_in == c.c_out {
                        outputs(s, c.c_out)
                    } else {
                        c.c_in * (outputs(s, c.c_out) * q).div_ceil(weight_lanes)
                    };
                    taps * runs + outputs(s, c.c_out) * q
                }
                Op::Dense(d) => d.k * q * (outputs(s, d.n) * q).div_ceil(weight_lanes) + outputs(s, d.n) * q,
                Op::AvgPool(p) => {
                    2 * p.channels * phases(s.inputs[0].home) + p.window.kernel.0 * p.window.kernel.1
                }
                Op::Add(_) => 3 * lowered.homes[s.output].geometry.channels * q,
                Op::MaxPool(_) | Op::View(_) => 0,
            },
        }
    };
    lowered.steps.iter().map(rows).sum()
}

/// Rows below which no plan can have its tape and its glue.
pub(crate) fn fewest_rows(graph: &Graph, lowered: &Lowered, options: &PlanOptions) -> usize {
    let lanes = options.lanes.map_or(MAX_LANES, |l| l as usize);
    let glue = (1..=MAX_WEIGHT_LANES).map(|w| glue_rows(graph, lowered, w)).min();
    (options.batch * tape_rows(lowered, lanes)).max(glue.unwrap_or(0)) + RESERVED_ROWS
}

/// What all candidates have in common.
pub(crate) struct Demand {
    /// Largest clamp magnitude.
    pub excess: u32,
    /// Distinct ranges.
    pub ranges: Vec<u32>,
    /// The graph has max pools.
    pub max_rows: bool,
    /// Inferences.
    pub batch: usize,
}

/// Ways to range the clamp magnitude.
fn clamps(demand: &Demand, limb_split: u32) -> Vec<Clamp> {
    let bits = DIVISOR_SHIFT / limb_split;
    let limbs = (u32::BITS - demand.excess.leading_zeros()).div_ceil(bits).max(1);
    let mut ways = vec![Clamp::Limbs(limbs)];
    if limbs > 1 && demand.excess as usize <= MAX_CLAMP {
        ways.push(Clamp::Range(demand.excess.max(255)));
    }
    if !demand.max_rows && demand.excess as usize <= MAX_CLAMP {
        ways.push(Clamp::Pair(demand.excess.max(1)));
    }
    ways
}

/// Choices in the order in which they are worth building; each k with the fewest lanes and weight lanes that may fit.
pub(crate) fn candidates(
    graph: &Graph,
    lowered: &Lowered,
    demand: &Demand,
    options: &PlanOptions,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let lane_range = options.lanes.map_or(1..=MAX_LANES, |l| l as usize..=l as usize);
    let glue: Vec<usize> = (1..=MAX_WEIGHT_LANES)
        .map(|w| glue_rows(graph, lowered, w))
        .collect();
    for lanes in lane_range {
        let tape = demand.batch * tape_rows(lowered, lanes);
        for limb_split in options.limb_split.map_or(1..=3, |q| q..=q) {
            for clamp in clamps(demand, limb_split) {
                for k in options.k.map_or(K_RANGE, |k| k..=k) {
                    let room = (1usize << k).saturating_sub(RESERVED_ROWS);
                    if tape > room {
                        continue;
                    }
                    for (weight_lanes, glue_rows) in (1..).zip(&glue).filter(|(_, rows)| **rows <= room) {
                        let choice = Candidate {
                            k,
                            lanes,
                            limb_split,
                            weight_lanes,
                            clamp,
                            glue_rows: *glue_rows,
                            score: 0.0,
                        };
                        found.extend(priced(choice, demand, options));
                    }
                }
            }
        }
    }
    found.sort_by(|a, b| a.score.total_cmp(&b.score));
    found
}

/// The candidate with its score, or `None` when its table does not fit.
fn priced(choice: Candidate, demand: &Demand, options: &PlanOptions) -> Option<Candidate> {
    let Candidate {
        k,
        lanes,
        limb_split,
        weight_lanes,
        clamp,
        ..
    } = choice;
    let shape = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    let params = CircuitParams {
        lanes: shape(lanes),
        limb_split,
        clamp,
        weight_lanes: shape(weight_lanes),
        ranges: demand.ranges.clone(),
        max_rows: demand.max_rows,
        value_steps: vec![1],
        accumulator_steps: vec![1],
        patterns: vec![
            Pattern {
                valid: 1,
                value_base: 1,
                accumulator_base: 1
            };
            1 + usize::from(lanes > 1)
        ],
        ..CircuitParams::default()
    };
    if params.table_rows() + RESERVED_ROWS > 1 << k {
        return None;
    }
    let work = Work::new(&params, k, options.opening);
    let prediction = work.predict(&Rates::default());
    let size = f64::from(shape(proof_bytes(&params, k, options.opening)));
    let each = size / f64::from(shape(demand.batch));
    let score = match options.optimize {
        Optimize::Time => prediction.cpu_ms,
        Optimize::Size => size + prediction.cpu_ms * 1e-9,
        Optimize::Memory => f64::from(shape(
            usize::try_from(prediction.peak_bytes >> 10).unwrap_or(usize::MAX),
        )),
        Optimize::Balanced => prediction.cpu_ms * (each / BALANCED_BYTES).max(1.0),
    };
    Some(Candidate { score, ..choice })
}
