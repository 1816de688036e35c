"""Writes ops.json: single operators with random parameters, run by onnxruntime's own int8 kernels.

    python make.py            (numpy, onnx, onnxruntime; made with onnxruntime 1.31.1, CPU, x86-64 without VNNI)

int8 weights stay in -64..=63: without VNNI instructions onnxruntime adds pairs of products in 16 bits, which
saturate for larger weights.

8-bit data is hex, one byte a value (two's complement); floats are the bits of f32 as integers.
"""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(20240607)
MS = "com.microsoft"
TYPES = {"u8": np.uint8, "i8": np.int8}
PROTO = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8,
         np.dtype(np.float32): TensorProto.FLOAT}


def run(nodes, constants, feeds, out_type, optimise=False):
    inputs = [helper.make_tensor_value_info(k, PROTO[v.dtype], v.shape) for k, v in feeds.items()]
    output = helper.make_tensor_value_info("y", out_type, None)
    init = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, [output], init)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MS, 1)])
    model.ir_version = 9
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if optimise:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    else:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def bits(v):
    return np.atleast_1d(np.asarray(v, np.float32)).view(np.uint32).tolist()


def hexed(a):
    return np.ascontiguousarray(a).tobytes().hex()


def scale(lo=1e-3, hi=0.2):
    return np.float32(np.exp(rng.uniform(np.log(lo), np.log(hi))))


def data(kind, shape):
    info = np.iinfo(TYPES[kind])
    return rng.integers(info.min, info.max + 1, shape).astype(TYPES[kind])


def weights(kind, shape):
    return rng.integers(-64, 64, shape).astype(np.int8) if kind == "i8" else data(kind, shape)


def zero(kind):
    info = np.iinfo(TYPES[kind])
    return TYPES[kind](rng.choice([info.min, info.min + 128, rng.integers(info.min, info.max + 1)]))


