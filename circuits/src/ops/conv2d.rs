//! Convolution: `acc[o,i,j] = sum_{c,a,b} w[o,c,a,b] (x[c, i s_h + a d_h - p_h, j s_w + b d_w - p_w] - z_x)`,
//! `y = requantize_o(acc)`; positions outside the input add nothing.
//!
//! Units: x in steps of S_x, acc in steps of S_x S_w, y in steps of S_y. Bounds: each `w (x - z_x)` is at most
//! 255^2 in magnitude; the reachable range per channel comes from the real weights.

use super::{
    OpError, Window, centered, check_bounds, check_input, check_length, check_planes, check_weights,
    checked_len,
};
use crate::graph::TensorInfo;
use crate::quant::{OutputQuant, Requantize, TensorQuant, requantize};
use crate::tensor::DType;
use serde::{Deserialize, Serialize};

/// A convolution over NCHW planes with batch 1. A rank-3 tensor has height 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Geometry.
    pub window: Window,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Groups; `c_in` for a depthwise convolution.
    pub groups: usize,
    /// Weights minus their zero point, `[c_out][c_in / groups][kernel.0][kernel.1]`, in -255..=255.
    pub weights: Vec<i32>,
    /// Zero point of the input.
    pub z_x: i32,
    /// Requantization per output channel; the bias is inside `Affine::b`.
    pub requantize: Requantize,
}

impl Conv2d {
    /// Checks everything and fits the integers. `bias` is in steps of S_x S_w, empty for none.
    ///
    /// # Errors
    /// [`OpError::Groups`], [`OpError::Size`], [`OpError::Length`], [`OpError::Weight`], [`OpError::Quant`].
    #[allow(
        clippy::too_many_arguments,
        reason = "each argument is one part of the formula"
    )]
    pub fn new(
        window: Window,
        c_in: usize,
        c_out: usize,
        groups: usize,
        weights: Vec<i32>,
        x: &TensorQuant,
        bias: &[i64],
        y: &OutputQuant,
    ) -> Result<Self, OpError> {
        x.validate("the convolution's input")?;
        let unfitted = Requantize {
            channels: Vec::new(),
            lo: y.lo,
            hi: y.hi,
        };
        let mut conv = Self {
            window,
            c_in,
            c_out,
            groups,
            weights,
            z_x: x.zero_point,
            requantize: unfitted,
        };
        conv.check_sizes()?;
        conv.requantize = requantize(y, &conv.bounds(x.dtype), bias)?;
        Ok(conv)
    }

    fn check_sizes(&self) -> Result<(), OpError> {
        let Self {
            c_in, c_out, groups, ..
        } = *self;
        if c_in.checked_rem(groups) != Some(0) || c_out.checked_rem(groups) != Some(0) {
            return Err(OpError::Groups { groups, c_in, c_out });
        }
        self.window.validate()?;
        let (input, output, kernel) = (self.window.input, self.window.output, self.window.kernel);
        checked_len("convolution input", &[c_in, input.0, input.1])?;
        checked_len("convolution output", &[c_out, output.0, output.1])?;
        let expected = checked_len("convolution weights", &[c_out, c_in / groups, kernel.0, kernel.1])?;
        check_length("convolution weights", expected, self.weights.len())?;
        check_weights("conv2d", &self.weights)
    }

    /// Weights of one output channel.
    #[must_use]
    pub fn num_channel_weights(&self) -> usize {
        self.c_in / self.groups * self.window.num_taps()
    }

    /// Smallest and largest accumulator (bias not included) per output channel, from the real weights.
    #[must_use]
    pub fn bounds(&self, input: DType) -> Vec<(i64, i64)> {
        let x = centered(input, self.z_x);
        self.weights
            .chunks_exact(self.num_channel_weights())
            .map(|w| super::reachable(w.iter(), x))
            .collect()
    }

    /// Checks fields and tensors.
    ///
    /// # Errors
    /// What [`Conv2d::new`] returns, [`OpError::Shape`], [`OpError::Mismatch`], [`OpError::Bounds`].
    pub fn validate(&self, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
        self.check_sizes()?;
        check_planes("convolution input", x, self.c_in, self.window.input)?;
        check_planes("convolution output", y, self.c_out, self.window.output)?;
        check_input("convolution input", x, self.z_x)?;
        self.requantize.validate(self.c_out, y.dtype)?;
        check_bounds("conv2d", &self.requantize, &self.bounds(x.dtype))
    }

    /// Multiplications by a weight.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let len = self.weights.len().saturating_mul(self.window.output_len());
        u64::try_from(len).unwrap_or(u64::MAX)
    }

    /// The accumulators, bias not included, `[c_out][output.0][output.1]`.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn accumulators(&self, x: &[i32]) -> Result<Vec<i64>, OpError> {
        let (planes_in, planes_out) = (self.window.input_len(), self.window.output_len());
        check_length("convolution input", self.c_in * planes_in, x.len())?;
        let centered: Vec<i32> = x.iter().map(|v| v - self.z_x).collect();
        let (c_in, c_out) = (self.c_in / self.groups, self.c_out / self.groups);
        let mut acc = vec![0i64; self.c_out * planes_out];
        for (o, (plane, weights)) in acc
            .chunks_exact_mut(planes_out)
            .zip(self.weights.chunks_exact(self.num_channel_weights()))
            .enumerate()
        {
            let first = o / c_out * c_in;
            let inputs = centered.chunks_exact(planes_in).skip(first).take(c_in);
            for (x, w) in inputs.zip(weights.chunks_exact(self.window.num_taps())) {
                self.add_plane(plane, x, w);
            }
        }
        Ok(acc)
    }

    /// Adds one input plane, convolved with one kernel, to one plane of accumulators.
    fn add_plane(&self, acc: &mut [i64], x: &[i32], w: &[i32]) {
        let (vertical, horizontal) = self.window.axes();
        let (width_in, width_out) = (self.window.input.1, self.window.output.1);
        for (tap, &w) in w.iter().enumerate() {
            let (rows, mut row) = vertical.inside(tap / self.window.kernel.1);
            let (columns, column) = horizontal.inside(tap % self.window.kernel.1);
            for i in rows {
                let acc = &mut acc[i * width_out + columns.start..i * width_out + columns.end];
                let x = x[row * width_in..(row + 1) * width_in]
                    .iter()
                    .skip(column)
                    .step_by(horizontal.stride);
                for (acc, x) in acc.iter_mut().zip(x) {
                    *acc += i64::from(w * x);
                }
                row += vertical.stride;
            }
        }
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn reference(&self, x: &[i32]) -> Result<Vec<i32>, OpError> {
        let acc = self.accumulators(x)?;
        let planes = acc.chunks_exact(self.window.output_len()).enumerate();
        Ok(planes
            .flat_map(|(o, plane)| plane.iter().map(move |&a| self.requantize.apply(o, a)))
            .collect())
    }
}
