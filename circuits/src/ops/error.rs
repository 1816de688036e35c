//! What can be wrong with an operator.

use crate::quant::QuantError;
use crate::tensor::MAX_ELEMENTS;

/// What can be wrong with an operator or its tensors.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpError {
    /// Scales, zero points, clamp bounds, or a fit that does not exist.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// A size that must be positive, or a product of sizes past the element limit.
    #[error("{what} is zero or passes {MAX_ELEMENTS} elements: {sizes:?}")]
    Size {
        /// Which sizes.
        what: &'static str,
        /// The sizes.
        sizes: Vec<usize>,
    },
    /// A window that does not fit its padded input.
    #[error(
        "window: kernel {kernel:?} with dilation {dilation:?} is larger than input {input:?} with its padding"
    )]
    Kernel {
        /// Input plane.
        input: (usize, usize),
        /// Kernel taps.
        kernel: (usize, usize),
        /// Dilation.
        dilation: (usize, usize),
    },
    /// Channels that the groups do not divide.
    #[error("conv2d: {groups} groups do not divide {c_in} input and {c_out} output channels")]
    Groups {
        /// Groups.
        groups: usize,
        /// Input channels.
        c_in: usize,
        /// Output channels.
        c_out: usize,
    },
    /// Data of another length than the sizes say.
    #[error("{what}: {actual} values where {expected} are needed")]
    Length {
        /// Whose data.
        what: &'static str,
        /// Needed.
        expected: usize,
        /// Given.
        actual: usize,
    },
    /// A weight outside -255..=255.
    #[error("{what}: weight {weight} at flat index {index} is outside -255..=255")]
    Weight {
        /// Which operator.
        what: &'static str,
        /// Flat index.
        index: usize,
        /// The weight, zero point subtracted.
        weight: i32,
    },
    /// Averages over different and large numbers of values.
    #[error(
        "average pool: windows over the edge average fewer values than the {values} of others; with padding that is not \
         counted the numbers stay below {limit}; take a smaller kernel or count the padding"
    )]
    ManyCounts {
        /// The largest number.
        values: usize,
        /// The numbers stay below.
        limit: usize,
    },
    /// A pooling window without any tap inside the input.
    #[error("{what}: the window of output row or column {at} lies outside the input; reduce the padding")]
    EmptyWindow {
        /// Which operator.
        what: &'static str,
        /// First output row or column concerned.
        at: usize,
    },
    /// A global pool whose window is not the plane.
    #[error("global average pool: kernel {kernel:?} is not the plane {input:?}")]
    NotGlobal {
        /// Kernel taps.
        kernel: (usize, usize),
        /// Input plane.
        input: (usize, usize),
    },
    /// Not a permutation.
    #[error("view: {what} is not a permutation of 0..{len}")]
    Permutation {
        /// Which list.
        what: &'static str,
        /// Length.
        len: usize,
    },
    /// Another number of inputs than the operator reads.
    #[error("{what} reads {expected} tensors, {actual} are connected")]
    Inputs {
        /// Which operator.
        what: &'static str,
        /// Expected.
        expected: usize,
        /// Connected.
        actual: usize,
    },
    /// A tensor of another shape than the operator reads or makes.
    #[error("{what} `{tensor}` has shape {actual:?}, expected {expected}")]
    Shape {
        /// Which operator and side.
        what: &'static str,
        /// Name of the tensor.
        tensor: String,
        /// Its dimensions.
        actual: Vec<usize>,
        /// What is needed.
        expected: String,
    },
    /// A tensor of another type, scale or zero point than the operator was built for.
    #[error("{what} `{tensor}`: type, scale or zero point is not the one that the operator was built for")]
    Mismatch {
        /// Which operator and side.
        what: &'static str,
        /// Name of the tensor.
        tensor: String,
    },
    /// A stored bound that the weights and the input type exceed.
    #[error(
        "{what}: channel {channel} can reach accumulators outside its stated range; build it with its constructor"
    )]
    Bounds {
        /// Which operator.
        what: &'static str,
        /// Output channel.
        channel: usize,
    },
}
