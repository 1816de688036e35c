//! Homes: of the graph's inputs, of what operators make, and copies.

use super::inputs::Layout;
use super::{Home, Kind, Lowered, Operand, index_u32, natural};
use crate::graph::{Graph, TensorId};
use crate::ops::{Add, Op};
use crate::plan::PlanError;
use crate::plan::layout::Geometry;
use crate::tensor::DType;

/// Tensors whose home is that of an output of the graph.
pub(super) fn stated(graph: &Graph) -> Vec<bool> {
    let mut stated = vec![false; graph.tensors.len()];
    graph.outputs.iter().for_each(|port| stated[port.tensor.0] = true);
    for node in graph.nodes.iter().rev() {
        let passed = match &node.op {
            Op::View(_) => true,
            Op::MaxPool(pool) => pool.window.kernel == (1, 1),
            _ => false,
        };
        if let (true, [input]) = (passed, &node.inputs[..]) {
            stated[input.0] |= stated[node.output.0];
        }
    }
    stated
}

fn home(graph: &Graph, id: TensorId, lo: i32, hi: i32, geometry: Geometry) -> Result<Home, PlanError> {
    let info = graph.tensor(id);
    let index = (0..info.shape.len())
        .map(index_u32)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Home {
        id: Some(id),
        lo,
        range: hi.abs_diff(lo),
        zero: i64::from(info.zero_point) - i64::from(lo),
        geometry,
        index,
        flat: false,
        breaks: Vec::new(),
        value_scale: (1, 1),
        accumulator_scale: (1, 1),
    })
}

/// A graph input in the layout that is asked for, or as one flat vector.
pub(super) fn input_home(graph: &Graph, id: TensorId, layout: Option<Layout>) -> Result<Home, PlanError> {
    let info = graph.tensor(id);
    let dtype: DType = info.dtype;
    let mut input = home(
        graph,
        id,
        dtype.min(),
        dtype.max(),
        natural(1, 1, info.shape.len()),
    )?;
    match layout {
        Some((geometry, index)) => (input.geometry, input.index) = (geometry, index),
        None => input.flat = true,
    }
    Ok(input)
}

/// The output tensor of a requantized operator, in the order that the operator makes it.
pub(super) fn output_home(
    graph: &Graph,
    n: usize,
    op: &Op,
    low: &Lowered,
    inputs: &[Operand],
) -> Result<Home, PlanError> {
    let id = graph.nodes[n].output;
    match op {
        Op::Conv2d(conv) => {
            let (h, w) = conv.window.output;
            home(
                graph,
                id,
                conv.requantize.lo,
                conv.requantize.hi,
                natural(conv.c_out, h, w),
            )
        }
        Op::AvgPool(pool) => {
            let (h, w) = pool.window.output;
            let (lo, hi) = (pool.requantize.lo, pool.requantize.hi);
            let out = home(graph, id, lo, hi, natural(pool.channels, h, w))?;
            Ok(Home {
                breaks: pool.counts().breaks(),
                ..out
            })
        }
        Op::Dense(dense) => {
            let mut out = home(
                graph,
                id,
                dense.requantize.lo,
                dense.requantize.hi,
                natural(dense.n, 1, dense.rows),
            )?;
            let at = |o: usize, r: usize| index_u32(r * dense.n + o);
            out.index = (0..dense.n * dense.rows)
                .map(|s| at(s / dense.rows, s % dense.rows))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(out)
        }
        Op::Add(add) => {
            let first = &low.homes[inputs[0].home];
            let mut out = home(graph, id, add.lo, add.hi, first.geometry.clone())?;
            out.index = first.index.iter().map(|&i| inputs[0].view(i)).collect();
            out.flat = first.flat;
            Ok(out)
        }
        Op::MaxPool(_) | Op::View(_) => Err(PlanError::unknown_tensor(graph, id)),
    }
}

/// A home with the values of another one, with the given zero point over its smallest value and the tensor that it is.
pub(super) fn copy(
    low: &mut Lowered,
    n: usize,
    geometry: Geometry,
    input: Operand,
    (zero, id): (i64, Option<TensorId>),
) -> Result<Operand, PlanError> {
    let source = low.homes[input.home].clone();
    let from = i64::from(source.lo) + source.zero;
    let zero_point = i32::try_from(from).map_err(|_| PlanError::TooLarge {
        what: "zero point",
        size: from.unsigned_abs().try_into().unwrap_or(usize::MAX),
        limit: 255,
    })?;
    let hi = source.lo + source.range.cast_signed();
    let add = Add::copy(zero_point, source.lo, hi);
    let index = 0..geometry.channels * geometry.height * geometry.width;
    let same = Home {
        id,
        zero,
        index: index.map(index_u32).collect::<Result<_, _>>()?,
        geometry,
        flat: false,
        breaks: Vec::new(),
        ..source
    };
    let home = low.push(same, Kind::Copy(n, add), vec![input], None);
    Ok(Operand { home, position: None })
}
