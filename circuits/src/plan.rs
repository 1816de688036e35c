//! The plan of a circuit: where every tensor lies, which identity ties which planes, and the choice of rows and lanes.
//!
//! A plan depends on the graph and the options alone, never on a witness.

mod account;
mod bounds;
mod cost;
mod error;
mod glue;
mod identity;
pub(crate) mod layout;
mod lower;
mod predict;
mod public;
mod tape;
mod terms;
#[cfg(test)]
mod tests;

pub use account::{FIELD_BITS, NoWrap, Risk};
pub use bounds::BOUND_BITS;
pub use cost::{Cost, Opening, Optimize, PERMUTATION_COLUMNS};
pub use error::PlanError;
pub(crate) use glue::{GStep, KStep, Program};
#[cfg(any(test, feature = "test-dependencies"))]
pub(crate) use identity::PowerRun;
pub(crate) use identity::{Evaluated, Identity, Source};
pub(crate) use lower::{Kind, Lowered};
pub use predict::{Prediction, Rates, Work, bucket_additions};
pub use public::FOLD_FROM;
pub(crate) use tape::TapeRow;

use crate::batch::MAX_BATCH;
use crate::graph::Graph;
use crate::ops::{Add, Conv2d, Counts, Dense, Op};
use crate::params::CircuitParams;
use crate::quant::Affine;
use bounds::{check_bounds, excess_bound};
use layout::{Plane, Point};
use lower::Step;
use public::{folded, place, public_homes};
use std::collections::HashMap;
use tape::{Tape, circuit_params, cut, ranges};
use terms::Context;

/// Rows at the end of every column that cannot be used: blinding, and the one that closes the running sum.
pub const RESERVED_ROWS: usize = 7;
/// Smallest and largest number of rows, as a power of two.
pub const K_RANGE: std::ops::RangeInclusive<u32> = 4..=24;

/// What the caller may choose; `None` leaves the choice to the planner.
#[derive(Debug, Clone, Copy)]
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
    /// Inferences in one proof, 1 to [`MAX_BATCH`].
    pub batch: usize,
    /// What the proof is opened with; bears on the choice alone.
    pub opening: Opening,
}

