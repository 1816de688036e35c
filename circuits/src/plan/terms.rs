//! The identity of each operator kind, from its geometry and weights.

use super::PlanError;
use super::identity::{Builder, Evaluated, FactoredRun, Identity, Point, PowerRun, Size, Source, Tap, group};
use super::layout::Plane;
use super::lower::{Home, Kind, Lowered, Max3, Step};
use crate::graph::Graph;
use crate::ops::{Add, AvgPool, Conv2d, Dense, Op, Window};
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

/// A tap between two phase planes: plane numbers within a channel, and the shift in planes.
struct PhaseTap {
    q: usize,
    p: usize,
    tap: Tap,
    output: Size,
    input: Size,
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

    fn unsupported(&self, step: &Step, reason: &'static str) -> PlanError {
        PlanError::Unsupported {
            node: self.graph.nodes[step.node()].name.clone(),
            reason,
        }
    }

    fn home(&self, h: usize) -> &Home {
        &self.lowered.homes[h]
    }

    fn size(&self, home: usize, plane: usize) -> Size {
        Size::of(&self.planes[home][plane], self.at.lanes)
    }

    /// `-alpha^o ACC_o` over all planes of the output, with `scale` powers of alpha per plane.
    fn accumulators(&self, step: &Step, shift: usize, scale: usize) -> PowerRun {
        let planes = &self.planes[step.output];
        let source = |plane| Source {
            home: step.output,
            plane,
            of: Evaluated::Accumulator,
        };
        let terms = (0..planes.len()).filter(|&o| planes[o].height > 0);
        PowerRun {
            exponent: shift,
            terms: terms.map(|o| (o * scale, source(o), -1)).collect(),
        }
    }

    /// All taps of a window between the phase planes of channel 0; `taps` are offsets from `stride * output`.
    fn phase_taps(
        &self,
        step: &Step,
        stride: (usize, usize),
        taps: &[(isize, isize)],
    ) -> Vec<(usize, PhaseTap)> {
        let (input, output) = (step.inputs[0].home, step.output);
        let (p_of, q_of) = (
            self.home(input).geometry.phases,
            self.home(output).geometry.phases,
        );
        let mut found = Vec::new();
        for q_h in 0..q_of.0 {
            for q_w in 0..q_of.1 {
                let q = q_h * q_of.1 + q_w;
                let out = self.size(output, q);
                if out.height == 0 {
                    continue;
                }
                for (t, (a, b)) in taps.iter().enumerate() {
                    let (y, x) = (
                        (stride.0 * q_h).cast_signed() + a,
                        (stride.1 * q_w).cast_signed() + b,
                    );
                    let (f_h, f_w) = (p_of.0.cast_signed(), p_of.1.cast_signed());
                    let p = (y.rem_euclid(f_h) * f_w + x.rem_euclid(f_w)).unsigned_abs();
                    let size = self.size(input, p);
                    let tap = Tap {
                        di: y.div_euclid(f_h),
                        dj: x.div_euclid(f_w),
                    };
                    if size.height > 0 {
                        found.push((
                            t,
                            PhaseTap {
                                q,
                                p,
                                tap,
                                output: out,
                                input: size,
                            },
                        ));
                    }
                }
            }
        }
        found
    }

    /// Builder over phase taps; also the number of output positions whose tap lies outside the input.
    fn close_taps(&self, taps: &[(usize, PhaseTap)]) -> (Builder, usize) {
        let pairs: Vec<_> = taps.iter().map(|(_, t)| (t.output, t.input, t.tap)).collect();
        let mut builder = Builder::new(self.at, &pairs);
        let mut outside = 0;
        for (_, t) in taps {
            builder.mark_window(t.output);
            outside += builder.mark_tap(t.output, t.input, t.tap);
        }
        (builder, outside)
    }

    fn window_taps(window: &Window) -> Vec<(isize, isize)> {
        let axis = |k: usize, d: usize, p: usize| {
            (0..k)
                .map(move |i| (i * d).cast_signed() - p.cast_signed())
                .collect::<Vec<_>>()
        };
        let columns = axis(window.kernel.1, window.dilation.1, window.pad.1);
        axis(window.kernel.0, window.dilation.0, window.pad.0)
            .into_iter()
            .flat_map(|a| columns.iter().map(move |&b| (a, b)))
            .collect()
    }

