//! Average over windows: `acc = sum_window (x - z_x)`, `y = requantize(acc)`. The divisor (number of taps) is
//! inside the requantization.

use super::Window;
use crate::quant::Requantize;
use serde::{Deserialize, Serialize};

/// Average pool over each channel of NCHW planes with batch 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AvgPool {
    /// Geometry; the kernel is the whole plane for a global pool. Every window has the same number of taps.
    pub window: Window,
    /// Channels.
    pub channels: usize,
    /// Zero point of the input.
    pub z_x: i32,
    /// Requantization, one entry for all channels.
    pub requantize: Requantize,
}
