//! Phase 1: the integers of every tape row, operator by operator.

use super::batch::{Shifted, split_inputs};
use crate::batch;
use crate::graph::Graph;
use crate::ops::{Add, Op, OpError};
use crate::plan::{Kind, Plan};
use crate::quant::{Affine, DIVISOR_SHIFT, Requantize};
use crate::tensor::{Tensor, TensorError};

/// Why an input has no witness.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// An operator got a tensor of another length.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A stack of inputs that is too large.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Another number of inputs than the graph has.
    #[error("the graph has {expected} inputs, {actual} were given")]
    Inputs {
        /// Inputs of the graph.
        expected: usize,
        /// Inputs given.
        actual: usize,
    },
    /// An input of another shape or type.
    #[error("input `{name}` has shape {actual}, the graph needs {expected}")]
    Shape {
        /// Name of the input.
        name: String,
        /// Shape that is needed.
        expected: String,
        /// Shape that was given.
        actual: String,
    },
}

/// The integers behind one stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cells {
    /// Stored value `y - lo`.
    pub y: i64,
    /// Clamp magnitude, or the first difference of a max row.
    pub a: i64,
    /// High limb of the remainder, or the second difference.
    pub r1: i64,
    /// Low limb of the remainder, or the third difference.
    pub r0: i64,
}

/// A test's hand on the witness: called once for every value as it is made; later operators read what it leaves.
pub trait Fault {
    /// May change the cells of value `position` of home `home`; the values of a batch's next inference follow those of
    /// the one before it.
    fn touch(&mut self, home: usize, position: usize, divisor: i64, cells: &mut Cells);
}

/// No fault.
struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

/// Integers of every home, in logical order, inference by inference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    pub(crate) homes: Vec<Vec<Cells>>,
}

impl Witness {
    /// Runs the integer graph on its inputs, in a batch stacked along the first axis ([`crate::batch`]).
    ///
    /// # Errors
    /// [`WitnessError`] when the inputs are not those of the graph.
    pub fn new(graph: &Graph, plan: &Plan, inputs: &[Tensor]) -> Result<Self, WitnessError> {
        Self::with_fault(graph, plan, inputs, &mut Honest)
    }

    /// As [`Witness::new`], with a fault hook.
    ///
    /// # Errors
    /// As [`Witness::new`].
    pub fn with_fault(
        graph: &Graph,
        plan: &Plan,
        inputs: &[Tensor],
        fault: &mut dyn Fault,
    ) -> Result<Self, WitnessError> {
        let stacks = split_inputs(graph, inputs, plan.batch)?;
        let affines = plan.affines(graph);
        let mut all: Vec<Vec<Cells>> = vec![Vec::new(); plan.lowered.homes.len()];
        for image in 0..plan.batch {
            let inputs: Vec<&Tensor> = stacks.iter().filter_map(|stack| stack.get(image)).collect();
            let mut shifted = Shifted { fault, plan, image };
            let homes = one_inference(graph, plan, &affines, &inputs, &mut shifted)?;
            all.iter_mut().zip(homes).for_each(|(all, one)| all.extend(one));
        }
        Ok(Self { homes: all })
    }

    /// Value of a home at a logical position, in quantized units.
    pub(crate) fn value(&self, plan: &Plan, home: usize, position: usize) -> i64 {
        self.homes[home][position].y + i64::from(plan.lowered.homes[home].lo)
    }

    /// The integer tensor of a graph output or input, those of a batch stacked.
    #[must_use]
    pub fn tensor(&self, graph: &Graph, plan: &Plan, id: crate::graph::TensorId) -> Option<Tensor> {
        let operand = plan.lowered.of_tensor[id.0].as_ref()?;
        let info = graph.tensor(id);
        let len = info.shape.len();
        let mut data = vec![0i32; plan.batch * len];
        for position in 0..self.homes[operand.home].len() {
            let at = operand.view(u32::try_from(position % len).ok()?) as usize;
            data[position / len * len + at] = i32::try_from(self.value(plan, operand.home, position)).ok()?;
        }
        let shape = batch::stacked_shape(&info.shape, plan.batch).ok()?;
        Tensor::new(shape, info.dtype, data).ok()
    }
}

fn touch_all(fault: &mut dyn Fault, home: usize, divisor: i64, cells: &mut [Cells]) {
    for (position, cell) in cells.iter_mut().enumerate() {
        fault.touch(home, position, divisor, cell);
    }
}

