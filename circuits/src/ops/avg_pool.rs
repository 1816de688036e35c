//! Average over windows: `acc = sum_window (x - z_x)`, `y = requantize(acc)`. The divisor (number of values averaged) is
//! inside the requantization: windows that reach outside the input average fewer values, and there is one requantization
//! for each number, all with one multiplier.
//!
//! Units: acc in steps of S_x. Bounds: `|acc| <= 255 * taps`.

use super::{
    Conv2d, Op, OpError, Window, centered, check_bounds, check_input, check_length, check_planes, checked_len,
};
use crate::graph::TensorInfo;
use crate::quant::{
    ChannelRequantize, DIVISORS, QuantError, Requantize, Target, TensorQuant, f32_of, fit_channel,
    fit_shared, requantize_f32, round_clamp_f32, strict_channel,
};
use crate::tensor::DType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which of the runtime's two average formulas an operator stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AvgKind {
    /// `clamp(rne(f32(sum (x - z_x)) * f32(s_x / (s_y n))) + z_y)`: GlobalAveragePool, an integer sum.
    Global,
    /// `clamp(rne(f32(sum (x - z_x) s_x) / n / s_y + z_y))`: AveragePool, a float sum in row order, n the number of taps
    /// inside the input. The integers are fitted to the formula with an exact sum; the runtime's own sum can be one LSB
    /// apart near a step.
    Window,
    /// As `Window`, with padding counted (`count_include_pad`): n is the number of taps everywhere, and what lies
    /// outside the input adds nothing to the sum.
    Padded,
}

/// Average pool over each channel of NCHW planes with batch 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Geometry; the kernel is the whole plane for a global pool.
    pub window: Window,
    /// Channels.
    pub channels: usize,
    /// Zero point of the input.
    pub z_x: i32,
    /// Requantization: not by channel, but one entry for each number of values that windows average ([`Counts`]).
    pub requantize: Requantize,
    /// The runtime's formula.
    pub kind: AvgKind,
}

/// How many values each window averages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// The distinct numbers, ascending.
    pub distinct: Vec<usize>,
}

impl Counts {
    /// Position in [`Counts::distinct`] of the number of values at an output position.
    #[must_use]
    pub fn class(&self, i: usize, j: usize) -> usize {
        let count = self.rows[i] * self.columns[j];
        self.distinct.binary_search(&count).unwrap_or_else(|at| at)
    }

    /// Output columns at which the number of values changes, ascending.
    #[must_use]
    pub fn breaks(&self) -> Vec<usize> {
        let pairs = self.columns.windows(2).enumerate();
        pairs
            .filter(|(_, pair)| pair[0] != pair[1])
            .map(|(j, _)| j + 1)
            .collect()
    }
}

impl AvgPool {
    /// Checks everything and fits the integers.
    ///
    /// # Errors
    /// [`OpError::EmptyWindow`] for a window without a value, [`OpError::NotGlobal`], [`OpError::Size`],
    /// [`OpError::Quant`].
    ///
    /// # Source
    /// onnxruntime, `MlasQLinearGlobalAveragePool` and `QLinearAveragePool`.
    pub fn new(
        window: Window,
        channels: usize,
        x: &TensorQuant,
        y: &TensorQuant,
        lo: i32,
        hi: i32,
        kind: AvgKind,
    ) -> Result<Self, OpError> {
        x.validate("the average pool's input")?;
        y.validate("the average pool's output")?;
        y.check_clamp(lo, hi)?;
        let unfitted = Requantize {
            channels: Vec::new(),
            lo,
            hi,
        };
        let mut pool = Self {
            window,
            channels,
            z_x: x.zero_point,
            requantize: unfitted,
            kind,
        };
        pool.check_sizes()?;
        let counts = pool.counts().distinct;
        let targets = counts.iter().map(|n| pool.staircase(*n, x, y));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        pool.requantize.channels = match &targets[..] {
            [only] => vec![fit_channel(0, only)?],
            _ => fit_shared(f64::from(x.scale) / f64::from(y.scale), &counts, &targets)?,
        };
        Ok(pool)
    }

