//! Element-wise sum: `y = clamp(floor((m_a (a - z_a) + m_b (b - z_b) + B) / d), lo, hi)`.
//! With one input it is a rescale.

use serde::{Deserialize, Serialize};

/// `y = clamp(floor((sum_i m_i (x_i - z_i) + b) / d))` over one or two inputs of one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Add {
    /// Per input: integer multiplier m_i and zero point z_i.
    pub terms: Vec<(i64, i32)>,
    /// Offset B, output zero point and rounding included.
    pub b: i64,
    /// High factor of the divisor, `d = d1 * 2^12`.
    pub d1: u32,
    /// Lower clamp bound.
    pub lo: i32,
    /// Upper clamp bound.
    pub hi: i32,
    /// Inputs (each value pair, or each value) at which the runtime returns something else, with what it returns.
    pub differing: Vec<(i32, i32, i32)>,
}
