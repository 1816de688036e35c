//! The sum of an activation and a constant, as a convolution with one tap of weight 1 for each channel: the
//! constant lies in the channel's staircase
//! `y = clamp(rne(fma(a, r_a, fma(b, r_b, fix))))`, `fix = z_y - fma(r_a, z_a, f32(r_b z_b))`,
//! `r_a = f32(s_a / s_y)`, `r_b = f32(s_b / s_y)`, of which one operand is constant.

use super::value::Quant;
use crate::ops::{Conv2d, OpError, Window};
use crate::quant::{
    ChannelRequantize, QuantError, Requantize, Rounding, Target, check_scale, fit_channel, round_clamp_f32,
    strict_channel,
};

/// A sum with one constant for each channel.
#[derive(Debug, Clone)]
pub struct ConstantSum {
    /// The constant's integers, one for each channel.
    pub values: Vec<i32>,
    /// Their quantization.
    pub constant: Quant,
    /// Whether the constant is the operand a.
    pub first: bool,
    /// The activation's quantization.
    pub x: Quant,
    /// The output's quantization.
    pub y: Quant,
}

impl ConstantSum {
    /// onnxruntime's sum of `x` and the constant integer `constant`.
    ///
    /// # Source
    /// onnxruntime, `MlasQLinearAdd`.
    fn runtime(&self, x: i32, constant: i32, lo: i32, hi: i32) -> i32 {
        let (a, b) = if self.first {
            (&self.constant, &self.x)
        } else {
            (&self.x, &self.constant)
        };
        let (q_a, q_b) = if self.first { (constant, x) } else { (x, constant) };
        let (r_a, r_b) = (a.scale / self.y.scale, b.scale / self.y.scale);
        let fix = float(self.y.zero_point) - r_a.mul_add(float(a.zero_point), r_b * float(b.zero_point));
        let sum = float(q_a).mul_add(r_a, float(q_b).mul_add(r_b, fix));
        round_clamp_f32(sum, 0, lo, hi)
    }

    /// The convolution over planes of `window`, clamped to `lo..=hi`.
    ///
    /// # Errors
    /// [`OpError::Quant`] for a staircase that no integers fit, or that strict rounding cannot have.
    pub fn build(&self, window: Window, (lo, hi): (i32, i32), rounding: Rounding) -> Result<Conv2d, OpError> {
        self.y.to_tensor_quant().check_clamp(lo, hi)?;
        check_scale(
            "the sum's activation over its output",
            self.x.scale / self.y.scale,
        )?;
        check_scale(
            "the sum's constant over its output",
            self.constant.scale / self.y.scale,
        )?;
        let (min, max) = self.x.to_tensor_quant().centered();
        let reachable = (i64::from(min), i64::from(max));
        let channel = |(index, constant): (usize, &i32)| {
            let input = |acc: i64| i32::try_from(acc).unwrap_or(0) + self.x.zero_point;
            let target = Target {
                step: |acc: i64| self.runtime(input(acc), *constant, lo, hi),
                slope: f64::from(self.x.scale) / f64::from(self.y.scale),
                reachable,
                fitted: reachable,
                lo,
                hi,
            };
            let mut fit = fit_channel(index, &target)?;
            if rounding == Rounding::Strict {
                strict_channel(index, &target, &mut fit)?;
            }
            Ok::<_, QuantError>(fit)
        };
        let channels: Vec<ChannelRequantize> = self
            .values
            .iter()
            .enumerate()
            .map(channel)
            .collect::<Result<_, _>>()?;
        let count = channels.len();
        Ok(Conv2d {
            window,
            c_in: count,
            c_out: count,
            groups: count,
            weights: vec![1; count],
            z_x: self.x.zero_point,
            requantize: Requantize { channels, lo, hi },
        })
    }
}

/// A value or zero point of an 8-bit type as a float, exactly.
fn float(q: i32) -> f32 {
    i16::try_from(q).map_or(f32::NAN, f32::from)
}
