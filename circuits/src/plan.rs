//! The plan of a circuit: where every tensor lies, which identity ties which planes, and the choice of rows and lanes.
//!
//! A plan depends on the graph and the options alone, never on a witness.

mod account;
mod cost;
mod glue;
mod identity;
pub(crate) mod layout;
mod lower;
mod predict;
mod public;
mod terms;

pub use account::{FIELD_BITS, Risk};
pub use cost::{Cost, Optimize};
pub(crate) use glue::{GStep, KStep, Program};
pub(crate) use identity::{Evaluated, Identity, Source};
pub(crate) use lower::{Kind, Lowered};
pub use predict::{Prediction, Rates, Work, bucket_additions};
pub use public::FOLD_FROM;

use crate::graph::{Graph, Node, TensorId};
use crate::ops::{Add, Conv2d, Dense, Op};
use crate::params::{CircuitParams, Pattern};
use crate::quant::{Affine, ChannelRequantize};
use crate::tensor::DType;
use layout::{Plane, Point};
use lower::{Home, Step};
use public::{folded, place, public_homes};
use std::collections::HashMap;
use terms::Context;

/// Rows at the end of every column that cannot be used: blinding, and the one that closes the running sum.
pub const RESERVED_ROWS: usize = 7;
/// Smallest and largest number of rows, as a power of two.
pub const K_RANGE: std::ops::RangeInclusive<u32> = 4..=24;

/// Why a graph has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The operator or its surroundings cannot be laid out.
    #[error("node `{node}` needs {reason}, which is not supported; rewrite that part of the model")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// What it needs.
        reason: &'static str,
    },
    /// A tensor is read that nothing makes.
    #[error("tensor `{name}` is read before it is made; the graph was not validated")]
    UnknownTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A count passes its limit.
    #[error("{what} is {size}, the limit is {limit}; split the model")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An intermediate integer could leave the range in which the field equation is an integer equation.
    #[error(
        "node `{node}`: |m * acc| + |B| + d may reach 2^{bits}, the limit is 2^{limit}; lower the weight range"
    )]
    Bound {
        /// Name of the node.
        node: String,
        /// Bits that it may reach.
        bits: u32,
        /// The limit.
        limit: u32,
    },
    /// No row stride keeps window and overhang apart.
    #[error(
        "no row stride keeps the outputs of a window apart from the values outside it; report this model"
    )]
    RowStride,
    /// Strides along different paths do not agree.
    #[error("the strides along different paths between two tensors do not agree; remove one of the paths")]
    Phases,
    /// The options ask for what cannot be had.
    #[error("no plan with {wanted}; the model needs at least {rows} rows")]
    NoPlan {
        /// The options that were asked for.
        wanted: String,
        /// Rows of the nearest plan.
        rows: usize,
    },
}

impl PlanError {
    pub(crate) fn unknown_tensor(graph: &Graph, id: TensorId) -> Self {
        Self::UnknownTensor {
            name: graph
                .tensors
                .get(id.0)
                .map(|t| t.name.clone())
                .unwrap_or_default(),
        }
    }
}

/// What the caller may choose; `None` leaves the choice to the planner.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions {
    /// Log2 of the number of rows.
    pub k: Option<u32>,
    /// Lanes of the tape.
    pub lanes: Option<u32>,
    /// Cells per 12-bit limb.
    pub limb_split: Option<u32>,
    /// What to minimize.
    pub optimize: Optimize,
    /// Public rows from which on several share an instance value; by default [`FOLD_FROM`].
    pub fold_from: Option<usize>,
}

impl PlanOptions {
    /// What was asked for, in words.
    fn wanted(&self) -> String {
        let named = [
            ("rows 2^", self.k),
            ("lanes ", self.lanes),
            ("limb split ", self.limb_split),
        ];
        let parts: Vec<String> = named
            .iter()
            .filter_map(|(name, value)| value.map(|v| format!("{name}{v}")))
            .collect();
        match parts[..] {
            [] => "any number of rows and lanes".to_owned(),
            _ => parts.join(", "),
        }
    }
}

/// What a row of the tape holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TapeRow {
    /// Index of the value step in [`CircuitParams::value_steps`], plus one; 0 starts a plane.
    pub value_step: usize,
    /// Likewise in [`CircuitParams::accumulator_steps`].
    pub accumulator_step: usize,
    /// Index in [`CircuitParams::patterns`].
    pub pattern: usize,
    /// Valid lanes.
    pub valid: usize,
    /// Home.
    pub home: usize,
    /// Plane of the home.
    pub plane: usize,
    /// Position of lane 0 in the plane.
    pub offset: usize,
}