/// Integers of every home in one inference.
fn one_inference(
    graph: &Graph,
    plan: &Plan,
    affines: &[Option<Affine>],
    inputs: &[&Tensor],
    fault: &mut dyn Fault,
) -> Result<Vec<Vec<Cells>>, WitnessError> {
    let mut homes: Vec<Vec<Cells>> = vec![Vec::new(); plan.lowered.homes.len()];
    for (h, tensor) in inputs.iter().enumerate() {
        let lo = plan.lowered.homes[h].lo;
        homes[h] = tensor
            .data()
            .iter()
            .map(|v| Cells {
                y: i64::from(v - lo),
                ..Cells::default()
            })
            .collect();
        touch_all(fault, h, 1, &mut homes[h]);
    }
    for (s, step) in plan.lowered.steps.iter().enumerate() {
        let home = step.output;
        let divisors = divisors(plan, affines, home);
        let mut made = match &step.kind {
            Kind::Node(n) | Kind::Corrections(n) | Kind::Copy(n, _) => {
                requantized(graph, plan, (s, *n), &divisors, &homes)?
            }
            Kind::Max(..) => maxima(plan, s, &homes),
        };
        for (position, cells) in made.iter_mut().enumerate() {
            fault.touch(home, position, divisors[position], cells);
        }
        homes[home] = made;
    }
    Ok(homes)
}

/// Divisor of every value of a home, in logical order; 1 where there is none.
fn divisors(plan: &Plan, affines: &[Option<Affine>], home: usize) -> Vec<i64> {
    let mut found = vec![1; plan.lowered.homes[home].index.len()];
    for plane in &plan.planes[home] {
        for (at, &position) in plane.index.iter().enumerate() {
            let (row, _) = plane.place(0, at / plane.width, at % plane.width);
            found[position as usize] = affines[row].map_or(1, |a| a.divisor());
        }
    }
    found
}

/// Values of an operand in the operator's own order.
fn operand_values(plan: &Plan, step: usize, input: usize, homes: &[Vec<Cells>]) -> Vec<i32> {
    let operand = &plan.lowered.steps[step].inputs[input];
    let lo = i64::from(plan.lowered.homes[operand.home].lo);
    let mut values = vec![0i32; homes[operand.home].len()];
    for (i, cells) in (0u32..).zip(&homes[operand.home]) {
        // A fault may leave any integer; what does not fit the type saturates, as a cheat's own code would choose.
        let value = cells.y.saturating_add(lo).clamp(-40_000, 40_000);
        values[operand.view(i) as usize] = i32::try_from(value).unwrap_or(0);
    }
    values
}

/// Quotient, remainder and clamp of every output of a requantized operator.
fn requantized(
    graph: &Graph,
    plan: &Plan,
    (step, node): (usize, usize),
    divisors: &[i64],
    homes: &[Vec<Cells>],
) -> Result<Vec<Cells>, OpError> {
    let inputs: Vec<Vec<i32>> = (0..plan.lowered.steps[step].inputs.len())
        .map(|i| operand_values(plan, step, i, homes))
        .collect();
    let inputs: Vec<&[i32]> = inputs.iter().map(Vec::as_slice).collect();
    let home = plan.lowered.steps[step].output;
    let op = &graph.nodes[node].op;
    let numerators = match (&plan.lowered.steps[step].kind, op.requantize()) {
        (Kind::Corrections(_), Some(requantize)) => {
            let places = Places::of(op);
            let steps = requantize.corrections();
            let affine = steps.map(|(o, c)| (o, plan.lowered.homes[home].correction(c.from)));
            let acc = accumulators(op, &inputs)?;
            affine
                .flat_map(|(o, affine)| places.of_channel(o).map(move |at| (affine, at)))
                .map(|(Affine { m, b, .. }, at)| m * acc[at] + b)
                .collect()
        }
        (Kind::Copy(_, add), _) => sums(add, &inputs),
        _ => {
            let mut numerators = numerators(op, &inputs)?;
            if let (Some(side), Some(requantize)) = (plan.lowered.steps[step].corrections, op.requantize()) {
                add_corrections(plan, side, op, requantize, &homes[side], &mut numerators);
            }
            numerators
        }
    };
    let (lo, range) = (
        i64::from(plan.lowered.homes[home].lo),
        i64::from(plan.lowered.homes[home].range),
    );
    Ok(numerators
        .iter()
        .zip(divisors)
        .map(|(n, d)| split(*n, *d, lo, range))
        .collect())
}

/// Where the outputs of one channel stand in the operator's order.
struct Places {
    /// Distance from channel to channel.
    channel: usize,
    /// Distance from position to position of a channel.
    position: usize,
    /// Positions of a channel.
    count: usize,
}

impl Places {
    fn of(op: &Op) -> Self {
        match op {
            Op::Dense(dense) => Self {
                channel: 1,
                position: dense.n,
                count: dense.rows,
            },
            Op::Conv2d(conv) => Self {
                channel: conv.window.output_len(),
                position: 1,
                count: conv.window.output_len(),
            },
            _ => Self {
                channel: 0,
                position: 1,
                count: 0,
            },
        }
    }

    fn of_channel(&self, channel: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, position) = (channel * self.channel, self.position);
        (0..self.count).map(move |i| first + i * position)
    }
}