    /// Where windows average different numbers of values, each number has a divisor of its own.
    fn check_counts(&self) -> Result<(), OpError> {
        let (rows, columns) = self.counts_along();
        let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0);
        let varies = |counts: &[usize]| counts.windows(2).any(|pair| pair[0] != pair[1]);
        let largest = most(&rows).saturating_mul(most(&columns));
        if (varies(&rows) || varies(&columns)) && largest >= DIVISORS.end as usize {
            return Err(OpError::ManyCounts {
                values: largest,
                limit: DIVISORS.end as usize,
            });
        }
        Ok(())
    }

    /// How many values windows average along each axis.
    fn counts_along(&self) -> (Vec<usize>, Vec<usize>) {
        let (vertical, horizontal) = self.window.axes();
        let along = |axis: &super::window::Axis, kernel: usize| {
            let inside = |at| match self.kind {
                AvgKind::Global | AvgKind::Padded => kernel,
                AvgKind::Window => axis.taps_inside(at),
            };
            (0..axis.output).map(inside).collect::<Vec<_>>()
        };
        (
            along(&vertical, self.window.kernel.0),
            along(&horizontal, self.window.kernel.1),
        )
    }

    /// How many values each window averages: its taps inside the input, or all taps where padding is counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (rows, columns) = self.counts_along();
        let of = |counts: &[usize]| counts.iter().copied().collect::<BTreeSet<_>>();
        let products = of(&rows)
            .into_iter()
            .flat_map(|r| of(&columns).into_iter().map(move |c| r * c));
        let distinct = products.collect::<BTreeSet<_>>().into_iter().collect();
        Counts {
            rows,
            columns,
            distinct,
        }
    }

    /// The runtime's formula for the average of `count` values, with an exact sum.
    fn staircase(
        &self,
        count: usize,
        x: &TensorQuant,
        y: &TensorQuant,
    ) -> Result<Target<impl Fn(i64) -> i32 + use<>>, OpError> {
        let reachable = self.bounds(count, x.dtype);
        let taps = i64::try_from(count).unwrap_or(i64::MAX);
        let scale = x.scale / (y.scale * f32_of(taps));
        crate::quant::check_scale("the average", scale)?;
        let (kind, lo, hi) = (self.kind, self.requantize.lo, self.requantize.hi);
        let (s_x, s_y, z_y) = (x.scale, y.scale, y.zero_point);
        let step = move |acc: i64| match kind {
            AvgKind::Global => requantize_f32(acc, scale, z_y, lo, hi),
            AvgKind::Window | AvgKind::Padded => average_f32(f32_of(acc) * s_x, taps, s_y, z_y, lo, hi),
        };
        Ok(Target {
            step,
            slope: f64::from(scale),
            reachable,
            fitted: reachable,
            lo,
            hi,
        })
    }

    /// The pool with strict rounding: itself, or a depthwise convolution with ones, whose channels have corrections.
    ///
    /// # Errors
    /// [`OpError::Quant`] where the runtime's float sum may round either way, and for corrections that cannot be had.
    pub fn strict(self, x: &TensorQuant, y: &TensorQuant) -> Result<Op, OpError> {
        if let differing @ 1.. = self.num_order_dependent(x, y) {
            let what = "the runtime's float sum rounds as the order of its terms has it";
            return Err(QuantError::Strict {
                channel: 0,
                what,
                differing,
            }
            .into());
        }
        let counts = self.counts().distinct;
        let mut requantize = self.requantize.clone();
        for (fit, count) in requantize.channels.iter_mut().zip(&counts) {
            strict_channel(0, &self.staircase(*count, x, y)?, fit)?;
        }
        if self.requantize == requantize {
            return Ok(Op::AvgPool(self));
        }
        if counts.len() > 1 {
            return Err(QuantError::Strict {
                channel: 0,
                what: "windows over the edge average fewer values",
                differing: self.requantize.num_differing().0,
            }
            .into());
        }
        let Self {
            window,
            channels,
            z_x,
            ..
        } = self;
        let fits = requantize.channels.iter().cycle().take(channels);
        Ok(Op::Conv2d(Conv2d {
            window,
            c_in: channels,
            c_out: channels,
            groups: channels,
            weights: vec![1; channels.saturating_mul(window.num_taps())],
            z_x,
            requantize: Requantize {
                channels: fits.cloned().collect(),
                ..requantize
            },
        }))
    }

    /// Accumulators at which the runtime's `AveragePool` may return either of two outputs, as the order of its float sum
    /// has it; 0 for a global pool, whose sum is an integer.
    ///
    /// The float sum of n products, each at most `255 s_x`, and the operations on it are within
    /// `2^-24 ((n + 5) 255 s_x / s_y + 256)` of the exact quotient, to first order; a tenth is added for the rest.
    #[must_use]
    pub fn num_order_dependent(&self, x: &TensorQuant, y: &TensorQuant) -> usize {
        if self.kind == AvgKind::Global {
            return 0;
        }
        let counts = self.counts().distinct;
        counts
            .into_iter()
            .map(|count| self.order_dependent(count, x, y))
            .sum()
    }

    fn order_dependent(&self, count: usize, x: &TensorQuant, y: &TensorQuant) -> usize {
        let taps = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let ratio = f64::from(x.scale) / f64::from(y.scale);
        let error = 1.1 * f64::from(f32::EPSILON) / 2.0 * ((taps + 5.0) * 255.0 * ratio + 256.0);
        let (lo, hi) = (f64::from(self.requantize.lo), f64::from(self.requantize.hi));
        let (from, to) = self.bounds(count, x.dtype);
        let unsure = |acc: &i64| {
            #[allow(clippy::cast_precision_loss, reason = "accumulators are below 2^53")]
            let t = *acc as f64 * ratio / taps + f64::from(y.zero_point);
            let round = |t: f64| t.round_ties_even().clamp(lo, hi);
            round(t - error) < round(t + error)
        };
        if error >= 0.5 {
            return usize::try_from(to - from).map_or(usize::MAX, |n| n.saturating_add(1));
        }
        let accumulator = |t: f64| (t - f64::from(y.zero_point)) * taps / ratio;
        let (mut next, mut count) = (from, 0);
        for step in self.requantize.lo..self.requantize.hi {
            let step = f64::from(step) + 0.5;
            #[allow(clippy::cast_possible_truncation, reason = "saturates")]
            let (first, last) = (
                accumulator(step - error).floor() as i64,
                accumulator(step + error).ceil() as i64,
            );
            let (first, last) = (first.max(next), last.min(to));
            count += (first..=last).filter(unsure).count();
            next = next.max(last.saturating_add(1));
        }
        count
    }

    fn check_sizes(&self) -> Result<(), OpError> {
        let Window {
            input,
            output,
            kernel,
            ..
        } = self.window;
        self.window.validate()?;
        checked_len("average pool input", &[self.channels, input.0, input.1])?;
        checked_len("average pool output", &[self.channels, output.0, output.1])?;
        if self.kind == AvgKind::Global && (kernel != input || output != (1, 1)) {
            return Err(OpError::NotGlobal { kernel, input });
        }
        if self.kind == AvgKind::Padded {
            return Ok(());
        }
        match self.window.find_taps(|inside, _| inside == 0) {
            Some(at) => Err(OpError::EmptyWindow {
                what: "average pool",
                at,
            }),
            None => self.check_counts(),
        }
    }

    /// Smallest and largest sum of `count` values.
    #[must_use]
    pub fn bounds(&self, count: usize, input: DType) -> (i64, i64) {
        let (lo, hi) = centered(input, self.z_x);
        let taps = i64::try_from(count).unwrap_or(i64::MAX);
        (
            taps.saturating_mul(i64::from(lo)),
            taps.saturating_mul(i64::from(hi)),
        )
    }

    /// Checks fields and tensors.
    ///
    /// # Errors
    /// What [`AvgPool::new`] returns, [`OpError::Shape`], [`OpError::Mismatch`], [`OpError::Bounds`].
    pub fn validate(&self, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
        self.check_sizes()?;
        check_planes("average pool input", x, self.channels, self.window.input)?;
        check_planes("average pool output", y, self.channels, self.window.output)?;
        check_input("average pool input", x, self.z_x)?;
        let counts = self.counts().distinct;
        self.requantize.validate(counts.len(), y.dtype)?;
        let multiplier = |c: &ChannelRequantize| c.affine.m;
        let first = self.requantize.channels.first().map(multiplier);
        if self
            .requantize
            .channels
            .iter()
            .any(|c| Some(multiplier(c)) != first)
        {
            let what = "the windows of an average pool have different multipliers";
            return Err(QuantError::Malformed { channel: 0, what }.into());
        }
        if self.requantize.corrections().next().is_some() {
            let what = "an average pool has corrections";
            return Err(QuantError::Malformed { channel: 0, what }.into());
        }
        let bounds: Vec<_> = counts.into_iter().map(|n| self.bounds(n, x.dtype)).collect();
        check_bounds("average pool", &self.requantize, &bounds)
    }

    /// The accumulators, `[channels][output.0][output.1]`.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn accumulators(&self, x: &[i32]) -> Result<Vec<i64>, OpError> {
        self.fold(x, 0i64, |acc, x| acc + i64::from(x - self.z_x))
    }

    /// Folds every window in row order.
    fn fold<T: Copy>(&self, x: &[i32], start: T, add: impl Fn(T, i32) -> T) -> Result<Vec<T>, OpError> {
        let window = &self.window;
        check_length("average pool input", self.channels * window.input_len(), x.len())?;
        let (vertical, horizontal) = window.axes();
        let mut y = Vec::with_capacity(self.channels * window.output_len());
        for plane in x.chunks_exact(window.input_len()) {
            for (i, j) in (0..window.output.0).flat_map(|i| (0..window.output.1).map(move |j| (i, j))) {
                let mut acc = start;
                for row in (0..window.kernel.0).filter_map(|a| vertical.position(i, a)) {
                    for column in (0..window.kernel.1).filter_map(|b| horizontal.position(j, b)) {
                        acc = add(acc, plane[row * window.input.1 + column]);
                    }
                }
                y.push(acc);
            }
        }
        Ok(y)
    }

    /// For every position of a plane, row by row: its entry in the requantization, and how many values it averages.
    #[must_use]
    pub fn classes(&self) -> Vec<(usize, usize)> {
        let counts = self.counts();
        let (height, width) = self.window.output;
        let at = |i: usize| (0..width).map(move |j| (i, j));
        let positions = (0..height).flat_map(at);
        positions
            .map(|(i, j)| counts.class(i, j))
            .map(|class| (class, counts.distinct[class]))
            .collect()
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn reference(&self, x: &[i32]) -> Result<Vec<i32>, OpError> {
        let classes = self.classes();
        let values = self.accumulators(x)?.into_iter().zip(classes.iter().cycle());
        Ok(values
            .map(|(acc, (class, _))| self.requantize.apply(*class, acc))
            .collect())
    }

    /// What the runtime's `AveragePool` kernel returns: dequantized values summed in f32, row by row.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn runtime_window(&self, x: &[i32], s_x: f32, s_y: f32, z_y: i32) -> Result<Vec<i32>, OpError> {
        let sums = self.fold(x, 0f32, |sum, x| sum + s_x * f32_of(i64::from(x - self.z_x)))?;
        let classes = self.classes();
        let Requantize { lo, hi, .. } = self.requantize;
        let average = |(sum, (_, count)): (f32, &(usize, usize))| {
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            average_f32(sum, count, s_y, z_y, lo, hi)
        };
        Ok(sums
            .into_iter()
            .zip(classes.iter().cycle())
            .map(average)
            .collect())
    }
}

/// `clamp(rne(sum / taps / s_y + z_y), lo, hi)`.
fn average_f32(sum: f32, taps: i64, s_y: f32, z_y: i32, lo: i32, hi: i32) -> i32 {
    round_clamp_f32(sum / f32_of(taps) / s_y + f32_of(i64::from(z_y)), 0, lo, hi)
}
