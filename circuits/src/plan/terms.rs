//! The identity of each operator kind, from its geometry and weights.

mod pointwise;

use super::PlanError;
use super::identity::{Builder, Evaluated, Identity, PowerRun, Source, group};
use super::layout::{Plane, Point, Scale};
use super::lower::{Home, Kind, Lowered, Step};
use crate::graph::Graph;
use crate::ops::{Conv2d, Dense, Op, Window};
use std::collections::BTreeMap;

/// What the identities are built from.
pub(crate) struct Context<'a> {
    pub graph: &'a Graph,
    pub lowered: &'a Lowered,
    /// Planes of each home.
    pub planes: &'a [Vec<Plane>],
    pub at: Point,
    pub weight_lanes: usize,
}

type Entries = BTreeMap<usize, BTreeMap<Source, Vec<(usize, i64)>>>;

/// A window tap on a phase plane: its number, the plane's number within a channel, and its relative exponent.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub number: usize,
    pub phase: usize,
    pub relative: isize,
}

/// The taps of an operator and the exponents that they reach.
pub(super) struct Frame {
    pub taps: Vec<Tap>,
    pub builder: Builder,
    /// True when some output position has a tap outside the input.
    pub padded: bool,
    /// Relative exponent of each phase plane of the output.
    pub outputs: Vec<Option<isize>>,
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
            Kind::Node(n) => match &self.graph.nodes[*n].op {
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
        signed(self.at.stride * unit.0) * i + signed(unit.1) * j
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
    pub(super) fn accumulators(&self, step: &Step, frame: &Frame, scale: usize, identity: &mut Identity) {
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

    /// Taps and reached exponents of a window over natural positions; `taps` are offsets from `stride * output`.
    pub(super) fn window_frame(
        &self,
        step: &Step,
        stride: (usize, usize),
        size: (usize, usize),
        taps: &[(isize, isize)],
    ) -> Frame {
        let unit = step.unit.unwrap_or((1, 1));
        let input = step.inputs[0].home;
        let home = self.home(input);
        let phases = home.geometry.phases;
        let mut found = Vec::new();
        for (number, &(a, b)) in taps.iter().enumerate() {
            for phase in 0..phases.0 * phases.1 {
                let (p, q) = (signed(phase / phases.1) - a, signed(phase % phases.1) - b);
                let (s, t) = (signed(stride.0), signed(stride.1));
                let plane = &self.planes[input][phase];
                if plane.height == 0 || p % s != 0 || q % t != 0 {
                    continue;
                }
                let relative = -self.origin(plane, home.value_scale) - self.offset(unit, p / s, q / t);
                found.push(Tap {
                    number,
                    phase,
                    relative,
                });
            }
        }
        let output = self.home(step.output);
        let outputs: Vec<Option<isize>> = (0..self.num_phases(step.output))
            .map(|q| self.natural(step.output, q, output.accumulator_scale, unit))
            .collect();
        let relatives = found
            .iter()
            .map(|t| t.relative)
            .chain(outputs.iter().flatten().copied());
        let mut frame = Frame {
            builder: Builder::new(relatives),
            taps: found,
            padded: false,
            outputs,
        };
        for i in 0..size.0 {
            for j in 0..size.1 {
                frame
                    .builder
                    .mark_window(-self.offset(unit, signed(i), signed(j)));
            }
        }
        let num_taps = frame.taps.len();
        for t in 0..num_taps {
            let tap = frame.taps[t];
            self.mark_tap(&mut frame, input, tap, taps[tap.number], stride, size);
        }
        frame
    }

    /// Marks what a tap reaches outside the output window.
    fn mark_tap(
        &self,
        frame: &mut Frame,
        input: usize,
        tap: Tap,
        (a, b): (isize, isize),
        stride: (usize, usize),
        size: (usize, usize),
    ) {
        let home = self.home(input);
        let (f_h, f_w) = home.geometry.phases;
        let plane = &self.planes[input][tap.phase];
        for i in 0..plane.height {
            for j in 0..plane.width {
                let y = signed(f_h * i + tap.phase / f_w) - a;
                let x = signed(f_w * j + tap.phase % f_w) - b;
                let (o, p) = (y / signed(stride.0), x / signed(stride.1));
                let inside = y >= 0 && x >= 0 && o < signed(size.0) && p < signed(size.1);
                if !inside {
                    let local = signed(plane.exponent(i, j, self.at, home.value_scale));
                    frame.builder.mark_outside(tap.relative + local);
                }
            }
        }
        let last = |n: usize, s: usize, t: isize| signed((n - 1) * s) + t;
        let beyond = last(size.0, stride.0, a) >= signed(home.geometry.height)
            || last(size.1, stride.1, b) >= signed(home.geometry.width);
        frame.padded |= a < 0 || b < 0 || beyond;
    }

    /// Frame of an operator whose output is one position per channel: each value of each plane size is a tap of its own.
    pub(super) fn single_frame(&self, step: &Step) -> Frame {
        let input = step.inputs[0].home;
        let scale = self.home(input).value_scale;
        let outputs = [self.planes[step.output].first().map(|p| -self.origin(p, (1, 1)))];
        let mut sizes: BTreeMap<(usize, usize), &Plane> = BTreeMap::new();
        for plane in self.planes[input].iter().filter(|p| p.height > 0) {
            sizes.entry((plane.height, plane.width)).or_insert(plane);
        }
        let lowest = sizes.values().map(|p| -self.origin(p, scale));
        let mut builder = Builder::new(lowest.chain(outputs.iter().flatten().copied()));
        builder.mark_window(0);
        for plane in sizes.values() {
            for i in 0..2 * plane.height - 1 {
                for j in 0..2 * plane.width - 1 {
                    let (di, dj) = (
                        signed(i) - signed(plane.height - 1),
                        signed(j) - signed(plane.width - 1),
                    );
                    if (di, dj) != (0, 0) {
                        builder.mark_outside(self.offset(scale, di, dj));
                    }
                }
            }
        }
        // Every phase of the output but the first is empty.
        let mut all_outputs = vec![None; self.num_phases(step.output)];
        if let (Some(first), Some(slot)) = (outputs.first(), all_outputs.first_mut()) {
            *slot = *first;
        }
        Frame {
            taps: Vec::new(),
            builder,
            padded: false,
            outputs: all_outputs,
        }
    }

    /// Relative exponent of value (i, j) of a plane in a [`Context::single_frame`].
    pub(super) fn single_relative(&self, home: usize, plane: &Plane, at: usize) -> isize {
        let scale = self.home(home).value_scale;
        -signed(plane.exponent(at / plane.width, at % plane.width, self.at, scale))
    }

    pub(super) fn window_taps(window: &Window) -> Vec<(isize, isize)> {
        let axis =
            |k: usize, d: usize, p: usize| (0..k).map(move |i| signed(i * d) - signed(p)).collect::<Vec<_>>();
        let columns = axis(window.kernel.1, window.dilation.1, window.pad.1);
        axis(window.kernel.0, window.dilation.0, window.pad.0)
            .into_iter()
            .flat_map(|a| columns.iter().map(move |&b| (a, b)))
            .collect()
    }

    /// Closes an identity of weights: groups the entries and adds the accumulators.
    fn weighted(&self, step: &Step, frame: Frame, entries: Entries) -> Result<Identity, PlanError> {
        let mut identity = Identity::default();
        group(entries, self.weight_lanes, &mut identity);
        self.accumulators(step, &frame, 1, &mut identity);
        Ok(identity.close(frame.builder)?)
    }

    fn conv(&self, step: &Step, conv: &Conv2d) -> Result<Identity, PlanError> {
        if step.unit.is_none() {
            return self.conv_single(step, conv);
        }
        let taps = Self::window_taps(&conv.window);
        let frame = self.window_frame(step, conv.window.stride, conv.window.output, &taps);
        let num_in = self.num_phases(step.inputs[0].home);
        let (per_group_in, per_group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
        let mut entries = Entries::new();
        for tap in &frame.taps {
            let by_source = entries.entry(frame.builder.exponent(tap.relative)).or_default();
            for o in 0..conv.c_out {
                let m = conv.requantize.channels[o].affine.m;
                let first = o / per_group_out * per_group_in;
                for c in 0..per_group_in {
                    let w = i64::from(conv.weights[(o * per_group_in + c) * taps.len() + tap.number]);
                    if w * m != 0 {
                        let plane = (first + c) * num_in + tap.phase;
                        let source = Source {
                            home: step.inputs[0].home,
                            plane,
                            of: Evaluated::Value,
                        };
                        by_source.entry(source).or_default().push((o, m * w));
                    }
                }
            }
        }
        self.weighted(step, frame, entries)
    }

    /// A convolution with one output position per channel.
    fn conv_single(&self, step: &Step, conv: &Conv2d) -> Result<Identity, PlanError> {
        let taps = Self::window_taps(&conv.window);
        let frame = self.single_frame(step);
        let input = step.inputs[0].home;
        let (f_h, f_w) = self.home(input).geometry.phases;
        let (per_group_in, per_group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
        let mut entries = Entries::new();
        for (t, &(a, b)) in taps.iter().enumerate() {
            let (Ok(y), Ok(x)) = (usize::try_from(a), usize::try_from(b)) else {
                continue;
            };
            if y >= conv.window.input.0 || x >= conv.window.input.1 {
                continue;
            }
            let phase = (y % f_h) * f_w + x % f_w;
            for o in 0..conv.c_out {
                let m = conv.requantize.channels[o].affine.m;
                for c in 0..per_group_in {
                    let w = i64::from(conv.weights[(o * per_group_in + c) * taps.len() + t]) * m;
                    let plane = (o / per_group_out * per_group_in + c) * f_h * f_w + phase;
                    let at = y / f_h * self.planes[input][plane].width + x / f_w;
                    let relative = self.single_relative(input, &self.planes[input][plane], at);
                    if w != 0 {
                        let source = Source {
                            home: input,
                            plane,
                            of: Evaluated::Value,
                        };
                        let by_source = entries.entry(frame.builder.exponent(relative)).or_default();
                        by_source.entry(source).or_default().push((o, w));
                    }
                }
            }
        }
        self.weighted(step, frame, entries)
    }

    /// A fully connected layer over one vector, wherever its elements lie: each plane is a valid convolution with a
    /// kernel of its own size.
    fn dense_vector(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let operand = &step.inputs[0];
        let frame = self.single_frame(step);
        let mut entries = Entries::new();
        for (p, plane) in self.planes[operand.home].iter().enumerate() {
            let source = Source {
                home: operand.home,
                plane: p,
                of: Evaluated::Value,
            };
            for (at, &logical) in plane.index.iter().enumerate() {
                let row = operand.view(logical) as usize;
                let e = frame
                    .builder
                    .exponent(self.single_relative(operand.home, plane, at));
                let weight = |o: usize| i64::from(dense.weights[row * dense.n + o]);
                let coefs = (0..dense.n)
                    .map(|o| (o, dense.requantize.channels[o].affine.m * weight(o)))
                    .filter(|c| c.1 != 0);
                let coefs: Vec<_> = coefs.collect();
                if !coefs.is_empty() {
                    entries
                        .entry(e)
                        .or_default()
                        .entry(source)
                        .or_default()
                        .extend(coefs);
                }
            }
        }
        self.weighted(step, frame, entries)
    }

    /// A matrix product over several vectors: a 1x1 convolution over planes of one row.
    fn dense_rows(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let frame = self.window_frame(step, (1, 1), (1, dense.rows), &[(0, 0)]);
        let num_in = self.num_phases(step.inputs[0].home);
        let mut entries = Entries::new();
        for tap in &frame.taps {
            let by_source = entries.entry(frame.builder.exponent(tap.relative)).or_default();
            for i in 0..dense.k {
                let plane = i * num_in + tap.phase;
                let source = Source {
                    home: step.inputs[0].home,
                    plane,
                    of: Evaluated::Value,
                };
                for o in 0..dense.n {
                    let w = i64::from(dense.weights[i * dense.n + o]) * dense.requantize.channels[o].affine.m;
                    if w != 0 {
                        by_source.entry(source).or_default().push((o, w));
                    }
                }
            }
        }
        self.weighted(step, frame, entries)
    }
}
