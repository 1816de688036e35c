//! Bounds of the integers that the field equations embed.

use super::PlanError;
use super::lower::Lowered;
use crate::graph::{Graph, Node};
use crate::ops::Op;
use crate::quant::ChannelRequantize;
use crate::tensor::DType;

/// Largest distance of an unclamped quotient from its clamp, over all operators.
pub(super) fn excess_bound(graph: &Graph) -> u64 {
    let of = |node: &Node| match &node.op {
        Op::Add(add) => {
            let types: Vec<DType> = node.inputs.iter().map(|t| graph.tensor(*t).dtype).collect();
            add.excess_bound(&types).unsigned_abs()
        }
        op => op.requantize().map_or(0, |r| r.excess_bound().unsigned_abs()),
    };
    graph.nodes.iter().map(of).max().unwrap_or(0)
}

/// Bits that `|m acc| + |B| + d` must stay under.
pub const BOUND_BITS: u32 = 64;

/// `|m acc| + |B| + d` over the reachable accumulators.
fn magnitude_bound(op: &Op) -> u128 {
    match op {
        // |x - z| <= 255 for each term.
        Op::Add(add) => {
            let sum: u128 = add
                .terms
                .iter()
                .map(|t| u128::from(t.0.unsigned_abs()) * 255)
                .sum();
            sum + u128::from(add.b.unsigned_abs()) + u128::from(add.divisor().unsigned_abs())
        }
        op => op.requantize().map_or(0, |r| {
            r.channels
                .iter()
                .map(ChannelRequantize::magnitude)
                .max()
                .unwrap_or(0)
        }),
    }
}

/// Bits of the largest `|m acc| + |B| + d`.
pub(super) fn magnitude_bits(op: &Op) -> u32 {
    u128::BITS - magnitude_bound(op).leading_zeros()
}

/// Every integer of a requantization stays far below the field's modulus.
pub(super) fn check_bounds(graph: &Graph, lowered: &Lowered) -> Result<(), PlanError> {
    for step in &lowered.steps {
        let node = &graph.nodes[step.node()];
        let bits = magnitude_bits(&node.op);
        if bits > BOUND_BITS {
            return Err(PlanError::Bound {
                node: node.name.clone(),
                bits,
                limit: BOUND_BITS,
            });
        }
    }
    Ok(())
}