    fn conv(&self, step: &Step, conv: &Conv2d) -> Result<Identity, PlanError> {
        let taps = Self::window_taps(&conv.window);
        let found = self.phase_taps(step, conv.window.stride, &taps);
        let (builder, _) = self.close_taps(&found);
        let num_in = self.phase_count(step.inputs[0].home);
        let num_out = self.phase_count(step.output);
        let (per_group_in, per_group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
        let mut entries = Entries::new();
        for (t, tap) in &found {
            let by_source = entries
                .entry(builder.exponent(tap.output, tap.input, tap.tap))
                .or_default();
            for o in 0..conv.c_out {
                let m = conv.requantize.channels[o].affine.m;
                let first = o / per_group_out * per_group_in;
                for c in 0..per_group_in {
                    let w = i64::from(conv.weights[(o * per_group_in + c) * taps.len() + t]);
                    if w * m != 0 {
                        let plane = (first + c) * num_in + tap.p;
                        let source = Source {
                            home: step.inputs[0].home,
                            plane,
                            of: Evaluated::Value,
                        };
                        by_source
                            .entry(source)
                            .or_default()
                            .push((o * num_out + tap.q, m * w));
                    }
                }
            }
        }
        let mut identity = Identity::default();
        group(entries, self.weight_lanes, &mut identity);
        identity.powers.push(self.accumulators(step, builder.shift(), 1));
        Ok(identity.close(builder)?)
    }

    fn phase_count(&self, home: usize) -> usize {
        let (h, w) = self.home(home).geometry.phases;
        h * w
    }

    /// A fully connected layer over one vector, wherever its elements lie: each plane is a valid convolution with a
    /// kernel of its own size.
    fn dense_vector(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let operand = &step.inputs[0];
        let planes = &self.planes[operand.home];
        let output = self.size(step.output, 0);
        let mut sizes: Vec<Size> = planes.iter().map(|p| Size::of(p, self.at.lanes)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut pairs = Vec::new();
        for size in sizes.iter().filter(|s| s.height > 0) {
            for i in 0..size.height {
                let tap = |j: usize| Tap {
                    di: i.cast_signed(),
                    dj: j.cast_signed(),
                };
                pairs.extend((0..size.width).map(|j| (output, *size, tap(j))));
            }
        }
        let mut builder = Builder::new(self.at, &pairs);
        builder.mark_window(output);
        for (o, i, t) in &pairs {
            builder.mark_tap(*o, *i, *t);
        }
        let mut entries = Entries::new();
        for (p, plane) in planes.iter().enumerate() {
            let source = Source {
                home: operand.home,
                plane: p,
                of: Evaluated::Value,
            };
            for (at, &logical) in plane.index.iter().enumerate() {
                let row = operand.view(logical) as usize;
                let tap = Tap {
                    di: (at / plane.width).cast_signed(),
                    dj: (at % plane.width).cast_signed(),
                };
                let e = builder.exponent(output, Size::of(plane, self.at.lanes), tap);
                let coefs = (0..dense.n).map(|o| {
                    (
                        o,
                        dense.requantize.channels[o].affine.m * i64::from(dense.weights[row * dense.n + o]),
                    )
                });
                let coefs: Vec<_> = coefs.filter(|c| c.1 != 0).collect();
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
        let mut identity = Identity::default();
        group(entries, self.weight_lanes, &mut identity);
        identity.powers.push(self.accumulators(step, builder.shift(), 1));
        Ok(identity.close(builder)?)
    }

    /// A matrix product over several vectors: a 1x1 convolution over planes of one row.
    fn dense_rows(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let found = self.phase_taps(step, (1, 1), &[(0, 0)]);
        let (builder, _) = self.close_taps(&found);
        let phases = self.phase_count(step.output);
        let mut entries = Entries::new();
        for (_, tap) in &found {
            let by_source = entries
                .entry(builder.exponent(tap.output, tap.input, tap.tap))
                .or_default();
            for i in 0..dense.k {
                let source = Source {
                    home: step.inputs[0].home,
                    plane: i * phases + tap.p,
                    of: Evaluated::Value,
                };
                for o in 0..dense.n {
                    let w = i64::from(dense.weights[i * dense.n + o]) * dense.requantize.channels[o].affine.m;
                    if w != 0 {
                        by_source.entry(source).or_default().push((o * phases + tap.q, w));
                    }
                }
            }
        }
        let mut identity = Identity::default();
        group(entries, self.weight_lanes, &mut identity);
        identity.powers.push(self.accumulators(step, builder.shift(), 1));
        Ok(identity.close(builder)?)
    }

    fn add(&self, step: &Step, add: &Add) -> Result<Identity, PlanError> {
        let output = &self.planes[step.output];
        let mut identity = Identity::default();
        let mut pairs = Vec::new();
        for (operand, (m, _)) in step.inputs.iter().zip(&add.terms) {
            let planes = &self.planes[operand.home];
            let same = planes.len() == output.len()
                && planes.iter().zip(output).all(|(a, o)| {
                    (a.height, a.width) == (o.height, o.width)
                        && a.index.iter().zip(&o.index).all(|(&i, &j)| operand.view(i) == j)
                });
            if !same {
                return Err(self.unsupported(step, "a sum of tensors that lie in different orders"));
            }
            let used = (0..planes.len()).filter(|&p| planes[p].height > 0);
            let source = |plane| Source {
                home: operand.home,
                plane,
                of: Evaluated::Value,
            };
            identity.powers.push(PowerRun {
                exponent: 0,
                terms: used.map(|p| (p, source(p), *m)).collect(),
            });
        }
        let used = output.iter().filter(|p| p.height > 0);
        let mut sizes: Vec<Size> = used.map(|p| Size::of(p, self.at.lanes)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        pairs.extend(sizes.iter().map(|&s| (s, s, Tap { di: 0, dj: 0 })));
        let mut builder = Builder::new(self.at, &pairs);
        for (o, i, t) in &pairs {
            builder.mark_window(*o);
            builder.mark_tap(*o, *i, *t);
        }
        identity.powers.push(self.accumulators(step, builder.shift(), 1));
        Ok(identity.close(builder)?)
    }

    fn avg_pool(&self, step: &Step, pool: &AvgPool) -> Result<Identity, PlanError> {
        let taps = Self::window_taps(&pool.window);
        let found = self.phase_taps(step, pool.window.stride, &taps);
        let (builder, _) = self.close_taps(&found);
        let (num_in, num_out) = (
            self.phase_count(step.inputs[0].home),
            self.phase_count(step.output),
        );
        let m = pool.requantize.channels[0].affine.m;
        let mut kernels: BTreeMap<(usize, usize), Vec<(usize, i64)>> = BTreeMap::new();
        for (_, tap) in &found {
            let e = builder.exponent(tap.output, tap.input, tap.tap);
            kernels.entry((tap.q, tap.p)).or_default().push((e, m));
        }
        let mut identity = Identity::default();
        for ((q, p), mut kernel) in kernels {
            kernel.sort_unstable();
            let source = |c| Source {
                home: step.inputs[0].home,
                plane: c * num_in + p,
                of: Evaluated::Value,
            };
            let terms = (0..pool.channels).map(|c| (c * num_out + q, source(c))).collect();
            identity.factored.push(FactoredRun { kernel, terms });
        }
        identity.powers.push(self.accumulators(step, builder.shift(), 1));
        Ok(identity.close(builder)?)
    }

    fn max(&self, step: &Step, max: &Max3) -> Result<Identity, PlanError> {
        let input = step.inputs[0].home;
        let found = self.phase_taps(step, max.stride, &max.taps);
        let (builder, outside) = self.close_taps(&found);
        if outside > 0 && self.home(input).zero != 0 {
            return Err(self.unsupported(
                step,
                "a padded max pool over a tensor whose zero point is not its smallest value",
            ));
        }
        let (num_in, num_out) = (self.phase_count(input), self.phase_count(step.output));
        let mut identity = Identity::default();
        let mut runs: BTreeMap<usize, Vec<(usize, Source, i64)>> = BTreeMap::new();
        for (t, tap) in &found {
            let run = runs
                .entry(builder.exponent(tap.output, tap.input, tap.tap))
                .or_default();
            for c in 0..max.channels {
                let source = Source {
                    home: input,
                    plane: c * num_in + tap.p,
                    of: Evaluated::Value,
                };
                run.push((3 * (c * num_out + tap.q) + t, source, -1));
            }
        }
        for (exponent, mut terms) in runs {
            terms.sort_by_key(|t| t.0);
            identity.powers.push(PowerRun { exponent, terms });
        }
        let planes = &self.planes[step.output];
        let used = (0..planes.len()).filter(|&o| planes[o].height > 0);
        let value = |plane| Source {
            home: step.output,
            plane,
            of: Evaluated::Value,
        };
        let terms = used
            .flat_map(|o| (0..3).map(move |t| (3 * o + t, value(o), 1)))
            .collect();
        identity.powers.push(PowerRun {
            exponent: builder.shift(),
            terms,
        });
        identity.powers.push(self.accumulators(step, builder.shift(), 3));
        Ok(identity.close(builder)?)
    }
}