impl Default for PlanOptions {
    /// One inference, the rest left to the planner.
    fn default() -> Self {
        Self {
            k: None,
            lanes: None,
            limb_split: None,
            optimize: Optimize::default(),
            fold_from: None,
            batch: 1,
            opening: Opening::default(),
        }
    }
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
            .chain((self.batch > 1).then(|| format!("a batch of {}", self.batch)))
            .collect();
        match parts[..] {
            [] => "any number of rows and lanes".to_owned(),
            _ => parts.join(", "),
        }
    }

    fn no_plan(&self, rows: usize) -> PlanError {
        PlanError::NoPlan {
            wanted: self.wanted(),
            rows,
        }
    }
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
    /// Inferences in one proof.
    pub batch: usize,
    /// What its price was reckoned with.
    pub opening: Opening,
    /// Pitch P: exponent distance between the images of a batch. The row stride S, the distance between image rows, is
    /// as many times that as there are images.
    pub pitch: usize,
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
        if !(1..=MAX_BATCH).contains(&options.batch) {
            return Err(PlanError::Batch {
                batch: options.batch,
                limit: MAX_BATCH,
            });
        }
        let lowered = lower::lower(graph)?;
        check_bounds(graph, &lowered)?;
        let max_rows = lowered.steps.iter().any(|s| matches!(s.kind, Kind::Max(..)));
        // The first difference of a max row lies in the clamp magnitude's cells.
        let excess = excess_bound(graph).max(if max_rows { 255 } else { 0 });
        let excess = u32::try_from(excess).map_err(|_| PlanError::TooLarge {
            what: "distance of an accumulator's quotient from the clamp",
            size: usize::try_from(excess).unwrap_or(usize::MAX),
            limit: u32::MAX as usize,
        })?;
        let demand = cost::Demand {
            excess,
            ranges: ranges(&lowered),
            max_rows,
            batch: options.batch,
        };
        if let Some(plan) = Self::search(graph, &lowered, &demand, options)? {
            return Ok(plan);
        }
        // The fewest rows with which the other options can be met.
        for k in options.k.map_or(K_RANGE, |k| k + 1..=*K_RANGE.end()) {
            let larger = PlanOptions {
                k: Some(k),
                ..*options
            };
            if Self::search(graph, &lowered, &demand, &larger)?.is_some() {
                return Err(options.no_plan(1 << k));
            }
        }
        let rows = cost::fewest_rows(graph, &lowered, options).next_power_of_two();
        Err(options.no_plan(rows))
    }

    /// The first candidate whose rows fit.
    fn search(
        graph: &Graph,
        lowered: &Lowered,
        demand: &cost::Demand,
        options: &PlanOptions,
    ) -> Result<Option<Self>, PlanError> {
        // Rows of the walk over exponents, which depends on the lanes, from the plans that were built.
        let mut walks: HashMap<usize, usize> = HashMap::new();
        // By lanes, rows that the walk has at least.
        let mut fewest: HashMap<usize, usize> = HashMap::new();
        for candidate in cost::candidates(graph, lowered, demand, options) {
            let room = (1usize << candidate.k) - RESERVED_ROWS;
            let walk = walks.get(&candidate.lanes).copied().unwrap_or(0);
            let least = fewest.get(&candidate.lanes).copied().unwrap_or(0);
            if (candidate.glue_rows + walk).max(least) > room {
                continue;
            }
            let built = match Self::build(graph, lowered, candidate, options)? {
                Ok(built) => built,
                Err(walk) => {
                    fewest.insert(candidate.lanes, walk);
                    continue;
                }
            };
            if built.cost.rows_needed() <= room {
                return Ok(Some(built));
            }
            let walk = built.cost.glue_rows.saturating_sub(candidate.glue_rows);
            let known = walks.entry(candidate.lanes).or_insert(walk);
            *known = walk.min(*known);
        }
        Ok(None)
    }

    /// Lays everything out for one choice of k, lanes, limbs and weight lanes. The rows may not fit; where the walk over
    /// exponents alone does not, the number of its rows.
    fn build(
        graph: &Graph,
        lowered: &Lowered,
        choice: cost::Candidate,
        options: &PlanOptions,
    ) -> Result<Result<Self, usize>, PlanError> {
        let (lanes, images) = (choice.lanes, options.batch);
        let mut planes: Vec<Vec<Plane>> = lowered.homes.iter().map(|h| cut(h, lanes, images)).collect();
        let public = public_homes(graph, lowered)?;
        let (num_rows, public_rows) = place(&mut planes, &public);
        let pitch = smallest_pitch(lowered, &planes, lanes, images);
        let context = |pitch| Context {
            graph,
            lowered,
            planes: &planes,
            at: Point { lanes, images, pitch },
            weight_lanes: choice.weight_lanes,
        };
        let (at, identities) = apart(context, pitch)?;
        let room = (1usize << choice.k) - RESERVED_ROWS;
        let walk = identities.iter().map(|i| i.degree).sum::<usize>();
        if walk > room {
            return Ok(Err(walk));
        }
        let mut program = Program::default();
        for (n, identity) in identities.iter().enumerate() {
            program.append(n, identity, choice.weight_lanes);
        }
        let tape = Tape::new(lowered, &planes, num_rows, at);
        // The packed rows lie in a column of the glue program, which then begins after them, if it has the room.
        let folded = folded(public_rows, lanes, options.fold_from.unwrap_or(FOLD_FROM))
            .filter(|_| public_rows + program.rows.len() <= room);
        if folded.is_some() {
            program.begin_after(public_rows);
        }
        let params = circuit_params(lowered, &choice, &tape, folded)?;
        let rows = tape.rows;
        let mut plan = Self {
            k: choice.k,
            params,
            cost: Cost::default(),
            batch: images,
            opening: options.opening,
            pitch: at.pitch,
            lowered: lowered.clone(),
            planes,
            rows,
            identities,
            program,
            public_rows,
        };
        plan.cost = Cost::of(graph, &plan);
        Ok(Ok(plan))
    }

    /// First row of the glue program.
    pub(crate) fn glue_begins(&self) -> usize {
        self.params.folded.map_or(0, |_| self.public_rows)
    }

    /// What the exponents of this plan depend on.
    pub(crate) fn point(&self) -> Point {
        Point {
            lanes: self.params.num_lanes(),
            images: self.batch,
            pitch: self.pitch,
        }
    }

    /// Position in the witness of the value in a lane of a row.
    pub(crate) fn position(&self, row: &TapeRow, lane: usize) -> usize {
        let own = self.planes[row.home][row.plane].index[row.offset + lane] as usize;
        row.image * self.lowered.homes[row.home].index.len() + own
    }

    /// Counts of the prover's primitive operations.
    #[must_use]
    pub fn work(&self) -> Work {
        Work::new(&self.params, self.k, self.opening)
    }

    /// Integers of the requantization in every row of the tape: `None` for inputs and max pools.
    pub(crate) fn affines(&self, graph: &Graph) -> Vec<Option<Affine>> {
        let made_by = |home| self.lowered.steps.iter().find(|s| s.output == home);
        let counts = |step: &Step| match &graph.nodes[step.node()].op {
            Op::AvgPool(pool) => Some(pool.counts()),
            _ => None,
        };
        let homes = 0..self.lowered.homes.len();
        let makers: Vec<_> = homes
            .map(|h| made_by(h).map(|step| (step, counts(step))))
            .collect();
        let affine = |row: &TapeRow| {
            let (step, counts) = makers[row.home].as_ref()?;
            self.affine(graph, step, counts.as_ref(), row)
        };
        self.rows.iter().map(affine).collect()
    }

    fn affine(&self, graph: &Graph, step: &Step, counts: Option<&Counts>, row: &TapeRow) -> Option<Affine> {
        let home = row.home;
        let (f_h, f_w) = self.lowered.homes[home].geometry.phases;
        let (channel, phase) = (row.plane / (f_h * f_w), row.plane % (f_h * f_w));
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
            Op::AvgPool(pool) => {
                let width = self.planes[home][row.plane].width;
                let (i, j) = (row.offset / width, row.offset % width);
                let class = counts?.class(i * f_h + phase / f_w, j * f_w + phase % f_w);
                Some(pool.requantize.channels.get(class)?.affine)
            }
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

    /// Number of rows that can carry constraints.
    pub(crate) fn active_rows(&self) -> usize {
        (1 << self.k) - RESERVED_ROWS
    }
}

