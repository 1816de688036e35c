//! QuantizeLinear and DequantizeLinear: where float values become integers of the plan, and back.

use super::ImportError;
use super::consts::{Const, Data};
use super::importer::{Importer, dequantize};
use super::node::{NodeView, normalize_axis};
use super::value::{FloatInput, Int, Quant, QuantConst, Real, Step, Tail, TailKind, Value};
use crate::import::error::short;
use crate::tail::TailOp;
use crate::tensor::{DType, Shape};
use std::rc::Rc;

/// Scales and zero points of a QuantizeLinear or DequantizeLinear, one or a list.
struct Parameters {
    scales: Vec<f32>,
    zero_points: Option<Const>,
}

impl<'m> Importer<'m> {
    /// Reads a constant scale at input `scale` and a zero point at the input after it.
    fn parameters(&mut self, node: &NodeView<'m>, scale: usize) -> Result<Parameters, ImportError> {
        let constant = self.constant(
            node,
            scale,
            "must be a constant scale; dynamic scales are not supported",
        )?;
        let constant = constant.ok_or_else(|| ImportError::Lacks {
            at: node.at(),
            what: "its scale",
        })?;
        let scales = constant
            .floats()
            .filter(|s| constant.dims.len() <= 1 && !s.is_empty());
        let scales = scales
            .ok_or_else(|| {
                node.operand(
                    scale,
                    "must be a float32 scale, one or a list; blocked quantization is not supported",
                )
            })?
            .to_vec();
        if let Some(value) = scales.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
            return Err(ImportError::Scale {
                at: node.at(),
                index: scale,
                value: *value,
            });
        }
        let zero_points = self.constant(node, scale + 1, "must be a constant zero point")?;
        if zero_points.as_ref().is_some_and(|z| z.len() != scales.len()) {
            return Err(node.operand(scale + 1, "must have as many zero points as there are scales"));
        }
        if scales.len() > 1 {
            self.count_folded(2 * scales.len())?;
        }
        Ok(Parameters { scales, zero_points })
    }

    /// Reads the parameters of an activation: one scale and one zero point. `dtype` is the type when the zero
    /// point is left out.
    pub fn quant(&mut self, node: &NodeView<'m>, scale: usize, dtype: DType) -> Result<Quant, ImportError> {
        let p = self.parameters(node, scale)?;
        let [value] = p.scales[..] else {
            return Err(node.operand(scale, "must be one scale: activations are quantized per tensor"));
        };
        let (dtype, zero_point) = match &p.zero_points {
            None => (dtype, 0),
            Some(Const {
                data: Data::Q8(dtype, z),
                ..
            }) => (*dtype, z.first().copied().unwrap_or(0)),
            Some(_) => {
                return Err(node.operand(
                    scale + 1,
                    "must be int8 or uint8; 16-bit, 4-bit and float8 activations are not supported",
                ));
            }
        };
        Ok(Quant {
            scale: value,
            zero_point,
            dtype,
        })
    }

    /// Reads an 8-bit activation at input `index` whose parameters stand at inputs `index + 1`, `index + 2`.
    pub fn quantized_operand(&mut self, node: &NodeView<'m>, index: usize) -> Result<Real, ImportError> {
        match self.value(node, index)? {
            Value::Int(int) => self.real(node, index + 1, int),
            Value::Const(_) => Err(node.operand(
                index,
                "is a constant; compute the node when exporting (constant folding)",
            )),
            _ => Err(node.operand(index, "must be an int8 or uint8 activation")),
        }
    }

    fn real(&mut self, node: &NodeView<'m>, scale: usize, int: Int) -> Result<Real, ImportError> {
        let quant = self.quant(node, scale, int.dtype)?;
        if quant.dtype != int.dtype {
            return Err(node.operand(scale + 1, "must have the type of the tensor that it belongs to"));
        }
        if !self.plan.set_quant(int.tensor, quant) {
            return Err(node.operand(
                scale,
                "must be the scale and zero point with which the tensor was quantized",
            ));
        }
        Ok(Real {
            tensor: int.tensor,
            shape: int.shape,
            quant,
        })
    }

    /// Reads dequantized constant `index` of QOperator nodes: integers, scale and zero point in three inputs.
    pub fn quantized_weights(
        &mut self,
        node: &NodeView<'m>,
        index: usize,
        axis: usize,
    ) -> Result<QuantConst, ImportError> {
        let advice = "must be a constant: products of two activations are not supported";
        let ints = self.constant(node, index, advice)?;
        let ints = ints.ok_or_else(|| ImportError::Lacks {
            at: node.at(),
            what: "its weights",
        })?;
        let p = self.parameters(node, index + 1)?;
        quant_const(node, ints, p, axis, index)
    }

    /// DequantizeLinear.
    pub fn dequantize_linear(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if node.int("block_size", 0) != 0 {
            return Err(node.bad_attribute(
                "block_size",
                "is not supported; quantize per tensor or per channel",
            ));
        }
        match self.value(node, 0)? {
            Value::Const(ints) => {
                let p = self.parameters(node, 1)?;
                let axis = match p.scales.len() {
                    1 => 0,
                    _ => node.axis(node.int("axis", 1), ints.dims.len())?,
                };
                Ok(Value::QuantConst(Rc::new(quant_const(node, ints, p, axis, 0)?)))
            }
            Value::Int(int) => Ok(Value::Real(self.real(node, 1, int)?)),
            Value::Tail(mut tail) => {
                let TailKind::Int(dtype) = tail.kind else {
                    return Err(node.operand(0, "is not quantized"));
                };
                let quant = self.quant(node, 1, dtype)?;
                tail.ops.push(dequantize(quant.scale, quant.zero_point));
                tail.kind = TailKind::Float;
                Ok(Value::Tail(tail))
            }
            _ => Err(node.operand(0, "must be int8 or uint8, or the int32 of a bias")),
        }
    }

    /// QuantizeLinear.
    pub fn quantize_linear(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if node.int("block_size", 0) != 0 {
            return Err(node.bad_attribute(
                "block_size",
                "is not supported; quantize per tensor or per channel",
            ));
        }
        let dtype = match node.int("output_dtype", 0) {
            0 | 2 => DType::U8,
            3 => DType::I8,
            _ => return Err(node.bad_attribute("output_dtype", "must be INT8 or UINT8")),
        };
        let value = self.value(node, 0)?;
        if let Value::Const(floats) = value {
            return self.quantize_constant(node, &floats, dtype);
        }
        let y = self.quant(node, 1, dtype)?;
        let name = node.output()?;
        let (tensor, shape) = match value {
            Value::Input(input) => self.quantize_input(node, &input, y)?,
            Value::Real(x) if x.quant == y => (x.tensor, x.shape),
            Value::Real(x) => (self.rescale(node, &x, y)?, x.shape),
            Value::Pending(p) => {
                let shape = p.steps.last().map_or(&p.shape, Step::shape).clone();
                (self.materialize(&p, y, name)?, shape)
            }
            Value::Tail(mut tail) if tail.kind == TailKind::Float => {
                tail.ops.push(TailOp::Quantize {
                    scale: y.scale,
                    zero_point: y.zero_point,
                    dtype: y.dtype,
                });
                tail.kind = TailKind::Int(y.dtype);
                return Ok(Value::Tail(tail));
            }
            Value::QuantConst(_) => {
                return Err(node.operand(0, "is a dequantized constant; fold it when exporting"));
            }
            _ => return Err(node.operand(0, "must be float32")),
        };
        Ok(Value::Int(Int {
            tensor,
            shape,
            dtype: y.dtype,
        }))
    }

    /// A constant quantized when the model is loaded, as exporters leave their weights.
    fn quantize_constant(
        &mut self,
        node: &NodeView<'m>,
        floats: &Const,
        dtype: DType,
    ) -> Result<Value, ImportError> {
        let values = floats
            .floats()
            .ok_or_else(|| node.operand(0, "must be float32"))?;
        if values.iter().any(|v| v.is_nan()) {
            return Err(node.operand(0, "holds a value that is not a number"));
        }
        let p = self.parameters(node, 1)?;
        let (dtype, zero_points) = match p.zero_points {
            None => (dtype, vec![0; p.scales.len()]),
            Some(Const {
                data: Data::Q8(dtype, z),
                ..
            }) => (dtype, z.to_vec()),
            Some(_) => return Err(node.operand(2, "must be int8 or uint8")),
        };
        self.count_folded(values.len())?;
        let (length, inner) = channel_layout(node, &floats.dims, &p.scales, node.int("axis", 1))?;
        let ints = values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let channel = (i / inner) % length;
                let scale = p.scales.get(channel).copied().unwrap_or(f32::NAN);
                let zero_point = zero_points.get(channel).copied().unwrap_or(0);
                Quant {
                    scale,
                    zero_point,
                    dtype,
                }
                .quantize(*v)
            })
            .collect();
        Ok(Value::Const(Const {
            dims: floats.dims.clone(),
            data: Data::Q8(dtype, Rc::new(ints)),
        }))
    }

    fn quantize_input(
        &mut self,
        node: &NodeView<'m>,
        input: &FloatInput,
        y: Quant,
    ) -> Result<(usize, Shape), ImportError> {
        let name = self.input_name(input.input);
        let tensor = match self.quantized_inputs.get(&input.input) {
            Some(tensor) => *tensor,
            None => {
                let tensor = self.plan.tensor(name, input.base.clone(), y.dtype, Some(y))?;
                self.plan.inputs.push((name.to_owned(), tensor, true));
                self.quantized_inputs.insert(input.input, tensor);
                tensor
            }
        };
        if self.plan.tensors.get(tensor).and_then(|t| t.quant) != Some(y) {
            return Err(ImportError::InputQuantizedTwice { input: short(name) });
        }
        let tensor = self.steps(tensor, &input.steps, node, node.output()?)?;
        Ok((
            tensor,
            input.steps.last().map_or(&input.base, Step::shape).clone(),
        ))
    }
}

