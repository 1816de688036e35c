//! From a float result that waits for its QuantizeLinear to an operator of the plan.

use super::ImportError;
use super::constant_sum::ConstantSum;
use super::consts::Data;
use super::importer::Importer;
use super::node::NodeView;
use super::plan::{LinearSpec, PlanNode, Spec};
use super::value::{Base, Linear, LinearKind, Pending, Quant, Real, Step};
use crate::tensor::DType;

/// A waiting result (by its name in the file, which no other value has), the parameters and the bounds that it was
/// quantized with.
pub type MadeKey = (std::rc::Rc<str>, u32, i32, DType, (i32, i32));

impl<'m> Importer<'m> {
    /// Appends views and max pools; returns the last tensor.
    pub fn steps(
        &mut self,
        tensor: usize,
        steps: &[Step],
        node: &NodeView<'m>,
        name: &str,
    ) -> Result<usize, ImportError> {
        steps.iter().try_fold(tensor, |tensor, step| {
            self.plan.step(tensor, step, &node.at(), name)
        })
    }

    /// A dequantized activation quantized with other parameters.
    pub fn rescale(&mut self, node: &NodeView<'m>, x: &Real, y: Quant) -> Result<usize, ImportError> {
        let output = self
            .plan
            .tensor(node.output()?, x.shape.clone(), y.dtype, Some(y))?;
        self.plan.push(PlanNode {
            at: node.at(),
            name: node.label().to_owned(),
            spec: Spec::Rescale { x: x.quant, y },
            bounds: (y.dtype.min(), y.dtype.max()),
            inputs: vec![x.tensor],
            output,
        });
        Ok(output)
    }

    /// Makes the operator of a waiting result with output parameters `y`, then its views; returns the tensor.
    pub fn materialize(&mut self, p: &Pending, y: Quant, name: &str) -> Result<usize, ImportError> {
        let lo = if p.lo == f32::NEG_INFINITY {
            y.dtype.min()
        } else {
            y.quantize(p.lo)
        };
        let hi = if p.hi == f32::INFINITY {
            y.dtype.max()
        } else {
            y.quantize(p.hi)
        };
        let key = (p.name.clone(), y.scale.to_bits(), y.zero_point, y.dtype, (lo, hi));
        let made = match self.made.get(&key) {
            Some(tensor) => *tensor,
            None => {
                let (spec, inputs) = self.spec(&p.base, y)?;
                let own = if p.steps.is_empty() { name } else { &p.name };
                let output = self.plan.tensor(own, p.shape.clone(), y.dtype, Some(y))?;
                let label = p.at.name.clone();
                let node = PlanNode {
                    at: p.at.clone(),
                    name: label,
                    spec,
                    bounds: (lo, hi),
                    inputs,
                    output,
                };
                self.plan.push(node);
                self.made.insert(key, output);
                output
            }
        };
        p.steps
            .iter()
            .try_fold(made, |tensor, step| self.plan.step(tensor, step, &p.at, name))
    }

    fn spec(&mut self, base: &Base, y: Quant) -> Result<(Spec, Vec<usize>), ImportError> {
        Ok(match base {
            Base::Linear(linear) => {
                self.plan.count_weights(linear.weights.ints.len())?;
                (linear_spec(linear, y), vec![linear.x.tensor])
            }
            Base::Add(a, b) => (
                Spec::Add {
                    a: a.quant,
                    b: b.quant,
                    y,
                },
                vec![a.tensor, b.tensor],
            ),
            Base::AddConst {
                x,
                window,
                values,
                constant,
                first,
            } => {
                self.plan.count_weights(values.len())?;
                let sum = ConstantSum {
                    values: values.to_vec(),
                    constant: *constant,
                    first: *first,
                    x: x.quant,
                    y,
                };
                (Spec::AddConst { window: *window, sum }, vec![x.tensor])
            }
            Base::AvgPool {
                x,
                window,
                channels,
                kind,
            } => {
                let (window, channels, kind) = (*window, *channels, *kind);
                (
                    Spec::AvgPool {
                        window,
                        channels,
                        x: x.quant,
                        y,
                        kind,
                    },
                    vec![x.tensor],
                )
            }
            Base::Real(x) => (Spec::Rescale { x: x.quant, y }, vec![x.tensor]),
        })
    }
}

fn linear_spec(linear: &Linear, y: Quant) -> Spec {
    let channels = linear.kind.channels();
    let values = match &linear.weights.ints.data {
        Data::Q8(_, v) => v.as_slice(),
        _ => &[],
    };
    let per_channel = values.len().checked_div(channels).unwrap_or(1).max(1);
    let channel = |i: usize| match linear.kind {
        LinearKind::Conv { .. } => i / per_channel,
        LinearKind::Dense { .. } => i % channels,
    };
    let weights = values
        .iter()
        .enumerate()
        .map(|(i, w)| w - linear.weights.zero_point(channel(i)))
        .collect();
    let num_scales = if linear.weights.scales.len() == 1 {
        1
    } else {
        channels
    };
    let scales = (0..num_scales)
        .map(|c| linear.accumulator_scale(c) / y.scale)
        .collect();
    let bias = linear.bias.clone();
    let spec = LinearSpec {
        weights,
        x: linear.x.quant,
        bias,
        scales,
        zero_point: y.zero_point,
    };
    match linear.kind {
        LinearKind::Conv {
            window,
            c_in,
            c_out,
            groups,
        } => Spec::Conv {
            window,
            c_in,
            c_out,
            groups,
            linear: spec,
        },
        LinearKind::Dense { rows, k, n } => Spec::Dense {
            rows,
            k,
            n,
            linear: spec,
        },
    }
}
