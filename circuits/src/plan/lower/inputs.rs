//! The layout of what operators read: graph inputs take the one that their first reader of planes asks for.

use super::{Lowered, index_u32, natural};
use crate::graph::{Graph, TensorId};
use crate::ops::Op;
use crate::plan::PlanError;
use crate::plan::layout::Geometry;

/// Position of storage element s in an operator's own view.
type Position = Box<dyn Fn(usize) -> usize>;

/// Planes that the operator reads: channels, height, width and the position of `(c, h, w)` in its own view.
fn wanted(op: &Op) -> Option<(Geometry, Position)> {
    match op {
        Op::Conv2d(conv) => {
            let (h, w) = conv.window.input;
            Some((natural(conv.c_in, h, w), Box::new(|s| s)))
        }
        Op::AvgPool(pool) => {
            let (h, w) = pool.window.input;
            Some((natural(pool.channels, h, w), Box::new(|s| s)))
        }
        Op::MaxPool(pool) => {
            let (h, w) = pool.window.input;
            Some((natural(pool.channels, h, w), Box::new(|s| s)))
        }
        Op::Dense(dense) if dense.rows > 1 => {
            let (k, rows) = (dense.k, dense.rows);
            Some((natural(k, 1, rows), Box::new(move |s| (s % rows) * k + s / rows)))
        }
        Op::Dense(_) | Op::Add(_) | Op::View(_) => None,
    }
}

/// Planes, and the flat logical index of each `(c, h, w)`.
pub(super) type Layout = (Geometry, Vec<u32>);

/// The layout that the first reader of planes asks of each tensor that is a graph input, a view of one, or a sum of such.
pub(super) fn layouts(graph: &Graph) -> Result<Vec<Option<Layout>>, PlanError> {
    let mut of_input = vec![false; graph.tensors.len()];
    graph
        .inputs
        .iter()
        .for_each(|port| of_input[port.tensor.0] = true);
    for node in &graph.nodes {
        let passes = matches!(node.op, Op::View(_) | Op::Add(_));
        of_input[node.output.0] = passes && node.inputs.iter().any(|t| of_input[t.0]);
    }
    let mut layouts: Vec<Option<Layout>> = vec![None; graph.tensors.len()];
    let ask = |layouts: &mut Vec<Option<Layout>>, tensor: &TensorId, layout: Layout| {
        if of_input[tensor.0] {
            layouts[tensor.0] = Some(layout);
        }
    };
    // The first reader comes last, and stays.
    for node in graph.nodes.iter().rev() {
        let of_output = layouts[node.output.0].clone();
        match (&node.op, of_output, &node.inputs[..]) {
            (Op::View(view), Some((geometry, index)), [input]) => {
                let index = match &view.source {
                    Some(source) => index.iter().map(|i| source[*i as usize]).collect(),
                    None => index,
                };
                ask(&mut layouts, input, (geometry, index));
            }
            (Op::Add(_), Some(layout), inputs) => {
                inputs
                    .iter()
                    .for_each(|input| ask(&mut layouts, input, layout.clone()));
            }
            (op, _, [input]) if of_input[input.0] => {
                let Some((geometry, position)) = wanted(op) else {
                    continue;
                };
                let index = (0..graph.tensor(*input).shape.len()).map(|s| index_u32(position(s)));
                let layout = (geometry, index.collect::<Result<_, _>>()?);
                ask(&mut layouts, input, layout);
            }
            _ => {}
        }
    }
    Ok(layouts)
}

/// Every operator finds its input in the layout that it asks for.
pub(super) fn check_layouts(graph: &Graph, low: &Lowered) -> Result<(), PlanError> {
    for (s, step) in low.steps.iter().enumerate() {
        let first_of_node = s == 0 || low.steps[s - 1].node() != step.node();
        let Some((geometry, position)) = wanted(&graph.nodes[step.node()].op).filter(|_| first_of_node)
        else {
            continue;
        };
        let operand = &step.inputs[0];
        let home = &low.homes[operand.home];
        let mut logical = vec![0u32; home.index.len()];
        for l in 0..home.index.len() {
            logical[operand.view(index_u32(l)?) as usize] = index_u32(l)?;
        }
        let index = (0..home.index.len()).map(|p| logical[position(p)]);
        if home.geometry != geometry || !home.index.iter().copied().eq(index) {
            return Err(PlanError::Unsupported {
                node: graph.nodes[step.node()].name.clone(),
                reason: "an input whose channels and planes lie in another order than its producer or another reader has them",
            });
        }
    }
    Ok(())
}
