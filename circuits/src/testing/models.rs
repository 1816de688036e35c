//! Small random networks for tests.

use crate::batch::stack;
use crate::graph::{Graph, InputPort, Node, OutputPort, TensorId, TensorInfo};
use crate::ops::{Add, AvgKind, AvgPool, Conv2d, Dense, MaxPool, Op, OpError, View, Window};
use crate::quant::{OutputQuant, TensorQuant};
use crate::tensor::{DType, Shape, Tensor, TensorError};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A part that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An operator refused its parameters.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A shape or a tensor.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Geometry of a convolution to add: kernel, stride, dilation, padding on all sides, groups, output channels.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    /// Kernel.
    pub kernel: (usize, usize),
    /// Stride.
    pub stride: (usize, usize),
    /// Dilation.
    pub dilation: (usize, usize),
    /// Padding before rows and columns.
    pub pad_begin: (usize, usize),
    /// Padding after rows and columns.
    pub pad_end: (usize, usize),
    /// Groups.
    pub groups: usize,
    /// Output channels.
    pub c_out: usize,
}

impl ConvSpec {
    /// A square kernel with the given stride, padding on all sides, and groups.
    #[must_use]
    pub fn square(kernel: usize, stride: usize, pad: usize, groups: usize, c_out: usize) -> Self {
        Self {
            kernel: (kernel, kernel),
            stride: (stride, stride),
            dilation: (1, 1),
            pad_begin: (pad, pad),
            pad_end: (pad, pad),
            groups,
            c_out,
        }
    }
}

/// Builds a graph operator by operator with random weights and scales.
pub struct Builder {
    graph: Graph,
    rng: ChaCha20Rng,
    dtype: DType,
    zero: Option<i32>,
}

impl Builder {
    /// An empty graph whose tensors have this type.
    #[must_use]
    pub fn new(seed: u64, dtype: DType) -> Self {
        let graph = Graph {
            tensors: vec![],
            nodes: vec![],
            inputs: vec![],
            outputs: vec![],
        };
        Self {
            graph,
            rng: ChaCha20Rng::seed_from_u64(seed),
            dtype,
            zero: None,
        }
    }

    /// Gives every tensor that follows this zero point instead of a random one.
    #[must_use]
    pub fn with_zero(self, zero: i32) -> Self {
        Self {
            zero: Some(zero),
            ..self
        }
    }

    fn below(&mut self, n: u64) -> i64 {
        (self.rng.next_u64() % n).cast_signed()
    }

    fn small(&mut self, n: u64) -> i32 {
        i32::try_from(self.below(n)).unwrap_or(0)
    }

    fn tensor(&mut self, dims: Vec<usize>, scale: f32, zero_point: i32) -> Result<TensorId, BuildError> {
        let name = format!("t{}", self.graph.tensors.len());
        let info = TensorInfo {
            name,
            shape: Shape::new(dims)?,
            dtype: self.dtype,
            scale,
            zero_point,
        };
        self.graph.tensors.push(info);
        Ok(TensorId(self.graph.tensors.len() - 1))
    }

    fn node(&mut self, op: Op, inputs: Vec<TensorId>, output: TensorId) -> TensorId {
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.nodes.push(Node {
            name,
            op,
            inputs,
            output,
        });
        output
    }

    fn random_zero(&mut self) -> i32 {
        let random = self.dtype.min() + self.small(256);
        self.zero.unwrap_or(random)
    }

    fn quant(&self, id: TensorId) -> TensorQuant {
        self.graph.tensor(id).quant()
    }

    /// Dimensions of a tensor that was made.
    #[must_use]
    pub fn dims(&self, id: TensorId) -> Vec<usize> {
        self.graph.tensor(id).shape.dims().to_vec()
    }

    /// A graph input.
    ///
    /// # Errors
    /// [`BuildError`] for an impossible shape.
    pub fn input(&mut self, dims: &[usize]) -> Result<TensorId, BuildError> {
        let zero = self.random_zero();
        let tensor = self.tensor(dims.to_vec(), 0.05, zero)?;
        let name = self.graph.tensor(tensor).name.clone();
        self.graph.inputs.push(InputPort {
            name,
            tensor,
            float: false,
        });
        Ok(tensor)
    }

