//! From the graph to the tensors and operators that the circuit sees: views are resolved to the tensor that owns the
//! values, max pools become chains of three-tap maxima, and every tensor gets its geometry.

use super::PlanError;
use super::layout::{Geometry, Scale};
use crate::graph::{Graph, TensorId};
use crate::ops::{MaxPool, Op, Window};
use crate::tensor::DType;

/// A tensor with a home on the tape.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    /// Name, for messages.
    pub name: String,
    /// Graph tensor, absent for the inner tensors of a max pool.
    pub id: Option<TensorId>,
    /// Smallest value that the tensor can hold; values are stored as `value - lo`.
    pub lo: i32,
    /// Largest stored value.
    pub range: u32,
    /// Zero point minus `lo`.
    pub zero: i64,
    /// How it is cut into planes.
    pub geometry: Geometry,
    /// Flat logical index of `(c, h, w)`, row-major over the geometry.
    pub index: Vec<u32>,
    /// A vector without channels: cut into planes of one tape row each.
    pub flat: bool,
    /// Scale of the value evaluation.
    pub value_scale: Scale,
    /// Scale of the accumulator evaluation.
    pub accumulator_scale: Scale,
}

/// How an operator reads one of its inputs.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    /// Index of the home.
    pub home: usize,
    /// Position in the operator's own view of each flat logical index of the home; `None` for the identity.
    pub position: Option<Vec<u32>>,
}

impl Operand {
    /// Position in the operator's view of a flat logical index of the home.
    pub fn view(&self, logical: u32) -> u32 {
        self.position.as_ref().map_or(logical, |p| p[logical as usize])
    }
}

/// One maximum over three taps; input position = stride * output position + tap.
#[derive(Debug, Clone)]
pub(crate) struct Max3 {
    /// Channels.
    pub channels: usize,
    /// Stride.
    pub stride: (usize, usize),
    /// Offsets of the taps, padding subtracted.
    pub taps: [(isize, isize); 3],
}

/// What a lowered operator computes.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// The operator of this graph node, requantized.
    Node(usize),
    /// A three-tap maximum that belongs to this graph node.
    Max(usize, Max3),
}

/// An operator over homes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// What it computes.
    pub kind: Kind,
    /// What it reads.
    pub inputs: Vec<Operand>,
    /// Home that it fills.
    pub output: usize,
    /// Exponent units per output position, `None` when the output is one position per channel.
    pub unit: Option<Scale>,
}

/// The graph in terms of homes.
#[derive(Debug, Clone)]
pub(crate) struct Lowered {
    pub homes: Vec<Home>,
    pub steps: Vec<Step>,
    /// Home and view of every graph tensor.
    pub of_tensor: Vec<Option<Operand>>,
}

impl Step {
    /// Graph node that it came from.
    pub fn node(&self) -> usize {
        match self.kind {
            Kind::Node(n) | Kind::Max(n, _) => n,
        }
    }
}

/// Number of values that geometry and index describe.
fn natural(channels: usize, height: usize, width: usize) -> Geometry {
    Geometry {
        channels,
        height,
        width,
        phases: (1, 1),
    }
}

/// Builds homes and steps with natural geometry; phases are solved afterwards.
pub(crate) fn lower(graph: &Graph) -> Result<Lowered, PlanError> {
    let mut low = Lowered {
        homes: Vec::new(),
        steps: Vec::new(),
        of_tensor: vec![None; graph.tensors.len()],
    };
    for port in &graph.inputs {
        let home = low.homes.len();
        low.homes.push(input_home(graph, port.tensor)?);
        low.of_tensor[port.tensor.0] = Some(Operand { home, position: None });
    }
    for (n, node) in graph.nodes.iter().enumerate() {
        let inputs = node
            .inputs
            .iter()
            .map(|t| {
                low.of_tensor[t.0]
                    .clone()
                    .ok_or_else(|| PlanError::unknown_tensor(graph, *t))
            })
            .collect::<Result<Vec<_>, _>>()?;
        match &node.op {
            Op::View(view) => {
                let operand = compose(
                    &inputs[0],
                    view.source.as_deref(),
                    graph.tensor(node.output).shape.len(),
                )?;
                low.of_tensor[node.output.0] = Some(operand);
            }
            Op::MaxPool(pool) => lower_max_pool(&mut low, graph, n, pool, inputs.into_iter().next())?,
            op => {
                let home = low.homes.len();
                low.homes.push(output_home(graph, n, op, &low, &inputs)?);
                low.steps.push(Step {
                    kind: Kind::Node(n),
                    inputs,
                    output: home,
                    unit: None,
                });
                low.of_tensor[node.output.0] = Some(Operand { home, position: None });
            }
        }
    }
    adopt_input_layouts(graph, &mut low)?;
    solve_phases(graph, &mut low)?;
    Ok(low)
}

