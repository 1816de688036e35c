//! Random networks of every operator with random geometry: where there is a plan, the circuit of an honest run holds and its
//! output is the reference's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints what it covered"
)]

mod common;

use common::circuit::check;
use inferproof_circuits::graph::{Graph, TensorId};
use inferproof_circuits::ops::Window;
use inferproof_circuits::plan::{Plan, PlanError, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::models::{Builder, ConvSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

const NETWORKS: u64 = 600;

struct Random {
    rng: ChaCha8Rng,
    builder: Builder,
    /// Planes made so far: tensor, channels, height, width.
    planes: Vec<(TensorId, [usize; 3])>,
    /// Tensors that nothing reads.
    open: Vec<TensorId>,
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.rng.next_u32()).unwrap() % n
    }

    fn pair(&mut self, most: usize) -> (usize, usize) {
        (1 + self.below(most), 1 + self.below(most))
    }

    /// A window over planes of this size that has an output and a tap inside it everywhere.
    fn window(&mut self, input: (usize, usize), most: usize) -> Option<Window> {
        let (kernel, stride) = (self.pair(most), self.pair(3));
        let dilation = if self.below(3) == 0 { self.pair(3) } else { (1, 1) };
        let mut pad = |k: usize| if self.below(2) == 0 { self.below(k) } else { 0 };
        let (begin, end) = ((pad(kernel.0), pad(kernel.1)), (pad(kernel.0), pad(kernel.1)));
        Window::new(input, kernel, stride, dilation, begin, end).ok()
    }

    fn convolution(&mut self, x: TensorId, c: usize, window: Window) -> Option<TensorId> {
        let groups = if self.below(2) == 0 { c } else { 1 };
        let end = |o: usize, s: usize, k: usize, d: usize, input: usize, pad: usize| {
            ((o - 1) * s + (k - 1) * d + 1).saturating_sub(input + pad)
        };
        let w = window;
        let spec = ConvSpec {
            kernel: w.kernel,
            stride: w.stride,
            dilation: w.dilation,
            pad_begin: w.pad,
            pad_end: (
                end(
                    w.output.0,
                    w.stride.0,
                    w.kernel.0,
                    w.dilation.0,
                    w.input.0,
                    w.pad.0,
                ),
                end(
                    w.output.1,
                    w.stride.1,
                    w.kernel.1,
                    w.dilation.1,
                    w.input.1,
                    w.pad.1,
                ),
            ),
            groups,
            c_out: groups * (1 + self.below(2)),
        };
        self.builder.conv(x, spec).ok()
    }

    /// One more operator on planes that are there.
    fn grow(&mut self) -> Option<()> {
        let at = self.below(self.planes.len());
        let (x, [c, h, w]) = self.planes[at];
        let made = match self.below(8) {
            0..3 => {
                let window = self.window((h, w), 4)?;
                self.convolution(x, c, window)?
            }
            3 => {
                let window = self.window((h, w), 6)?;
                self.builder.maximum(x, window).ok()?
            }
            4 => {
                let window = self.window((h, w), 5)?;
                self.builder.average(x, window).ok()?
            }
            5 => self.builder.avg_pool(x, None).ok()?,
            6 => {
                let same: Vec<TensorId> = self
                    .planes
                    .iter()
                    .filter(|p| p.1 == [c, h, w])
                    .map(|p| p.0)
                    .collect();
                let other = same[self.below(same.len())];
                self.open.retain(|t| *t != other);
                self.builder.add(x, other).ok()?
            }
            _ => {
                let flat = self.builder.flatten(x).ok()?;
                let n = 1 + self.below(4);
                let made = self.builder.dense(flat, n).ok()?;
                self.open.retain(|t| *t != x);
                self.open.push(made);
                return Some(());
            }
        };
        self.open.retain(|t| *t != x);
        self.open.push(made);
        let [_, c, h, w] = self.builder.dims(made)[..] else {
            return None;
        };
        self.planes.push((made, [c, h, w]));
        Some(())
    }
}

/// A network of one to five operators; `None` where the drawn parts do not fit.
fn network(seed: u64) -> Option<Graph> {
    let dtype = if seed.is_multiple_of(2) {
        DType::U8
    } else {
        DType::I8
    };
    let mut builder = Builder::new(seed, dtype);
    if seed.is_multiple_of(3) {
        builder = builder.with_zero(dtype.min());
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut size = || 1 + usize::try_from(rng.next_u32()).unwrap() % 9;
    let (h, w) = (size(), size());
    let x = builder.input(&[1, 2, h, w]).ok()?;
    let mut random = Random {
        rng,
        builder,
        planes: vec![(x, [2, h, w])],
        open: Vec::new(),
    };
    for _ in 0..=random.below(5) {
        random.grow();
    }
    let open = std::mem::take(&mut random.open);
    // An operator that does not fit leaves a tensor that nothing makes.
    let graph = (!open.is_empty()).then(|| random.builder.finish(&open))?;
    graph.validate().is_ok().then_some(graph)
}

#[test]
fn random_networks_match_the_reference() {
    let outcome = |seed: u64| {
        let graph = network(seed)?;
        let options = PlanOptions {
            lanes: [None, Some(1), Some(3), Some(4)][usize::try_from(seed / 3 % 4).unwrap()],
            batch: [1, 1, 2][usize::try_from(seed % 3).unwrap()],
            ..PlanOptions::default()
        };
        match Plan::new(&graph, &options) {
            Ok(_) => {
                check(&graph, &options, seed);
                Some(Ok(graph.nodes.len()))
            }
            Err(
                error @ (PlanError::Unsupported { .. }
                | PlanError::Phases
                | PlanError::TooLarge {
                    size: ..usize::MAX, ..
                }),
            ) => Some(Err(error)),
            Err(error) => panic!("network {seed}: {error}"),
        }
    };
    let outcomes: Vec<_> = (0..NETWORKS).into_par_iter().filter_map(outcome).collect();
    let refused: Vec<_> = outcomes.iter().filter_map(|o| o.as_ref().err()).collect();
    let proved: Vec<usize> = outcomes.iter().filter_map(|o| o.as_ref().ok().copied()).collect();
    println!(
        "figure: {} random networks of {} operators hold, {} have no layout",
        proved.len(),
        proved.iter().sum::<usize>(),
        refused.len()
    );
    for error in refused.iter().take(10) {
        println!("{error}");
    }
    assert!(proved.len() > usize::try_from(NETWORKS).unwrap() / 2);
}
