//! Requantization: the float staircase of the runtimes, and the integers that step at the same places.
//!
//! A staircase maps an accumulator to an 8-bit output. The proved form is
//! `y = clamp(floor((m * acc + b) / d), lo, hi)` with `d = d1 * 2^12`, `1 <= d1 < 2^12`.
//!
//! Bounds: over every reachable accumulator `|m * acc| + |b| + d < 2^62` ([`MAGNITUDE_LIMIT`]), so that the
//! integer equation `m * acc + b = d * t + r` cannot wrap in the field.

use crate::tensor::DType;
use serde::{Deserialize, Serialize};

mod fit;
mod float;

pub(crate) use fit::{DIVISORS, Offset, best_offset};
pub use fit::{Target, fit_channel, requantize};
pub(crate) use float::f32_of;
pub use float::{requantize_f32, round_clamp_f32};

/// Low limb of every divisor: `d = d1 << DIVISOR_SHIFT`.
pub const DIVISOR_SHIFT: u32 = 12;
/// `|m * acc| + |b| + d` stays below this for every reachable accumulator.
pub const MAGNITUDE_LIMIT: i64 = 1 << 62;
/// Largest magnitude of a clamp bound.
pub const MAX_CLAMP: i32 = 255;
/// Largest number of differing accumulators that one channel may list.
pub const MAX_CHANNEL_DIFFERENCES: usize = 1 << 16;
/// Largest number of differing accumulators that one operator may list.
pub const MAX_DIFFERENCES: usize = 1 << 20;

/// What can be wrong with quantization parameters.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantError {
    /// A scale that is not a finite positive number.
    #[error("scale {scale} of {what} is not finite and positive; quantize the model again")]
    Scale {
        /// Whose scale.
        what: &'static str,
        /// The scale.
        scale: f32,
    },
    /// A zero point outside its type.
    #[error("zero point {zero_point} of {what} is outside {min}..={max}")]
    ZeroPoint {
        /// Whose zero point.
        what: &'static str,
        /// The zero point.
        zero_point: i32,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// Clamp bounds that are empty or not in the output type.
    #[error("clamp bounds {lo}..={hi} need lo < hi, both in {min}..={max}")]
    Clamp {
        /// Lower bound.
        lo: i32,
        /// Upper bound.
        hi: i32,
        /// Smallest allowed.
        min: i32,
        /// Largest allowed.
        max: i32,
    },
    /// A per-channel list of another length than the channels.
    #[error("{what}: {actual} entries for {expected} output channels")]
    Channels {
        /// Which list.
        what: &'static str,
        /// Output channels.
        expected: usize,
        /// Entries given.
        actual: usize,
    },
    /// A bias outside int32.
    #[error("channel {channel}: bias {bias} does not fit int32")]
    Bias {
        /// Output channel.
        channel: usize,
        /// The bias.
        bias: i64,
    },
    /// The integer equation could leave the proved range.
    #[error(
        "channel {channel}: |m acc| + |b| + d may reach 2^62 (m = {m}, |acc| <= {acc}); \
         lower the weight range or raise the output scale"
    )]
    Magnitude {
        /// Output channel.
        channel: usize,
        /// Multiplier.
        m: i64,
        /// Largest reachable magnitude of the accumulator.
        acc: i64,
    },
    /// No divisor gives a usable multiplier.
    #[error(
        "channel {channel}: scale {slope:e} over accumulators {lo}..={hi} has no multiplier with a 24-bit divisor; \
         quantize the model again with a smaller output scale"
    )]
    NoMultiplier {
        /// Output channel.
        channel: usize,
        /// Slope of the staircase.
        slope: f64,
        /// Smallest reachable accumulator.
        lo: i64,
        /// Largest reachable accumulator.
        hi: i64,
    },
    /// More accumulators leave the runtime's staircase than are listed.
    #[error(
        "channel {channel}: the integers leave the runtime's staircase at more than {limit} accumulators; \
         quantize the model again with a larger weight scale"
    )]
    Differences {
        /// Output channel.
        channel: usize,
        /// The limit.
        limit: usize,
    },
    /// Integers that no fit returns: divisor, multiplier, range or list out of order.
    #[error("channel {channel}: {what}; build the operator with its constructor")]
    Malformed {
        /// Output channel.
        channel: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// Scale, zero point and type of an 8-bit tensor: real value = scale * (q - zero_point).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TensorQuant {
    /// Scale, finite and positive.
    pub scale: f32,
    /// Zero point, in the range of `dtype`.
    pub zero_point: i32,
    /// Element type.
    pub dtype: DType,
}

