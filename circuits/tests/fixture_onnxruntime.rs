//! Operators against vectors made by onnxruntime 1.31.1's own int8 kernels (`vectors/make.py`). Every output must be
//! equal, except at the places that the operator itself lists as differing, where the listed value must be equal.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test helpers")]

use inferproof_circuits::graph::TensorInfo;
use inferproof_circuits::ops::{Add, AvgKind, AvgPool, Conv2d, Dense, MaxPool, Op, Window};
use inferproof_circuits::quant::{OutputQuant, TensorQuant};
use inferproof_circuits::tail::{self, TailOp, Value};
use inferproof_circuits::tensor::{DType, Shape, Tensor};
use serde_json::Value as Json;

fn cases(kind: &str) -> Vec<Json> {
    let text = include_str!("vectors/ops.json");
    let all: Json = serde_json::from_str(text).unwrap();
    let cases = all[kind].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn int(v: &Json) -> i32 {
    i32::try_from(v.as_i64().unwrap()).unwrap()
}

fn size(v: &Json) -> usize {
    usize::try_from(v.as_u64().unwrap()).unwrap()
}

fn pair(v: &Json) -> (usize, usize) {
    (size(&v[0]), size(&v[1]))
}

fn floats(v: &Json) -> Vec<f32> {
    let bits = |v: &Json| f32::from_bits(u32::try_from(v.as_u64().unwrap()).unwrap());
    v.as_array().unwrap().iter().map(bits).collect()
}

fn dtype(v: &Json) -> DType {
    if v == "u8" { DType::U8 } else { DType::I8 }
}

fn bytes(v: &Json, dtype: DType) -> Vec<i32> {
    let text = v.as_str().unwrap();
    let byte = |i: usize| i32::from(u8::from_str_radix(&text[i..i + 2], 16).unwrap());
    let values = (0..text.len()).step_by(2).map(byte);
    values
        .map(|b| if dtype == DType::I8 && b > 127 { b - 256 } else { b })
        .collect()
}

fn info(quant: &TensorQuant, dims: Vec<usize>) -> TensorInfo {
    TensorInfo {
        name: "t".to_string(),
        shape: Shape::new(dims).unwrap(),
        dtype: quant.dtype,
        scale: quant.scale,
        zero_point: quant.zero_point,
    }
}

/// Runs `op`, validates it, and compares; returns how many outputs were at listed differences.
fn check(op: &Op, inputs: &[&[i32]], infos: &[&TensorInfo], output: &TensorInfo, expected: &[i32]) -> usize {
    op.validate(infos, output).unwrap();
    let mut y = op.reference(inputs).unwrap();
    let differing = op.differing(inputs, infos, output).unwrap();
    for d in &differing {
        assert_eq!(y[d.index], d.proved);
        assert_eq!(
            (d.proved - d.runtime.unwrap()).abs(),
            1,
            "more than one LSB apart"
        );
        y[d.index] = d.runtime.unwrap();
    }
    assert_eq!(y, expected, "{}", op.kind());
    differing.len()
}

fn report(name: &str, differing: usize, outputs: usize) {
    println!("{name}: {outputs} outputs equal to onnxruntime's, {differing} of them at listed differences");
}

fn output_scales(case: &Json) -> Vec<f32> {
    let (s_x, s_y) = (floats(&case["s_x"])[0], floats(&case["s_y"])[0]);
    floats(&case["s_w"]).iter().map(|s_w| s_x * s_w / s_y).collect()
}

fn quants(case: &Json) -> (TensorQuant, TensorQuant, OutputQuant) {
    let dtype = dtype(&case["kind"]);
    let quant = |s: f32, z: i32| TensorQuant {
        scale: s,
        zero_point: z,
        dtype,
    };
    let x = quant(floats(&case["s_x"])[0], int(&case["z_x"]));
    let y = quant(floats(&case["s_y"])[0], int(&case["z_y"]));
    let scales = output_scales(case);
    (
        x,
        y,
        OutputQuant {
            scales,
            zero_point: y.zero_point,
            lo: dtype.min(),
            hi: dtype.max(),
        },
    )
}

#[test]
fn fixture_qlinear_conv() {
    let (mut differing, mut outputs) = (0, 0);
    for case in cases("conv") {
        let (x_quant, y_quant, output) = quants(&case);
        let pads = &case["pads"];
        let (begin, end) = ((size(&pads[0]), size(&pads[1])), (size(&pads[2]), size(&pads[3])));
        let plane = pair(&case["plane"]);
        let (stride, dilation) = (pair(&case["stride"]), pair(&case["dilation"]));
        let window = Window::new(plane, pair(&case["kernel"]), stride, dilation, begin, end).unwrap();
        let (c_in, c_out) = (size(&case["c_in"]), size(&case["c_out"]));
        let z_w = int(&case["z_w"]);
        let weights = bytes(&case["w"], dtype(&case["w_kind"]))
            .into_iter()
            .map(|w| w - z_w)
            .collect();
        let bias: Vec<i64> = case["bias"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b.as_i64().unwrap())
            .collect();
        let groups = size(&case["groups"]);
        let conv = Conv2d::new(window, c_in, c_out, groups, weights, &x_quant, &bias, &output).unwrap();
        let x = bytes(&case["x"], x_quant.dtype);
        let y = bytes(&case["y"], x_quant.dtype);
        let x_info = info(&x_quant, vec![1, c_in, plane.0, plane.1]);
        let y_info = info(&y_quant, vec![1, c_out, window.output.0, window.output.1]);
        differing += check(&Op::Conv2d(conv), &[&x], &[&x_info], &y_info, &y);
        outputs += y.len();
    }
    report("conv", differing, outputs);
}

#[test]
fn fixture_qlinear_matmul() {
    let (mut differing, mut outputs) = (0, 0);
    for case in cases("matmul") {
        let (x_quant, y_quant, output) = quants(&case);
        let (rows, k, n) = (size(&case["rows"]), size(&case["k"]), size(&case["n"]));
        let weights = bytes(&case["w"], DType::I8);
        let dense = Dense::new(rows, k, n, weights, &x_quant, &[], &output).unwrap();
        let (x, y) = (bytes(&case["x"], x_quant.dtype), bytes(&case["y"], x_quant.dtype));
        let (x_info, y_info) = (info(&x_quant, vec![rows, k]), info(&y_quant, vec![rows, n]));
        differing += check(&Op::Dense(dense), &[&x], &[&x_info], &y_info, &y);
        outputs += y.len();
    }
    report("matmul", differing, outputs);
}

fn tensors(case: &Json) -> Vec<TensorQuant> {
    let dtype = dtype(&case["kind"]);
    let zeros = case["z"].as_array().unwrap().iter().map(int);
    floats(&case["s"])
        .into_iter()
        .zip(zeros)
        .map(|(scale, zero_point)| TensorQuant {
            scale,
            zero_point,
            dtype,
        })
        .collect()
}

/// FNV-1a over the outputs as bytes.
fn digest(y: &[i32]) -> String {
    let step = |h: u64, y: &i32| {
        (h ^ u64::from(u8::try_from(y.rem_euclid(256)).unwrap())).wrapping_mul(0x0000_0100_0000_01b3)
    };
    format!("{:016x}", y.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[test]
fn fixture_qlinear_add_all_pairs() {
    for case in cases("add") {
        let [a, b, y] = tensors(&case).try_into().unwrap();
        let (lo, hi) = (y.dtype.min(), y.dtype.max());
        let add = Add::new(&a, &b, &y, lo, hi).unwrap();
        let outputs: Vec<i32> = (lo..=hi)
            .flat_map(|a| (lo..=hi).map(move |b| (a, b)))
            .map(|(a, b)| add.runtime(&[a, b]).unwrap_or_else(|| add.apply(&[a, b])))
            .collect();
        assert_eq!(digest(&outputs), case["digest"].as_str().unwrap(), "{case}");
        assert!(
            add.differing
                .iter()
                .all(|&(a, b, r)| (add.apply(&[a, b]) - r).abs() == 1)
        );
        report("add", add.differing.len(), outputs.len());
    }
}

#[test]
fn fixture_rescale_all_values() {
    for case in cases("rescale") {
        let [x, y] = tensors(&case).try_into().unwrap();
        let (lo, hi) = (y.dtype.min(), y.dtype.max());
        let add = Add::rescale(&x, &y, lo, hi).unwrap();
        let values: Vec<i32> = (lo..=hi).collect();
        let differing = add.differing.len();
        let (x_info, y_info) = (info(&x, vec![256]), info(&y, vec![256]));
        let expected = bytes(&case["y"], y.dtype);
        assert_eq!(
            check(&Op::Add(add), &[&values], &[&x_info], &y_info, &expected),
            differing
        );
        report("rescale", differing, 256);
    }
}

#[test]
fn fixture_average_pools() {
    for (name, kind) in [("global", AvgKind::Global), ("window", AvgKind::Window)] {
        let (mut differing, mut outputs, mut listed) = (0, 0, 0);
        for case in cases(name) {
            let [x, y] = tensors(&case).try_into().unwrap();
            let (plane, channels) = (pair(&case["plane"]), size(&case["channels"]));
            let (kernel, stride) = match kind {
                AvgKind::Global => (plane, (1, 1)),
                AvgKind::Window | AvgKind::Padded => (pair(&case["kernel"]), pair(&case["stride"])),
            };
            let window = Window::new(plane, kernel, stride, (1, 1), (0, 0), (0, 0)).unwrap();
            let pool = AvgPool::new(window, channels, &x, &y, y.dtype.min(), y.dtype.max(), kind).unwrap();
            listed += pool.requantize.num_differing().0;
            let (data, expected) = (bytes(&case["x"], x.dtype), bytes(&case["y"], y.dtype));
            let x_info = info(&x, vec![1, channels, plane.0, plane.1]);
            let y_info = info(&y, vec![1, channels, window.output.0, window.output.1]);
            differing += check(&Op::AvgPool(pool), &[&data], &[&x_info], &y_info, &expected);
            outputs += expected.len();
        }
        println!("{name}: {listed} listed accumulators");
        report(name, differing, outputs);
    }
}

#[test]
fn fixture_max_pool() {
    for case in cases("max") {
        let quant = TensorQuant {
            scale: 0.5,
            zero_point: 3,
            dtype: dtype(&case["kind"]),
        };
        let (plane, channels, pads) = (pair(&case["plane"]), size(&case["channels"]), &case["pads"]);
        let (begin, end) = ((size(&pads[0]), size(&pads[1])), (size(&pads[2]), size(&pads[3])));
        let (stride, dilation) = (pair(&case["stride"]), pair(&case["dilation"]));
        let window = Window::new(plane, pair(&case["kernel"]), stride, dilation, begin, end).unwrap();
        let pool = MaxPool::new(window, channels).unwrap();
        let (x, y) = (bytes(&case["x"], quant.dtype), bytes(&case["y"], quant.dtype));
        let x_info = info(&quant, vec![1, channels, plane.0, plane.1]);
        let y_info = info(&quant, vec![1, channels, window.output.0, window.output.1]);
        assert_eq!(check(&Op::MaxPool(pool), &[&x], &[&x_info], &y_info, &y), 0);
    }
}

#[test]
fn fixture_qlinear_softmax() {
    let (mut equal, mut outputs) = (0, 0);
    for case in cases("softmax") {
        let [x, y] = tensors(&case).try_into().unwrap();
        let shape = Shape::new(vec![size(&case["rows"]), size(&case["length"])]).unwrap();
        let q = Tensor::new(shape, x.dtype, bytes(&case["x"], x.dtype)).unwrap();
        let tail = [
            TailOp::Dequantize {
                scale: x.scale,
                zero_point: x.zero_point,
            },
            TailOp::Softmax { axis: 1 },
            TailOp::Quantize {
                scale: y.scale,
                zero_point: y.zero_point,
                dtype: y.dtype,
            },
        ];
        let Value::Quantized(ours) = tail::apply(&q, &tail).unwrap() else {
            panic!("not quantized")
        };
        let expected = bytes(&case["y"], y.dtype);
        equal += ours.data().iter().zip(&expected).filter(|(a, b)| a == b).count();
        outputs += expected.len();
    }
    println!("softmax: {equal} of {outputs} outputs equal to onnxruntime's QLinearSoftmax");
    assert_eq!(equal, outputs);
}

/// The runtime's exponential is an approximation that stops at the smallest normal numbers; ours is correctly rounded:
/// a few units in the last place apart.
#[test]
fn fixture_float_softmax() {
    for case in cases("float_softmax") {
        let (length, x, y) = (size(&case["length"]), floats(&case["x"]), floats(&case["y"]));
        let ours: Vec<f32> = x.chunks_exact(length).flat_map(tail::softmax).collect();
        let normal = ours.iter().zip(&y).filter(|(a, b)| a.max(**b) > 1e-35);
        let ulps = normal.map(|(a, b)| (i64::from(a.to_bits()) - i64::from(b.to_bits())).abs());
        let worst = ulps.max().unwrap();
        println!("float softmax: at most {worst} units in the last place");
        assert!(worst <= 4);
    }
}

#[test]
fn fixture_quantize_and_dequantize() {
    for case in cases("edge") {
        let dtype = dtype(&case["kind"]);
        let quant = TensorQuant {
            scale: floats(&case["s"])[0],
            zero_point: int(&case["z"]),
            dtype,
        };
        let x = floats(&case["x"]);
        let shape = Shape::new(vec![x.len()]).unwrap();
        let q = tail::quantize(&x, &shape, &quant).unwrap();
        assert_eq!(q.data(), bytes(&case["q"], dtype));
        let f = tail::dequantize(&q, quant.scale, quant.zero_point).unwrap();
        let bits = |v: Vec<f32>| v.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(f), bits(floats(&case["f"])));
    }
}
