//! Operators, graphs and tails against naive definitions, and the errors for what does not fit.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use inferproof_circuits::graph::{Graph, GraphError, InputPort, Node, OutputPort, TensorId, TensorInfo};
use inferproof_circuits::ops::{Add, AvgKind, AvgPool, Conv2d, Dense, MaxPool, Op, OpError, View, Window};
use inferproof_circuits::quant::{OutputQuant, TensorQuant};
use inferproof_circuits::tail::{self, TailError, TailOp, Value};
use inferproof_circuits::tensor::{DType, Shape, Tensor};
use proptest::prelude::*;

const I8: TensorQuant = TensorQuant {
    scale: 0.05,
    zero_point: -3,
    dtype: DType::I8,
};

fn output(scale: f32) -> OutputQuant {
    OutputQuant {
        scales: vec![scale],
        zero_point: -3,
        lo: -128,
        hi: 127,
    }
}

/// Input position of a tap, or `None` outside.
fn tap(at: usize, stride: usize, tap: usize, dilation: usize, pad: usize, len: usize) -> Option<usize> {
    (at * stride + tap * dilation)
        .checked_sub(pad)
        .filter(|p| *p < len)
}

/// Positions of the taps of output (i, j) that lie inside the input, with their number in the kernel.
fn taps(w: &Window, i: usize, j: usize) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    for a in 0..w.kernel.0 {
        for b in 0..w.kernel.1 {
            let row = tap(i, w.stride.0, a, w.dilation.0, w.pad.0, w.input.0);
            let column = tap(j, w.stride.1, b, w.dilation.1, w.pad.1, w.input.1);
            if let (Some(row), Some(column)) = (row, column) {
                all.push((a * w.kernel.1 + b, row, column));
            }
        }
    }
    all
}

fn small(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = (usize, usize)> {
    (range.clone(), range)
}

fn windows() -> impl Strategy<Value = Window> {
    (
        small(1..=9),
        small(1..=4),
        small(1..=3),
        small(1..=3),
        small(0..=3),
        small(0..=3),
    )
        .prop_filter_map("kernel fits", |(input, kernel, stride, dilation, begin, end)| {
            Window::new(input, kernel, stride, dilation, begin, end).ok()
        })
}

/// Pseudo-random values in a range, from a seed.
fn values(seed: u64, len: usize, lo: i32, hi: i32) -> Vec<i32> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        lo + i32::try_from((state >> 33) % u64::try_from(hi - lo + 1).unwrap()).unwrap()
    };
    (0..len).map(|_| next()).collect()
}