impl TensorQuant {
    /// Checks scale and zero point; `what` names the tensor in the error.
    ///
    /// # Errors
    /// [`QuantError::Scale`], [`QuantError::ZeroPoint`].
    pub fn validate(&self, what: &'static str) -> Result<(), QuantError> {
        check_scale(what, self.scale)?;
        let (min, max) = (self.dtype.min(), self.dtype.max());
        if self.zero_point < min || self.zero_point > max {
            return Err(QuantError::ZeroPoint {
                what,
                zero_point: self.zero_point,
                min,
                max,
            });
        }
        Ok(())
    }

    /// Smallest and largest `q - zero_point`.
    #[must_use]
    pub fn centered(&self) -> (i32, i32) {
        (
            self.dtype.min() - self.zero_point,
            self.dtype.max() - self.zero_point,
        )
    }

    /// Checks clamp bounds against the type.
    ///
    /// # Errors
    /// [`QuantError::Clamp`].
    pub fn check_clamp(&self, lo: i32, hi: i32) -> Result<(), QuantError> {
        let (min, max) = (self.dtype.min(), self.dtype.max());
        if lo < min || hi > max || lo >= hi {
            return Err(QuantError::Clamp { lo, hi, min, max });
        }
        Ok(())
    }
}

/// Refuses a scale that is not finite and positive.
pub(crate) fn check_scale(what: &'static str, scale: f32) -> Result<(), QuantError> {
    if scale.is_finite() && scale > 0.0 {
        return Ok(());
    }
    Err(QuantError::Scale { what, scale })
}

/// How an accumulator becomes an 8-bit output in the runtime: `clamp(rne(f32(acc) * S) + zero_point, lo, hi)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputQuant {
    /// S = f32(f32(x_scale * w_scale) / y_scale) per output channel, or one for all.
    pub scales: Vec<f32>,
    /// Output zero point.
    pub zero_point: i32,
    /// Lower clamp bound in quantized units, already narrowed by a folded Relu or Clip.
    pub lo: i32,
    /// Upper clamp bound in quantized units.
    pub hi: i32,
}

/// `t = floor((m * acc + b) / d)`, `d = d1 * 2^12`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Multiplier, >= 0; 0 only where the output is one constant.
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

    /// Quotient t, before the clamp, of a reachable accumulator (operator bias not included).
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
    /// output than `affine`, with that output; ascending. Mostly empty.
    pub differing: Vec<Difference>,
    /// Smallest and largest reachable accumulator, bias not included.
    pub reachable: (i64, i64),
    /// The part of `reachable` in which accumulator plus bias fits int32, where `differing` is complete.
    /// Outside, the runtime's own accumulator overflows and its output means nothing.
    pub fitted: (i64, i64),
}

/// An accumulator at which float staircase and integer staircase are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The accumulator, operator bias not included.
    pub acc: i64,
    /// What the runtime returns there.
    pub runtime: i32,
}

/// What the runtime does at one accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The same output as the proved one.
    Equal,
    /// This output instead.
    Other(i32),
    /// Its int32 accumulator overflows.
    Overflow,
}

