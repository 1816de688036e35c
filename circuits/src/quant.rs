//! Requantization: the float staircase of the runtimes, and the integers that step at the same places.
//!
//! A staircase maps an accumulator to an 8-bit output. The proved form is
//! `y = clamp(floor((m * acc + b) / d), lo, hi)` with `d = d1 * 2^12`, `1 <= d1 < 2^12`.
//!
//! Bounds: over every reachable accumulator `|m * acc| + |b| + d < 2^62` ([`MAGNITUDE_LIMIT`]), so that the
//! integer equation `m * acc + b = d * t + r` cannot wrap in the field.

use crate::tensor::DType;
use serde::{Deserialize, Serialize};

mod error;
mod fit;
mod float;
mod offset;
mod shared;
mod staircase;
mod strict;

pub use error::QuantError;
pub(crate) use fit::DIVISORS;
pub use fit::{fit_channel, requantize, strict};
pub(crate) use float::f32_of;
pub use float::{requantize_f32, round_clamp_f32};
pub(crate) use offset::{Offset, best_offset};
pub use shared::fit_shared;
pub use staircase::Target;
pub use strict::{STEP_DIVISOR, strict_channel};

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

/// What happens at accumulators that no `(m, b, d)` rounds as the runtime does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Rounding {
    /// They stay one step apart from the runtime, and are listed.
    #[default]
    Exact,
    /// The offset b changes there ([`ChannelRequantize::corrections`]), so that none differs; a network in which that
    /// cannot be done is refused.
    Strict,
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
    /// Changes of the offset along the accumulators, ascending; empty unless the rounding is strict.
    pub corrections: Vec<Correction>,
    /// Accumulators (operator bias NOT included) at which the runtime's float formula gives another
    /// output than `affine`, with that output; ascending. Mostly empty.
    pub differing: Vec<Difference>,
    /// Smallest and largest reachable accumulator, bias not included.
    pub reachable: (i64, i64),
    /// The part of `reachable` in which accumulator plus bias fits int32, where `differing` is complete.
    /// Outside, the runtime's own accumulator overflows and its output means nothing.
    pub fitted: (i64, i64),
}

/// From accumulator `from` on the offset is larger by `add`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// The first accumulator concerned, operator bias not included.
    pub from: i64,
    /// What is added; may be negative.
    pub add: i64,
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
    /// Quotient t, before the clamp, of a reachable accumulator (bias not included):
    /// `floor((m acc + b + sum of the corrections up to acc) / d)`.
    #[must_use]
    pub fn quotient(&self, acc: i64) -> i64 {
        let reached = self.corrections.iter().take_while(|c| c.from <= acc);
        let b = self.affine.b + reached.map(|c| c.add).sum::<i64>();
        Affine { b, ..self.affine }.quotient(acc)
    }

    /// Largest `|m acc| + |b| + d` over the reachable accumulators, corrections included.
    #[must_use]
    pub fn magnitude(&self) -> u128 {
        let Affine { m, b, .. } = self.affine;
        let acc = self
            .reachable
            .0
            .unsigned_abs()
            .max(self.reachable.1.unsigned_abs());
        let added = self.corrections.iter().map(|c| u128::from(c.add.unsigned_abs()));
        u128::from(m.unsigned_abs()) * u128::from(acc)
            + u128::from(b.unsigned_abs())
            + added.sum::<u128>()
            + u128::from(self.affine.divisor().unsigned_abs())
    }

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

    pub(crate) fn validate(&self, channel: usize) -> Result<(), QuantError> {
        let malformed = |what| Err(QuantError::Malformed { channel, what });
        let Affine { m, d1, .. } = self.affine;
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
        if self.magnitude() >= u128::from(MAGNITUDE_LIMIT.unsigned_abs()) {
            let acc = lo.saturating_abs().max(hi.saturating_abs());
            return Err(QuantError::Magnitude { channel, m, acc });
        }
        if self.corrections.windows(2).any(|w| w[0].from >= w[1].from) {
            return malformed("corrections are not ascending");
        }
        let near = |c: &Correction| {
            let (below, above) = (c.from.saturating_sub(lo), hi.saturating_sub(c.from));
            (0..=STEP_DIVISOR).contains(&below) && (0..STEP_DIVISOR).contains(&above)
        };
        if !self.corrections.iter().all(near) {
            return malformed("a correction is not within 2^24 of every reachable accumulator");
        }
        Ok(())
    }
}

impl Requantize {
    /// The proved output for one reachable accumulator (bias not included) of channel `channel`, which must exist.
    #[must_use]
    pub fn apply(&self, channel: usize, acc: i64) -> i32 {
        let t = self.channels[channel].quotient(acc);
        let t = t.clamp(i64::from(self.lo), i64::from(self.hi));
        i32::try_from(t).unwrap_or(self.lo)
    }

    /// Largest `|t - clamp(t)|` over the reachable accumulators of one channel, in output units.
    ///
    /// The quotient t grows with the accumulator between two corrections, so the ends of these pieces decide.
    #[must_use]
    pub fn channel_excess_bound(&self, channel: usize) -> i64 {
        let c = &self.channels[channel];
        let ends = c.corrections.iter().flat_map(|e| [e.from - 1, e.from]);
        let ends = ends
            .chain([c.reachable.0, c.reachable.1])
            .map(|acc| c.quotient(acc));
        let excess = ends.map(|t| (i64::from(self.lo) - t).max(t - i64::from(self.hi)));
        excess.max().unwrap_or(0).max(0)
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

    /// Every correction with its channel, channel by channel.
    pub fn corrections(&self) -> impl Iterator<Item = (usize, Correction)> {
        let of = |(channel, c): (usize, &ChannelRequantize)| {
            c.corrections.clone().into_iter().map(move |e| (channel, e))
        };
        self.channels.iter().enumerate().flat_map(of)
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
