//! A node of the file with typed access to its attributes, and the errors that name it.

use super::proto;
use super::{ImportError, NodeRef};
use crate::import::error::short;
use crate::ops::OpError;
use crate::tensor::{Shape, TensorError};

/// A node and the operator set that gives it its meaning.
#[derive(Clone, Copy)]
pub struct NodeView<'m> {
    /// The node.
    pub proto: &'m proto::Node,
    /// Version of the default operator set.
    pub opset: i64,
}

impl<'m> NodeView<'m> {
    /// The operator type.
    pub fn op(&self) -> &'m str {
        &self.proto.op_type
    }

    /// Whether the operator is of the ONNX default domain.
    pub fn is_default_domain(&self) -> bool {
        self.proto.domain.is_empty() || self.proto.domain == "ai.onnx"
    }

    /// How errors name it.
    pub fn at(&self) -> NodeRef {
        let op = if self.is_default_domain() {
            short(&self.proto.op_type)
        } else {
            short(&format!("{}.{}", self.proto.domain, self.proto.op_type))
        };
        NodeRef {
            op,
            name: short(self.label()),
        }
    }

    /// Its name, or its first output's where it has none.
    pub fn label(&self) -> &'m str {
        match self.proto.output.first() {
            Some(output) if self.proto.name.is_empty() => output,
            _ => &self.proto.name,
        }
    }

    /// Name of input `index`; `None` when it is left out.
    pub fn input(&self, index: usize) -> Option<&'m str> {
        self.proto
            .input
            .get(index)
            .map(String::as_str)
            .filter(|s| !s.is_empty())
    }

    /// Name of the first output.
    pub fn output(&self) -> Result<&'m str, ImportError> {
        match self.proto.output.first() {
            Some(name) if !name.is_empty() => Ok(name),
            _ => Err(ImportError::Lacks {
                at: self.at(),
                what: "its output",
            }),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'m proto::Attribute> {
        self.proto.attribute.iter().find(|a| a.name == name)
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |a| a.i)
    }

    /// A float attribute.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |a| a.f)
    }

    /// A float attribute, if it is there.
    pub fn optional_float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|a| a.f)
    }

    /// A list attribute, if it is there.
    pub fn ints(&self, name: &str) -> Option<&'m [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    /// A string attribute; empty when it is not there or is no text.
    pub fn text(&self, name: &str) -> &'m str {
        self.attribute(name)
            .and_then(|a| std::str::from_utf8(&a.s).ok())
            .unwrap_or_default()
    }

    /// A tensor attribute.
    pub fn tensor(&self, name: &str) -> Option<&'m proto::Tensor> {
        self.attribute(name).and_then(|a| a.t.as_ref())
    }

    /// A list attribute of non-negative numbers of length `len`, each `default` when it is not there.
    pub fn sizes(&self, name: &'static str, len: usize, default: usize) -> Result<Vec<usize>, ImportError> {
        let Some(list) = self.ints(name) else {
            return Ok(vec![default; len]);
        };
        let sizes: Option<Vec<usize>> = list.iter().map(|v| usize::try_from(*v).ok()).collect();
        sizes
            .filter(|s| s.len() == len)
            .ok_or_else(|| self.bad_attribute(name, "must be a non-negative number for each spatial axis"))
    }

    /// The position of a possibly negative axis among `rank`.
    pub fn axis(&self, axis: i64, rank: usize) -> Result<usize, ImportError> {
        normalize_axis(axis, rank)
            .ok_or_else(|| self.bad_attribute("axis", "is outside the rank of the input"))
    }

    /// An [`ImportError::Attribute`].
    pub fn bad_attribute(&self, attribute: &'static str, advice: &'static str) -> ImportError {
        ImportError::Attribute {
            at: self.at(),
            attribute,
            advice,
        }
    }

    /// An [`ImportError::Unsupported`].
    pub fn unsupported(&self, advice: &'static str) -> ImportError {
        ImportError::Unsupported {
            at: self.at(),
            advice,
        }
    }

    /// An [`ImportError::Operand`].
    pub fn operand(&self, index: usize, advice: &'static str) -> ImportError {
        ImportError::Operand {
            at: self.at(),
            index,
            advice,
        }
    }

    /// An [`ImportError::Float`].
    pub fn float_operand(&self, what: &'static str) -> ImportError {
        ImportError::Float { at: self.at(), what }
    }

    /// An [`ImportError::Shapes`].
    pub fn shapes(&self, what: &'static str, dims: &[usize]) -> ImportError {
        ImportError::Shapes {
            at: self.at(),
            what,
            dims: dims.to_vec(),
        }
    }

    /// A checked shape.
    pub fn shape(&self, dims: Vec<usize>) -> Result<Shape, ImportError> {
        Shape::new(dims).map_err(|source| self.tensor_error(source))
    }

    /// An [`ImportError::Op`].
    pub fn op_error(&self, source: OpError) -> ImportError {
        ImportError::Op {
            at: self.at(),
            source: Box::new(source),
        }
    }

    /// An [`ImportError::Tensor`].
    pub fn tensor_error(&self, source: TensorError) -> ImportError {
        ImportError::Tensor {
            at: self.at(),
            source,
        }
    }
}

/// The position of a possibly negative axis among `rank`; `None` outside.
pub fn normalize_axis(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    if axis < 0 || axis >= rank {
        None
    } else {
        usize::try_from(axis).ok()
    }
}
