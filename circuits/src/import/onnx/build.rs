//! The last step of an import: from the plan to operators with fitted integers, and the finished graph.

use super::ImportError;
use super::plan::{LinearSpec, Plan, PlanTensor, Spec};
use super::value::Average;
use crate::graph::{Graph, InputPort, Node, OutputPort, TensorId, TensorInfo};
use crate::ops::{Add, AvgKind, AvgPool, Conv2d, Dense, MaxPool, Op, OpError, View};
use crate::quant::{OutputQuant, Requantize, Rounding, strict};

/// Index in the graph of each tensor of the plan that the graph holds.
struct Ids(Vec<Option<TensorId>>);

impl Ids {
    /// Numbers the tensors that inputs and nodes make, in that order.
    fn new(plan: &Plan) -> Self {
        let mut ids = vec![None; plan.tensors.len()];
        let made = plan
            .inputs
            .iter()
            .map(|i| i.1)
            .chain(plan.nodes.iter().map(|n| n.output));
        let mut count = 0;
        for index in made {
            if let Some(slot @ None) = ids.get_mut(index) {
                *slot = Some(TensorId(count));
                count += 1;
            }
        }
        Self(ids)
    }

    fn get(&self, index: usize) -> Result<TensorId, ImportError> {
        let missing = ImportError::Missing {
            what: "tensor that a node reads",
        };
        self.0.get(index).copied().flatten().ok_or(missing)
    }

    /// The tensors in the order of their numbers.
    fn infos(&self, tensors: &[PlanTensor]) -> Vec<TensorInfo> {
        let mut numbered: Vec<_> = self
            .0
            .iter()
            .zip(tensors)
            .filter_map(|(id, t)| Some(((*id)?, t)))
            .collect();
        numbered.sort_by_key(|(id, _)| *id);
        let info = |t: &PlanTensor| TensorInfo {
            name: t.name.clone(),
            shape: t.shape.clone(),
            dtype: t.dtype,
            scale: t.quant.map_or(1.0, |q| q.scale),
            zero_point: t.quant.map_or(0, |q| q.zero_point),
        };
        numbered.into_iter().map(|(_, t)| info(t)).collect()
    }
}

impl Plan {
    /// Builds the operators and the graph.
    ///
    /// # Errors
    /// [`ImportError::Op`] where an operator refuses its parameters or the rounding, [`ImportError::Graph`].
    pub fn build(mut self, rounding: Rounding) -> Result<Graph, ImportError> {
        self.complete_quants();
        let ids = Ids::new(&self);
        let tensors = ids.infos(&self.tensors);
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            let inputs = node
                .inputs
                .iter()
                .map(|i| ids.get(*i))
                .collect::<Result<_, _>>()?;
            let output = ids.get(node.output)?;
            let op = build_op(node.spec, node.bounds, rounding).map_err(|source| ImportError::Op {
                at: node.at,
                source: Box::new(source),
            })?;
            nodes.push(Node {
                name: node.name,
                op,
                inputs,
                output,
            });
        }
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for (name, tensor, float) in self.inputs {
            inputs.push(InputPort {
                name,
                tensor: ids.get(tensor)?,
                float,
            });
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (name, tensor, tail) in self.outputs {
            outputs.push(OutputPort {
                name,
                tensor: ids.get(tensor)?,
                tail,
            });
        }
        let graph = Graph {
            tensors,
            nodes,
            inputs,
            outputs,
        };
        graph.validate().map_err(|source| ImportError::Graph {
            source: Box::new(source),
        })?;
        Ok(graph)
    }
}

fn correct(rounding: Rounding, fit: &mut Requantize, y: &OutputQuant, bias: &[i64]) -> Result<(), OpError> {
    match rounding {
        Rounding::Exact => Ok(()),
        Rounding::Strict => Ok(strict(fit, y, bias)?),
    }
}

fn sum(rounding: Rounding, add: Add) -> Result<Op, OpError> {
    match rounding {
        Rounding::Exact => Ok(Op::Add(add)),
        Rounding::Strict => Ok(Op::Add(add.strict()?)),
    }
}

fn formula(kind: Average) -> AvgKind {
    match kind {
        Average::Global => AvgKind::Global,
        Average::Window => AvgKind::Window,
        Average::Padded => AvgKind::Padded,
    }
}

fn build_op(spec: Spec, (lo, hi): (i32, i32), rounding: Rounding) -> Result<Op, OpError> {
    let output = |l: &LinearSpec| OutputQuant {
        scales: l.scales.clone(),
        zero_point: l.zero_point,
        lo,
        hi,
    };
    Ok(match spec {
        Spec::Conv {
            window,
            c_in,
            c_out,
            groups,
            linear,
        } => {
            let y = output(&linear);
            let x = linear.x.to_tensor_quant();
            let mut conv = Conv2d::new(window, c_in, c_out, groups, linear.weights, &x, &linear.bias, &y)?;
            correct(rounding, &mut conv.requantize, &y, &linear.bias)?;
            Op::Conv2d(conv)
        }
        Spec::Dense { rows, k, n, linear } => {
            let y = output(&linear);
            let x = linear.x.to_tensor_quant();
            let mut dense = Dense::new(rows, k, n, linear.weights, &x, &linear.bias, &y)?;
            correct(rounding, &mut dense.requantize, &y, &linear.bias)?;
            Op::Dense(dense)
        }
        Spec::Add { a, b, y } => {
            let (a, b, y) = (a.to_tensor_quant(), b.to_tensor_quant(), y.to_tensor_quant());
            sum(rounding, Add::new(&a, &b, &y, lo, hi)?)?
        }
        Spec::AddConst { window, sum } => Op::Conv2d(sum.build(window, (lo, hi), rounding)?),
        Spec::Rescale { x, y } => {
            let (x, y) = (x.to_tensor_quant(), y.to_tensor_quant());
            sum(rounding, Add::rescale(&x, &y, lo, hi)?)?
        }
        Spec::AvgPool {
            window,
            channels,
            x,
            y,
            kind,
        } => {
            let kind = formula(kind);
            let (x, y) = (x.to_tensor_quant(), y.to_tensor_quant());
            let pool = AvgPool::new(window, channels, &x, &y, lo, hi, kind)?;
            match rounding {
                Rounding::Exact => Op::AvgPool(pool),
                Rounding::Strict => pool.strict(&x, &y)?,
            }
        }
        Spec::MaxPool { window, channels } => Op::MaxPool(MaxPool::new(window, channels)?),
        Spec::Identity => Op::View(View::identity()),
        Spec::Transpose { dims, perm } => Op::View(View::transpose(&dims, &perm)?),
    })
}
