//! The identity of each operator kind, from its geometry and weights.

mod frame;
mod linear;
mod pointwise;

use super::PlanError;
use super::identity::{Evaluated, Identity, PowerRun, Source};
use super::layout::{Plane, Point, Scale};
use super::lower::{Home, Kind, Lowered, Step};
use crate::graph::Graph;
use crate::ops::Op;
use frame::Frame;

/// What the identities are built from.
pub(crate) struct Context<'a> {
    pub graph: &'a Graph,
    pub lowered: &'a Lowered,
    /// Planes of each home.
    pub planes: &'a [Vec<Plane>],
    pub at: Point,
    pub weight_lanes: usize,
}

/// A non-negative count as a signed number.
pub(super) fn signed(n: usize) -> isize {
    n.cast_signed()
}

impl Context<'_> {
    /// The identity of one step.
    ///
    /// # Errors
    /// [`PlanError::RowStride`] when the row stride is too small, [`PlanError::Unsupported`] otherwise.
    pub fn identity(&self, step: &Step) -> Result<Identity, PlanError> {
        match &step.kind {
            Kind::Max(_, max) => self.max(step, max),
            Kind::Copy(_, add) => self.add(step, add),
            Kind::Node(n) | Kind::Corrections(n) => match &self.graph.nodes[*n].op {
                Op::Conv2d(conv) => self.conv(step, conv),
                Op::Dense(dense) if dense.rows == 1 => self.dense_vector(step, dense),
                Op::Dense(dense) => self.dense_rows(step, dense),
                Op::Add(add) => self.add(step, add),
                Op::AvgPool(pool) => self.avg_pool(step, pool),
                Op::MaxPool(_) | Op::View(_) => {
                    Err(self.unsupported(step, "an operator without an identity"))
                }
            },
        }
    }

    pub(super) fn unsupported(&self, step: &Step, reason: &'static str) -> PlanError {
        PlanError::Unsupported {
            node: self.graph.nodes[step.node()].name.clone(),
            reason,
        }
    }

    pub(super) fn home(&self, h: usize) -> &Home {
        &self.lowered.homes[h]
    }

    /// Planes per channel; a flat vector has one.
    pub(super) fn num_phases(&self, home: usize) -> usize {
        let home = self.home(home);
        if home.flat {
            1
        } else {
            home.geometry.phases.0 * home.geometry.phases.1
        }
    }

    /// Exponent of value (0, 0) of a plane without its own extent: what a term that starts there must make up for.
    fn origin(&self, plane: &Plane, scale: Scale) -> isize {
        signed(plane.exponent(0, 0, self.at, scale))
    }

    /// `S a i + b j`, signed.
    pub(super) fn offset(&self, unit: Scale, i: isize, j: isize) -> isize {
        signed(self.at.stride() * unit.0) * i + signed(unit.1) * j
    }

    /// Relative exponent that turns the evaluation of a phase plane into one over natural positions.
    pub(super) fn natural(&self, home: usize, phase: usize, scale: Scale, unit: Scale) -> Option<isize> {
        let plane = self.planes[home].get(phase).filter(|p| p.height > 0)?;
        let columns = self.home(home).geometry.phases.1;
        let (i, j) = if self.home(home).flat {
            (0, 0)
        } else {
            (phase / columns, phase % columns)
        };
        Some(-self.origin(plane, scale) - self.offset(unit, signed(i), signed(j)))
    }

    /// `-alpha^(scale o) ACC_o` over all channels of the output.
    fn accumulators(&self, step: &Step, frame: &Frame, scale: usize, identity: &mut Identity) {
        self.runs(step.output, Evaluated::Accumulator, frame, identity, |o| {
            vec![(o * scale, -1)]
        });
    }

    /// Terms over all planes of the output home, one run per phase: `powers(o)` are powers of alpha and coefficients of
    /// channel o.
    fn runs(
        &self,
        home: usize,
        of: Evaluated,
        frame: &Frame,
        identity: &mut Identity,
        powers: impl Fn(usize) -> Vec<(usize, i64)>,
    ) {
        let phases = frame.outputs.len();
        for (phase, relative) in frame.outputs.iter().enumerate() {
            let Some(relative) = relative else { continue };
            let planes = (phase..self.planes[home].len()).step_by(phases);
            let term = |(channel, plane)| {
                let source = Source { home, plane, of };
                powers(channel)
                    .into_iter()
                    .map(move |(power, coef)| (power, source, coef))
            };
            let terms = planes.enumerate().flat_map(term).collect();
            identity.powers.push(PowerRun {
                exponent: frame.builder.exponent(*relative),
                terms,
            });
        }
    }
}
