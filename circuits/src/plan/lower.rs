//! From the graph to the tensors and operators that the circuit sees: views are resolved to the tensor that owns the
//! values, max pools become chains of three-tap maxima, and every tensor gets its geometry.

mod homes;
mod inputs;
mod max_pool;
mod phases;

use super::PlanError;
use super::layout::{Geometry, Scale};
use crate::graph::{Graph, TensorId};
use crate::ops::{Add, Op};
use crate::quant::{Affine, DIVISOR_SHIFT, STEP_DIVISOR};
use homes::{copy, input_home, output_home, stated};

/// A tensor with a home on the tape.
#[derive(Debug, Clone)]
pub(crate) struct Home {
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
    /// Columns of a channel from which on the values have another divisor, ascending.
    pub breaks: Vec<usize>,
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
    /// The same values with another zero point or in another layout; belongs to this graph node.
    Copy(usize, Add),
    /// The corrections of this graph node's requantization, one plane each: `level + [acc >= from]`.
    Corrections(usize),
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
    /// Home of the corrections that the requantization adds, where it has any.
    pub corrections: Option<usize>,
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

impl Home {
    /// Stored value of a correction that has not been reached; one more from there on.
    pub fn level(&self) -> i64 {
        self.zero.clamp(0, (i64::from(self.range) - 1).max(0))
    }

    /// The requantization of the accumulators to a correction that is reached at `from`:
    /// `floor((acc - from) / d) + 1` above the level, with a divisor larger than any distance from `from`.
    pub fn correction(&self, from: i64) -> Affine {
        let above = i64::from(self.lo) + self.level() + 1;
        Affine {
            m: 1,
            b: above * STEP_DIVISOR - from,
            d1: (1 << DIVISOR_SHIFT) - 1,
        }
    }
}

impl Lowered {
    /// Appends a home and the step that fills it; the unit follows with the phases.
    fn push(&mut self, made: Home, kind: Kind, inputs: Vec<Operand>, corrections: Option<usize>) -> usize {
        let output = self.homes.len();
        self.homes.push(made);
        self.steps.push(Step {
            kind,
            inputs,
            output,
            corrections,
            unit: None,
        });
        output
    }
}

impl Step {
    /// Graph node that it came from.
    pub fn node(&self) -> usize {
        match self.kind {
            Kind::Node(n) | Kind::Max(n, _) | Kind::Copy(n, _) | Kind::Corrections(n) => n,
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
    let mut layouts = inputs::layouts(graph)?;
    for port in &graph.inputs {
        let home = low.homes.len();
        low.homes
            .push(input_home(graph, port.tensor, layouts[port.tensor.0].take())?);
        low.of_tensor[port.tensor.0] = Some(Operand { home, position: None });
    }
    let stated = stated(graph);
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
            Op::MaxPool(pool) => {
                max_pool::lower_max_pool(&mut low, graph, n, pool, inputs.into_iter().next())?
            }
            op => lower_requantized(&mut low, graph, (n, op), inputs, stated[node.output.0])?,
        }
    }
    inputs::check_layouts(graph, &low)?;
    phases::solve_phases(graph, &mut low)?;
    Ok(low)
}

/// The home and the steps of an operator that requantizes; `stated` if its output is an output of the graph.
fn lower_requantized(
    low: &mut Lowered,
    graph: &Graph,
    (n, op): (usize, &Op),
    inputs: Vec<Operand>,
    stated: bool,
) -> Result<(), PlanError> {
    let id = graph.nodes[n].output;
    let own = output_home(graph, n, op, low, &inputs)?;
    let corrections = lower_corrections(low, n, op, &own, &inputs)?;
    let (zero, geometry) = (own.zero, own.geometry.clone());
    // A statement reads whole rows of the tape: what it states has no breaks.
    let restated = stated && !own.breaks.is_empty();
    let own = Home {
        id: own.id.filter(|_| !restated),
        ..own
    };
    let home = low.push(own, Kind::Node(n), inputs, corrections);
    let mut made = Operand { home, position: None };
    if restated {
        made = copy(low, n, geometry, made, (zero, Some(id)))?;
    }
    low.of_tensor[id.0] = Some(made);
    Ok(())
}

/// The home and the step of an operator's corrections: planes of the output's size, stored as the output is, so that
/// they need no range of their own.
fn lower_corrections(
    low: &mut Lowered,
    n: usize,
    op: &Op,
    own: &Home,
    inputs: &[Operand],
) -> Result<Option<usize>, PlanError> {
    let count = op.requantize().map_or(0, |r| r.corrections().count());
    if count == 0 {
        return Ok(None);
    }
    let (height, width) = (own.geometry.height, own.geometry.width);
    let index = (0..count * height * width).map(index_u32);
    let side = Home {
        id: None,
        geometry: natural(count, height, width),
        index: index.collect::<Result<_, _>>()?,
        flat: false,
        ..own.clone()
    };
    let home = low.push(side, Kind::Corrections(n), inputs.to_vec(), None);
    Ok(Some(home))
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