/// The accumulators whose float average is within the error of a step, one by one.
#[test]
fn averages_that_may_round_either_way_are_counted() {
    let mut counted = 0;
    for (kernel, pad) in [(1, 0), (2, 0), (3, 1), (5, 2), (64, 0)] {
        for y_scale in [0.05, 0.025, 0.0173, 0.01, 3.7] {
            let w = Window::new((64, 64), (kernel, kernel), (1, 1), (1, 1), (pad, pad), (pad, pad)).unwrap();
            let y = TensorQuant { scale: y_scale, ..I8 };
            let pool = AvgPool::new(w, 1, &I8, &y, -128, 127, AvgKind::Window).unwrap();
            let ratio = f64::from(I8.scale) / f64::from(y_scale);
            let of_count = |count: usize| {
                let taps = f64::from(u32::try_from(count).unwrap());
                let error = 1.1 * f64::from(f32::EPSILON) / 2.0 * ((taps + 5.0) * 255.0 * ratio + 256.0);
                assert!(error < 0.5);
                let (from, to) = pool.bounds(count, DType::I8);
                let unsure = |acc: &i64| {
                    let t = f64::from(i32::try_from(*acc).unwrap()) * ratio / taps - 3.0;
                    let round = |t: f64| t.round_ties_even().clamp(-128.0, 127.0);
                    round(t - error) < round(t + error)
                };
                (from..=to).filter(unsure).count()
            };
            let expected: usize = pool.counts().distinct.into_iter().map(of_count).sum();
            assert_eq!(
                pool.num_order_dependent(&I8, &y),
                expected,
                "kernel {kernel}, scale {y_scale}"
            );
            counted += expected;
        }
    }
    assert!(counted > 1000, "{counted}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matches_definition_conv2d(w in windows(), groups in 1usize..3, per in (1usize..4, 1usize..4), seed: u64) {
        let (c_in, c_out) = (groups * per.0, groups * per.1);
        let weights = values(seed, c_out * per.0 * w.num_taps(), -255, 255);
        let x = values(!seed, c_in * w.input_len(), -128, 127);
        let conv = Conv2d::new(w, c_in, c_out, groups, weights.clone(), &I8, &[], &output(1e-3)).unwrap();
        let acc = conv.accumulators(&x).unwrap();
        let y = conv.reference(&x).unwrap();
        let bounds = conv.bounds(DType::I8);
        let mut at = 0;
        for o in 0..c_out {
            for (i, j) in (0..w.output.0).flat_map(|i| (0..w.output.1).map(move |j| (i, j))) {
                let mut sum = 0i64;
                for c in 0..per.0 {
                    for (k, row, column) in taps(&w, i, j) {
                        let weight = weights[(o * per.0 + c) * w.num_taps() + k];
                        let plane = o / per.1 * per.0 + c;
                        let x = x[plane * w.input_len() + row * w.input.1 + column];
                        sum += i64::from(weight * (x + 3));
                    }
                }
                prop_assert_eq!(acc[at], sum);
                prop_assert_eq!(y[at], conv.requantize.apply(o, sum));
                let (lo, hi) = bounds[o];
                prop_assert!(lo <= sum && sum <= hi);
                at += 1;
            }
        }
        prop_assert_eq!(at, acc.len());
        prop_assert_eq!(conv.macs(), u64::try_from(weights.len() * w.output_len()).unwrap());
    }

    #[test]
    fn matches_definition_dense(rows in 1usize..4, k in 1usize..20, n in 1usize..9, seed: u64) {
        let (weights, x) = (values(seed, k * n, -255, 255), values(!seed, rows * k, -128, 127));
        let dense = Dense::new(rows, k, n, weights.clone(), &I8, &vec![77; n], &output(1e-3)).unwrap();
        let acc = dense.accumulators(&x).unwrap();
        for r in 0..rows {
            for o in 0..n {
                let sum: i64 = (0..k).map(|i| i64::from(weights[i * n + o] * (x[r * k + i] + 3))).sum();
                prop_assert_eq!(acc[r * n + o], sum);
            }
        }
    }

    #[test]
    fn matches_definition_pools(w in windows(), channels in 1usize..4, seed: u64) {
        let x = values(seed, channels * w.input_len(), -128, 127);
        let outputs: Vec<(usize, usize, usize)> = (0..channels)
            .flat_map(|c| (0..w.output.0).flat_map(move |i| (0..w.output.1).map(move |j| (c, i, j))))
            .collect();
        let inside: Vec<Vec<i32>> = outputs
            .iter()
            .map(|&(c, i, j)| {
                taps(&w, i, j).iter().map(|t| x[c * w.input_len() + t.1 * w.input.1 + t.2]).collect()
            })
            .collect();
        match MaxPool::new(w, channels) {
            Ok(pool) => {
                let expected: Vec<i32> = inside.iter().map(|v| *v.iter().max().unwrap()).collect();
                prop_assert_eq!(pool.reference(&x).unwrap(), expected);
            }
            Err(error) => {
                prop_assert!(matches!(error, OpError::EmptyWindow { .. }), "{}", error);
                prop_assert!(inside.iter().any(Vec::is_empty));
            }
        }
        match AvgPool::new(w, channels, &I8, &I8, -128, 127, AvgKind::Window) {
            Ok(pool) => {
                let expected: Vec<i64> =
                    inside.iter().map(|v| v.iter().map(|x| i64::from(x + 3)).sum()).collect();
                prop_assert_eq!(pool.accumulators(&x).unwrap(), &expected[..]);
                // Input and output have one scale and zero point: the average itself, to the nearest.
                for ((y, acc), v) in pool.reference(&x).unwrap().into_iter().zip(expected).zip(&inside) {
                    let n = i64::try_from(v.len()).unwrap();
                    prop_assert!((2 * (n * i64::from(y + 3) - acc)).abs() <= n, "{} of {}, {}", acc, n, y);
                }
            }
            Err(error) => {
                prop_assert!(matches!(error, OpError::EmptyWindow { .. }), "{}", error);
                prop_assert!(inside.iter().any(Vec::is_empty));
            }
        }
    }

    #[test]
    fn matches_definition_transpose(dims in prop::collection::vec(1usize..5, 1..5), seed: u64) {
        let rank = dims.len();
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.sort_by_key(|axis| seed.rotate_left(u32::try_from(*axis).unwrap() * 13) & 0xff);
        let len = dims.iter().product();
        let x = values(seed, len, -128, 127);
        let y = View::transpose(&dims, &perm).unwrap().reference(&x).unwrap();
        let out_dims: Vec<usize> = perm.iter().map(|axis| dims[*axis]).collect();
        for (flat, y) in y.iter().enumerate() {
            let mut rest = flat;
            let mut index = vec![0; rank];
            for axis in (0..rank).rev() {
                index[perm[axis]] = rest % out_dims[axis];
                rest /= out_dims[axis];
            }
            let from = index.iter().zip(&dims).fold(0, |at, (i, d)| at * d + i);
            prop_assert_eq!(*y, x[from]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every pair: the listed runtime value or the proved one is the runtime's formula, and few pairs are listed.
    #[test]
    fn matches_definition_add(s_a in 0.001f32..0.2, s_b in 0.001f32..0.2, ratio in 0.4f32..1.5, z in -128i32..128) {
        let a = TensorQuant { scale: s_a, zero_point: z, dtype: DType::I8 };
        let b = TensorQuant { scale: s_b, ..I8 };
        let y = TensorQuant { scale: (s_a + s_b) * ratio, ..I8 };
        let add = Add::new(&a, &b, &y, -100, 127).unwrap();
        let (r_a, r_b) = (a.scale / y.scale, b.scale / y.scale);
        let mut excess = 0;
        let fix = -3.0 - r_a.mul_add(z as f32, r_b * -3.0);
        for (a, b) in (-128..128).flat_map(|a| (-128..128).map(move |b| (a, b))) {
            let sum = (a as f32).mul_add(r_a, (b as f32).mul_add(r_b, fix));
            #[allow(clippy::cast_possible_truncation, reason = "small")]
            let runtime = (sum.round_ties_even() as i32).clamp(-100, 127);
            let proved = add.apply(&[a, b]);
            excess = excess.max((add.quotient(&[a, b]) - i64::from(proved)).abs());
            prop_assert_eq!(add.runtime(&[a, b]), (proved != runtime).then_some(runtime));
        }
        prop_assert!(add.differing.len() < 100, "{}", add.differing.len());
        prop_assert_eq!(add.excess_bound(&[DType::I8; 2]), excess);
    }
}

/// Ratios 10/13: no pair lies near a step.
#[test]
fn a_sum_far_from_every_step_is_exact() {
    let s = |scale| TensorQuant { scale, ..I8 };
    let add = Add::new(&s(0.01), &s(0.01), &s(0.013), -128, 127).unwrap();
    assert_eq!(add.differing, []);
}

fn info(name: &str, dims: &[usize], scale: f32) -> TensorInfo {
    let shape = Shape::new(dims.to_vec()).unwrap();
    TensorInfo {
        name: name.to_string(),
        shape,
        dtype: DType::I8,
        scale,
        zero_point: -3,
    }
}

fn node(op: Op, inputs: &[usize], output: usize) -> Node {
    let inputs = inputs.iter().copied().map(TensorId).collect();
    Node {
        name: format!("n{output}"),
        op,
        inputs,
        output: TensorId(output),
    }
}

/// Rescale by 1/2, a residual sum, a flatten and a dense layer with softmax and argmax in the clear.
fn graph() -> Graph {
    let half = TensorQuant { scale: 0.1, ..I8 };
    let dense = Dense::new(1, 8, 3, values(9, 24, -99, 99), &half, &[], &output(1e-3)).unwrap();
    let dequantize = TailOp::Dequantize {
        scale: 0.05,
        zero_point: -3,
    };
    let port = |name: &str, tail| OutputPort {
        name: name.to_string(),
        tensor: TensorId(4),
        tail,
    };
    Graph {
        tensors: vec![
            info("x", &[1, 2, 2, 2], 0.05),
            info("half", &[1, 2, 2, 2], 0.1),
            info("sum", &[1, 2, 2, 2], 0.1),
            info("flat", &[1, 8], 0.1),
            info("y", &[1, 3], 0.05),
        ],
        nodes: vec![
            node(Op::Add(Add::rescale(&I8, &half, -128, 127).unwrap()), &[0], 1),
            node(Op::Add(Add::new(&I8, &half, &half, -3, 127).unwrap()), &[0, 1], 2),
            node(Op::View(View::identity()), &[2], 3),
            node(Op::Dense(dense), &[3], 4),
        ],
        inputs: vec![InputPort {
            name: "x".to_string(),
            tensor: TensorId(0),
            float: true,
        }],
        outputs: vec![
            port("p", vec![dequantize.clone(), TailOp::Softmax { axis: 1 }]),
            port(
                "label",
                vec![
                    dequantize,
                    TailOp::ArgMax {
                        axis: 1,
                        keep_dims: false,
                        select_last: false,
                    },
                ],
            ),
        ],
    }
}

#[test]
fn a_graph_runs_and_says_where_the_runtime_differs() {
    let graph = graph();
    graph.validate().unwrap();
    let mut seen = 0;
    for seed in 0..50 {
        let x = Tensor::new(
            graph.tensors[0].shape.clone(),
            DType::I8,
            values(seed, 8, -128, 127),
        )
        .unwrap();
        let tensors = graph.run(std::slice::from_ref(&x)).unwrap();
        assert_eq!(tensors.len(), 5);
        assert_eq!(tensors[3].data(), tensors[2].data());
        let differing = graph.differing(&tensors).unwrap();
        for (at, (x, y)) in x.data().iter().zip(tensors[1].data()).enumerate() {
            #[allow(clippy::cast_possible_truncation, reason = "small")]
            let runtime = (((x + 3) as f32 * 0.05f32 / 0.1).round_ties_even() as i32 - 3).clamp(-128, 127);
            let listed = differing.iter().find(|d| d.node == 0 && d.index == at);
            assert_eq!(listed.map_or(*y, |d| d.runtime.unwrap()), runtime);
            assert!(listed.is_none_or(|d| d.proved == *y && runtime != *y));
            seen += usize::from(listed.is_some());
        }
        let outputs = graph.outputs(&tensors).unwrap();
        let [Value::Float { data: p, .. }, Value::Index { data: label, .. }] = outputs.as_slice() else {
            panic!("wrong kinds")
        };
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let q = tensors[4].data();
        assert_eq!(q[usize::try_from(label[0]).unwrap()], *q.iter().max().unwrap());
    }
    assert!(seen > 0, "ties at scale 1/2 must be met");
}

type Change = fn(&mut Graph);
type Expected = fn(&GraphError) -> bool;

/// The error for a changed graph.
fn broken(change: Change) -> GraphError {
    let mut graph = graph();
    change(&mut graph);
    let x = Tensor::new(Shape::new(vec![1, 2, 2, 2]).unwrap(), DType::I8, vec![0; 8]).unwrap();
    let error = graph.validate().unwrap_err();
    assert_eq!(graph.run(&[x]).unwrap_err().to_string(), error.to_string());
    error
}

#[test]
fn broken_graphs_are_refused() {
    let cases: [(Change, Expected); 12] = [
        (
            |g| g.nodes[0].inputs[0].0 = 99,
            |e| matches!(e, GraphError::NoTensor { tensor: 99, .. }),
        ),
        (|g| g.nodes.swap(0, 1), |e| matches!(e, GraphError::Order { .. })),
        (
            |g| g.nodes[1].output.0 = 1,
            |e| matches!(e, GraphError::MadeTwice { .. }),
        ),
        (
            |g| drop(g.nodes.pop()),
            |e| matches!(e, GraphError::NeverMade { .. }),
        ),
        (
            |g| g.inputs.clear(),
            |e| matches!(e, GraphError::Empty { what: "inputs" }),
        ),
        (
            |g| g.outputs.clear(),
            |e| matches!(e, GraphError::Empty { what: "outputs" }),
        ),
        (
            |g| g.tensors[2].scale = f32::NAN,
            |e| matches!(e, GraphError::Quant { .. }),
        ),
        (
            |g| g.tensors[0].zero_point = 5,
            |e| matches!(e, GraphError::Op { .. }),
        ),
        (
            |g| g.tensors[0].dtype = DType::U8,
            |e| matches!(e, GraphError::Quant { .. }),
        ),
        (
            |g| g.tensors[3] = info("flat", &[8, 1], 0.1),
            |e| matches!(e, GraphError::Op { .. }),
        ),
        (
            |g| g.outputs[0].tensor.0 = 5,
            |e| matches!(e, GraphError::NoTensor { .. }),
        ),
        (
            |g| drop(g.outputs[0].tail.remove(0)),
            |e| matches!(e, GraphError::Tail { .. }),
        ),
    ];
    for (change, expected) in cases {
        let error = broken(change);
        assert!(expected(&error), "{error}");
    }
}

#[test]
fn understated_bounds_are_refused() {
    let error = broken(|g| {
        let Op::Dense(dense) = &mut g.nodes[3].op else {
            panic!("dense")
        };
        dense.requantize.channels[1].reachable.1 -= 1;
        dense.requantize.channels[1].fitted.1 -= 1;
    });
    assert!(matches!(
        error,
        GraphError::Op {
            source: OpError::Bounds { channel: 1, .. },
            ..
        }
    ));
}

#[test]
fn wrong_inputs_are_refused() {
    let error = graph().run(&[]).unwrap_err();
    assert_eq!(
        error,
        GraphError::Count {
            expected: 1,
            actual: 0
        }
    );
    let wrong = Tensor::new(Shape::new(vec![8]).unwrap(), DType::I8, vec![0; 8]).unwrap();
    assert!(matches!(
        graph().run(&[wrong]).unwrap_err(),
        GraphError::Given { .. }
    ));
}

#[test]
fn wrong_operators_are_refused() {
    let w = Window::new((4, 4), (3, 3), (1, 1), (1, 1), (0, 0), (0, 0)).unwrap();
    let conv = |groups, weights: Vec<i32>| Conv2d::new(w, 2, 2, groups, weights, &I8, &[], &output(0.01));
    assert!(matches!(
        conv(3, vec![1; 36]).unwrap_err(),
        OpError::Groups { .. }
    ));
    assert!(matches!(
        conv(0, vec![1; 36]).unwrap_err(),
        OpError::Groups { .. }
    ));
    assert!(matches!(
        conv(1, vec![1; 35]).unwrap_err(),
        OpError::Length { .. }
    ));
    assert!(matches!(
        conv(1, vec![256; 36]).unwrap_err(),
        OpError::Weight { weight: 256, .. }
    ));
    assert!(matches!(
        Dense::new(0, 1, 1, vec![1], &I8, &[], &output(1.0)).unwrap_err(),
        OpError::Size { .. }
    ));
    let window = |kernel, stride, pad| Window::new((4, 4), kernel, stride, (1, 1), pad, (0, 0));
    assert!(matches!(
        window((5, 1), (1, 1), (0, 0)).unwrap_err(),
        OpError::Kernel { .. }
    ));
    assert!(matches!(
        window((1, 1), (0, 1), (0, 0)).unwrap_err(),
        OpError::Size { .. }
    ));
    assert!(matches!(
        window((0, 1), (1, 1), (0, 0)).unwrap_err(),
        OpError::Kernel { .. }
    ));
    assert!(window((usize::MAX, 1), (1, 1), (usize::MAX, 0)).is_err());
    assert!(matches!(
        View::transpose(&[2, 2], &[0, 0]).unwrap_err(),
        OpError::Permutation { .. }
    ));
    let global = AvgPool::new(w, 1, &I8, &I8, -128, 127, AvgKind::Global).unwrap_err();
    assert!(matches!(global, OpError::NotGlobal { .. }));
    let nan = TensorQuant {
        scale: f32::NAN,
        ..I8
    };
    assert!(matches!(
        Add::new(&I8, &nan, &I8, -128, 127).unwrap_err(),
        OpError::Quant(_)
    ));
    assert!(matches!(
        Add::rescale(&I8, &I8, -128, 128).unwrap_err(),
        OpError::Quant(_)
    ));
}

#[test]
fn tails_compute_what_they_say() {
    let q = Tensor::new(
        Shape::new(vec![2, 3]).unwrap(),
        DType::U8,
        vec![7, 9, 9, 200, 1, 200],
    )
    .unwrap();
    let arg_max = |axis, keep_dims, select_last| TailOp::ArgMax {
        axis,
        keep_dims,
        select_last,
    };
    let index = |ops: &[TailOp]| match tail::apply(&q, ops).unwrap() {
        Value::Index { shape, data } => (shape.dims().to_vec(), data),
        other => panic!("{other:?}"),
    };
    assert_eq!(index(&[arg_max(1, false, false)]), (vec![2], vec![1, 0]));
    assert_eq!(index(&[arg_max(1, true, true)]), (vec![2, 1], vec![2, 2]));
    assert_eq!(index(&[arg_max(0, false, false)]), (vec![3], vec![1, 0, 1]));
    let reshape = TailOp::Reshape {
        shape: Shape::new(vec![6]).unwrap(),
    };
    assert_eq!(
        index(&[reshape.clone(), arg_max(0, true, true)]),
        (vec![1], vec![5])
    );
    let columns = [
        TailOp::Dequantize {
            scale: 0.01,
            zero_point: 0,
        },
        TailOp::Softmax { axis: 0 },
    ];
    let Value::Float { data, .. } = tail::apply(&q, &columns).unwrap() else {
        panic!("not float")
    };
    for column in 0..3 {
        assert!((data[column] + data[column + 3] - 1.0).abs() < 1e-6);
    }
    let error = tail::apply(&q, &[TailOp::Softmax { axis: 0 }]).unwrap_err();
    assert!(matches!(error, TailError::Kind { .. }));
    let error = tail::apply(&q, &[arg_max(2, false, false)]).unwrap_err();
    assert!(matches!(error, TailError::Axis { axis: 2, rank: 2, .. }));
    let shape = Shape::new(vec![5]).unwrap();
    let error = tail::apply(&q, &[TailOp::Reshape { shape: shape.clone() }]).unwrap_err();
    assert!(matches!(error, TailError::Reshape { .. }));
    let error = tail::quantize(&[0.0, f32::NAN, 1.0, 2.0, 3.0], &shape, &I8).unwrap_err();
    assert_eq!(error, TailError::NotANumber { index: 1 });
    assert!(matches!(
        tail::quantize(&[0.0], &shape, &I8).unwrap_err(),
        TailError::Tensor(_)
    ));
}
