//! Maximum over windows, on the integers themselves: input and output share scale and zero point.

use super::Window;
use serde::{Deserialize, Serialize};

/// Max pool over each channel of NCHW planes with batch 1; positions outside the input do not take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPool {
    /// Geometry.
    pub window: Window,
    /// Channels.
    pub channels: usize,
}
