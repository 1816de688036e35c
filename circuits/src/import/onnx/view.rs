//! Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Identity, Dropout and Cast: the same values in another
//! order or shape, on whatever side of a QuantizeLinear they stand.

use super::ImportError;
use super::consts::{Const, Data, is_bounded};
use super::importer::Importer;
use super::node::{NodeView, normalize_axis};
use super::plan::keeps_order;
use super::value::{FloatInput, Int, Pending, QuantConst, Real, Step, Tail, Value};
use crate::tail::TailOp;
use crate::tensor::MAX_RANK;
use std::rc::Rc;

/// What a view does to a shape.
pub enum Move {
    /// New dimensions of as many elements.
    Reshape(Vec<usize>),
    /// Axis of the source for each axis of the result.
    Transpose(Vec<usize>),
}

impl<'m> Importer<'m> {
    /// Identity and Dropout.
    pub fn identity(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if let Some(mode) = self.optional(node, 2)? {
            match mode {
                Value::Const(c) if c.ints().is_some_and(|v| v.iter().all(|x| *x == 0)) => {}
                _ => return Err(node.operand(2, "must be false: export the model in inference mode")),
            }
        }
        self.value(node, 0)
    }

    /// Cast between float32 and float32; constants are cast by folding.
    pub fn cast(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let value = self.value(node, 0)?;
        let float = matches!(value, Value::Real(_) | Value::Input(_) | Value::Pending(_));
        if float && node.int("to", 0) == 1 {
            return Ok(value);
        }
        Err(node.unsupported("only casts of constants, and of float32 to float32, keep the values; feed quantized integers through DequantizeLinear"))
    }

    /// Reshape, Flatten, Squeeze, Unsqueeze, Transpose.
    pub fn view(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let value = self.value(node, 0)?;
        let what = self.movement(node, value.dims())?;
        self.apply_move(node, value, &what)
    }

    /// What the node does to a tensor of these dimensions.
    pub fn movement(&mut self, node: &NodeView<'m>, dims: &[usize]) -> Result<Move, ImportError> {
        let moved = match node.op() {
            "Transpose" => return transpose_perm(node, dims.len()).map(Move::Transpose),
            "Flatten" => flatten(node, dims),
            "Reshape" => {
                let target = self.int_list(node, 1)?;
                let target = target.ok_or_else(|| ImportError::Lacks {
                    at: node.at(),
                    what: "its shape",
                })?;
                reshape(node, dims, &target)
            }
            op => {
                let axes = match node.ints("axes") {
                    Some(axes) if node.opset < 13 => Some(axes.to_vec()),
                    _ => self.int_list(node, 1)?,
                };
                if op == "Squeeze" {
                    squeeze(dims, axes.as_deref())
                } else {
                    unsqueeze(dims, axes.as_deref())
                }
            }
        };
        let moved =
            moved.ok_or_else(|| node.shapes("the new shape must hold as many values as the old", dims))?;
        if moved.len() > MAX_RANK || !is_bounded(&moved) {
            return Err(node.shapes("a tensor has at most 6 dimensions and 2^26 values", &moved));
        }
        Ok(Move::Reshape(moved))
    }

    /// A constant list of int64 at input `index`.
    fn int_list(&mut self, node: &NodeView<'m>, index: usize) -> Result<Option<Vec<i64>>, ImportError> {
        let advice =
            "must be known when the model is loaded; simplify the model (onnxsim) or fix its input shape";
        match self.constant(node, index, advice)? {
            None => Ok(None),
            Some(c) => match &c.data {
                Data::I64(v) if c.dims.len() <= 1 => Ok(Some(v.to_vec())),
                _ => Err(node.operand(index, "must be a list of int64")),
            },
        }
    }

    /// Applies a view to any value.
    pub fn apply_move(
        &mut self,
        node: &NodeView<'m>,
        value: Value,
        what: &Move,
    ) -> Result<Value, ImportError> {
        match value {
            Value::Const(c) => {
                self.count_folded(c.len())?;
                Ok(Value::Const(move_const(node, &c, what)?))
            }
            Value::QuantConst(q) => {
                self.count_folded(q.ints.len())?;
                Ok(Value::QuantConst(Rc::new(move_quant_const(node, &q, what)?)))
            }
            Value::Tail(tail) => move_tail(node, tail, what),
            value => {
                let step = step(node, value.dims(), what)?;
                self.apply_step(node, value, step)
            }
        }
    }

    /// Applies a step that commutes with quantization to an activation.
    pub fn apply_step(
        &mut self,
        node: &NodeView<'m>,
        value: Value,
        step: Step,
    ) -> Result<Value, ImportError> {
        let shape = step.shape().clone();
        Ok(match value {
            Value::Int(Int { tensor, dtype, .. }) => {
                let tensor = self.plan.step(tensor, &step, &node.at(), node.output()?)?;
                Value::Int(Int { tensor, shape, dtype })
            }
            Value::Real(Real { tensor, quant, .. }) => {
                let tensor = self.plan.step(tensor, &step, &node.at(), node.output()?)?;
                Value::Real(Real { tensor, shape, quant })
            }
            Value::Input(FloatInput {
                input,
                base,
                mut steps,
            }) => {
                steps.push(step);
                Value::Input(FloatInput { input, base, steps })
            }
            Value::Pending(p) => {
                let mut p: Pending = (*p).clone();
                p.steps.push(step);
                Value::Pending(Rc::new(p))
            }
            _ => return Err(node.operand(0, "must be an activation")),
        })
    }
}

