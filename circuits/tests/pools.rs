//! The circuit of honest runs holds for pools over the edge, and its output is the reference's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::circuit::check_lanes;
use inferproof_circuits::graph::{Graph, Node, TensorId, TensorInfo};
use inferproof_circuits::ops::{AvgKind, AvgPool, MaxPool, Op, Window};
use inferproof_circuits::plan::{Plan, PlanError, PlanOptions};
use inferproof_circuits::tensor::{DType, Shape};
use inferproof_circuits::testing::models::{Builder, ConvSpec};

/// Appends a pool to a graph; it reads the graph's last tensor.
fn push(graph: &mut Graph, op: Op, dims: Vec<usize>) {
    let last = graph.tensors.len() - 1;
    graph.tensors.push(TensorInfo {
        name: "pooled".to_owned(),
        shape: Shape::new(dims).unwrap(),
        ..graph.tensors[last].clone()
    });
    graph.nodes.push(Node {
        name: "pool".to_owned(),
        op,
        inputs: vec![TensorId(last)],
        output: TensorId(last + 1),
    });
    graph.outputs[0].tensor = TensorId(last + 1);
}

/// Max pools over a zero point inside the range and over one at its end, padded and dilated, of an input and of a
/// convolution.
#[test]
fn matches_reference_on_max_pools_over_any_zero_point() {
    for (kernel, stride, dilation, pad) in [
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((5, 4), (1, 2), (1, 1), (2, 1)),
        ((1, 3), (1, 1), (1, 1), (0, 2)),
        ((4, 5), (1, 1), (2, 1), (0, 0)),
        ((5, 4), (2, 1), (2, 3), (1, 2)),
        ((1, 9), (1, 2), (1, 2), (0, 6)),
        ((6, 2), (1, 3), (3, 4), (5, 1)),
    ] {
        for (of_input, zero) in [(true, -3), (false, -3), (true, -128), (false, -128)] {
            let mut b = Builder::new(22, DType::I8).with_zero(zero);
            let x = b.input(&[1, 2, 13, 14]).unwrap();
            let source = if of_input {
                x
            } else {
                b.conv(x, ConvSpec::square(3, 1, 1, 1, 3)).unwrap()
            };
            let mut graph = b.finish(&[source]);
            let channels = graph.tensor(source).shape.dims()[1];
            let window = Window::new((13, 14), kernel, stride, dilation, pad, pad).unwrap();
            let dims = vec![1, channels, window.output.0, window.output.1];
            push(
                &mut graph,
                Op::MaxPool(MaxPool::new(window, channels).unwrap()),
                dims,
            );
            check_lanes(&graph, &[1, 3, 4], 21);
        }
    }
}

/// Averages whose windows over the edge divide by fewer values, as output of the graph, and read by operators that want
/// phases, other positions or a vector.
#[test]
fn matches_reference_on_averages_over_the_edge() {
    let windows = [
        ((3, 3), (1, 1), (1, 1), (1, 1)),
        ((5, 4), (1, 2), (2, 1), (2, 3)),
        ((3, 3), (2, 2), (0, 2), (1, 0)),
        ((2, 9), (3, 1), (1, 8), (0, 8)),
        ((9, 9), (4, 9), (4, 4), (4, 4)),
    ];
    for (kernel, stride, begin, end) in windows {
        for of_input in [true, false] {
            for reader in ["none", "convolution", "maximum", "average", "sum", "dense"] {
                let Some(graph) = averaged((kernel, stride, begin, end), of_input, reader) else {
                    continue;
                };
                check_lanes(&graph, &[1, 3, 4], 29);
            }
        }
    }
}

/// One average over the edge with several readers: a strided convolution, which asks for phases, and operators with one
/// position, for which each phase plane has its own origin.
#[test]
fn matches_reference_on_averages_over_the_edge_with_several_readers() {
    for single in ["mean", "dense", "convolution"] {
        let mut b = Builder::new(37, DType::U8).with_zero(9);
        let x = b.input(&[1, 2, 7, 8]).unwrap();
        let window = Window::new((7, 8), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)).unwrap();
        let pooled = b.average(x, window).unwrap();
        let strided = b.conv(pooled, ConvSpec::square(3, 2, 1, 1, 3)).unwrap();
        let other = match single {
            "mean" => b.avg_pool(pooled, None).unwrap(),
            "dense" => {
                let flat = b.flatten(pooled).unwrap();
                b.dense(flat, 3).unwrap()
            }
            _ => {
                let whole = ConvSpec {
                    kernel: (7, 8),
                    ..ConvSpec::square(1, 1, 0, 1, 2)
                };
                b.conv(pooled, whole).unwrap()
            }
        };
        let graph = b.finish(&[strided, other]);
        check_lanes(&graph, &[1, 3, 4, 5], 33);
    }
}