/// The operand seen through one more view.
fn compose(inner: &Operand, source: Option<&[u32]>, len: usize) -> Result<Operand, PlanError> {
    let Some(source) = source else {
        return Ok(inner.clone());
    };
    let mut inverse = vec![0u32; len];
    for (to, &from) in source.iter().enumerate() {
        inverse[from as usize] = index_u32(to)?;
    }
    let position = match &inner.position {
        None => inverse,
        Some(p) => p.iter().map(|&i| inverse[i as usize]).collect(),
    };
    let identity = position.iter().enumerate().all(|(i, &p)| i == p as usize);
    Ok(Operand {
        home: inner.home,
        position: if identity { None } else { Some(position) },
    })
}

/// A tensor index as it is stored.
pub(crate) fn index_u32(i: usize) -> Result<u32, PlanError> {
    u32::try_from(i).map_err(|_| PlanError::TooLarge {
        what: "tensor index",
        size: i,
        limit: u32::MAX as usize,
    })
}

fn home(graph: &Graph, id: TensorId, lo: i32, hi: i32, geometry: Geometry) -> Result<Home, PlanError> {
    let info = graph.tensor(id);
    let index = (0..info.shape.len())
        .map(index_u32)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Home {
        name: info.name.clone(),
        id: Some(id),
        lo,
        range: hi.abs_diff(lo),
        zero: i64::from(info.zero_point) - i64::from(lo),
        geometry,
        index,
        flat: false,
        value_scale: (1, 1),
        accumulator_scale: (1, 1),
    })
}

fn input_home(graph: &Graph, id: TensorId) -> Result<Home, PlanError> {
    let info = graph.tensor(id);
    let dtype: DType = info.dtype;
    let mut input = home(
        graph,
        id,
        dtype.min(),
        dtype.max(),
        natural(1, 1, info.shape.len()),
    )?;
    input.flat = true;
    Ok(input)
}

