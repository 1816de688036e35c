//! Requantization: the float staircase of the runtimes, and the integers that step at the same places.
//!
//! A staircase maps an accumulator to an 8-bit output. The proved form is
//! `y = clamp(floor((m * acc + b) / d), lo, hi)` with `d = d1 * 2^12`, `1 <= d1 < 2^12`.

use serde::{Deserialize, Serialize};

/// Low limb of every divisor: `d = d1 << DIVISOR_SHIFT`.
pub const DIVISOR_SHIFT: u32 = 12;

/// `t = floor((m * acc + b) / d)`, `d = d1 * 2^12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Multiplier, >= 0.
    pub m: i64,
    /// Offset: bias of the operator (times `m`), output zero point (times `d`) and rounding included.
    pub b: i64,
    /// High factor of the divisor, `1 <= d1 < 2^12`.
    pub d1: u32,
}

impl Affine {
    /// The divisor d.
    #[must_use]
    pub fn divisor(&self) -> i64 {
        i64::from(self.d1) << DIVISOR_SHIFT
    }

    /// Quotient t, before the clamp, of an accumulator given as `m * acc` summed in `scaled`.
    #[must_use]
    pub fn quotient(&self, acc: i64) -> i64 {
        (self.m * acc + self.b).div_euclid(self.divisor())
    }
}

/// The requantization of one operator's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requantize {
    /// One entry per output channel.
    pub channels: Vec<ChannelRequantize>,
    /// Lower clamp bound, in quantized units.
    pub lo: i32,
    /// Upper clamp bound, in quantized units; `hi > lo`.
    pub hi: i32,
}

/// One channel's integers and where they leave the runtime's staircase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelRequantize {
    /// The proved integers.
    pub affine: Affine,
    /// Accumulators (operator bias NOT included) at which the runtime's float formula gives another
    /// output than `affine`, with that output. Mostly empty.
    pub differing: Vec<Difference>,
    /// Smallest and largest reachable accumulator, bias not included.
    pub reachable: (i64, i64),
}

/// An accumulator at which float staircase and integer staircase are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The accumulator, operator bias not included.
    pub acc: i64,
    /// What the runtime returns there.
    pub runtime: i32,
}

impl Requantize {
    /// The proved output for one accumulator (bias not included) of channel `channel`.
    #[must_use]
    pub fn apply(&self, channel: usize, acc: i64) -> i32 {
        let t = self.channels[channel].affine.quotient(acc);
        let t = t.clamp(i64::from(self.lo), i64::from(self.hi));
        i32::try_from(t).unwrap_or(self.lo)
    }
}
