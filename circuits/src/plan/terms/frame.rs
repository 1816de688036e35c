//! Taps and exponents of an operator: what it reaches inside its output window and outside it.

use super::{Context, signed};
use crate::ops::Window;
use crate::plan::PlanError;
use crate::plan::identity::Builder;
use crate::plan::layout::Plane;
use crate::plan::lower::Step;
use std::collections::BTreeSet;

/// A window tap on a phase plane: its number, the plane's number within a channel, and its relative exponent.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub number: usize,
    pub phase: usize,
    pub relative: isize,
}

/// Most taps times positions of one plane: each pair outside the window is looked at.
const MAX_READS: usize = 1 << 25;

fn check_reads(reads: usize) -> Result<(), PlanError> {
    if reads > MAX_READS {
        return Err(PlanError::TooLarge {
            what: "taps of a window times positions of a plane",
            size: reads,
            limit: MAX_READS,
        });
    }
    Ok(())
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

impl Context<'_> {
    /// Relative exponent of a plane of corrections: its values lie at the exponents of the output window.
    pub(super) fn corrections_relative(&self, step: &Step) -> Option<isize> {
        let side = step.corrections?;
        self.natural(side, 0, self.home(side).value_scale, step.unit.unwrap_or((1, 1)))
    }

    /// Taps and reached exponents of a window over natural positions; `taps` are offsets from `stride * output`.
    pub(super) fn window_frame(
        &self,
        step: &Step,
        stride: (usize, usize),
        size: (usize, usize),
        taps: &[(isize, isize)],
    ) -> Result<Frame, PlanError> {
        let unit = step.unit.unwrap_or((1, 1));
        let input = step.inputs[0].home;
        let home = self.home(input);
        let phases = home.geometry.phases;
        let reads = taps
            .len()
            .saturating_mul(home.index.len() / home.geometry.channels.max(1));
        check_reads(reads)?;
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
            .chain(outputs.iter().flatten().copied())
            .chain(self.corrections_relative(step));
        let mut frame = Frame {
            builder: Builder::new(self.at, relatives),
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
        Ok(frame)
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
    pub(super) fn single_frame(&self, step: &Step) -> Result<Frame, PlanError> {
        let input = step.inputs[0].home;
        let scale = self.home(input).value_scale;
        let outputs = [self.planes[step.output].first().map(|p| -self.origin(p, (1, 1)))];
        let used = || self.planes[input].iter().filter(|p| p.height > 0);
        let sizes: BTreeSet<(usize, usize)> = used().map(|p| (p.height, p.width)).collect();
        let reads = sizes.iter().map(|(h, w)| h.saturating_mul(*w).saturating_mul(4));
        check_reads(reads.fold(0, usize::saturating_add))?;
        let lowest = used().map(|p| -self.origin(p, scale));
        let others = outputs.iter().flatten().copied();
        let relatives = lowest.chain(others).chain(self.corrections_relative(step));
        let mut builder = Builder::new(self.at, relatives);
        builder.mark_window(0);
        for (height, width) in sizes {
            for i in 0..2 * height - 1 {
                for j in 0..2 * width - 1 {
                    let (di, dj) = (signed(i) - signed(height - 1), signed(j) - signed(width - 1));
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
        Ok(Frame {
            taps: Vec::new(),
            builder,
            padded: false,
            outputs: all_outputs,
        })
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
}
