//! Phases and scales: how tensors with strided readers are stored and evaluated.

use super::{Kind, Lowered, Step};
use crate::graph::Graph;
use crate::ops::Op;
use crate::plan::PlanError;

/// The stride of an operator's window, or `None` when the output is one position per channel.
fn tie(graph: &Graph, step: &Step) -> Option<(usize, usize)> {
    match &step.kind {
        Kind::Max(_, max) => Some(max.stride),
        Kind::Copy(..) => Some((1, 1)),
        Kind::Node(n) | Kind::Corrections(n) => match &graph.nodes[*n].op {
            Op::Conv2d(conv) if conv.window.output != (1, 1) => Some(conv.window.stride),
            Op::AvgPool(pool) if pool.window.output != (1, 1) => Some(pool.window.stride),
            Op::Dense(dense) if dense.rows > 1 => Some((1, 1)),
            Op::Add(_) => Some((1, 1)),
            _ => None,
        },
    }
}

/// Most phases, and largest scale, along one axis.
const MOST: usize = 64;

fn far(graph: &Graph, step: &Step) -> PlanError {
    PlanError::Unsupported {
        node: graph.nodes[step.node()].name.clone(),
        reason: "strides whose product along one axis passes 64",
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

    /// The product with `s`; saturates, and is then refused by [`finish_axis`].
    fn times(self, s: usize) -> Self {
        Self::new(self.n.saturating_mul(s), self.d)
    }

    fn larger(self, other: Self) -> Self {
        if self.n.saturating_mul(other.d) >= other.n.saturating_mul(self.d) {
            self
        } else {
            other
        }
    }

    /// The product with `s`, where it is whole.
    fn whole(self, s: usize) -> Option<usize> {
        let product = self.n.saturating_mul(s);
        product.is_multiple_of(self.d).then(|| product / self.d)
    }
}

/// The home whose values a step's identity reads at the output's own positions: the output of a maximum, corrections.
fn read_per_output(step: &Step) -> Option<usize> {
    match step.kind {
        Kind::Max(..) => Some(step.output),
        _ => step.corrections,
    }
}

/// Phases and scales of every tensor along one axis.
///
/// A tensor is stored in as many phases P as its readers' strides divide. A reader with stride s counts `u = s rho`
/// exponent units per output position, where rho is the reader side's unit per input position, `1 / gcd` of the strides.
/// Values are evaluated at scale `rho P`, the output's accumulators at scale `u P_out`. A sum needs one rho for all its
/// inputs; a max pool's output is read by its own identity, so its rho is the u of the pool, and likewise for corrections.
fn solve_axis(graph: &Graph, low: &Lowered, axis: fn((usize, usize)) -> usize) -> Result<Axis, PlanError> {
    const ROUNDS: usize = 64;
    let homes = low.homes.len();
    let (mut phases, mut divisor) = (vec![1; homes], vec![0; homes]);
    for step in &low.steps {
        let Some(stride) = tie(graph, step) else { continue };
        for operand in &step.inputs {
            phases[operand.home] = lcm(phases[operand.home], axis(stride));
            if phases[operand.home] > MOST {
                return Err(far(graph, step));
            }
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
            if let Some(home) = read_per_output(step) {
                rho[home] = rho[home].larger(shared.times(axis(stride)));
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
        if read_per_output(step).is_some_and(|home| rho[home] != unit) {
            return Err(PlanError::Phases);
        }
        units[s] = unit.whole(1).ok_or(PlanError::Phases)?;
        accumulator[step.output] = units[s].saturating_mul(phases[step.output]);
        if accumulator[step.output].max(value[step.output]) > MOST {
            return Err(far(graph, step));
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
pub(super) fn solve_phases(graph: &Graph, low: &mut Lowered) -> Result<(), PlanError> {
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
    (a / gcd(a, b)).saturating_mul(b)
}