/// The output tensor of a requantized operator, in the order that the operator makes it.
fn output_home(
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
            home(
                graph,
                id,
                pool.requantize.lo,
                pool.requantize.hi,
                natural(pool.channels, h, w),
            )
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
fn lower_max_pool(
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
    let chain = max_chain(&window);
    let mut size = window.input;
    for (step, (taps, stride, pad, out)) in chain.iter().enumerate() {
        let source = low.homes[input.home].clone();
        let last = step + 1 == chain.len();
        let at = |d: usize, axis_pad: usize| d.cast_signed() - axis_pad.cast_signed();
        let taps3 = std::array::from_fn(|i| {
            let (a, b) = taps[i.min(taps.len() - 1)];
            (at(a, pad.0), at(b, pad.1))
        });
        let home = low.homes.len();
        let len = pool.channels * out.0 * out.1;
        low.homes.push(Home {
            name: graph.tensor(node.output).name.clone(),
            id: last.then_some(node.output),
            geometry: natural(pool.channels, out.0, out.1),
            index: (0..len).map(index_u32).collect::<Result<Vec<_>, _>>()?,
            flat: false,
            ..source
        });
        let max = Max3 {
            channels: pool.channels,
            stride: *stride,
            taps: taps3,
        };
        low.steps.push(Step {
            kind: Kind::Max(n, max),
            inputs: vec![input],
            output: home,
            unit: None,
        });
        input = Operand { home, position: None };
        size = *out;
    }
    if size != window.output {
        return Err(unsupported(
            "a max pool whose last window leaves the padded input",
        ));
    }
    low.of_tensor[node.output.0] = Some(input);
    Ok(())
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
    let horizontal = axis_stages(window.kernel.1, window.stride.1);
    let vertical = axis_stages(window.kernel.0, window.stride.0);
    for (i, (offsets, stride)) in horizontal.iter().enumerate() {
        let last = i + 1 == horizontal.len();
        let pad = if i == 0 { window.pad.1 } else { 0 };
        let out = if last {
            window.output.1
        } else {
            (window.output.1 - 1) * window.stride.1 + window.kernel.1 - 2
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
            (window.output.0 - 1) * window.stride.0 + window.kernel.0 - 2
        };
        let taps = offsets.iter().map(|&o| (o * window.dilation.0, 0)).collect();
        chain.push((taps, (*stride, 1), (pad, 0), size));
    }
    chain
}

/// Offsets and stride of each stage along one axis. A kernel of 1 with a stride is a one-tap stage.
fn axis_stages(kernel: usize, stride: usize) -> Vec<(Vec<usize>, usize)> {
    let offsets = stages(kernel);
    if offsets.is_empty() {
        return if stride == 1 {
            vec![]
        } else {
            vec![(vec![0], stride)]
        };
    }
    let last = offsets.len() - 1;
    offsets
        .into_iter()
        .enumerate()
        .map(|(i, o)| (o, if i == last { stride } else { 1 }))
        .collect()
}

/// Planes that the operator reads: channels, height, width and the position of `(c, h, w)` in its own view.
pub(crate) fn wanted(op: &Op) -> Option<(Geometry, Box<dyn Fn(usize) -> usize>)> {
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

/// Graph inputs take the layout of their first reader that needs planes; the others must agree.
fn adopt_input_layouts(graph: &Graph, low: &mut Lowered) -> Result<(), PlanError> {
    let mut settled = vec![false; low.homes.len()];
    for s in 0..low.steps.len() {
        let step = low.steps[s].clone();
        let op = &graph.nodes[step.node()].op;
        let first_of_node = s == 0 || low.steps[s - 1].node() != step.node();
        let Some((geometry, position)) = wanted(op).filter(|_| first_of_node) else {
            continue;
        };
        let operand = &step.inputs[0];
        let home = &mut low.homes[operand.home];
        let is_input = graph.inputs.iter().any(|p| Some(p.tensor) == home.id);
        let mut logical = vec![0u32; home.index.len()];
        for l in 0..home.index.len() {
            logical[operand.view(index_u32(l)?) as usize] = index_u32(l)?;
        }
        let index: Vec<u32> = (0..home.index.len()).map(|p| logical[position(p)]).collect();
        if is_input && !settled[operand.home] {
            home.geometry = geometry;
            home.index = index;
            home.flat = false;
            settled[operand.home] = true;
        } else if home.geometry != geometry || home.index != index {
            return Err(PlanError::Unsupported {
                node: graph.nodes[step.node()].name.clone(),
                reason: "an input whose channels and planes lie in another order than its producer or another reader has them",
            });
        }
    }
    Ok(())
}

/// The stride of an operator's window, or `None` when the output is one position per channel.
pub(crate) fn tie(graph: &Graph, step: &Step) -> Option<(usize, usize)> {
    match &step.kind {
        Kind::Max(_, max) => Some(max.stride),
        Kind::Node(n) => match &graph.nodes[*n].op {
            Op::Conv2d(conv) if conv.window.output != (1, 1) => Some(conv.window.stride),
            Op::AvgPool(pool) if pool.window.output != (1, 1) => Some(pool.window.stride),
            Op::Dense(dense) if dense.rows > 1 => Some((1, 1)),
            Op::Add(_) => Some((1, 1)),
            _ => None,
        },
    }
}

/// A positive fraction.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ratio {
    n: usize,
    d: usize,
}

impl Ratio {
    fn new(n: usize, d: usize) -> Self {
        let g = gcd(n, d);
        Self { n: n / g, d: d / g }
    }

    fn times(self, s: usize) -> Self {
        Self::new(self.n * s, self.d)
    }

    fn larger(self, other: Self) -> Self {
        if self.n * other.d >= other.n * self.d {
            self
        } else {
            other
        }
    }

    /// The product with `s`, where it is whole.
    fn whole(self, s: usize) -> Option<usize> {
        (self.n * s).is_multiple_of(self.d).then(|| self.n * s / self.d)
    }
}

/// Phases and scales of every tensor along one axis.
///
/// A tensor is stored in as many phases P as its readers' strides divide. A reader with stride s counts `u = s rho`
/// exponent units per output position, where rho is the reader side's unit per input position, `1 / gcd` of the strides.
/// Values are evaluated at scale `rho P`, the output's accumulators at scale `u P_out`. A sum needs one rho for all its
/// inputs; a max pool's output is read by its own identity, so its rho is the u of the pool.
fn solve_axis(graph: &Graph, low: &Lowered, axis: fn((usize, usize)) -> usize) -> Result<Axis, PlanError> {
    const ROUNDS: usize = 64;
    let homes = low.homes.len();
    let (mut phases, mut divisor) = (vec![1; homes], vec![0; homes]);
    for step in &low.steps {
        let Some(stride) = tie(graph, step) else { continue };
        for operand in &step.inputs {
            phases[operand.home] = lcm(phases[operand.home], axis(stride));
            divisor[operand.home] = gcd(divisor[operand.home], axis(stride));
        }
    }
    let mut rho: Vec<Ratio> = divisor.iter().map(|g| Ratio::new(1, (*g).max(1))).collect();
    for _ in 0..ROUNDS {
        let before = rho.clone();
        for step in &low.steps {
            let Some(stride) = tie(graph, step) else { continue };
            let shared = step.inputs.iter().map(|o| rho[o.home]).reduce(Ratio::larger);
            let Some(shared) = shared else { continue };
            step.inputs.iter().for_each(|o| rho[o.home] = shared);
            if matches!(step.kind, Kind::Max(..)) {
                rho[step.output] = rho[step.output].larger(shared.times(axis(stride)));
            }
        }
        if rho == before {
            return finish_axis(graph, low, axis, phases, &rho);
        }
    }
    Err(PlanError::Phases)
}

/// Phases, value scales, accumulator scales, and units of the steps, along one axis.
struct Axis {
    phases: Vec<usize>,
    value: Vec<usize>,
    accumulator: Vec<usize>,
    units: Vec<usize>,
}

fn finish_axis(
    graph: &Graph,
    low: &Lowered,
    axis: fn((usize, usize)) -> usize,
    phases: Vec<usize>,
    rho: &[Ratio],
) -> Result<Axis, PlanError> {
    const MOST: usize = 64;
    let mut accumulator = vec![1; low.homes.len()];
    let mut units = vec![1; low.steps.len()];
    let value = rho
        .iter()
        .zip(&phases)
        .map(|(r, p)| r.whole(*p).ok_or(PlanError::Phases));
    let value = value.collect::<Result<Vec<_>, _>>()?;
    for (s, step) in low.steps.iter().enumerate() {
        let Some(stride) = tie(graph, step) else { continue };
        let Some(first) = step.inputs.first() else {
            continue;
        };
        let unit = rho[first.home].times(axis(stride));
        let is_max = matches!(step.kind, Kind::Max(..));
        if is_max && rho[step.output] != unit {
            return Err(PlanError::Phases);
        }
        units[s] = unit.whole(1).ok_or(PlanError::Phases)?;
        accumulator[step.output] = units[s] * phases[step.output];
        if accumulator[step.output].max(value[step.output]) > MOST {
            return Err(PlanError::Unsupported {
                node: graph.nodes[step.node()].name.clone(),
                reason: "strides whose product along one axis passes 64",
            });
        }
    }
    Ok(Axis {
        phases,
        value,
        accumulator,
        units,
    })
}

/// Phases and scales of every home, units of every step.
fn solve_phases(graph: &Graph, low: &mut Lowered) -> Result<(), PlanError> {
    let vertical = solve_axis(graph, low, |s| s.0)?;
    let horizontal = solve_axis(graph, low, |s| s.1)?;
    for (h, home) in low.homes.iter_mut().enumerate() {
        home.geometry.phases = (vertical.phases[h], horizontal.phases[h]);
        home.value_scale = (vertical.value[h], horizontal.value[h]);
        home.accumulator_scale = (vertical.accumulator[h], horizontal.accumulator[h]);
    }
    for s in 0..low.steps.len() {
        low.steps[s].unit = tie(graph, &low.steps[s]).map(|_| (vertical.units[s], horizontal.units[s]));
    }
    Ok(())
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: usize, b: usize) -> usize {
    a / gcd(a, b) * b
}