def fnv(a):
    h = 0xcbf29ce484222325
    for byte in np.ascontiguousarray(a).tobytes():
        h = ((h ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return f"{h:016x}"


def conv(kind, w_kind, c_in, c_out, groups, plane, kernel, stride, dilation, pads, per_channel, bias):
    x, w = data(kind, (1, c_in, *plane)), weights(w_kind, (c_out, c_in // groups, *kernel))
    z_x, z_y = zero(kind), zero(kind)
    z_w = np.int8(0) if w_kind == "i8" else np.uint8(rng.integers(100, 150))
    s_x = scale()
    s_w = scale() * rng.uniform(0.3, 1.5, c_out).astype(np.float32) if per_channel else scale()
    spread = 74.0 * (37.0 if w_kind == "i8" else 74.0) * np.sqrt(w[0].size)
    s_y = np.float32(s_x * np.mean(s_w) * spread / rng.uniform(20, 90))
    b = rng.integers(-int(spread), int(spread), c_out).astype(np.int32) if bias else None
    constants = dict(s_x=s_x, z_x=z_x, w=w, s_w=s_w, z_w=np.full(c_out, z_w) if per_channel else z_w, s_y=s_y, z_y=z_y)
    names = ["x", "s_x", "z_x", "w", "s_w", "z_w", "s_y", "z_y"]
    if bias:
        constants["b"] = b
        names.append("b")
    node = helper.make_node("QLinearConv", names, ["y"], kernel_shape=kernel, strides=stride, dilations=dilation,
                            pads=pads, group=groups)
    y = run([node], constants, {"x": x}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, w_kind=w_kind, c_in=c_in, c_out=c_out, groups=groups, plane=plane, kernel=kernel,
                stride=stride, dilation=dilation, pads=pads, s_x=bits(s_x), z_x=int(z_x), s_w=bits(s_w), z_w=int(z_w),
                s_y=bits(s_y), z_y=int(z_y), bias=[] if b is None else b.tolist(), x=hexed(x), w=hexed(w), y=hexed(y))


def matmul(kind, rows, k, n, per_column):
    x, w = data(kind, (rows, k)), weights("i8", (k, n))
    z_x, z_y, s_x = zero(kind), zero(kind), scale()
    s_w = scale() * rng.uniform(0.3, 1.5, n).astype(np.float32) if per_column else scale()
    s_y = np.float32(s_x * np.mean(s_w) * 74.0 * 37.0 * np.sqrt(k) / rng.uniform(20, 90))
    z_w = np.zeros(n, np.int8) if per_column else np.int8(0)
    constants = dict(s_x=s_x, z_x=z_x, w=w, s_w=s_w, z_w=z_w, s_y=s_y, z_y=z_y)
    node = helper.make_node("QLinearMatMul", ["x", "s_x", "z_x", "w", "s_w", "z_w", "s_y", "z_y"], ["y"])
    y = run([node], constants, {"x": x}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, rows=rows, k=k, n=n, s_x=bits(s_x), z_x=int(z_x), s_w=bits(s_w), s_y=bits(s_y),
                z_y=int(z_y), x=hexed(x), w=hexed(w), y=hexed(y))


def add(kind, s_a=None, s_b=None, s_y=None):
    """All 65,536 pairs; the outputs as a digest."""
    info = np.iinfo(TYPES[kind])
    values = np.arange(info.min, info.max + 1).astype(TYPES[kind])
    a, b = np.repeat(values, 256), np.tile(values, 256)
    s_a, s_b = s_a or scale(), s_b or scale()
    s_y = s_y or np.float32((s_a + s_b) * rng.uniform(0.4, 1.1))
    z_a, z_b, z_y = zero(kind), zero(kind), zero(kind)
    constants = dict(s_a=s_a, z_a=z_a, s_b=s_b, z_b=z_b, s_y=s_y, z_y=z_y)
    constants = {k: np.asarray(v) for k, v in constants.items()}
    node = helper.make_node("QLinearAdd", ["a", "s_a", "z_a", "b", "s_b", "z_b", "s_y", "z_y"], ["y"], domain=MS)
    y = run([node], constants, {"a": a, "b": b}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, s=bits([s_a, s_b, s_y]), z=[int(z_a), int(z_b), int(z_y)], digest=fnv(y))


def rescale(kind):
    info = np.iinfo(TYPES[kind])
    x = np.arange(info.min, info.max + 1).astype(TYPES[kind])
    s_x = scale()
    s_y = np.float32(s_x * rng.choice([rng.uniform(0.3, 3), 0.5, 2]))
    z_x, z_y = zero(kind), zero(kind)
    nodes = [helper.make_node("DequantizeLinear", ["x", "s_x", "z_x"], ["f"]),
             helper.make_node("QuantizeLinear", ["f", "s_y", "z_y"], ["y"])]
    y = run(nodes, dict(s_x=s_x, z_x=z_x, s_y=s_y, z_y=z_y), {"x": x}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, s=bits([s_x, s_y]), z=[int(z_x), int(z_y)], y=hexed(y))


def average(kind, channels, plane, kernel, stride):
    """A global pool where `kernel` is None."""
    offset = data(kind, (1, channels, 1, 1)).astype(np.int64) // 2
    x = np.clip(data(kind, (1, channels, *plane)) // 3 + offset, *(lambda i: (i.min, i.max))(np.iinfo(TYPES[kind])))
    x = x.astype(TYPES[kind])
    s_x, z_x, z_y = scale(), zero(kind), zero(kind)
    s_y = np.float32(s_x * rng.uniform(0.2, 0.9))
    constants = dict(s_x=s_x, z_x=z_x, s_y=s_y, z_y=z_y)
    names = ["x", "s_x", "z_x", "s_y", "z_y"]
    if kernel is None:
        node = helper.make_node("QLinearGlobalAveragePool", names, ["y"], domain=MS, channels_last=0)
    else:
        node = helper.make_node("QLinearAveragePool", names, ["y"], domain=MS, kernel_shape=kernel, strides=stride)
    y = run([node], constants, {"x": x}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, channels=channels, plane=plane, kernel=kernel or [], stride=stride or [],
                s=bits([s_x, s_y]), z=[int(z_x), int(z_y)], x=hexed(x), y=hexed(y))


def max_pool(kind, channels, plane, kernel, stride, dilation, pads):
    x = data(kind, (1, channels, *plane))
    node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads)
    y = run([node], {}, {"x": x}, PROTO[np.dtype(TYPES[kind])])
    return dict(kind=kind, channels=channels, plane=plane, kernel=kernel, stride=stride, dilation=dilation, pads=pads,
                x=hexed(x), y=hexed(y))


def softmax(kind, rows, length, s_x, s_y):
    """A Q/DQ graph that onnxruntime fuses into QLinearSoftmax."""
    x = data(kind, (rows, length))
    z_x, z_y = zero(kind), np.iinfo(TYPES[kind]).min
    nodes = [helper.make_node("DequantizeLinear", ["x", "s_x", "z_x"], ["f"]),
             helper.make_node("Softmax", ["f"], ["p"], axis=1),
             helper.make_node("QuantizeLinear", ["p", "s_y", "z_y"], ["y"])]
    constants = dict(s_x=np.float32(s_x), z_x=z_x, s_y=np.float32(s_y), z_y=TYPES[kind](z_y))
    y = run(nodes, constants, {"x": x}, PROTO[np.dtype(TYPES[kind])], optimise=True)
    return dict(kind=kind, rows=rows, length=length, s=bits([s_x, s_y]), z=[int(z_x), int(z_y)], x=hexed(x), y=hexed(y))


def float_softmax(rows, length, width):
    x = rng.normal(0, width, (rows, length)).astype(np.float32)
    y = run([helper.make_node("Softmax", ["x"], ["y"], axis=1)], {}, {"x": x}, TensorProto.FLOAT)
    return dict(rows=rows, length=length, x=bits(x.flatten()), y=bits(y.flatten()))


def edge(kind, s, count):
    s = np.float32(s)
    z = zero(kind)
    x = (rng.normal(0, 60, count) * s).astype(np.float32)
    ties = (np.arange(-40, 40) + np.float32(0.5)) * s
    x = np.concatenate([x, ties, [np.inf, -np.inf, 1e30, -1e30, 0, -0.0]]).astype(np.float32)
    q = run([helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], dict(s=s, z=z), {"x": x},
            PROTO[np.dtype(TYPES[kind])])
    f = run([helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])], dict(s=s, z=z), {"x": q}, TensorProto.FLOAT)
    return dict(kind=kind, s=bits(s), z=int(z), x=bits(x), q=hexed(q), f=bits(f))


CONVS = [
    (3, 8, 1, [9, 9], [3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
    (4, 6, 1, [8, 7], [3, 3], [2, 2], [1, 1], [0, 0, 1, 1]),
    (8, 8, 8, [7, 7], [3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
    (6, 6, 6, [10, 9], [3, 3], [2, 2], [1, 1], [0, 1, 1, 0]),
    (8, 4, 2, [6, 6], [3, 2], [1, 2], [1, 1], [1, 0, 0, 1]),
    (2, 3, 1, [11, 11], [3, 3], [1, 1], [2, 3], [2, 3, 2, 3]),
    (16, 24, 1, [4, 4], [1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
    (1, 4, 1, [12, 5], [10, 4], [2, 2], [1, 1], [4, 1, 5, 1]),
]
cases = {
    "conv": [conv(kind, w_kind, *shape, per_channel=i % 2 == 0, bias=i % 3 != 0)
             for kind in TYPES for w_kind in (["i8", "u8"] if kind == "u8" else ["i8"])
             for i, shape in enumerate(CONVS)],
    "matmul": [matmul(kind, *shape, per_column=pc) for kind in TYPES for pc in (False, True)
               for shape in [(1, 64, 10), (3, 200, 32)]],
    "add": [add(kind) for kind in TYPES for _ in range(8)]
           + [add("i8", np.float32(0.05), np.float32(0.05), np.float32(0.05)),
              add("u8", np.float32(0.5), np.float32(0.25), np.float32(1)),
              add("i8", np.float32(0.0004), np.float32(0.1), np.float32(0.11))],
    "rescale": [rescale(kind) for kind in TYPES for _ in range(6)],
    "global": [average(kind, 12, plane, None, None) for kind in TYPES for plane in ([7, 7], [1, 5], [8, 16])],
    "window": [average(kind, 4, plane, kernel, stride) for kind in TYPES
               for plane, kernel, stride in [([8, 8], [2, 2], [2, 2]), ([25, 5], [25, 5], [1, 1]), ([9, 9], [3, 3], [2, 2]),
                                             ([12, 12], [5, 4], [1, 3])]],
    "max": [max_pool(kind, 3, *shape) for kind in TYPES
            for shape in [([8, 8], [2, 2], [2, 2], [1, 1], [0, 0, 0, 0]), ([9, 7], [3, 3], [2, 2], [1, 1], [1, 1, 1, 1]),
                          ([9, 9], [3, 2], [1, 2], [2, 1], [2, 0, 1, 1])]],
    "softmax": [softmax(kind, 16, length, s_x, s_y) for kind in TYPES
                for length, s_x, s_y in [(2, 0.0146, 1 / 256), (10, 0.15, 1 / 256), (12, 0.045, 1 / 255), (100, 0.09, 1 / 256),
                                         (10, 0.01, 0.00391)]],
    "float_softmax": [float_softmax(4, 10, 5), float_softmax(2, 100, 20)],
    "edge": [edge(kind, s, 200) for kind in TYPES for s in (0.0235, 0.007843138, 1.0)],
}
target = pathlib.Path(__file__).with_name("ops.json")
target.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
print(target.stat().st_size, "bytes,", {k: len(v) for k, v in cases.items()}, "onnx", onnx.__version__, "onnxruntime", ort.__version__)
