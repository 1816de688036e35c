//! Constant folding: Constant nodes, and the chains of Shape, Gather, Slice, Concat, Cast and arithmetic with
//! which exporters compute shapes. With the batch fixed to 1 every shape is a constant.

use super::ImportError;
use super::consts::{self, Const, Data};
use super::importer::Importer;
use super::node::{NodeView, normalize_axis};
use super::value::Value;
use super::view::dims_as_ints;
use crate::tensor::MAX_RANK;
use std::rc::Rc;

/// Most values that a folded shape computation may have.
const MAX_SHAPE_VALUES: usize = 1 << 16;

impl<'m> Importer<'m> {
    /// The node's result when it is a constant; `None` when the node is no constant or another reader's.
    pub fn fold(&mut self, node: &NodeView<'m>) -> Result<Option<Value>, ImportError> {
        if !node.is_default_domain() {
            return Ok(None);
        }
        let folded = match node.op() {
            "Constant" => constant(node)?,
            "Shape" => self.shape(node)?,
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" => {
                let value = self.value(node, 0)?;
                if !matches!(value, Value::Const(_)) {
                    return Ok(None);
                }
                let what = self.movement(node, value.dims())?;
                return self.apply_move(node, value, &what).map(Some);
            }
            "Gather" | "Concat" | "Slice" | "Cast" | "Add" | "Sub" | "Mul" | "Div" => {
                let Some(operands) = self.const_operands(node)? else {
                    return Ok(None);
                };
                match fold_ints(node, &operands) {
                    Some(result) => result,
                    None if matches!(node.op(), "Add" | "Sub" | "Mul" | "Div") => return Ok(None),
                    None => {
                        return Err(node.unsupported(
                            "this computation on constants is not folded; simplify the model (onnxsim)",
                        ));
                    }
                }
            }
            _ => return Ok(None),
        };
        self.count_folded(folded.len())?;
        Ok(Some(Value::Const(folded)))
    }

    /// The inputs when all are constants, an empty constant for one left out.
    fn const_operands(&mut self, node: &NodeView<'m>) -> Result<Option<Vec<Const>>, ImportError> {
        let mut operands = Vec::new();
        for index in 0..node.proto.input.len() {
            match self.optional(node, index)? {
                None => operands.push(Const::list(Vec::new())),
                Some(Value::Const(c)) => operands.push(c),
                Some(_) => return Ok(None),
            }
        }
        Ok(Some(operands))
    }

    fn shape(&mut self, node: &NodeView<'m>) -> Result<Const, ImportError> {
        let dims = dims_as_ints(self.value(node, 0)?.dims());
        let rank = i64::try_from(dims.len()).unwrap_or(0);
        let bound = |axis: i64| {
            let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
            usize::try_from(axis.clamp(0, rank)).unwrap_or(0)
        };
        let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
        Ok(Const::list(dims.get(start..end).unwrap_or_default().to_vec()))
    }
}

fn constant(node: &NodeView<'_>) -> Result<Const, ImportError> {
    if let Some(tensor) = node.tensor("value") {
        return consts::decode(tensor, node.label());
    }
    let attribute = node.proto.attribute.first();
    match attribute.map(|a| (a.name.as_str(), a)) {
        Some(("value_int", a)) => Ok(Const {
            dims: Vec::new(),
            data: Data::I64(Rc::new(vec![a.i])),
        }),
        Some(("value_ints", a)) => Ok(Const::list(a.ints.clone())),
        Some(("value_float", a)) => Ok(Const {
            dims: Vec::new(),
            data: Data::F32(Rc::new(vec![a.f])),
        }),
        Some(("value_floats", a)) => Ok(Const {
            dims: vec![a.floats.len()],
            data: Data::F32(Rc::new(a.floats.clone())),
        }),
        _ => {
            Err(node
                .unsupported("its value is neither a dense tensor nor numbers; store it as an initializer"))
        }
    }
}

fn fold_ints(node: &NodeView<'_>, operands: &[Const]) -> Option<Const> {
    let first = operands.first()?;
    match node.op() {
        "Cast" => cast(first, node.int("to", 0)),
        "Gather" => gather(first, operands.get(1)?, node.int("axis", 0)),
        "Concat" => concat(operands, node.int("axis", 0)),
        "Slice" => slice(operands),
        op => arithmetic(op, first, operands.get(1)?),
    }
}

