//! A max pool as a chain of three-tap maxima along the width, then along the height.

use super::{Home, Kind, Lowered, Max3, Operand, copy, index_u32, natural};
use crate::graph::{Graph, TensorId};
use crate::ops::{MaxPool, Window};
use crate::plan::PlanError;

/// Offsets of at most three taps that cover `k` positions, given what earlier stages covered.
fn stages(k: usize) -> Vec<Vec<usize>> {
    match k {
        0 | 1 => vec![],
        2 | 3 => vec![(0..k).collect()],
        _ => {
            let mut offsets = vec![0, 3.min(k - 3), k - 3];
            offsets.dedup();
            vec![vec![0, 1, 2], offsets]
        }
    }
}

/// A max pool as a chain of maxima along the width, then along the height.
pub(super) fn lower_max_pool(
    low: &mut Lowered,
    graph: &Graph,
    n: usize,
    pool: &MaxPool,
    input: Option<Operand>,
) -> Result<(), PlanError> {
    let node = &graph.nodes[n];
    let mut input = input.ok_or_else(|| PlanError::unknown_tensor(graph, node.output))?;
    let window: Window = pool.window;
    let unsupported = |reason: &'static str| PlanError::Unsupported {
        node: node.name.clone(),
        reason,
    };
    if window.kernel.0 > 9 || window.kernel.1 > 9 {
        return Err(unsupported(
            "a max pool window of more than 9 positions along one axis",
        ));
    }
    // Outside the input a tap evaluates to the zero point. That is no larger than any value where the zero point is the
    // smallest; elsewhere the maxima are taken between two copies of the values, the first of which has it so.
    let zero = low.homes[input.home].zero;
    let padded = window.find_taps(|inside, taps| inside != taps).is_some();
    let copied = padded && zero != 0;
    if copied {
        let (height, width) = window.input;
        let planes = natural(pool.channels, height, width);
        input = copy(low, n, planes, input, (0, None))?;
    }
    let chain = max_chain(&window);
    for (s, stage) in chain.iter().enumerate() {
        let id = (!copied && s + 1 == chain.len()).then_some(node.output);
        input = push_stage(low, n, pool.channels, stage, input, id)?;
    }
    let size = chain.last().map_or(window.input, |stage| stage.3);
    if size != window.output {
        return Err(unsupported(
            "a max pool whose last window leaves the padded input",
        ));
    }
    if copied {
        let output = (zero, Some(node.output));
        let (height, width) = window.output;
        input = copy(low, n, natural(pool.channels, height, width), input, output)?;
    }
    low.of_tensor[node.output.0] = Some(input);
    Ok(())
}

/// One three-tap stage; `id` is the tensor that it makes, if any.
fn push_stage(
    low: &mut Lowered,
    n: usize,
    channels: usize,
    (taps, stride, pad, out): &MaxStage,
    input: Operand,
    id: Option<TensorId>,
) -> Result<Operand, PlanError> {
    let source = low.homes[input.home].clone();
    let at = |d: usize, axis_pad: usize| d.cast_signed() - axis_pad.cast_signed();
    let taps = std::array::from_fn(|i| {
        let (a, b) = taps[i.min(taps.len() - 1)];
        (at(a, pad.0), at(b, pad.1))
    });
    let index = (0..channels * out.0 * out.1).map(index_u32);
    let stage = Home {
        id,
        geometry: natural(channels, out.0, out.1),
        index: index.collect::<Result<_, _>>()?,
        flat: false,
        breaks: Vec::new(),
        ..source
    };
    let max = Max3 {
        channels,
        stride: *stride,
        taps,
    };
    let home = low.push(stage, Kind::Max(n, max), vec![input], None);
    Ok(Operand { home, position: None })
}

/// One stage of a max pool: taps, stride, padding before, output size.
type MaxStage = (
    Vec<(usize, usize)>,
    (usize, usize),
    (usize, usize),
    (usize, usize),
);

/// The chain of three-tap stages of a window; padding belongs to the first stage along each axis.
fn max_chain(window: &Window) -> Vec<MaxStage> {
    let mut chain: Vec<MaxStage> = Vec::new();
    let mut size = window.input;
    let same = (
        window.input.0 == window.output.0,
        window.input.1 == window.output.1,
    );
    let horizontal = axis_stages(window.kernel.1, window.stride.1, same.1);
    let vertical = axis_stages(window.kernel.0, window.stride.0, same.0);
    for (i, (offsets, stride)) in horizontal.iter().enumerate() {
        let last = i + 1 == horizontal.len();
        let pad = if i == 0 { window.pad.1 } else { 0 };
        let out = if last {
            window.output.1
        } else {
            (window.output.1 - 1) * window.stride.1 + (window.kernel.1 - 3) * window.dilation.1 + 1
        };
        size.1 = out;
        let taps = offsets.iter().map(|&o| (0, o * window.dilation.1)).collect();
        chain.push((taps, (1, *stride), (0, pad), size));
    }
    for (i, (offsets, stride)) in vertical.iter().enumerate() {
        let last = i + 1 == vertical.len();
        let pad = if i == 0 { window.pad.0 } else { 0 };
        size.0 = if last {
            window.output.0
        } else {
            (window.output.0 - 1) * window.stride.0 + (window.kernel.0 - 3) * window.dilation.0 + 1
        };
        let taps = offsets.iter().map(|&o| (o * window.dilation.0, 0)).collect();
        chain.push((taps, (*stride, 1), (pad, 0), size));
    }
    chain
}

/// Offsets and stride of each stage along one axis. A kernel of 1 is a one-tap stage unless it keeps all positions.
fn axis_stages(kernel: usize, stride: usize, same: bool) -> Vec<(Vec<usize>, usize)> {
    let offsets = stages(kernel);
    if offsets.is_empty() {
        return if same { vec![] } else { vec![(vec![0], stride)] };
    }
    let last = offsets.len() - 1;
    offsets
        .into_iter()
        .enumerate()
        .map(|(i, o)| (o, if i == last { stride } else { 1 }))
        .collect()
}
