//! Maximum over windows, on the integers themselves: input and output share scale and zero point.
//! `y[c,i,j] = max over taps inside the input of x[c, i s_h + a d_h - p_h, j s_w + b d_w - p_w]`.

use super::{OpError, Window, check_length, check_planes, checked_len};
use crate::graph::TensorInfo;
use serde::{Deserialize, Serialize};

/// Max pool over each channel of NCHW planes with batch 1; positions outside the input do not take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Geometry; every window has a tap inside the input.
    pub window: Window,
    /// Channels.
    pub channels: usize,
}

impl MaxPool {
    /// Checks sizes and that no window lies outside the input.
    ///
    /// # Errors
    /// [`OpError::Size`], [`OpError::EmptyWindow`].
    pub fn new(window: Window, channels: usize) -> Result<Self, OpError> {
        let pool = Self { window, channels };
        pool.check_sizes()?;
        Ok(pool)
    }

    fn check_sizes(&self) -> Result<(), OpError> {
        let Window { input, output, .. } = self.window;
        self.window.validate()?;
        checked_len("max pool input", &[self.channels, input.0, input.1])?;
        checked_len("max pool output", &[self.channels, output.0, output.1])?;
        match self.window.find_taps(|inside, _| inside == 0) {
            Some(at) => Err(OpError::EmptyWindow { what: "max pool", at }),
            None => Ok(()),
        }
    }

    /// Checks fields and tensors.
    ///
    /// # Errors
    /// What [`MaxPool::new`] returns, [`OpError::Shape`], [`OpError::Mismatch`].
    pub fn validate(&self, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
        self.check_sizes()?;
        check_planes("max pool input", x, self.channels, self.window.input)?;
        check_planes("max pool output", y, self.channels, self.window.output)?;
        super::view::check_same_quant("max pool output", x, y)
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn reference(&self, x: &[i32]) -> Result<Vec<i32>, OpError> {
        let window = &self.window;
        check_length("max pool input", self.channels * window.input_len(), x.len())?;
        let (vertical, horizontal) = window.axes();
        let mut y = Vec::with_capacity(self.channels * window.output_len());
        for plane in x.chunks_exact(window.input_len()) {
            for (i, j) in (0..window.output.0).flat_map(|i| (0..window.output.1).map(move |j| (i, j))) {
                let rows = (0..window.kernel.0).filter_map(|a| vertical.position(i, a));
                let taps = rows.flat_map(|row| {
                    let columns = (0..window.kernel.1).filter_map(|b| horizontal.position(j, b));
                    columns.map(move |column| plane[row * window.input.1 + column])
                });
                y.push(taps.max().ok_or(OpError::EmptyWindow {
                    what: "max pool",
                    at: i,
                })?);
            }
        }
        Ok(y)
    }
}
