//! The rows of public tensors: where they lie, and how many an instance value states.

use super::PlanError;
use super::layout::Plane;
use super::lower::Lowered;
use crate::graph::Graph;
use crate::params::INSTANCE_BYTES;

/// Public rows from which on several share an instance value, where the glue program leaves room: less for the verifier to hash and evaluate (about 0.2 ms
/// for a thousand values), for 32 bytes of proof.
pub const FOLD_FROM: usize = 1024;

/// Homes of the graph's inputs and outputs, each once.
pub(super) fn public_homes(graph: &Graph, lowered: &Lowered) -> Result<Vec<usize>, PlanError> {
    let mut public = Vec::new();
    let ports = graph
        .inputs
        .iter()
        .map(|p| p.tensor)
        .chain(graph.outputs.iter().map(|p| p.tensor));
    for id in ports {
        let operand = lowered.of_tensor[id.0]
            .as_ref()
            .ok_or_else(|| PlanError::unknown_tensor(graph, id))?;
        // A statement reads rows of the tape that are full up to the last of an image row.
        if !lowered.homes[operand.home].breaks.is_empty() {
            return Err(PlanError::Unsupported {
                node: graph.tensor(id).name.clone(),
                reason: "a public tensor whose divisor changes within an image row",
            });
        }
        if !public.contains(&operand.home) {
            public.push(operand.home);
        }
    }
    Ok(public)
}

/// Gives rows to all planes, public homes first. Returns all rows and the public ones.
pub(super) fn place(planes: &mut [Vec<Plane>], public: &[usize]) -> (usize, usize) {
    let mut next = 0;
    let mut put = |home: &mut Vec<Plane>| {
        for plane in home.iter_mut() {
            plane.first_row = next;
            next += plane.num_rows();
        }
        next
    };
    let mut public_rows = 0;
    for &h in public {
        public_rows = put(&mut planes[h]);
    }
    let mut rows = public_rows;
    for h in (0..planes.len()).filter(|h| !public.contains(h)) {
        rows = put(&mut planes[h]);
    }
    (rows, public_rows)
}

/// Instance rows over which the public rows are folded, from `fold_from` rows on: every one of them states two rows at
/// least.
pub(super) fn folded(public_rows: usize, lanes: usize, fold_from: usize) -> Option<u32> {
    let stated = public_rows.div_ceil((INSTANCE_BYTES / lanes).max(1));
    if public_rows < fold_from || 2 * stated > public_rows {
        return None;
    }
    u32::try_from(stated).ok()
}
