//! Operators of the integer graph. One operator = one file.

use crate::graph::TensorInfo;
use crate::quant::{ChannelRequantize, Requantize, Runtime};
use crate::tensor::{DType, MAX_ELEMENTS};
use serde::{Deserialize, Serialize};

mod add;
mod avg_pool;
mod conv2d;
mod dense;
mod error;
mod max_pool;
mod view;
mod window;

pub use add::Add;
pub use avg_pool::{AvgKind, AvgPool, Counts};
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use error::OpError;
pub use max_pool::MaxPool;
pub use view::View;
pub use window::Window;

/// Largest magnitude of a weight after its zero point is subtracted.
pub const MAX_WEIGHT: i32 = 255;

/// An operator of the integer graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution with constant weights.
    Conv2d(Conv2d),
    /// Product with a constant matrix along the last dimension.
    Dense(Dense),
    /// Sum of two tensors of the same shape; also a rescale of one tensor (second input absent).
    Add(Add),
    /// Average over windows; global when the window is the plane.
    AvgPool(AvgPool),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Reshape, transpose, squeeze, flatten: the same values in another order.
    View(View),
}

impl Op {
    /// Name of the operator's kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "conv2d",
            Self::Dense(_) => "dense",
            Self::Add(_) => "add",
            Self::AvgPool(_) => "average pool",
            Self::MaxPool(_) => "max pool",
            Self::View(_) => "view",
        }
    }

    /// The operator's integer meaning: flat values in, flat values out. The operator must come from its constructor or
    /// have passed [`Op::validate`].
    ///
    /// # Errors
    /// [`OpError::Inputs`], [`OpError::Length`].
    pub fn reference(&self, inputs: &[&[i32]]) -> Result<Vec<i32>, OpError> {
        match (self, inputs) {
            (Self::Add(op), _) => op.reference(inputs),
            (Self::Conv2d(op), [x]) => op.reference(x),
            (Self::Dense(op), [x]) => op.reference(x),
            (Self::AvgPool(op), [x]) => op.reference(x),
            (Self::MaxPool(op), [x]) => op.reference(x),
            (Self::View(op), [x]) => op.reference(x),
            _ => Err(OpError::Inputs {
                what: self.kind(),
                expected: 1,
                actual: inputs.len(),
            }),
        }
    }

    /// Checks the operator's own fields and that its tensors have the shapes, types and zero points it was built for.
    ///
    /// # Errors
    /// Any [`OpError`].
    pub fn validate(&self, inputs: &[&TensorInfo], output: &TensorInfo) -> Result<(), OpError> {
        match (self, inputs) {
            (Self::Add(op), _) => op.validate(inputs, output),
            (Self::Conv2d(op), [x]) => op.validate(x, output),
            (Self::Dense(op), [x]) => op.validate(x, output),
            (Self::AvgPool(op), [x]) => op.validate(x, output),
            (Self::MaxPool(op), [x]) => op.validate(x, output),
            (Self::View(op), [x]) => op.validate(x, output),
            _ => Err(OpError::Inputs {
                what: self.kind(),
                expected: 1,
                actual: inputs.len(),
            }),
        }
    }

    /// Multiplications by a weight; 0 for operators without weights.
    #[must_use]
    pub fn macs(&self) -> u64 {
        match self {
            Self::Conv2d(op) => op.macs(),
            Self::Dense(op) => op.macs(),
            Self::Add(_) | Self::AvgPool(_) | Self::MaxPool(_) | Self::View(_) => 0,
        }
    }

    /// Where the runtime is known to return something else on these inputs, by flat output index, ascending.
    ///
    /// # Errors
    /// [`OpError::Inputs`], [`OpError::Length`].
    pub fn differing(
        &self,
        inputs: &[&[i32]],
        infos: &[&TensorInfo],
        output: &TensorInfo,
    ) -> Result<Vec<OpDifference>, OpError> {
        match (self, inputs, infos) {
            (Self::Conv2d(op), [x], _) => {
                let len = op.window.output_len();
                Ok(listed(&op.requantize, &op.accumulators(x)?, |at| at / len))
            }
            (Self::Dense(op), [x], _) => Ok(listed(&op.requantize, &op.accumulators(x)?, |at| at % op.n)),
            (Self::AvgPool(op), [x], [info]) => match op.kind {
                AvgKind::Global => Ok(listed(&op.requantize, &op.accumulators(x)?, |_| 0)),
                AvgKind::Window | AvgKind::Padded => {
                    let runtime = op.runtime_window(x, info.scale, output.scale, output.zero_point)?;
                    let pairs = op.reference(x)?.into_iter().zip(runtime).enumerate();
                    Ok(pairs
                        .filter_map(|(at, (y, r))| OpDifference::new(at, y, Some(r)))
                        .collect())
                }
            },
            (Self::Add(op), _, _) => op.differing_at(inputs),
            (Self::MaxPool(_) | Self::View(_), _, _) => Ok(Vec::new()),
            _ => Err(OpError::Inputs {
                what: self.kind(),
                expected: 1,
                actual: inputs.len(),
            }),
        }
    }

    /// How many of its accumulators (for a sum its inputs) the runtime may round otherwise than the proved integers.
    #[must_use]
    pub fn num_differing(&self, inputs: &[&TensorInfo], output: &TensorInfo) -> NumDiffering {
        let of = |requantize: &Requantize| {
            let (accumulators, channels) = requantize.num_differing();
            let count = |c: &ChannelRequantize| c.fitted.1.abs_diff(c.fitted.0).saturating_add(1);
            let reachable = requantize.channels.iter().map(count).fold(0, u64::saturating_add);
            NumDiffering {
                accumulators,
                channels,
                reachable,
            }
        };
        match (self, inputs) {
            (Self::Conv2d(Conv2d { requantize, .. }) | Self::Dense(Dense { requantize, .. }), _) => {
                of(requantize)
            }
            (Self::AvgPool(pool), [x]) => {
                let listed = of(&pool.requantize);
                let unsure = pool.num_order_dependent(&x.quant(), &output.quant());
                let accumulators = listed.accumulators.max(unsure);
                let channels = accumulators.min(1);
                NumDiffering {
                    accumulators,
                    channels,
                    ..listed
                }
            }
            (Self::Add(add), _) => {
                let accumulators = add.differing.len();
                let reachable = add.terms.iter().map(|_| 256).product();
                NumDiffering {
                    accumulators,
                    channels: accumulators.min(1),
                    reachable,
                }
            }
            (Self::AvgPool(_) | Self::MaxPool(_) | Self::View(_), _) => NumDiffering::default(),
        }
    }

    /// The requantization, for operators with an accumulator per output.
    #[must_use]
    pub fn requantize(&self) -> Option<&Requantize> {
        match self {
            Self::Conv2d(op) => Some(&op.requantize),
            Self::Dense(op) => Some(&op.requantize),
            Self::AvgPool(op) => Some(&op.requantize),
            Self::Add(_) | Self::MaxPool(_) | Self::View(_) => None,
        }
    }
}

