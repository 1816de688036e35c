//! Window geometry, shared by convolutions and pools.

use super::{OpError, checked_len};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Window geometry over planes; every pair is (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Height and width of the input planes.
    pub input: (usize, usize),
    /// Height and width of the output planes.
    pub output: (usize, usize),
    /// Kernel taps.
    pub kernel: (usize, usize),
    /// Stride.
    pub stride: (usize, usize),
    /// Dilation.
    pub dilation: (usize, usize),
    /// Padding before the first row and column; what is needed after the last follows from `output`.
    pub pad: (usize, usize),
}

/// One axis of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    input: usize,
    pub(super) output: usize,
    kernel: usize,
    pub(super) stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// Output positions at which `tap` lies inside the input, and the input position of the first.
    pub(super) fn inside(&self, tap: usize) -> (Range<usize>, usize) {
        let shift = tap * self.dilation;
        let first = self.pad.saturating_sub(shift).div_ceil(self.stride);
        let end = match (self.input + self.pad).checked_sub(shift + 1) {
            Some(room) => (room / self.stride + 1).min(self.output),
            None => 0,
        };
        if first >= end {
            return (0..0, 0);
        }
        (first..end, first * self.stride + shift - self.pad)
    }

    /// Input position of `tap` at output position `at`, when inside the input.
    pub(super) fn position(&self, at: usize, tap: usize) -> Option<usize> {
        (at * self.stride + tap * self.dilation)
            .checked_sub(self.pad)
            .filter(|p| *p < self.input)
    }

    /// Number of taps inside the input at output position `at`.
    pub(super) fn taps_inside(&self, at: usize) -> usize {
        let start = at * self.stride;
        let before = self.pad.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.input + self.pad)
            .checked_sub(start + 1)
            .map_or(0, |room| room / self.dilation + 1);
        end.min(self.kernel).saturating_sub(before)
    }

    /// First output position at which `wrong(taps inside)`.
    pub(super) fn find_taps(&self, wrong: impl Fn(usize) -> bool) -> Option<usize> {
        (0..self.output).find(|&at| wrong(self.taps_inside(at)))
    }

    fn validate(&self) -> Option<()> {
        let positive = [self.input, self.output, self.kernel, self.stride, self.dilation];
        let small = |v: usize| v <= crate::tensor::MAX_ELEMENTS;
        if positive.contains(&0) || !positive.into_iter().chain([self.pad]).all(small) {
            return None;
        }
        let last = (self.output - 1).checked_mul(self.stride)?;
        last.checked_add((self.kernel - 1).checked_mul(self.dilation)?)
            .map(drop)
    }
}

/// Output length of one axis, floor mode.
fn output_len(
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pads: (usize, usize),
) -> Option<usize> {
    let extent = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    let padded = input.checked_add(pads.0)?.checked_add(pads.1)?;
    padded.checked_sub(extent)?.checked_div(stride)?.checked_add(1)
}

impl Window {
    /// Computes the output planes in floor mode. Along an axis with one output position the stride becomes 1.
    ///
    /// # Errors
    /// [`OpError::Size`] for a zero or too large size, [`OpError::Kernel`] for a kernel larger than the padded input.
    pub fn new(
        input: (usize, usize),
        kernel: (usize, usize),
        stride: (usize, usize),
        dilation: (usize, usize),
        pad_begin: (usize, usize),
        pad_end: (usize, usize),
    ) -> Result<Self, OpError> {
        checked_len(
            "window stride or dilation",
            &[stride.0, stride.1, dilation.0, dilation.1],
        )?;
        let too_large = || OpError::Kernel {
            input,
            kernel,
            dilation,
        };
        let pads = ((pad_begin.0, pad_end.0), (pad_begin.1, pad_end.1));
        let output = (
            output_len(input.0, kernel.0, stride.0, dilation.0, pads.0).ok_or_else(too_large)?,
            output_len(input.1, kernel.1, stride.1, dilation.1, pads.1).ok_or_else(too_large)?,
        );
        // With one position along an axis there is nothing to stride over.
        let stride = (
            if output.0 == 1 { 1 } else { stride.0 },
            if output.1 == 1 { 1 } else { stride.1 },
        );
        let window = Self {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad: pad_begin,
        };
        window.validate()?;
        Ok(window)
    }

    /// Checks that every size is positive and that planes and positions stay within the element limit.
    ///
    /// # Errors
    /// [`OpError::Size`].
    pub fn validate(&self) -> Result<(), OpError> {
        checked_len("window input", &[self.input.0, self.input.1])?;
        checked_len("window output", &[self.output.0, self.output.1])?;
        checked_len("window kernel", &[self.kernel.0, self.kernel.1])?;
        let (vertical, horizontal) = self.axes();
        vertical
            .validate()
            .and(horizontal.validate())
            .ok_or_else(|| OpError::Size {
                what: "window",
                sizes: vec![
                    self.stride.0,
                    self.stride.1,
                    self.dilation.0,
                    self.dilation.1,
                    self.pad.0,
                    self.pad.1,
                ],
            })
    }

    /// Number of taps.
    #[must_use]
    pub fn num_taps(&self) -> usize {
        self.kernel.0.saturating_mul(self.kernel.1)
    }

    /// Values in an input plane.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.input.0.saturating_mul(self.input.1)
    }

    /// Values in an output plane.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output.0.saturating_mul(self.output.1)
    }

    pub(super) fn axes(&self) -> (Axis, Axis) {
        let axis = |input, output, kernel, stride, dilation, pad| Axis {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
        };
        (
            axis(
                self.input.0,
                self.output.0,
                self.kernel.0,
                self.stride.0,
                self.dilation.0,
                self.pad.0,
            ),
            axis(
                self.input.1,
                self.output.1,
                self.kernel.1,
                self.stride.1,
                self.dilation.1,
                self.pad.1,
            ),
        )
    }

    /// First output row or column at which `wrong(taps inside the input along that axis)`.
    pub(crate) fn find_taps(&self, wrong: impl Fn(usize, usize) -> bool) -> Option<usize> {
        let (vertical, horizontal) = self.axes();
        vertical
            .find_taps(|n| wrong(n, self.kernel.0))
            .or_else(|| horizontal.find_taps(|n| wrong(n, self.kernel.1)))
    }
}