/// A complete layout.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Log2 of the number of rows.
    pub k: u32,
    /// Columns.
    pub params: CircuitParams,
    /// Counts and estimates.
    pub cost: Cost,
    /// Row stride S: exponent distance between image rows.
    pub row_stride: usize,
    pub(crate) lowered: Lowered,
    pub(crate) planes: Vec<Vec<Plane>>,
    pub(crate) rows: Vec<TapeRow>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) program: Program,
    pub(crate) public_rows: usize,
}

impl Plan {
    /// Chooses a plan for the graph.
    ///
    /// # Errors
    /// [`PlanError`] when a part of the graph cannot be laid out, a bound is passed, or the options cannot be met.
    pub fn new(graph: &Graph, options: &PlanOptions) -> Result<Self, PlanError> {
        let lowered = lower::lower(graph)?;
        check_bounds(graph, &lowered)?;
        let max_rows = lowered.steps.iter().any(|s| matches!(s.kind, Kind::Max(..)));
        // The first difference of a max row lies in the clamp magnitude's cells.
        let excess = excess_bound(graph).max(if max_rows { 255 } else { 0 });
        let excess = u32::try_from(excess).unwrap_or(u32::MAX);
        let demand = cost::Demand {
            excess,
            ranges: ranges(&lowered),
            max_rows,
        };
        let mut shortest = usize::MAX;
        // Rows of the walk over exponents, which depends on the lanes, from the plans that were built.
        let mut walks: HashMap<usize, usize> = HashMap::new();
        for candidate in cost::candidates(graph, &lowered, &demand, options) {
            let room = (1usize << candidate.k) - RESERVED_ROWS;
            let walk = walks.get(&candidate.lanes).copied().unwrap_or(0);
            if candidate.glue_rows + walk > room {
                shortest = shortest.min(candidate.glue_rows + walk);
                continue;
            }
            let built = Self::build(graph, &lowered, candidate, options.fold_from.unwrap_or(FOLD_FROM))?;
            let rows = built.cost.rows_needed();
            if rows <= room {
                return Ok(built);
            }
            shortest = shortest.min(rows);
            let walk = built.cost.glue_rows.saturating_sub(candidate.glue_rows);
            let known = walks.entry(candidate.lanes).or_insert(walk);
            *known = walk.min(*known);
        }
        Err(PlanError::NoPlan {
            wanted: options.wanted(),
            rows: shortest,
        })
    }

    /// Lays everything out for one choice of k, lanes, limbs and weight lanes. The rows may not fit.
    fn build(
        graph: &Graph,
        lowered: &Lowered,
        choice: cost::Candidate,
        fold_from: usize,
    ) -> Result<Self, PlanError> {
        let lanes = choice.lanes;
        let mut planes: Vec<Vec<Plane>> = lowered.homes.iter().map(|h| cut(h, lanes)).collect();
        let public = public_homes(graph, lowered)?;
        let (num_rows, public_rows) = place(&mut planes, &public, lanes);
        let widest = planes
            .iter()
            .flatten()
            .map(|p| lanes * p.chunks(lanes))
            .max()
            .unwrap_or(1);
        let lopsided = lowered
            .homes
            .iter()
            .flat_map(|h| [h.value_scale, h.accumulator_scale]);
        let mut stride = widest * lopsided.map(|s| s.1.div_ceil(s.0)).max().unwrap_or(1);
        let highest = 4 * stride + 64;
        let identities = loop {
            let at = Point { lanes, stride };
            let context = Context {
                graph,
                lowered,
                planes: &planes,
                at,
                weight_lanes: choice.weight_lanes,
            };
            let found = lowered
                .steps
                .iter()
                .map(|s| context.identity(s))
                .collect::<Result<Vec<_>, _>>();
            match found {
                Err(PlanError::RowStride) if stride < highest => stride += 1,
                other => break other?,
            }
        };
        let mut program = Program::default();
        for (n, identity) in identities.iter().enumerate() {
            program.append(n, identity, choice.weight_lanes);
        }
        let tape = Tape::new(lowered, &planes, num_rows, Point { lanes, stride });
        let folded = folded(public_rows, lanes, fold_from);
        let params = circuit_params(lowered, &choice, &tape, folded)?;
        let rows = tape.rows;
        let mut plan = Self {
            k: choice.k,
            params,
            cost: Cost::default(),
            row_stride: stride,
            lowered: lowered.clone(),
            planes,
            rows,
            identities,
            program,
            public_rows,
        };
        plan.cost = Cost::of(graph, &plan);
        Ok(plan)
    }

