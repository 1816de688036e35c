//! Convolution: `acc[o,i,j] = sum_{c,a,b} w[o,c,a,b] (x[c, i s_h + a d_h - p_h, j s_w + b d_w - p_w] - z_x)`,
//! `y = requantize_o(acc)`; positions outside the input add nothing.

use crate::quant::Requantize;
use serde::{Deserialize, Serialize};

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
