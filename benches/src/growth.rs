//! One network at several sizes, and the exponent by which a cost grows with the size.

use crate::{BenchError, SEED};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::models::{Builder, ConvSpec};

/// Factors by which the network grows.
pub const SIZES: [usize; 4] = [1, 2, 4, 8];

/// Channels and height of the smallest network.
const CHANNELS: usize = 8;
const HEIGHT: usize = 32;
/// Width of all planes.
const WIDTH: usize = 16;
/// Outputs of the last layer.
const CLASSES: usize = 10;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Channels of every inner layer: activations grow by the factor, multiplications by its square.
    Channels,
    /// Height of every plane: activations and multiplications grow by the factor, weights stay.
    Height,
}

impl Axis {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Channels, Self::Height];

    /// Name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Channels => "channels",
            Self::Height => "height",
        }
    }
}

/// Convolution 3x3, depthwise 3x3, pointwise, residual sum, global average pool and a dense layer.
///
/// # Errors
/// [`BenchError::Build`], which the sizes here do not give.
pub fn network(axis: Axis, factor: usize) -> Result<Graph, BenchError> {
    let (channels, height) = match axis {
        Axis::Channels => (CHANNELS * factor, HEIGHT),
        Axis::Height => (CHANNELS, HEIGHT * factor),
    };
    let mut net = Builder::new(SEED, DType::U8);
    let input = net.input(&[1, 1, height, WIDTH])?;
    let first = net.conv(input, ConvSpec::square(3, 1, 1, 1, channels))?;
    let depthwise = net.conv(first, ConvSpec::square(3, 1, 1, channels, channels))?;
    let pointwise = net.conv(depthwise, ConvSpec::square(1, 1, 0, 1, channels))?;
    let sum = net.add(first, pointwise)?;
    let pooled = net.avg_pool(sum, None)?;
    let flat = net.flatten(pooled)?;
    let scores = net.dense(flat, CLASSES)?;
    Ok(net.finish(&[scores]))
}

/// The exponent p of the power law `cost = c size^p` that fits the points best (least squares of the logarithms).
/// Points are `(size, cost)`, all above zero; fewer than two distinct sizes give NaN.
#[must_use]
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let n: f64 = points.iter().map(|_| 1.0).sum();
    let logs: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let mean_x = logs.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = logs.iter().map(|p| p.1).sum::<f64>() / n;
    let above: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let below: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_exponent_of_a_power_law() {
        let square: Vec<_> = [1.0, 2.0, 4.0, 8.0].map(|x: f64| (x, 3.0 * x * x)).to_vec();
        assert!((exponent(&square) - 2.0).abs() < 1e-12);
        let constant = [(1.0, 5.0), (8.0, 5.0)];
        assert!(exponent(&constant).abs() < 1e-12);
        assert!(exponent(&[(2.0, 1.0)]).is_nan());
    }

    #[test]
    fn networks_grow_along_their_axis() {
        for axis in Axis::ALL {
            let values = |factor| {
                let graph = network(axis, factor).unwrap();
                graph.validate().unwrap();
                graph.tensors.iter().map(|t| t.shape.len()).sum::<usize>()
            };
            assert!(values(8) > 6 * values(1), "{}", axis.name());
        }
    }
}