/// Number of scales and distance of neighbours along `axis`, checked against the shape.
fn channel_layout(
    node: &NodeView<'_>,
    dims: &[usize],
    scales: &[f32],
    axis: i64,
) -> Result<(usize, usize), ImportError> {
    if scales.len() == 1 {
        return Ok((1, 1));
    }
    let axis = normalize_axis(axis, dims.len()).filter(|a| dims.get(*a) == Some(&scales.len()));
    let axis = axis.ok_or_else(|| node.operand(1, "must have one scale for each position of the axis"))?;
    let inner = dims.iter().skip(axis + 1).product::<usize>();
    Ok((scales.len(), inner.max(1)))
}

fn quant_const(
    node: &NodeView<'_>,
    ints: Const,
    p: Parameters,
    axis: usize,
    index: usize,
) -> Result<QuantConst, ImportError> {
    let wide = match &ints.data {
        Data::Q8(..) => false,
        Data::I32(_) => true,
        _ => return Err(node.operand(index, "must be int8 or uint8, or the int32 of a bias")),
    };
    if p.scales.len() > 1 && ints.dims.get(axis) != Some(&p.scales.len()) {
        return Err(node.operand(index + 1, "must have one scale for each output channel"));
    }
    let zero_points = match (&p.zero_points, &ints.data) {
        (None, _) => vec![0; p.scales.len()],
        (
            Some(Const {
                data: Data::I32(z), ..
            }),
            Data::I32(_),
        ) if z.iter().all(|z| *z == 0) => z.to_vec(),
        (
            Some(Const {
                data: Data::I32(_), ..
            }),
            Data::I32(_),
        ) => {
            return Err(node.operand(index + 2, "must be zero for an int32 bias"));
        }
        (
            Some(Const {
                data: Data::Q8(a, z), ..
            }),
            Data::Q8(b, _),
        ) if a == b => z.to_vec(),
        _ => return Err(node.operand(index + 2, "must have the type of the tensor that it belongs to")),
    };
    Ok(QuantConst {
        ints,
        wide,
        scales: p.scales,
        zero_points,
        axis,
    })
}

/// A value of the tail that begins at a dequantized activation.
pub fn tail_of(real: &Real) -> Tail {
    Tail {
        tensor: real.tensor,
        ops: vec![dequantize(real.quant.scale, real.quant.zero_point)],
        shape: real.shape.clone(),
        kind: TailKind::Float,
    }
}
