//! Softmax and ArgMax after the last DequantizeLinear: computed in the clear.

use super::ImportError;
use super::importer::Importer;
use super::node::NodeView;
use super::qdq::tail_of;
use super::value::{Tail, TailKind, Value};
use crate::tail::TailOp;

impl<'m> Importer<'m> {
    /// The operand of a tail operator.
    fn tail_operand(&mut self, node: &NodeView<'m>, ints: bool) -> Result<Tail, ImportError> {
        match self.value(node, 0)? {
            Value::Real(x) => Ok(tail_of(&x)),
            Value::Int(x) if ints => Ok(Tail {
                tensor: x.tensor,
                ops: Vec::new(),
                shape: x.shape,
                kind: TailKind::Int(x.dtype),
            }),
            Value::Tail(tail) if tail.kind == TailKind::Float => Ok(tail),
            Value::Tail(tail) if ints && tail.kind != TailKind::Index => Ok(tail),
            Value::Pending(_) | Value::Input(_) => Err(node.float_operand("its operand is not quantized")),
            _ => Err(node.operand(0, "must be a dequantized activation")),
        }
    }

    /// Softmax.
    pub fn softmax(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let mut tail = self.tail_operand(node, false)?;
        let dims = tail.shape.dims();
        let coerced = node.opset < 13;
        let axis = node.axis(node.int("axis", if coerced { 1 } else { -1 }), dims.len())?;
        if coerced && dims.iter().skip(axis + 1).any(|d| *d != 1) {
            return Err(node.bad_attribute(
                "axis",
                "before opset 13 joins several axes; convert the model to opset 13",
            ));
        }
        tail.ops.push(TailOp::Softmax { axis });
        Ok(Value::Tail(tail))
    }

    /// ArgMax.
    pub fn arg_max(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let mut tail = self.tail_operand(node, true)?;
        let mut dims = tail.shape.dims().to_vec();
        let axis = node.axis(node.int("axis", 0), dims.len())?;
        let keep_dims = node.int("keepdims", 1) != 0;
        let select_last = node.int("select_last_index", 0) != 0;
        if keep_dims {
            dims[axis] = 1;
        } else {
            dims.remove(axis);
        }
        tail.shape = node.shape(dims)?;
        tail.kind = TailKind::Index;
        tail.ops.push(TailOp::ArgMax {
            axis,
            keep_dims,
            select_last,
        });
        Ok(Value::Tail(tail))
    }
}
