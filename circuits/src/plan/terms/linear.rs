//! Identities of convolutions and matrix products.

use super::Context;
use super::frame::Frame;
use crate::ops::{Conv2d, Dense};
use crate::plan::PlanError;
use crate::plan::identity::{Evaluated, Identity, Source, group};
use crate::plan::lower::{Kind, Step};
use crate::quant::Requantize;
use std::collections::BTreeMap;

type Entries = BTreeMap<usize, BTreeMap<Source, Vec<(usize, i64)>>>;

/// Channel of the operator and multiplier of its accumulators, for each channel of the step's output: the channels
/// themselves, or those that the corrections step on.
fn outputs(step: &Step, requantize: &Requantize) -> Vec<(usize, i64)> {
    match step.kind {
        Kind::Corrections(_) => requantize.corrections().map(|(o, _)| (o, 1)).collect(),
        _ => {
            let multipliers = requantize.channels.iter().map(|c| c.affine.m);
            multipliers.enumerate().collect()
        }
    }
}

impl Context<'_> {
    /// Closes an identity of weights: adds the corrections, groups the entries and adds the accumulators.
    fn weighted(
        &self,
        step: &Step,
        requantize: &Requantize,
        frame: Frame,
        mut entries: Entries,
    ) -> Result<Identity, PlanError> {
        if let (Some(home), Some(relative)) = (step.corrections, self.corrections_relative(step)) {
            let by_source = entries.entry(frame.builder.exponent(relative)).or_default();
            for (plane, (o, correction)) in requantize.corrections().enumerate() {
                let of = Evaluated::Value;
                let coefs = by_source.entry(Source { home, plane, of }).or_default();
                coefs.push((o, correction.add));
            }
        }
        let mut identity = Identity::default();
        group(entries, self.weight_lanes, &mut identity);
        self.accumulators(step, &frame, 1, &mut identity);
        identity.close(frame.builder)
    }

    pub(super) fn conv(&self, step: &Step, conv: &Conv2d) -> Result<Identity, PlanError> {
        if step.unit.is_none() {
            return self.conv_single(step, conv);
        }
        let taps = Self::window_taps(&conv.window);
        let frame = self.window_frame(step, conv.window.stride, conv.window.output, &taps)?;
        let num_in = self.num_phases(step.inputs[0].home);
        let (per_group_in, per_group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
        let outputs = outputs(step, &conv.requantize);
        let mut entries = Entries::new();
        for tap in &frame.taps {
            let by_source = entries.entry(frame.builder.exponent(tap.relative)).or_default();
            for (out, &(o, m)) in outputs.iter().enumerate() {
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
                        by_source.entry(source).or_default().push((out, m * w));
                    }
                }
            }
        }
        self.weighted(step, &conv.requantize, frame, entries)
    }

    /// A convolution with one output position per channel.
    fn conv_single(&self, step: &Step, conv: &Conv2d) -> Result<Identity, PlanError> {
        let taps = Self::window_taps(&conv.window);
        let frame = self.single_frame(step)?;
        let input = step.inputs[0].home;
        let (f_h, f_w) = self.home(input).geometry.phases;
        let (per_group_in, per_group_out) = (conv.c_in / conv.groups, conv.c_out / conv.groups);
        let outputs = outputs(step, &conv.requantize);
        let mut entries = Entries::new();
        for (t, &(a, b)) in taps.iter().enumerate() {
            let (Ok(y), Ok(x)) = (usize::try_from(a), usize::try_from(b)) else {
                continue;
            };
            if y >= conv.window.input.0 || x >= conv.window.input.1 {
                continue;
            }
            let phase = (y % f_h) * f_w + x % f_w;
            for (out, &(o, m)) in outputs.iter().enumerate() {
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
                        by_source.entry(source).or_default().push((out, w));
                    }
                }
            }
        }
        self.weighted(step, &conv.requantize, frame, entries)
    }

    /// A fully connected layer over one vector, wherever its elements lie: each plane is a valid convolution with a
    /// kernel of its own size.
    pub(super) fn dense_vector(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let operand = &step.inputs[0];
        let frame = self.single_frame(step)?;
        let outputs = outputs(step, &dense.requantize);
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
                let coefs = outputs
                    .iter()
                    .enumerate()
                    .map(|(out, &(o, m))| (out, m * weight(o)))
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
        self.weighted(step, &dense.requantize, frame, entries)
    }

    /// A matrix product over several vectors: a 1x1 convolution over planes of one row.
    pub(super) fn dense_rows(&self, step: &Step, dense: &Dense) -> Result<Identity, PlanError> {
        let frame = self.window_frame(step, (1, 1), (1, dense.rows), &[(0, 0)])?;
        let num_in = self.num_phases(step.inputs[0].home);
        let outputs = outputs(step, &dense.requantize);
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
                for (out, &(o, m)) in outputs.iter().enumerate() {
                    let w = i64::from(dense.weights[i * dense.n + o]) * m;
                    if w != 0 {
                        by_source.entry(source).or_default().push((out, w));
                    }
                }
            }
        }
        self.weighted(step, &dense.requantize, frame, entries)
    }
}