    /// Output quantization: random zero point; scales such that sums of `terms` products use the range; ReLU half the time.
    fn output_quant(&mut self, channels: usize, terms: usize) -> (OutputQuant, i32) {
        let zero = if self.below(2) == 0 && self.zero.is_none() {
            self.dtype.min()
        } else {
            self.random_zero()
        };
        let base = 1.0 / (40.0 * f64::from(u32::try_from(terms).unwrap_or(1)).sqrt() * 60.0) * 100.0;
        let scale = |r: i64| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                reason = "a random test scale"
            )]
            let s = (base * (0.5 + r as f64 / 1000.0)) as f32;
            s
        };
        let scales = (0..channels).map(|_| scale(self.below(1000))).collect();
        let lo = if self.below(2) == 0 {
            zero.min(self.dtype.max() - 1)
        } else {
            self.dtype.min()
        };
        (
            OutputQuant {
                scales,
                zero_point: zero,
                lo,
                hi: self.dtype.max(),
            },
            zero,
        )
    }

    fn weights(&mut self, count: usize) -> Vec<i32> {
        (0..count).map(|_| self.small(255) - 127).collect()
    }

    fn planes(&self, id: TensorId) -> (usize, usize, usize) {
        let dims = self.graph.tensor(id).shape.dims();
        (dims[1], dims[2], dims[3])
    }

    /// A convolution of a rank-4 tensor.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn conv(&mut self, x: TensorId, spec: ConvSpec) -> Result<TensorId, BuildError> {
        let (c, h, w) = self.planes(x);
        let window = Window::new(
            (h, w),
            spec.kernel,
            spec.stride,
            spec.dilation,
            spec.pad_begin,
            spec.pad_end,
        )?;
        let taps = c / spec.groups * spec.kernel.0 * spec.kernel.1;
        let weights = self.weights(spec.c_out * taps);
        let bias: Vec<i64> = (0..spec.c_out).map(|_| self.below(2000) - 1000).collect();
        let (quant, zero) = self.output_quant(spec.c_out, taps);
        let conv = Conv2d::new(
            window,
            c,
            spec.c_out,
            spec.groups,
            weights,
            &self.quant(x),
            &bias,
            &quant,
        )?;
        let out = self.tensor(vec![1, spec.c_out, window.output.0, window.output.1], 0.05, zero)?;
        Ok(self.node(Op::Conv2d(conv), vec![x], out))
    }

    /// A matrix product along the last dimension.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn dense(&mut self, x: TensorId, n: usize) -> Result<TensorId, BuildError> {
        let mut dims = self.graph.tensor(x).shape.dims().to_vec();
        let k = dims.last().copied().unwrap_or(1);
        let rows = dims.iter().product::<usize>() / k;
        let weights = self.weights(k * n);
        let bias: Vec<i64> = (0..n).map(|_| self.below(2000) - 1000).collect();
        let (quant, zero) = self.output_quant(n, k);
        let dense = Dense::new(rows, k, n, weights, &self.quant(x), &bias, &quant)?;
        if let Some(last) = dims.last_mut() {
            *last = n;
        }
        let out = self.tensor(dims, 0.05, zero)?;
        Ok(self.node(Op::Dense(dense), vec![x], out))
    }

    /// A sum of two tensors.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn add(&mut self, a: TensorId, b: TensorId) -> Result<TensorId, BuildError> {
        let dims = self.graph.tensor(a).shape.dims().to_vec();
        let zero = self.random_zero();
        let out = self.tensor(dims, 0.07, zero)?;
        let (lo, hi) = (self.dtype.min(), self.dtype.max());
        let add = Add::new(&self.quant(a), &self.quant(b), &self.quant(out), lo, hi)?;
        Ok(self.node(Op::Add(add), vec![a, b], out))
    }

    /// A rescale of one tensor.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn rescale(&mut self, x: TensorId) -> Result<TensorId, BuildError> {
        let dims = self.graph.tensor(x).shape.dims().to_vec();
        let zero = self.random_zero();
        let out = self.tensor(dims, 0.031, zero)?;
        let (lo, hi) = (self.dtype.min(), self.dtype.max());
        let add = Add::rescale(&self.quant(x), &self.quant(out), lo, hi)?;
        Ok(self.node(Op::Add(add), vec![x], out))
    }

    /// A max pool without padding.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn max_pool(&mut self, x: TensorId, kernel: usize, stride: usize) -> Result<TensorId, BuildError> {
        let (_, h, w) = self.planes(x);
        let window = Window::new((h, w), (kernel, kernel), (stride, stride), (1, 1), (0, 0), (0, 0))?;
        self.maximum(x, window)
    }

    /// A max pool over any windows.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn maximum(&mut self, x: TensorId, window: Window) -> Result<TensorId, BuildError> {
        let c = self.planes(x).0;
        let q = self.quant(x);
        let out = self.tensor(
            vec![1, c, window.output.0, window.output.1],
            q.scale,
            q.zero_point,
        )?;
        Ok(self.node(Op::MaxPool(MaxPool::new(window, c)?), vec![x], out))
    }

    /// An average pool; the whole plane when `kernel` is `None`.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn avg_pool(&mut self, x: TensorId, kernel: Option<(usize, usize)>) -> Result<TensorId, BuildError> {
        let (_, h, w) = self.planes(x);
        let (kernel, stride) = kernel.map_or(((h, w), 1), |(k, s)| ((k, k), s));
        let window = Window::new((h, w), kernel, (stride, stride), (1, 1), (0, 0), (0, 0))?;
        self.average(x, window)
    }

    /// An average pool over any windows; those over the edge divide by the values that they have.
    ///
    /// # Errors
    /// [`BuildError`] when the parts do not fit.
    pub fn average(&mut self, x: TensorId, window: Window) -> Result<TensorId, BuildError> {
        let c = self.planes(x).0;
        let zero = self.random_zero();
        let out = self.tensor(vec![1, c, window.output.0, window.output.1], 0.03, zero)?;
        let kind = if window.output == (1, 1) && window.kernel == window.input {
            AvgKind::Global
        } else {
            AvgKind::Window
        };
        let (lo, hi) = (self.dtype.min(), self.dtype.max());
        let pool = AvgPool::new(window, c, &self.quant(x), &self.quant(out), lo, hi, kind)?;
        Ok(self.node(Op::AvgPool(pool), vec![x], out))
    }

    /// The same values as one vector.
    ///
    /// # Errors
    /// [`BuildError`] for an impossible shape.
    pub fn flatten(&mut self, x: TensorId) -> Result<TensorId, BuildError> {
        let len = self.graph.tensor(x).shape.len();
        self.reshape(x, vec![1, len])
    }

    /// The same values in another shape.
    ///
    /// # Errors
    /// [`BuildError`] for an impossible shape.
    pub fn reshape(&mut self, x: TensorId, dims: Vec<usize>) -> Result<TensorId, BuildError> {
        let q = self.quant(x);
        let out = self.tensor(dims, q.scale, q.zero_point)?;
        Ok(self.node(Op::View(View::identity()), vec![x], out))
    }

    /// The same values with permuted dimensions.
    ///
    /// # Errors
    /// [`BuildError`] for an impossible permutation.
    pub fn transpose(&mut self, x: TensorId, perm: &[usize]) -> Result<TensorId, BuildError> {
        let dims = self.graph.tensor(x).shape.dims().to_vec();
        let q = self.quant(x);
        let view = View::transpose(&dims, perm)?;
        let out = self.tensor(perm.iter().map(|p| dims[*p]).collect(), q.scale, q.zero_point)?;
        Ok(self.node(Op::View(view), vec![x], out))
    }

    /// Ends the graph with these outputs.
    #[must_use]
    pub fn finish(mut self, outputs: &[TensorId]) -> Graph {
        for &tensor in outputs {
            let name = self.graph.tensor(tensor).name.clone();
            self.graph.outputs.push(OutputPort {
                name,
                tensor,
                tail: vec![],
            });
        }
        self.graph
    }
}

