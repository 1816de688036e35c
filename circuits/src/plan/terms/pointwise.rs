//! Identities of operators that keep channels apart: sums, average pools, maxima.

use super::frame::Frame;
use super::{Context, signed};
use crate::ops::{Add, AvgPool};
use crate::plan::PlanError;
use crate::plan::identity::{Builder, Evaluated, FactoredRun, Identity, PowerRun, Source};
use crate::plan::layout::Scale;
use crate::plan::lower::{Home, Max3, Step};
use std::collections::BTreeMap;

/// Power of alpha, evaluation, coefficient.
type Term = (usize, Source, i64);

/// Home, phase, relative exponent, multiplier.
type Operand = (usize, usize, isize, i64);

impl Context<'_> {
    /// Home, phase, relative exponent and multiplier of every phase plane that a sum reads.
    fn operands(&self, step: &Step, add: &Add, unit: Scale) -> Result<Vec<Operand>, PlanError> {
        let output = self.home(step.output);
        let mut operands = Vec::new();
        for (operand, (m, _)) in step.inputs.iter().zip(&add.terms) {
            let home = self.home(operand.home);
            let shape = |h: &Home| (h.flat, h.geometry.channels, h.geometry.height, h.geometry.width);
            let order = home
                .index
                .iter()
                .map(|&i| operand.view(i))
                .eq(output.index.iter().copied());
            if shape(home) != shape(output) || !order {
                return Err(self.unsupported(step, "a sum of tensors that lie in different orders"));
            }
            for phase in 0..self.num_phases(operand.home) {
                if let Some(relative) = self.natural(operand.home, phase, home.value_scale, unit) {
                    operands.push((operand.home, phase, relative, *m));
                }
            }
        }
        Ok(operands)
    }

    pub(super) fn add(&self, step: &Step, add: &Add) -> Result<Identity, PlanError> {
        let output = self.home(step.output);
        let size = if output.flat {
            (
                1,
                self.planes[step.output]
                    .iter()
                    .map(|p| p.width)
                    .max()
                    .unwrap_or(1),
            )
        } else {
            (output.geometry.height, output.geometry.width)
        };
        let unit = step.unit.unwrap_or((1, 1));
        let operands = self.operands(step, add, unit)?;
        let outputs: Vec<_> = (0..self.num_phases(step.output))
            .map(|q| self.natural(step.output, q, output.accumulator_scale, unit))
            .collect();
        let relatives = operands
            .iter()
            .map(|o| o.2)
            .chain(outputs.iter().flatten().copied());
        let mut builder = Builder::new(self.at, relatives);
        for i in 0..size.0 {
            (0..size.1).for_each(|j| builder.mark_window(-self.offset(unit, signed(i), signed(j))));
        }
        let frame = Frame {
            taps: Vec::new(),
            builder,
            padded: false,
            outputs,
        };
        let mut identity = Identity::default();
        for (home, phase, relative, m) in operands {
            let step_by = self.num_phases(home);
            let planes = (phase..self.planes[home].len()).step_by(step_by).enumerate();
            let source = |plane| Source {
                home,
                plane,
                of: Evaluated::Value,
            };
            let terms = planes.map(|(c, plane)| (c, source(plane), m)).collect();
            identity.powers.push(PowerRun {
                exponent: frame.builder.exponent(relative),
                terms,
            });
        }
        self.accumulators(step, &frame, 1, &mut identity);
        identity.close(frame.builder)
    }

    pub(super) fn avg_pool(&self, step: &Step, pool: &AvgPool) -> Result<Identity, PlanError> {
        let input = step.inputs[0].home;
        let num_in = self.num_phases(input);
        let m = pool.requantize.channels[0].affine.m;
        let mut kernels: BTreeMap<usize, Vec<(usize, i64)>> = BTreeMap::new();
        let taps = Self::window_taps(&pool.window);
        let frame = if step.unit.is_none() {
            let frame = self.single_frame(step)?;
            let (f_h, f_w) = self.home(input).geometry.phases;
            let (height, width) = pool.window.input;
            for &(a, b) in &taps {
                let (Ok(y), Ok(x)) = (usize::try_from(a), usize::try_from(b)) else {
                    continue;
                };
                if y < height && x < width {
                    let phase = (y % f_h) * f_w + x % f_w;
                    let plane = &self.planes[input][phase];
                    let at = y / f_h * plane.width + x / f_w;
                    let e = frame.builder.exponent(self.single_relative(input, plane, at));
                    kernels.entry(phase).or_default().push((e, m));
                }
            }
            frame
        } else {
            let frame = self.window_frame(step, pool.window.stride, pool.window.output, &taps)?;
            for tap in &frame.taps {
                kernels
                    .entry(tap.phase)
                    .or_default()
                    .push((frame.builder.exponent(tap.relative), m));
            }
            frame
        };
        let mut identity = Identity::default();
        for (phase, mut kernel) in kernels {
            kernel.sort_unstable();
            let source = |c| Source {
                home: input,
                plane: c * num_in + phase,
                of: Evaluated::Value,
            };
            let terms = (0..pool.channels).map(|c| (c, source(c))).collect();
            identity.factored.push(FactoredRun { kernel, terms });
        }
        self.accumulators(step, &frame, 1, &mut identity);
        identity.close(frame.builder)
    }

    pub(super) fn max(&self, step: &Step, max: &Max3) -> Result<Identity, PlanError> {
        let input = step.inputs[0].home;
        let output = self.home(step.output);
        let size = (output.geometry.height, output.geometry.width);
        let frame = self.window_frame(step, max.stride, size, &max.taps)?;
        if frame.padded && self.home(input).zero != 0 {
            return Err(self.unsupported(
                step,
                "a padded max pool over a tensor whose zero point is not its smallest value",
            ));
        }
        let (num_in, num_out) = (self.num_phases(input), self.num_phases(step.output));
        let mut identity = Identity::default();
        let mut runs: BTreeMap<(usize, usize), Vec<Term>> = BTreeMap::new();
        for tap in &frame.taps {
            let run = runs
                .entry((frame.builder.exponent(tap.relative), tap.phase))
                .or_default();
            for c in 0..max.channels {
                let source = Source {
                    home: input,
                    plane: c * num_in + tap.phase,
                    of: Evaluated::Value,
                };
                run.push((3 * c + tap.number, source, -1));
            }
        }
        for ((exponent, _), mut terms) in runs {
            terms.sort_by_key(|t| t.0);
            identity.powers.push(PowerRun { exponent, terms });
        }
        // The output's values enter at their own scale: rho of a max output is the unit of the step.
        let unit = step.unit.unwrap_or((1, 1));
        for phase in 0..num_out {
            let Some(relative) = self.natural(step.output, phase, output.value_scale, unit) else {
                continue;
            };
            let source = |c: usize| Source {
                home: step.output,
                plane: c * num_out + phase,
                of: Evaluated::Value,
            };
            let terms = (0..max.channels).flat_map(|c| (0..3).map(move |t| (3 * c + t, source(c), 1)));
            let exponent = frame.builder.exponent(relative);
            identity.powers.push(PowerRun {
                exponent,
                terms: terms.collect(),
            });
        }
        self.accumulators(step, &frame, 3, &mut identity);
        identity.close(frame.builder)
    }
}
