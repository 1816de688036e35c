//! Operators that carry their quantization parameters as inputs (QOperator form).

use super::ImportError;
use super::importer::Importer;
use super::node::NodeView;
use super::planes::Planes;
use super::pool::{average, average_window, whole_plane};
use super::sum::sum_of;
use super::value::{Average, Int, Step, Value};
use crate::tensor::DType;
use std::rc::Rc;

impl<'m> Importer<'m> {
    /// QLinearConv: x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, bias.
    pub fn qlinear_conv(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let x = self.quantized_operand(node, 0)?;
        let weights = Rc::new(self.quantized_weights(node, 3, 0)?);
        let bias = self.optional(node, 8)?;
        let dtype = x.quant.dtype;
        let value = self.conv_of(node, x, weights, bias, 8)?;
        self.requantized(node, &value, 6, dtype)
    }

    /// QLinearMatMul: a and its parameters, b and its parameters, y_scale, y_zero_point.
    pub fn qlinear_matmul(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let x = self.quantized_operand(node, 0)?;
        let weights = Rc::new(self.quantized_weights(node, 3, 1)?);
        let dtype = x.quant.dtype;
        let value = self.dense_of(node, x, weights, None, 8)?;
        self.requantized(node, &value, 6, dtype)
    }

    /// QGemm: A and its parameters, B and its parameters, C (int32), y_scale, y_zero_point.
    pub fn qgemm(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if node.int("transA", 0) != 0 {
            return Err(node.bad_attribute("transA", "must be 0"));
        }
        if node.input(7).is_none() {
            return Err(node.float_operand("it has no output scale"));
        }
        let x = self.quantized_operand(node, 0)?;
        let transposed = node.int("transB", 0) != 0;
        let mut weights = Rc::new(self.quantized_weights(node, 3, usize::from(!transposed))?);
        if transposed {
            weights = self.transpose_weights(node, weights)?;
        }
        let bias = self.optional(node, 6)?;
        let dtype = x.quant.dtype;
        let value = self.dense_of(node, x, weights, bias, 6)?;
        self.requantized(node, &value, 7, dtype)
    }

    /// QLinearAdd: a and its parameters, b and its parameters, c_scale, c_zero_point.
    pub fn qlinear_add(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let (a, b) = (self.value(node, 0)?, self.value(node, 3)?);
        let (value, dtype) = match (a, b) {
            (Value::Const(_), Value::Int(_)) => {
                let x = self.quantized_operand(node, 3)?;
                let constant = self.quantized_weights(node, 0, 0)?;
                let dtype = x.quant.dtype;
                (self.add_constant(node, x, &constant, true)?, dtype)
            }
            (Value::Int(_), Value::Const(_)) => {
                let x = self.quantized_operand(node, 0)?;
                let constant = self.quantized_weights(node, 3, 0)?;
                let dtype = x.quant.dtype;
                (self.add_constant(node, x, &constant, false)?, dtype)
            }
            _ => {
                let (a, b) = (self.quantized_operand(node, 0)?, self.quantized_operand(node, 3)?);
                let dtype = a.quant.dtype;
                (sum_of(node, a, b)?, dtype)
            }
        };
        self.requantized(node, &value, 6, dtype)
    }

    /// QLinearGlobalAveragePool and QLinearAveragePool: x and its parameters, y_scale, y_zero_point.
    pub fn qlinear_average_pool(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if node.int("channels_last", 0) != 0 {
            return Err(node.bad_attribute("channels_last", "must be 0: export the model channels first"));
        }
        let x = self.quantized_operand(node, 0)?;
        let planes = Planes::of(node, x.shape.dims())?;
        let dtype = x.quant.dtype;
        let value = if node.op() == "QLinearGlobalAveragePool" {
            average(node, x, &planes, whole_plane(node, &planes)?, Average::Global)?
        } else {
            let (window, kind) = average_window(node, &planes)?;
            average(node, x, &planes, window, kind)?
        };
        self.requantized(node, &value, 3, dtype)
    }

    /// Quantizes a waiting result with the parameters at inputs `scale` and `scale + 1` of its own node.
    fn requantized(
        &mut self,
        node: &NodeView<'m>,
        value: &Value,
        scale: usize,
        dtype: DType,
    ) -> Result<Value, ImportError> {
        let y = self.quant(node, scale, dtype)?;
        let Value::Pending(p) = value else {
            return Err(node.operand(0, "must be an activation"));
        };
        let tensor = self.materialize(p, y, node.output()?)?;
        let shape = p.steps.last().map_or(&p.shape, Step::shape).clone();
        Ok(Value::Int(Int {
            tensor,
            shape,
            dtype: y.dtype,
        }))
    }
}
