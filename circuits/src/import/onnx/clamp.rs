//! Relu and Clip: they narrow the clamp of the QuantizeLinear after them. Quantization is monotone, so
//! `Q(clip(x, a, b)) = clip(Q(x), Q(a), Q(b))` exactly.

use super::ImportError;
use super::importer::Importer;
use super::node::NodeView;
use super::value::{Base, Pending, Value};
use std::rc::Rc;

impl<'m> Importer<'m> {
    /// Relu and Clip.
    pub fn clamp(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let (lo, hi) = if node.op() == "Relu" {
            (0.0, f32::INFINITY)
        } else {
            self.clip_bounds(node)?
        };
        if lo.is_nan() || hi.is_nan() {
            return Err(node.unsupported("a bound of the Clip is not a number"));
        }
        if lo >= hi {
            return Err(node.unsupported("its bounds leave one value or none; remove the operator"));
        }
        let mut pending = match self.value(node, 0)? {
            Value::Real(x) => Pending {
                at: node.at(),
                name: node.output()?.into(),
                shape: x.shape.clone(),
                base: Rc::new(Base::Real(x)),
                lo: f32::NEG_INFINITY,
                hi: f32::INFINITY,
                steps: Vec::new(),
            },
            Value::Pending(p) => (*p).clone(),
            Value::Input(_) => return Err(node.float_operand("its operand is the float input of the graph")),
            Value::Tail(_) => {
                return Err(node.unsupported("it follows Softmax or ArgMax; end the graph there"));
            }
            _ => return Err(node.operand(0, "must be a dequantized activation")),
        };
        pending.lo = pending.lo.clamp(lo, hi);
        pending.hi = pending.hi.clamp(lo, hi);
        Ok(Value::Pending(Rc::new(pending)))
    }

    /// Bounds of a Clip: attributes before opset 11, inputs since.
    fn clip_bounds(&mut self, node: &NodeView<'m>) -> Result<(f32, f32), ImportError> {
        if node.opset < 11 {
            let lo = node.optional_float("min").unwrap_or(f32::NEG_INFINITY);
            return Ok((lo, node.optional_float("max").unwrap_or(f32::INFINITY)));
        }
        let lo = self.clip_bound(node, 1)?.unwrap_or(f32::NEG_INFINITY);
        let hi = self.clip_bound(node, 2)?.unwrap_or(f32::INFINITY);
        Ok((lo, hi))
    }

    fn clip_bound(&mut self, node: &NodeView<'m>, index: usize) -> Result<Option<f32>, ImportError> {
        let advice = "must be a constant float32 scalar";
        match self.optional(node, index)? {
            None => Ok(None),
            Some(Value::Const(c)) => match c.floats() {
                Some([bound]) => Ok(Some(*bound)),
                _ => Err(node.operand(index, advice)),
            },
            Some(Value::QuantConst(q)) if q.ints.len() == 1 && !q.wide => {
                let int = q.ints.ints().and_then(|v| v.first().copied()).unwrap_or(0);
                let centered = i32::try_from(int).unwrap_or(0) - q.zero_point(0);
                Ok(i16::try_from(centered).ok().map(|c| f32::from(c) * q.scale(0)))
            }
            Some(_) => Err(node.operand(index, advice)),
        }
    }
}