/// Casts between float32, int32, int64 and bool.
fn cast(c: &Const, to: i64) -> Option<Const> {
    let data = match (to, &c.data) {
        (1, Data::F32(_)) | (7, Data::I64(_)) | (6, Data::I32(_)) => c.data.clone(),
        (1, _) => Data::F32(Rc::new(c.ints()?.into_iter().map(float).collect())),
        (7, Data::F32(v)) => Data::I64(Rc::new(v.iter().map(|x| whole(*x)).collect::<Option<_>>()?)),
        (7, _) => Data::I64(Rc::new(c.ints()?)),
        (6, Data::F32(_)) => return None,
        (6, _) => Data::I32(Rc::new(
            c.ints()?
                .into_iter()
                .map(|x| i32::try_from(x).ok())
                .collect::<Option<_>>()?,
        )),
        _ => return None,
    };
    Some(Const {
        dims: c.dims.clone(),
        data,
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Cast to float32 rounds to nearest, as `as` does"
)]
fn float(x: i64) -> f32 {
    x as f32
}

/// A float as int64, cut towards zero; `None` outside the exact range.
#[allow(
    clippy::cast_possible_truncation,
    reason = "cut towards zero is what Cast does; the range is checked"
)]
fn whole(x: f32) -> Option<i64> {
    (x.abs() < 9.0e18).then_some(x as i64)
}

fn gather(data: &Const, indices: &Const, axis: i64) -> Option<Const> {
    let axis = normalize_axis(axis, data.dims.len())?;
    let length = *data.dims.get(axis)?;
    let inner: usize = data.dims.iter().skip(axis + 1).product();
    let outer: usize = data.dims.iter().take(axis).product();
    let picks: Vec<usize> = indices
        .ints()?
        .into_iter()
        .map(|i| normalize_axis(i, length))
        .collect::<Option<_>>()?;
    let count = outer.checked_mul(picks.len())?.checked_mul(inner)?;
    if count > MAX_SHAPE_VALUES {
        return None;
    }
    let mut index = Vec::with_capacity(count);
    for o in 0..outer {
        for pick in &picks {
            let start = (o * length + pick) * inner;
            index.extend(start..start + inner);
        }
    }
    let mut dims = data.dims.get(..axis)?.to_vec();
    dims.extend(&indices.dims);
    dims.extend(data.dims.get(axis + 1..)?);
    (dims.len() <= MAX_RANK)
        .then(|| data.pick(dims, &index))
        .flatten()
}

/// Concatenation of lists of integers.
fn concat(operands: &[Const], axis: i64) -> Option<Const> {
    let mut all = Vec::new();
    for c in operands {
        if c.dims.len() != 1 || normalize_axis(axis, 1).is_none() {
            return None;
        }
        all.extend(c.ints()?);
        if all.len() > MAX_SHAPE_VALUES {
            return None;
        }
    }
    Some(Const::list(all))
}

/// Slice of a list: data, starts, ends, axes, steps.
fn slice(operands: &[Const]) -> Option<Const> {
    let data = operands.first()?;
    let [length] = data.dims[..] else { return None };
    let number = |index: usize| match operands.get(index) {
        Some(c) if c.len() > 0 => match c.ints()?[..] {
            [value] => Some(Some(value)),
            _ => None,
        },
        _ => Some(None),
    };
    let (start, end) = (number(1)??, number(2)??);
    if !matches!(number(3)?, None | Some(0 | -1)) || !matches!(number(4)?, None | Some(1)) {
        return None;
    }
    let rank = i64::try_from(length).ok()?;
    let bound = |i: i64| {
        let i = if i < 0 { i.saturating_add(rank) } else { i };
        usize::try_from(i.clamp(0, rank)).ok()
    };
    let (start, end) = (bound(start)?, bound(end)?);
    let index: Vec<usize> = (start..end.max(start)).collect();
    data.pick(vec![index.len()], &index)
}

/// Arithmetic of two int64 lists of one shape, or of a list and a single value.
fn arithmetic(op: &str, a: &Const, b: &Const) -> Option<Const> {
    if !matches!((&a.data, &b.data), (Data::I64(_), Data::I64(_))) {
        return None;
    }
    let (x, y) = (a.ints()?, b.ints()?);
    let dims = match (x.len(), y.len()) {
        _ if a.dims == b.dims => a.dims.clone(),
        (_, 1) if b.dims.len() <= a.dims.len() => a.dims.clone(),
        (1, _) if a.dims.len() <= b.dims.len() => b.dims.clone(),
        _ => return None,
    };
    let count: usize = dims.iter().product();
    if count > MAX_SHAPE_VALUES {
        return None;
    }
    let at = |v: &[i64], i: usize| v.get(if v.len() == 1 { 0 } else { i }).copied();
    let values: Option<Vec<i64>> = (0..count)
        .map(|i| {
            let (x, y) = (at(&x, i)?, at(&y, i)?);
            match op {
                "Add" => x.checked_add(y),
                "Sub" => x.checked_sub(y),
                "Mul" => x.checked_mul(y),
                _ => x.checked_div(y),
            }
        })
        .collect();
    Some(Const {
        dims,
        data: Data::I64(Rc::new(values?)),
    })
}