fn step(node: &NodeView<'_>, dims: &[usize], what: &Move) -> Result<Step, ImportError> {
    Ok(match what {
        Move::Reshape(new) => Step::Reshape {
            shape: node.shape(new.clone())?,
        },
        Move::Transpose(perm) => {
            let new = perm.iter().filter_map(|p| dims.get(*p).copied()).collect();
            Step::Transpose {
                perm: perm.clone(),
                shape: node.shape(new)?,
            }
        }
    })
}

fn move_const(node: &NodeView<'_>, c: &Const, what: &Move) -> Result<Const, ImportError> {
    match what {
        Move::Reshape(dims) => Ok(c.with_dims(dims.clone())),
        Move::Transpose(perm) => c
            .transpose(perm)
            .ok_or_else(|| node.shapes("the permutation must fit the shape", &c.dims)),
    }
}

/// The axis of the scales follows the view.
fn move_quant_const(node: &NodeView<'_>, q: &QuantConst, what: &Move) -> Result<QuantConst, ImportError> {
    let ints = move_const(node, &q.ints, what)?;
    let axis = match what {
        _ if q.scales.len() == 1 => Some(0),
        Move::Transpose(perm) => perm.iter().position(|p| *p == q.axis),
        Move::Reshape(dims) => {
            let before: usize = q.ints.dims.iter().take(q.axis).product();
            (0..dims.len()).find(|a| {
                dims.get(*a) == Some(&q.scales.len()) && dims.iter().take(*a).product::<usize>() == before
            })
        }
    };
    let axis = axis
        .ok_or_else(|| node.unsupported("it splits the axis of per-channel scales; quantize per tensor"))?;
    Ok(QuantConst {
        ints,
        axis,
        ..q.clone()
    })
}

fn move_tail(node: &NodeView<'_>, mut tail: Tail, what: &Move) -> Result<Value, ImportError> {
    let shape = step(node, tail.shape.dims(), what)?.shape().clone();
    if let Move::Transpose(perm) = what
        && !keeps_order(tail.shape.dims(), perm)
    {
        return Err(node.unsupported("it reorders a result of Softmax or ArgMax; end the graph before it"));
    }
    if shape != tail.shape {
        tail.ops.push(TailOp::Reshape { shape: shape.clone() });
        tail.shape = shape;
    }
    Ok(Value::Tail(tail))
}

fn transpose_perm(node: &NodeView<'_>, rank: usize) -> Result<Vec<usize>, ImportError> {
    let Some(perm) = node.ints("perm") else {
        return Ok((0..rank).rev().collect());
    };
    let perm: Vec<usize> = perm.iter().filter_map(|p| usize::try_from(*p).ok()).collect();
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        Ok(perm)
    } else {
        Err(node.bad_attribute("perm", "must be a permutation of the axes"))
    }
}

fn flatten(node: &NodeView<'_>, dims: &[usize]) -> Option<Vec<usize>> {
    let rank = i64::try_from(dims.len()).ok()?;
    let axis = node.int("axis", 1);
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    let axis = usize::try_from(axis).ok().filter(|a| *a <= dims.len())?;
    let (left, right) = dims.split_at(axis);
    Some(vec![left.iter().product(), right.iter().product()])
}

fn reshape(node: &NodeView<'_>, dims: &[usize], target: &[i64]) -> Option<Vec<usize>> {
    let count: usize = dims.iter().product();
    let keep_zero = node.int("allowzero", 0) != 0;
    let mut open = None;
    let mut new = Vec::with_capacity(target.len().min(MAX_RANK));
    for (axis, size) in target.iter().enumerate() {
        new.push(match size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !keep_zero => *dims.get(axis)?,
            size => usize::try_from(*size).ok()?,
        });
    }
    let known = new.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    match open {
        Some(axis) => {
            let size = count.checked_div(known)?;
            *new.get_mut(axis)? = size;
            (size.checked_mul(known)? == count).then_some(new)
        }
        None => (known == count).then_some(new),
    }
}

fn squeeze(dims: &[usize], axes: Option<&[i64]>) -> Option<Vec<usize>> {
    let drop: Vec<usize> = match axes {
        Some(axes) => axes
            .iter()
            .map(|a| normalize_axis(*a, dims.len()))
            .collect::<Option<_>>()?,
        None => (0..dims.len()).filter(|a| dims.get(*a) == Some(&1)).collect(),
    };
    let ones = drop.iter().all(|a| dims.get(*a) == Some(&1));
    ones.then(|| {
        dims.iter()
            .enumerate()
            .filter(|(i, _)| !drop.contains(i))
            .map(|(_, d)| *d)
            .collect()
    })
}

fn unsqueeze(dims: &[usize], axes: Option<&[i64]>) -> Option<Vec<usize>> {
    let axes = axes?;
    let rank = dims.len().checked_add(axes.len()).filter(|r| *r <= MAX_RANK)?;
    let new: Vec<usize> = axes
        .iter()
        .map(|a| normalize_axis(*a, rank))
        .collect::<Option<_>>()?;
    let mut rest = dims.iter();
    let out: Option<Vec<usize>> = (0..rank)
        .map(|a| {
            if new.contains(&a) {
                Some(1)
            } else {
                rest.next().copied()
            }
        })
        .collect();
    out.filter(|_| rest.next().is_none())
}

/// The dimensions as int64, as the Shape operator gives them.
pub fn dims_as_ints(shape: &[usize]) -> Vec<i64> {
    shape
        .iter()
        .map(|d| i64::try_from(*d).unwrap_or(i64::MAX))
        .collect()
}