    /// Counts of the prover's primitive operations.
    #[must_use]
    pub fn work(&self) -> Work {
        Work::new(&self.params, self.k)
    }

    /// Integers of the requantization of a plane: `None` for inputs and max pools.
    pub(crate) fn affine(&self, graph: &Graph, home: usize, plane: usize) -> Option<Affine> {
        let step = self.lowered.steps.iter().find(|s| s.output == home)?;
        let geometry = &self.lowered.homes[home].geometry;
        let channel = plane / (geometry.phases.0 * geometry.phases.1);
        let op = &graph.nodes[step.node()].op;
        let sum = |a: &Add| Affine {
            m: 1,
            b: a.b,
            d1: a.d1,
        };
        match &step.kind {
            Kind::Corrections(_) => {
                let (_, correction) = op.requantize()?.corrections().nth(channel)?;
                return Some(self.lowered.homes[home].correction(correction.from));
            }
            Kind::Copy(_, add) => return Some(sum(add)),
            Kind::Max(..) => return None,
            Kind::Node(_) => {}
        }
        match op {
            Op::Conv2d(Conv2d { requantize, .. }) | Op::Dense(Dense { requantize, .. }) => {
                let fit = requantize.channels.get(channel)?;
                let Affine { m, b, d1 } = fit.affine;
                let b = b - self.level_above_zero(step) * fit.corrections.iter().map(|c| c.add).sum::<i64>();
                Some(Affine { m, b, d1 })
            }
            Op::AvgPool(p) => Some(p.requantize.channels[0].affine),
            Op::Add(a) => Some(sum(a)),
            Op::MaxPool(_) | Op::View(_) => None,
        }
    }

    /// What a correction that has not been reached adds to the evaluation of its plane.
    fn level_above_zero(&self, step: &Step) -> i64 {
        step.corrections.map_or(0, |h| {
            let home = &self.lowered.homes[h];
            home.level() - home.zero
        })
    }

    /// Log2 of the number of rows that can carry constraints, exclusive end.
    pub(crate) fn active_rows(&self) -> usize {
        (1 << self.k) - RESERVED_ROWS
    }
}

/// Planes of a home. A flat vector is cut into planes of one tape row.
fn cut(home: &Home, lanes: usize) -> Vec<Plane> {
    if home.flat {
        let chunk = |index: &[u32]| Plane {
            first_row: 0,
            height: 1,
            width: index.len(),
            index: index.to_vec(),
        };
        return home.index.chunks(lanes).map(chunk).collect();
    }
    let (h, w) = (home.geometry.height, home.geometry.width);
    home.geometry.planes(|c, i, j| home.index[(c * h + i) * w + j])
}

/// What each tape row holds, and the distinct row steps and lane patterns.
struct Tape {
    rows: Vec<TapeRow>,
    value_steps: Vec<u32>,
    accumulator_steps: Vec<u32>,
    patterns: Vec<Pattern>,
}

/// Index of `item`, appended when it is new.
fn intern<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|x| *x == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn small(v: usize) -> u32 {
    u32::try_from(v).unwrap_or(u32::MAX)
}

impl Tape {
    fn new(lowered: &Lowered, planes: &[Vec<Plane>], num_rows: usize, at: Point) -> Self {
        let blank = TapeRow {
            value_step: 0,
            accumulator_step: 0,
            pattern: 0,
            valid: at.lanes,
            home: 0,
            plane: 0,
            offset: 0,
        };
        let full = Pattern {
            valid: small(at.lanes),
            value_base: 1,
            accumulator_base: 1,
        };
        let mut tape = Self {
            rows: vec![blank; num_rows],
            value_steps: Vec::new(),
            accumulator_steps: Vec::new(),
            patterns: vec![full],
        };
        for (home, list) in planes.iter().enumerate() {
            for (p, plane) in list.iter().enumerate() {
                for r in 0..plane.num_rows(at.lanes) {
                    tape.rows[plane.first_row + r] = TapeRow {
                        home,
                        plane: p,
                        ..tape.row(&lowered.homes[home], plane, r, at)
                    };
                }
            }
        }
        tape
    }