/// Adds what the planes of corrections say to the numerators.
fn add_corrections(
    plan: &Plan,
    side: usize,
    op: &Op,
    requantize: &Requantize,
    cells: &[Cells],
    numerators: &mut [i64],
) {
    let places = Places::of(op);
    let level = plan.lowered.homes[side].level();
    let planes = cells.chunks(places.count.max(1));
    for ((o, correction), plane) in requantize.corrections().zip(planes) {
        for (at, cell) in places.of_channel(o).zip(plane) {
            // A fault may leave any integer.
            let reached = cell.y.saturating_sub(level);
            numerators[at] = numerators[at].saturating_add(correction.add.saturating_mul(reached));
        }
    }
}

/// `sum_i m_i (x_i - z_i) + B` of every position.
fn sums(add: &Add, inputs: &[&[i32]]) -> Vec<i64> {
    let at = |i: usize, (m, z): (i64, i32), x: &[i32]| m * i64::from(x[i] - z);
    let sum = |i| {
        let terms = add.terms.iter().zip(inputs);
        terms.map(|(t, x)| at(i, *t, x)).sum::<i64>() + add.b
    };
    (0..inputs[0].len()).map(sum).collect()
}

/// The accumulators of an operator that has one for each output.
fn accumulators(op: &Op, inputs: &[&[i32]]) -> Result<Vec<i64>, OpError> {
    match op {
        Op::Conv2d(conv) => conv.accumulators(inputs[0]),
        Op::Dense(dense) => dense.accumulators(inputs[0]),
        Op::AvgPool(pool) => pool.accumulators(inputs[0]),
        Op::Add(_) | Op::MaxPool(_) | Op::View(_) => Ok(Vec::new()),
    }
}

/// `m acc + B` of every output, in the operator's order, corrections left out.
fn numerators(op: &Op, inputs: &[&[i32]]) -> Result<Vec<i64>, OpError> {
    let scaled = |requantize: &Requantize, channel: &dyn Fn(usize) -> usize| {
        let affine = |i: usize| requantize.channels[channel(i)].affine;
        let scale = |(i, acc): (usize, &i64)| affine(i).m * acc + affine(i).b;
        Ok(accumulators(op, inputs)?.iter().enumerate().map(scale).collect())
    };
    match op {
        Op::Conv2d(conv) => {
            let plane = conv.window.output_len();
            scaled(&conv.requantize, &|i| i / plane)
        }
        Op::Dense(dense) => scaled(&dense.requantize, &|i| i % dense.n),
        Op::AvgPool(pool) => {
            let classes = pool.classes();
            scaled(&pool.requantize, &|i| classes[i % classes.len()].0)
        }
        Op::Add(add) => Ok(sums(add, inputs)),
        Op::MaxPool(_) | Op::View(_) => Ok(Vec::new()),
    }
}

/// `numerator = d (t + lo) + r`, `y = clamp(t, 0, range)`, `a = |t - y|`.
pub(crate) fn split(numerator: i64, d: i64, lo: i64, range: i64) -> Cells {
    let t = numerator.div_euclid(d) - lo;
    let r = numerator.rem_euclid(d);
    let y = t.clamp(0, range);
    let low = (1i64 << DIVISOR_SHIFT) - 1;
    Cells {
        y,
        a: (t - y).abs(),
        r1: r >> DIVISOR_SHIFT,
        r0: r & low,
    }
}

/// Maximum and differences of every output of a three-tap stage.
fn maxima(plan: &Plan, step: usize, homes: &[Vec<Cells>]) -> Vec<Cells> {
    let step = &plan.lowered.steps[step];
    let Kind::Max(_, max) = &step.kind else {
        return Vec::new();
    };
    let operand = &step.inputs[0];
    let input = &plan.lowered.homes[operand.home];
    let output = &plan.lowered.homes[step.output];
    let (h_in, w_in) = (
        input.geometry.height.cast_signed(),
        input.geometry.width.cast_signed(),
    );
    let (h_out, w_out) = (output.geometry.height, output.geometry.width);
    let mut made = vec![Cells::default(); output.index.len()];
    for c in 0..max.channels {
        for i in 0..h_out {
            for j in 0..w_out {
                let tap = |(a, b): (isize, isize)| {
                    let y = (i * max.stride.0).cast_signed() + a;
                    let x = (j * max.stride.1).cast_signed() + b;
                    if y < 0 || x < 0 || y >= h_in || x >= w_in {
                        return 0;
                    }
                    let at = (c.cast_signed() * h_in + y) * w_in + x;
                    homes[operand.home][input.index[at.unsigned_abs()] as usize].y
                };
                let taps = max.taps.map(tap);
                let y = taps.iter().copied().max().unwrap_or(0);
                let at = output.index[(c * h_out + i) * w_out + j] as usize;
                made[at] = Cells {
                    y,
                    a: y - taps[0],
                    r1: y - taps[1],
                    r0: y - taps[2],
                };
            }
        }
    }
    made
}
