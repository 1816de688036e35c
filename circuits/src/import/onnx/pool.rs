//! MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, and ReduceMean over the planes.

use super::ImportError;
use super::consts::Data;
use super::importer::Importer;
use super::linear::pending;
use super::node::NodeView;
use super::planes::Planes;
use super::value::{Average, Base, Pending, Real, Step, Value};
use crate::ops::Window;
use std::rc::Rc;

impl<'m> Importer<'m> {
    /// MaxPool and GlobalMaxPool, on 8-bit values or on floats before or after them: the maximum commutes
    /// with quantization.
    pub fn max_pool(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let value = self.value(node, 0)?;
        if matches!(value, Value::Tail(_) | Value::Const(_) | Value::QuantConst(_)) {
            return Err(node.operand(0, "must be an activation"));
        }
        let planes = Planes::of(node, value.dims())?;
        let window = if node.op() == "GlobalMaxPool" {
            whole_plane(node, &planes)?
        } else {
            planes.window(node, &kernel(node, &planes)?, node.int("ceil_mode", 0) != 0)?
        };
        let mut dims = vec![1, planes.channels];
        dims.extend(planes.output_dims(&window));
        let step = Step::MaxPool {
            window,
            channels: planes.channels,
            shape: node.shape(dims)?,
        };
        self.apply_step(node, value, step)
    }

    /// AveragePool, GlobalAveragePool and ReduceMean between DequantizeLinear and QuantizeLinear.
    pub fn average_pool(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let x = self.activation(node, 0)?;
        match node.op() {
            "GlobalAveragePool" => {
                let planes = Planes::of(node, x.shape.dims())?;
                let window = whole_plane(node, &planes)?;
                average(node, x, &planes, window, Average::Global)
            }
            "ReduceMean" => self.reduce_mean(node, x),
            _ => {
                let planes = Planes::of(node, x.shape.dims())?;
                let (window, kind) = average_window(node, &planes)?;
                average(node, x, &planes, window, kind)
            }
        }
    }

    /// Mean over the spatial axes of an NCHW or NCW tensor.
    fn reduce_mean(&mut self, node: &NodeView<'m>, x: Real) -> Result<Value, ImportError> {
        let planes = Planes::of(node, x.shape.dims())?;
        let advice = "must be constant axes";
        let axes = match (node.ints("axes"), self.constant(node, 1, advice)?.map(|c| c.data)) {
            (Some(axes), _) => axes.to_vec(),
            (None, Some(Data::I64(axes))) => axes.to_vec(),
            _ => Vec::new(),
        };
        let rank = planes.rank + 2;
        let mut axes = axes
            .iter()
            .map(|a| node.axis(*a, rank))
            .collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        if !axes.iter().copied().eq(2..rank) {
            return Err(node.bad_attribute("axes", "must be all spatial axes of [1, channels, height, width] and no other; other means are not supported"));
        }
        let window = whole_plane(node, &planes)?;
        let channels = planes.channels;
        let value = average(node, x, &planes, window, Average::Window)?;
        let Value::Pending(p) = value else {
            return Ok(value);
        };
        if node.int("keepdims", 1) != 0 {
            return Ok(Value::Pending(p));
        }
        let mut p: Pending = (*p).clone();
        p.steps.push(Step::Reshape {
            shape: node.shape(vec![1, channels])?,
        });
        Ok(Value::Pending(Rc::new(p)))
    }
}

/// The average of an activation over windows, waiting for its QuantizeLinear.
pub fn average(
    node: &NodeView<'_>,
    x: Real,
    planes: &Planes,
    window: Window,
    kind: Average,
) -> Result<Value, ImportError> {
    let mut dims = vec![1, planes.channels];
    dims.extend(planes.output_dims(&window));
    let shape = node.shape(dims)?;
    pending(
        node,
        Base::AvgPool {
            x,
            window,
            channels: planes.channels,
            kind,
        },
        shape,
    )
}

/// The window of an AveragePool, and what it divides by.
pub fn average_window(node: &NodeView<'_>, planes: &Planes) -> Result<(Window, Average), ImportError> {
    let kernel = kernel(node, planes)?;
    let rounded_up = node.int("ceil_mode", 0) != 0;
    let window = planes.window(node, &kernel, rounded_up)?;
    if node.int("count_include_pad", 0) == 0 {
        return Ok((window, Average::Window));
    }
    if window != planes.window(node, &kernel, false)? {
        return Err(node.bad_attribute(
            "ceil_mode",
            "must be 0 with count_include_pad=1: runtimes disagree on what windows beyond the padding divide by",
        ));
    }
    Ok((window, Average::Padded))
}

fn kernel(node: &NodeView<'_>, planes: &Planes) -> Result<Vec<usize>, ImportError> {
    if node.ints("kernel_shape").is_none() {
        return Err(node.bad_attribute("kernel_shape", "is missing"));
    }
    node.sizes("kernel_shape", planes.rank, 1)
}

/// The window that is the whole plane.
pub fn whole_plane(node: &NodeView<'_>, planes: &Planes) -> Result<Window, ImportError> {
    Window::new(planes.input, planes.input, (1, 1), (1, 1), (0, 0), (0, 0))
        .map_err(|source| node.op_error(source))
}