    /// Row `r` of a plane.
    fn row(&mut self, home: &Home, plane: &Plane, r: usize, at: Point) -> TapeRow {
        let chunks = plane.chunks(at.lanes);
        let (i, chunk) = (r / chunks, r % chunks);
        let exponent = |scale: layout::Scale| match (i, chunk) {
            (0, 0) => None,
            (_, 0) => Some(small(at.stride * scale.0 - scale.1 * at.lanes * (chunks - 1))),
            _ => Some(small(scale.1 * at.lanes)),
        };
        let number = |list: &mut Vec<u32>, e: Option<u32>| e.map_or(0, |e| intern(list, e) + 1);
        let valid = plane.valid_lanes(chunk, at.lanes);
        // With one valid lane the base still counts: lane 0 has the monomial v^(base (lanes - 1)).
        let pattern = Pattern {
            valid: small(valid),
            value_base: small(home.value_scale.1),
            accumulator_base: small(home.accumulator_scale.1),
        };
        TapeRow {
            value_step: number(&mut self.value_steps, exponent(home.value_scale)),
            accumulator_step: number(&mut self.accumulator_steps, exponent(home.accumulator_scale)),
            pattern: intern(&mut self.patterns, pattern),
            valid,
            home: 0,
            plane: 0,
            offset: i * plane.width + chunk * at.lanes,
        }
    }
}

/// Distinct ranges of stored values.
fn ranges(lowered: &Lowered) -> Vec<u32> {
    let mut ranges: Vec<u32> = lowered.homes.iter().map(|h| h.range).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

/// Columns and constants for the choice.
fn circuit_params(
    lowered: &Lowered,
    choice: &cost::Candidate,
    tape: &Tape,
    folded: Option<u32>,
) -> Result<CircuitParams, PlanError> {
    let zero = lowered.homes.first().map_or(0, |h| h.zero);
    let same = lowered.homes.iter().all(|h| h.zero == zero);
    let uniform_zero = if same { i32::try_from(zero).ok() } else { None };
    let max_rows = lowered.steps.iter().any(|s| matches!(s.kind, Kind::Max(..)));
    // The cells of the clamp hold a difference of two bytes in max rows.
    let params = CircuitParams {
        lanes: u32::try_from(choice.lanes).unwrap_or(u32::MAX),
        limb_split: choice.limb_split,
        clamp: choice.clamp,
        weight_lanes: u32::try_from(choice.weight_lanes).unwrap_or(u32::MAX),
        ranges: ranges(lowered),
        uniform_zero,
        patterns: tape.patterns.clone(),
        value_steps: tape.value_steps.clone(),
        accumulator_steps: tape.accumulator_steps.clone(),
        shared_steps: tape.rows.iter().all(|r| r.value_step == r.accumulator_step)
            && tape.value_steps == tape.accumulator_steps,
        max_rows,
        folded,
    };
    let limit = |e: crate::params::ParamsError| PlanError::TooLarge {
        what: e.name,
        size: usize::try_from(e.value).unwrap_or(usize::MAX),
        limit: usize::try_from(e.high).unwrap_or(usize::MAX),
    };
    params.validate().map_err(limit)?;
    Ok(params)
}

/// Largest distance of an unclamped quotient from its clamp, over all operators.
fn excess_bound(graph: &Graph) -> u64 {
    let of = |node: &Node| match &node.op {
        Op::Add(add) => {
            let types: Vec<DType> = node.inputs.iter().map(|t| graph.tensor(*t).dtype).collect();
            add.excess_bound(&types).unsigned_abs()
        }
        op => op.requantize().map_or(0, |r| r.excess_bound().unsigned_abs()),
    };
    graph.nodes.iter().map(of).max().unwrap_or(0)
}

/// Bits that `|m acc| + |B| + d` must stay under.
const BOUND_BITS: u32 = 64;

/// `|m acc| + |B| + d` over the reachable accumulators.
fn magnitude_bound(op: &Op) -> u128 {
    match op {
        // |x - z| <= 255 for each term.
        Op::Add(add) => {
            let sum: u128 = add
                .terms
                .iter()
                .map(|t| u128::from(t.0.unsigned_abs()) * 255)
                .sum();
            sum + u128::from(add.b.unsigned_abs()) + u128::from(add.divisor().unsigned_abs())
        }
        op => op.requantize().map_or(0, |r| {
            r.channels
                .iter()
                .map(ChannelRequantize::magnitude)
                .max()
                .unwrap_or(0)
        }),
    }
}

/// Every integer of a requantization stays far below the field's modulus.
fn check_bounds(graph: &Graph, lowered: &Lowered) -> Result<(), PlanError> {
    for step in &lowered.steps {
        let node = &graph.nodes[step.node()];
        let bits = u128::BITS - magnitude_bound(&node.op).leading_zeros();
        if bits > BOUND_BITS {
            return Err(PlanError::Bound {
                node: node.name.clone(),
                bits,
                limit: BOUND_BITS,
            });
        }
    }
    Ok(())
}
