//! The geometry of convolutions and pools: planes, strides, dilations, pads, automatic padding, rounding up.

use super::ImportError;
use super::node::NodeView;
use crate::ops::Window;

/// The spatial part of an NCHW or NCW tensor with batch 1.
pub struct Planes {
    /// Channels.
    pub channels: usize,
    /// Height and width; height 1 for rank 3.
    pub input: (usize, usize),
    /// Number of spatial axes.
    pub rank: usize,
}

impl Planes {
    /// Reads the shape of a convolution's or pool's input.
    pub fn of(node: &NodeView<'_>, dims: &[usize]) -> Result<Self, ImportError> {
        match *dims {
            [1, channels, width] => Ok(Self {
                channels,
                input: (1, width),
                rank: 1,
            }),
            [1, channels, height, width] => Ok(Self {
                channels,
                input: (height, width),
                rank: 2,
            }),
            _ => Err(node.shapes(
                "the input must be [1, channels, width] or [1, channels, height, width]",
                dims,
            )),
        }
    }

    /// A pair from a list over the spatial axes; a missing vertical entry is `fill`.
    fn pair(list: &[usize], fill: usize) -> (usize, usize) {
        match *list {
            [horizontal] => (fill, horizontal),
            [vertical, horizontal] => (vertical, horizontal),
            _ => (fill, fill),
        }
    }

    /// The window of a convolution or pool with these kernel taps. `ceil` rounds the output size up.
    pub fn window(&self, node: &NodeView<'_>, kernel: &[usize], ceil: bool) -> Result<Window, ImportError> {
        let stride = node.sizes("strides", self.rank, 1)?;
        let dilation = node.sizes("dilations", self.rank, 1)?;
        let input = if self.rank == 1 {
            vec![self.input.1]
        } else {
            vec![self.input.0, self.input.1]
        };
        let axes: Vec<Axis> = (0..self.rank)
            .map(|a| Axis {
                input: input[a],
                kernel: kernel[a],
                stride: stride[a],
                dilation: dilation[a],
            })
            .collect();
        let mut pads = self.pads(node, &axes)?;
        if ceil {
            for (axis, pad) in axes.iter().zip(&mut pads) {
                pad.1 = axis
                    .ceil_pad(*pad)
                    .ok_or_else(|| node.shapes("the window must fit the padded input", &input))?;
            }
        }
        let begin: Vec<usize> = pads.iter().map(|p| p.0).collect();
        let end: Vec<usize> = pads.iter().map(|p| p.1).collect();
        Window::new(
            self.input,
            Self::pair(kernel, 1),
            Self::pair(&stride, 1),
            Self::pair(&dilation, 1),
            Self::pair(&begin, 0),
            Self::pair(&end, 0),
        )
        .map_err(|source| node.op_error(source))
    }

    /// Padding before and after, for each spatial axis.
    fn pads(&self, node: &NodeView<'_>, axes: &[Axis]) -> Result<Vec<(usize, usize)>, ImportError> {
        match node.text("auto_pad") {
            "" | "NOTSET" => {
                let pads = match node.ints("pads") {
                    Some([]) | None => vec![0; 2 * self.rank],
                    Some(_) => node.sizes("pads", 2 * self.rank, 0)?,
                };
                Ok((0..self.rank).map(|a| (pads[a], pads[a + self.rank])).collect())
            }
            "VALID" => Ok(vec![(0, 0); self.rank]),
            upper @ ("SAME_UPPER" | "SAME_LOWER") => axes
                .iter()
                .map(|a| a.same_pad(upper == "SAME_UPPER"))
                .collect::<Option<_>>()
                .ok_or_else(|| node.bad_attribute("strides", "must be positive")),
            _ => Err(node.bad_attribute("auto_pad", "must be NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
        }
    }

    /// The spatial dimensions after a window.
    pub fn output_dims(&self, window: &Window) -> Vec<usize> {
        if self.rank == 1 {
            vec![window.output.1]
        } else {
            vec![window.output.0, window.output.1]
        }
    }
}

/// A window along one axis.
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
}

impl Axis {
    /// Input positions that the window covers.
    fn extent(&self) -> Option<usize> {
        self.kernel
            .checked_sub(1)?
            .checked_mul(self.dilation)?
            .checked_add(1)
    }

    /// SAME padding: as many outputs as `ceil(input / stride)`.
    fn same_pad(&self, upper: bool) -> Option<(usize, usize)> {
        let output = self
            .input
            .checked_add(self.stride.checked_sub(1)?)?
            .checked_div(self.stride)?;
        let covered = output
            .checked_sub(1)?
            .checked_mul(self.stride)?
            .checked_add(self.extent()?)?;
        let total = covered.saturating_sub(self.input);
        let (small, large) = (total / 2, total - total / 2);
        Some(if upper { (small, large) } else { (large, small) })
    }

    /// Padding after the input with which rounding down gives the size that rounding up gives.
    fn ceil_pad(&self, (begin, end): (usize, usize)) -> Option<usize> {
        let start = self.input.checked_add(begin)?;
        let span = start.checked_add(end)?.checked_sub(self.extent()?)?;
        let mut steps = span
            .checked_add(self.stride.checked_sub(1)?)?
            .checked_div(self.stride)?;
        if steps.checked_mul(self.stride)? >= start {
            steps = steps.checked_sub(1)?;
        }
        steps
            .checked_mul(self.stride)?
            .checked_add(self.extent()?)?
            .checked_sub(start)
            .map(|e| e.max(end))
            .or(Some(end))
    }
}