/// How many accumulators of an operator differ from the runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumDiffering {
    /// Accumulators that differ; for a sum pairs of inputs.
    pub accumulators: usize,
    /// Channels that have any.
    pub channels: usize,
    /// Accumulators of all channels that the weights can reach.
    pub reachable: u64,
}

/// One output value at which the runtime returns something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpDifference {
    /// Flat index in the output.
    pub index: usize,
    /// The proved value.
    pub proved: i32,
    /// The runtime's value; `None` where its int32 accumulator overflows.
    pub runtime: Option<i32>,
}

impl OpDifference {
    fn new(index: usize, proved: i32, runtime: Option<i32>) -> Option<Self> {
        (runtime != Some(proved)).then_some(Self {
            index,
            proved,
            runtime,
        })
    }
}

/// Accumulators at which `requantize` lists a difference.
fn listed(requantize: &Requantize, acc: &[i64], channel: impl Fn(usize) -> usize) -> Vec<OpDifference> {
    let difference = |(at, &acc): (usize, &i64)| {
        let runtime = match requantize.channels[channel(at)].runtime(acc) {
            Runtime::Equal => return None,
            Runtime::Other(y) => Some(y),
            Runtime::Overflow => None,
        };
        OpDifference::new(at, requantize.apply(channel(at), acc), runtime)
    };
    acc.iter().enumerate().filter_map(difference).collect()
}