impl ChannelRequantize {
    /// What the runtime does at `acc` (bias not included).
    #[must_use]
    pub fn runtime(&self, acc: i64) -> Runtime {
        if acc < self.fitted.0 || acc > self.fitted.1 {
            return Runtime::Overflow;
        }
        match self.differing.binary_search_by_key(&acc, |d| d.acc) {
            Ok(at) => Runtime::Other(self.differing[at].runtime),
            Err(_) => Runtime::Equal,
        }
    }

    fn validate(&self, channel: usize) -> Result<(), QuantError> {
        let malformed = |what| Err(QuantError::Malformed { channel, what });
        let Affine { m, b, d1 } = self.affine;
        if d1 == 0 || d1 >= 1 << DIVISOR_SHIFT {
            return malformed("divisor factor d1 is not in 1..4096");
        }
        if m < 0 {
            return malformed("multiplier m is negative");
        }
        let (lo, hi) = self.reachable;
        if lo > hi || self.fitted.0 < lo || self.fitted.1 > hi {
            return malformed("accumulator ranges are out of order");
        }
        if self.differing.windows(2).any(|w| w[0].acc >= w[1].acc) {
            return malformed("differing accumulators are not ascending");
        }
        let acc = lo.saturating_abs().max(hi.saturating_abs());
        let sum = i128::from(m) * i128::from(acc) + i128::from(b).abs() + i128::from(self.affine.divisor());
        if sum >= i128::from(MAGNITUDE_LIMIT) {
            return Err(QuantError::Magnitude { channel, m, acc });
        }
        Ok(())
    }
}

impl Requantize {
    /// The proved output for one reachable accumulator (bias not included) of channel `channel`, which must exist.
    #[must_use]
    pub fn apply(&self, channel: usize, acc: i64) -> i32 {
        let t = self.channels[channel].affine.quotient(acc);
        let t = t.clamp(i64::from(self.lo), i64::from(self.hi));
        i32::try_from(t).unwrap_or(self.lo)
    }

    /// Largest `|t - clamp(t)|` over the reachable accumulators of one channel, in output units.
    ///
    /// The quotient t grows with the accumulator, so the two ends decide.
    #[must_use]
    pub fn channel_excess_bound(&self, channel: usize) -> i64 {
        let c = &self.channels[channel];
        let below = i64::from(self.lo) - c.affine.quotient(c.reachable.0);
        let above = c.affine.quotient(c.reachable.1) - i64::from(self.hi);
        below.max(above).max(0)
    }

    /// Largest `|t - clamp(t)|` over all channels, in output units.
    #[must_use]
    pub fn excess_bound(&self) -> i64 {
        (0..self.channels.len())
            .map(|c| self.channel_excess_bound(c))
            .max()
            .unwrap_or(0)
    }

    /// Number of listed differing accumulators, and of channels that have any.
    #[must_use]
    pub fn num_differing(&self) -> (usize, usize) {
        let listed = self.channels.iter().map(|c| c.differing.len());
        (listed.clone().sum(), listed.filter(|n| *n > 0).count())
    }

    /// Checks everything that the proved equation relies on, for `channels` output channels of type `dtype`.
    ///
    /// # Errors
    /// [`QuantError::Clamp`], [`QuantError::Channels`], [`QuantError::Malformed`], [`QuantError::Magnitude`].
    pub fn validate(&self, channels: usize, dtype: DType) -> Result<(), QuantError> {
        let (lo, hi, min, max) = (self.lo, self.hi, dtype.min(), dtype.max());
        if lo < min || hi > max || lo >= hi {
            return Err(QuantError::Clamp { lo, hi, min, max });
        }
        if self.channels.len() != channels {
            let actual = self.channels.len();
            return Err(QuantError::Channels {
                what: "requantization",
                expected: channels,
                actual,
            });
        }
        self.channels
            .iter()
            .enumerate()
            .try_for_each(|(i, c)| c.validate(i))
    }
}