/// The pitch to begin with: no image row may reach the next one at the scales of its own tensor.
fn smallest_pitch(lowered: &Lowered, planes: &[Vec<Plane>], lanes: usize, images: usize) -> usize {
    let span = |p: &Plane| lanes + p.last_start();
    let scales = |h: &lower::Home| [h.value_scale, h.accumulator_scale];
    if images > 1 {
        // Images are as far apart at every scale.
        let homes = lowered.homes.iter().zip(planes);
        let spans = homes.map(|(home, planes)| {
            let widest = planes.iter().map(span).max().unwrap_or(1);
            scales(home).map(|s| s.1).into_iter().max().unwrap_or(1) * widest
        });
        return spans.max().unwrap_or(1);
    }
    let widest = planes.iter().flatten().map(span).max().unwrap_or(1);
    let lopsided = lowered.homes.iter().flat_map(scales);
    widest * lopsided.map(|s| s.1.div_ceil(s.0)).max().unwrap_or(1)
}

/// The identities at the smallest pitch, from `pitch` on, at which every window is apart from all that lies outside it.
fn apart<'a>(
    context: impl Fn(usize) -> Context<'a>,
    pitch: usize,
) -> Result<(Point, Vec<Identity>), PlanError> {
    let mut context_at = context(pitch);
    let highest = 4 * pitch + 64;
    loop {
        let steps = context_at.lowered.steps.iter();
        match steps.map(|s| context_at.identity(s)).collect() {
            Err(PlanError::RowStride) if context_at.at.pitch < highest => {
                context_at = context(context_at.at.pitch + 1);
            }
            found => return Ok((context_at.at, found?)),
        }
    }
}