/// Product of sizes, each positive, at most [`MAX_ELEMENTS`].
fn checked_len(what: &'static str, sizes: &[usize]) -> Result<usize, OpError> {
    sizes
        .iter()
        .try_fold(1usize, |n, &s| n.checked_mul(s))
        .filter(|n| *n > 0 && *n <= MAX_ELEMENTS)
        .ok_or_else(|| OpError::Size {
            what,
            sizes: sizes.to_vec(),
        })
}

fn check_length(what: &'static str, expected: usize, actual: usize) -> Result<(), OpError> {
    if expected == actual {
        return Ok(());
    }
    Err(OpError::Length {
        what,
        expected,
        actual,
    })
}

fn check_weights(what: &'static str, weights: &[i32]) -> Result<(), OpError> {
    match weights
        .iter()
        .position(|w| !(-MAX_WEIGHT..=MAX_WEIGHT).contains(w))
    {
        Some(index) => Err(OpError::Weight {
            what,
            index,
            weight: weights[index],
        }),
        None => Ok(()),
    }
}

/// Smallest and largest `sum w x` for x anywhere in `x.0..=x.1`, which holds 0.
fn reachable<'a>(weights: impl Iterator<Item = &'a i32>, x: (i32, i32)) -> (i64, i64) {
    let (lo, hi) = (i64::from(x.0), i64::from(x.1));
    weights.fold((0, 0), |(min, max), &w| {
        let (a, b) = (i64::from(w) * lo, i64::from(w) * hi);
        (min + a.min(b), max + a.max(b))
    })
}

/// Checks that `requantize` states at least the ranges `needed`.
fn check_bounds(what: &'static str, requantize: &Requantize, needed: &[(i64, i64)]) -> Result<(), OpError> {
    let outside = requantize
        .channels
        .iter()
        .zip(needed)
        .position(|(have, need)| need.0 < have.reachable.0 || need.1 > have.reachable.1);
    match outside {
        Some(channel) => Err(OpError::Bounds { what, channel }),
        None => Ok(()),
    }
}

/// Checks that a tensor is `[1, channels, h, w]`, or `[1, channels, w]` where `h` is 1.
fn check_planes(
    what: &'static str,
    tensor: &TensorInfo,
    channels: usize,
    plane: (usize, usize),
) -> Result<(), OpError> {
    let dims = tensor.shape.dims();
    let same = match dims {
        [1, c, h, w] => (*c, (*h, *w)) == (channels, plane),
        [1, c, w] => (*c, (1, *w)) == (channels, plane),
        _ => false,
    };
    if same {
        return Ok(());
    }
    let expected = format!("[1, {channels}, {}, {}]", plane.0, plane.1);
    Err(OpError::Shape {
        what,
        tensor: tensor.name.clone(),
        actual: dims.to_vec(),
        expected,
    })
}

/// Checks the zero point that an operator subtracts from its input.
fn check_input(what: &'static str, tensor: &TensorInfo, zero_point: i32) -> Result<(), OpError> {
    if tensor.zero_point == zero_point {
        return Ok(());
    }
    Err(OpError::Mismatch {
        what,
        tensor: tensor.name.clone(),
    })
}

/// `q - zero_point` at the ends of the type.
fn centered(dtype: DType, zero_point: i32) -> (i32, i32) {
    (dtype.min() - zero_point, dtype.max() - zero_point)
}
