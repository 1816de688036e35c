//! The soundness account: degrees of everything that is checked at a random point.

use super::Plan;
use super::bounds::magnitude_bits;
use crate::graph::Graph;
use crate::ops::Op;

/// One source of error: a cheating prover passes it with probability at most `degree / |F|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Risk {
    /// The challenge.
    pub challenge: &'static str,
    /// What is checked at it.
    pub what: &'static str,
    /// Degree, or number of roots.
    pub degree: u128,
}

/// Bound of the integers of one operator's equation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NoWrap {
    /// Name of the node.
    pub node: String,
    /// `|m acc| + |B| + d` stays below 2 to this, for the real weights and every input.
    pub bits: u32,
}

/// Bits of the field's order, rounded down.
pub const FIELD_BITS: u32 = 253;

impl Plan {
    /// The bounds under which the field equation of every requantized operator is an integer equation.
    #[must_use]
    pub fn no_wrap(&self, graph: &Graph) -> Vec<NoWrap> {
        let requantized = graph
            .nodes
            .iter()
            .filter(|n| !matches!(n.op, Op::View(_) | Op::MaxPool(_)));
        requantized
            .map(|node| NoWrap {
                node: node.name.clone(),
                bits: magnitude_bits(&node.op),
            })
            .collect()
    }

    /// Degrees per challenge, from the identities and columns of this plan. Their sum over the order of the field bounds
    /// the error of one proof (the commitment scheme aside).
    #[must_use]
    pub fn risks(&self) -> Vec<Risk> {
        let at = self.point();
        let first = at.offsets().next().unwrap_or(0);
        let homes = self.lowered.homes.iter().zip(&self.planes);
        let scales = homes.flat_map(|(h, planes)| {
            let of = move |scale| {
                let used = planes.iter().filter(|p| p.height > 0);
                used.map(|p| first + p.exponent(0, 0, at, scale))
                    .max()
                    .unwrap_or(0)
            };
            [of(h.value_scale), of(h.accumulator_scale)]
        });
        let plane = scales.max().unwrap_or(0) as u128;
        let identities = || self.identities.iter();
        let alpha: u128 = identities().map(|i| i.max_power as u128 + 3).sum();
        // Kernels that are evaluated at v add at most their own degree once more.
        let v: u128 = identities().map(|i| 2 * i.degree as u128 + plane).sum();
        let rows = 1u128 << self.k;
        let lookups = rows * (self.params.num_lanes() * self.params.lookups_per_lane()) as u128;
        let gates = (self.cost.columns_fixed + self.cost.columns_small + self.cost.columns_full) as u128 * 4;
        let risk = |challenge, what, degree| Risk {
            challenge,
            what,
            degree,
        };
        vec![
            risk("alpha", "output channels of each identity kept apart", alpha),
            risk("beta, theta", "lookups in the table", 4 * (lookups + rows)),
            risk("v", "coefficients of each identity", v),
            risk("beta, gamma of halo2", "copies", 2 * 3 * rows),
            risk("y of halo2", "constraints kept apart", gates),
            risk(
                "x of halo2",
                "constraints hold in every row",
                self.cost.degree as u128 * rows,
            ),
        ]
    }
}