/// Uniformly random inputs of a graph.
///
/// # Errors
/// [`TensorError`], which the graph's own shapes do not give.
pub fn random_inputs(graph: &Graph, seed: u64) -> Result<Vec<Tensor>, TensorError> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let inputs = graph.inputs.iter().map(|port| {
        let info = graph.tensor(port.tensor);
        let value = |r: u64| info.dtype.min() + i32::try_from(r % 256).unwrap_or(0);
        let data = (0..info.shape.len()).map(|_| value(rng.next_u64())).collect();
        Tensor::new(info.shape.clone(), info.dtype, data)
    });
    inputs.collect()
}

/// Uniformly random inputs of as many inferences as the batch has, stacked; the first are those of [`random_inputs`].
///
/// # Errors
/// [`TensorError`] when the stack is too large.
pub fn random_batch(graph: &Graph, seed: u64, batch: usize) -> Result<Vec<Tensor>, TensorError> {
    let seeds = (seed..).take(batch);
    let samples = seeds.map(|seed| random_inputs(graph, seed));
    let samples = samples.collect::<Result<Vec<_>, _>>()?;
    let port = |at: usize| {
        let parts: Vec<Tensor> = samples.iter().filter_map(|one| one.get(at).cloned()).collect();
        stack(&parts)
    };
    (0..graph.inputs.len()).map(port).collect()
}

/// A small network with every operator kind: strided, depthwise and grouped convolutions, pools, residual sum.
///
/// # Errors
/// [`BuildError`], which does not occur for the fixed sizes here.
pub fn everything(seed: u64, dtype: DType) -> Result<Graph, BuildError> {
    let mut b = Builder::new(seed, dtype);
    let x = b.input(&[1, 2, 9, 8])?;
    let c1 = b.conv(x, ConvSpec::square(3, 1, 1, 1, 4))?;
    let c2 = b.conv(c1, ConvSpec::square(3, 1, 1, 4, 4))?;
    let sum = b.add(c1, c2)?;
    let pooled = b.max_pool(sum, 2, 2)?;
    let c3 = b.conv(pooled, ConvSpec::square(1, 1, 0, 2, 6))?;
    let averaged = b.avg_pool(c3, Some((2, 2)))?;
    let scaled = b.rescale(averaged)?;
    let global = b.avg_pool(scaled, None)?;
    let flat = b.flatten(global)?;
    let d1 = b.dense(flat, 5)?;
    let d2 = b.dense(d1, 3)?;
    Ok(b.finish(&[d2]))
}
