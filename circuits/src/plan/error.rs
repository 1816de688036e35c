//! Why a graph has no plan.

use crate::graph::{Graph, TensorId};

/// Why a graph has no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The operator or its surroundings cannot be laid out.
    #[error("node `{node}` needs {reason}, which is not supported; rewrite that part of the model")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// What it needs.
        reason: &'static str,
    },
    /// A tensor is read that nothing makes.
    #[error("tensor `{name}` is read before it is made; the graph was not validated")]
    UnknownTensor {
        /// Name of the tensor.
        name: String,
    },
    /// A count passes its limit.
    #[error("{what} is {size}, the limit is {limit}; split the model, or take a smaller batch")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// An intermediate integer could leave the range in which the field equation is an integer equation.
    #[error(
        "node `{node}`: |m * acc| + |B| + d may reach 2^{bits}, the limit is 2^{limit}; lower the weight range"
    )]
    Bound {
        /// Name of the node.
        node: String,
        /// Bits that it may reach.
        bits: u32,
        /// The limit.
        limit: u32,
    },
    /// No row stride, or pitch of a batch, keeps window and overhang apart.
    #[error(
        "no row stride keeps the outputs of a window apart from the values outside it; report this model"
    )]
    RowStride,
    /// Strides along different paths do not agree.
    #[error("the strides along different paths between two tensors do not agree; remove one of the paths")]
    Phases,
    /// A batch of no inference, or of too many.
    #[error("a batch of {batch} inferences; one proof has 1 to {limit}")]
    Batch {
        /// Inferences that were asked for.
        batch: usize,
        /// The limit.
        limit: usize,
    },
    /// The options ask for what cannot be had.
    #[error("no plan with {wanted}; the model needs at least {rows} rows (k {k})", k = .rows.ilog2())]
    NoPlan {
        /// The options that were asked for.
        wanted: String,
        /// Fewest rows with which the other options can be met, or a bound below when none are known: a power of two.
        rows: usize,
    },
}

impl PlanError {
    pub(crate) fn unknown_tensor(graph: &Graph, id: TensorId) -> Self {
        Self::UnknownTensor {
            name: graph
                .tensors
                .get(id.0)
                .map(|t| t.name.clone())
                .unwrap_or_default(),
        }
    }
}