/// A max pool of one position passes its input on, which then is public.
#[test]
fn matches_reference_on_stated_averages_over_the_edge() {
    let mut b = Builder::new(38, DType::I8).with_zero(-7);
    let x = b.input(&[1, 2, 5, 8]).unwrap();
    let window = Window::new((5, 8), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)).unwrap();
    let pooled = b.average(x, window).unwrap();
    let same = b.max_pool(pooled, 1, 1).unwrap();
    let graph = b.finish(&[same]);
    check_lanes(&graph, &[1, 3, 4], 34);
}

/// Strides that no layout has: refused, and quickly.
#[test]
fn long_strides_are_refused_or_are_none() {
    let plan = |window: Window, width: usize| {
        let mut b = Builder::new(39, DType::U8);
        let x = b.input(&[1, 1, 1, width]).unwrap();
        let mut graph = b.finish(&[x]);
        let pool = Op::MaxPool(MaxPool::new(window, 1).unwrap());
        push(&mut graph, pool, vec![1, 1, window.output.0, window.output.1]);
        graph.validate().unwrap();
        Plan::new(&graph, &PlanOptions::default())
    };
    let window = |width: usize, stride: usize| {
        Window::new((1, width), (1, 1), (1, stride), (1, 1), (0, 0), (0, 0)).unwrap()
    };
    // One position: nothing to stride over.
    assert!(plan(window(1, 1 << 26), 1).is_ok());
    for stride in [65, 300] {
        let refused = plan(window(600, stride), 600).unwrap_err();
        assert!(matches!(refused, PlanError::Unsupported { .. }), "{refused}");
    }
    // Readers of one tensor whose strides have no common divisor.
    let readers = [7, 8, 9].map(|stride| window(600, stride));
    let mut b = Builder::new(39, DType::U8);
    let x = b.input(&[1, 1, 1, 600]).unwrap();
    let outputs = readers.map(|window| b.average(x, window).unwrap());
    let refused = Plan::new(&b.finish(&outputs), &PlanOptions::default()).unwrap_err();
    assert!(matches!(refused, PlanError::Unsupported { .. }), "{refused}");
}

type Padded = ((usize, usize), (usize, usize), (usize, usize), (usize, usize));

/// A padded average of an input or a convolution, and what reads it; `None` where the reader does not fit.
fn averaged((kernel, stride, begin, end): Padded, of_input: bool, reader: &str) -> Option<Graph> {
    let mut b = Builder::new(31, DType::I8).with_zero(-9);
    let x = b.input(&[1, 2, 7, 8]).unwrap();
    let source = if of_input {
        x
    } else {
        b.conv(x, ConvSpec::square(3, 1, 1, 1, 2)).unwrap()
    };
    let window = Window::new((7, 8), kernel, stride, (1, 1), begin, end).unwrap();
    let pooled = b.average(source, window).unwrap();
    let small = window.output.0 < 3 || window.output.1 < 3;
    let read = match reader {
        "convolution" | "maximum" | "average" if small => return None,
        "convolution" => b.conv(pooled, ConvSpec::square(3, 2, 1, 1, 3)).unwrap(),
        "maximum" => b.max_pool(pooled, 2, 2).unwrap(),
        "average" => {
            let again = Window::new(window.output, (3, 3), (2, 1), (1, 1), (1, 1), (1, 1));
            b.average(pooled, again.unwrap()).unwrap()
        }
        "sum" => b.add(pooled, pooled).unwrap(),
        "dense" => {
            let flat = b.flatten(pooled).unwrap();
            b.dense(flat, 3).unwrap()
        }
        _ => b.flatten(pooled).unwrap(),
    };
    Some(b.finish(&[read]))
}

/// Averages that count their padding, and averages of a part of the plane at one position.
#[test]
fn matches_reference_on_padded_and_single_averages() {
    let windows = [
        (((7, 8), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)), AvgKind::Padded),
        (((7, 8), (3, 2), (2, 3), (1, 1), (2, 0), (0, 1)), AvgKind::Padded),
        (((7, 8), (8, 9), (1, 1), (1, 1), (1, 1), (0, 0)), AvgKind::Padded),
        (((7, 8), (4, 5), (4, 4), (1, 1), (0, 0), (0, 0)), AvgKind::Window),
        (((7, 8), (7, 8), (1, 1), (1, 1), (0, 0), (0, 0)), AvgKind::Window),
    ];
    for ((input, kernel, stride, dilation, begin, end), kind) in windows {
        let mut b = Builder::new(23, DType::U8).with_zero(77);
        let x = b.input(&[1, 3, 7, 8]).unwrap();
        let mut graph = b.finish(&[x]);
        let window = Window::new(input, kernel, stride, dilation, begin, end).unwrap();
        let quant = graph.tensor(x).quant();
        let pool = AvgPool::new(window, 3, &quant, &quant, 0, 255, kind).unwrap();
        push(
            &mut graph,
            Op::AvgPool(pool),
            vec![1, 3, window.output.0, window.output.1],
        );
        check_lanes(&graph, &[1, 3, 4], 23);
    }
}
