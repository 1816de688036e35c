"""Small quantized models with what exporters leave in real files, and onnxruntime's outputs for them.

Writes quirks/<name>.onnx and quirks/<name>.npz (in__<input>, out__<output>, first axis = sample). The outputs are
onnxruntime's with all optimizations and session.qdqisint8allowed=1, that is, of the fused integer kernels (one network
says otherwise).
int8 weights stay in -64..=63: on processors without VNNI onnxruntime saturates sums of two products to int16.
Made with onnx 1.23.2, onnxruntime 1.31.1, numpy 2. Run: python make_quirks.py
"""
import pathlib
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

OUT = pathlib.Path(__file__).parent / "quirks"
SAMPLES = 12
F, I8, U8, I64 = T.FLOAT, T.INT8, T.UINT8, T.INT64


class Net:
    """A model under construction; every method returns the name of the value it makes."""

    def __init__(self, name, opset, seed, constants=False):
        self.name, self.opset, self.constants = name, opset, constants
        self.rng = np.random.default_rng(seed)
        self.nodes, self.init, self.inputs, self.outputs, self.count = [], [], [], [], 0

    def new(self, hint):
        self.count += 1
        return f"{hint}_{self.count}"

    def const(self, value, hint="c"):
        name = self.new(hint)
        tensor = nh.from_array(np.asarray(value), name)
        if self.constants:
            self.nodes.append(h.make_node("Constant", [], [name], value=tensor))
        else:
            self.init.append(tensor)
        return name

    def op(self, kind, inputs, domain="", **attrs):
        out = self.new(kind)
        self.nodes.append(h.make_node(kind, inputs, [out], name=out + "_node", domain=domain, **attrs))
        return out

    def input(self, name, dtype, dims):
        self.inputs.append((name, dtype, dims))
        return name

    def output(self, value, dtype, dims):
        self.outputs.append(h.make_tensor_value_info(value, dtype, dims))

    def params(self, scale, zero, dtype=np.int8):
        return [self.const(np.float32(scale), "s"), self.const(np.asarray(zero, dtype), "z")]

    def q(self, x, scale, zero, dtype=np.int8):
        return self.op("QuantizeLinear", [x] + self.params(scale, zero, dtype))

    def dq(self, x, scale, zero, dtype=np.int8):
        return self.op("DequantizeLinear", [x] + self.params(scale, zero, dtype))

    def qdq(self, x, scale, zero, dtype=np.int8):
        return self.dq(self.q(x, scale, zero, dtype), scale, zero, dtype)

    def ints(self, shape, dtype=np.int8):
        lo, hi = (-64, 64) if dtype == np.int8 else (0, 256)
        return self.rng.integers(lo, hi, shape).astype(dtype)

    def weight(self, shape, scale, axis=None, dtype=np.int8, zero=0):
        """A dequantized weight; a list of scales is per channel along `axis`."""
        w = self.const(self.ints(shape, dtype), "w")
        if axis is None:
            return self.op("DequantizeLinear", [w] + self.params(scale, zero, dtype))
        scales = self.const(np.asarray(scale, np.float32), "s")
        zeros = self.const(np.full(len(scale), zero, dtype), "z")
        return self.op("DequantizeLinear", [w, scales, zeros], axis=axis)

    def bias(self, n, scale, axis=True):
        b = self.const(self.rng.integers(-4000, 4000, n).astype(np.int32), "b")
        s = np.asarray(scale, np.float32)
        if s.ndim == 0:
            return self.op("DequantizeLinear", [b, self.const(s, "s")])
        return self.op("DequantizeLinear", [b, self.const(s, "s"), self.const(np.zeros(n, np.int32), "z")], axis=0)

    def save(self, level=ort.GraphOptimizationLevel.ORT_ENABLE_ALL):
        opsets = [h.make_opsetid("", self.opset), h.make_opsetid("com.microsoft", 1)]
        infos = [h.make_tensor_value_info(*i) for i in self.inputs]
        graph = h.make_graph(self.nodes, self.name, infos, self.outputs, self.init)
        model = h.make_model(graph, opset_imports=opsets, ir_version=min(10, 5 if self.opset == 10 else 10))
        data = model.SerializeToString()
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        arrays = {}
        for _ in range(SAMPLES):
            feed = {}
            for name, dtype, dims in self.inputs:
                dims = [d if isinstance(d, int) else 1 for d in dims]
                feed[name] = {
                    F: lambda: self.rng.normal(0, 1.2, dims).astype(np.float32),
                    I8: lambda: self.rng.integers(-128, 128, dims).astype(np.int8),
                    U8: lambda: self.rng.integers(0, 256, dims).astype(np.uint8),
                }[dtype]()
                arrays.setdefault("in__" + name, []).append(feed[name])
            for info, value in zip(session.get_outputs(), session.run(None, feed)):
                arrays.setdefault("out__" + info.name, []).append(value)
        (OUT / f"{self.name}.onnx").write_bytes(data)
        np.savez_compressed(OUT / f"{self.name}.npz", **{k: np.stack(v) for k, v in arrays.items()})


def simple(opset):
    """Conv, Relu, pool, Flatten, Gemm in the form of one opset."""
    n = Net(f"opset{opset}", opset, opset)
    x = n.qdq(n.input("x", F, ["N", 2, 6, 6]), 0.02, 3)
    if opset >= 13:
        s = [0.01, 0.013, 0.02]
        w, b = n.weight([3, 2, 3, 3], s, axis=0), n.bias(3, np.float32(0.02) * np.asarray(s, np.float32))
    else:
        w, b = n.weight([3, 2, 3, 3], 0.01), n.bias(3, np.float32(0.02) * np.float32(0.01))
    y = n.op("Relu", [n.op("Conv", [x, w, b], kernel_shape=[3, 3], pads=[1, 1, 1, 1])])
    y = n.qdq(y, 0.09, -128)
    y = n.qdq(n.op("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2]), 0.09, -128)
    y = n.op("Flatten", [y], axis=1)
    if opset >= 13:
        w, b = n.weight([5, 27], np.linspace(0.003, 0.006, 5), axis=0), None
    else:
        w, b = n.weight([5, 27], 0.004), None
    c = n.bias(5, np.float32(0.09) * (np.linspace(0.003, 0.006, 5).astype(np.float32) if opset >= 13 else np.float32(0.004)))
    y = n.qdq(n.op("Gemm", [y, w, c], transB=1), 0.6, 7)
    n.output(y, F, ["N", 5])
    n.save()


def dynamic_shape():
    """The flattening of PyTorch exporters: Shape, Gather, Unsqueeze, Concat, Reshape with an open batch."""
    n = Net("dynamic_shape", 17, 1)
    x = n.qdq(n.input("x", F, ["batch", 2, 4, 4]), 0.02, 0)
    y = n.qdq(n.op("Conv", [x, n.weight([3, 2, 3, 3], 0.01), n.bias(3, np.float32(0.02) * np.float32(0.01))]), 0.05, 4)
    batch = n.op("Gather", [n.op("Shape", [y]), n.const(np.int64(0))], axis=0)
    batch = n.op("Unsqueeze", [batch, n.const(np.array([0], np.int64))])
    rest = n.op("Slice", [n.op("Shape", [y]), n.const(np.array([1], np.int64)), n.const(np.array([2], np.int64))])
    rest = n.op("Mul", [n.op("Cast", [rest], to=I64), n.const(np.array([4], np.int64))])
    y = n.op("Reshape", [y, n.op("Concat", [batch, rest], axis=0)])
    y = n.qdq(y, 0.05, 4)
    y = n.qdq(n.op("Gemm", [y, n.weight([12, 4], 0.01)]), 0.2, -3)
    n.output(y, F, ["batch", 4])
    n.save()


def constant_nodes():
    """Every initializer as a Constant node; Clip with constant bounds between Conv and QuantizeLinear."""
    n = Net("constant_nodes", 13, 2, constants=True)
    x = n.qdq(n.input("x", F, [1, 2, 5, 5]), 0.02, 128, np.uint8)
    w = n.weight([4, 2, 3, 3], 0.01, dtype=np.uint8, zero=121)
    y = n.op("Conv", [x, w, n.bias(4, np.float32(0.02) * np.float32(0.01))], pads=[0, 1, 2, 0], strides=[2, 1])
    y = n.op("Clip", [y, n.const(np.float32(0)), n.const(np.float32(6))])
    y = n.q(y, 6 / 255, 0, np.uint8)
    n.output(y, U8, [1, 4, 3, 4])
    n.save()


def clip_opset10():
    """Clip with its bounds as attributes; QuantizeLinear without a zero point."""
    n = Net("clip_opset10", 10, 3)
    x = n.input("x", F, [1, 2, 5, 5])
    s = n.const(np.float32(0.03))
    x = n.op("DequantizeLinear", [n.op("QuantizeLinear", [x, s]), s])
    y = n.op("Conv", [x, n.weight([4, 2, 3, 3], 0.01)], auto_pad="SAME_LOWER", strides=[2, 2])
    y = n.qdq(n.op("Clip", [y], min=-1.0, max=2.5), 0.02, 100, np.uint8)
    n.output(y, F, [1, 4, 3, 3])
    n.save()


def keras_nhwc():
    """Channels last: Transpose in front, depthwise and dilated convolutions, mean, Squeeze, MatMul and Add."""
    n = Net("keras_nhwc", 17, 4)
    x = n.input("x", I8, ["unk__1", 9, 9, 3])
    x = n.dq(n.op("Transpose", [x], perm=[0, 3, 1, 2]), 0.02, -5)
    s = np.float32([0.01, 0.02, 0.015])
    y = n.op("Conv", [x, n.weight([3, 1, 3, 3], s, axis=0), n.bias(3, np.float32(0.02) * s)], group=3, pads=[1, 1, 1, 1])
    y = n.qdq(n.op("Relu", [y]), 0.03, -128)
    s = np.linspace(0.004, 0.02, 6).astype(np.float32)
    y = n.op("Conv", [y, n.weight([6, 3, 3, 3], s, axis=0), n.bias(6, np.float32(0.03) * s)], dilations=[2, 2], pads=[2, 2, 2, 2])
    y = n.qdq(n.op("Relu", [y]), 0.08, -128)
    y = n.q(n.op("GlobalAveragePool", [y]), 0.04, -128)
    y = n.dq(n.op("Squeeze", [y, n.const(np.array([2, 3], np.int64))]), 0.04, -128)
    y = n.op("MatMul", [y, n.weight([6, 4], 0.02)])
    y = n.op("Add", [y, n.bias(4, np.float32(0.04) * np.float32(0.02))])
    y = n.op("Softmax", [n.qdq(y, 0.05, 10)])
    n.output(n.q(y, 1 / 256, -128), I8, ["unk__2", 4])
    n.save()


def float_bias():
    """Biases left in float32: Conv, Gemm, and none at all."""
    n = Net("float_bias", 17, 5)
    x = n.qdq(n.input("x", F, [1, 2, 6, 6]), 0.02, 3)
    s = np.linspace(0.004, 0.02, 4).astype(np.float32)
    b = n.const(n.rng.normal(0, 1, 4).astype(np.float32))
    y = n.qdq(n.op("Conv", [x, n.weight([4, 2, 3, 3], s, axis=0), b], pads=[1, 1, 1, 1]), 0.05, 4)
    y = n.qdq(n.op("Conv", [y, n.weight([4, 4, 1, 1], s, axis=0)]), 0.1, -20)
    y = n.qdq(n.op("Flatten", [y]), 0.1, -20)
    b = n.const(n.rng.normal(0, 2, 5).astype(np.float32))
    y = n.qdq(n.op("Gemm", [y, n.weight([144, 5], 0.003), b]), 0.3, 1)
    n.output(y, F, [1, 5])
    n.save()


def unfolded_weights():
    """PyTorch's form: float weights with their own QuantizeLinear and DequantizeLinear, Transpose before MatMul."""
    n = Net("unfolded_weights", 17, 6)
    x = n.qdq(n.input("x", F, [1, 2, 6, 6]), 0.02, 3)
    s = n.const(np.linspace(0.004, 0.02, 4).astype(np.float32))
    z = n.const(np.zeros(4, np.int8))
    w = n.const(n.rng.uniform(-0.25, 0.25, [4, 2, 3, 3]).astype(np.float32))
    w = n.op("DequantizeLinear", [n.op("QuantizeLinear", [w, s, z], axis=0), s, z], axis=0)
    y = n.qdq(n.op("Conv", [x, w], strides=[2, 2]), 0.04, 0)
    y = n.qdq(n.op("Reshape", [y, n.const(np.array([0, -1], np.int64))]), 0.04, 0)
    w = n.const(n.rng.uniform(-0.31, 0.31, [5, 16]).astype(np.float32))
    w = n.op("Transpose", [n.qdq(w, 0.005, 0)], perm=[1, 0])
    y = n.op("Add", [n.op("MatMul", [y, w]), n.bias(5, np.float32(0.04) * np.float32(0.005))])
    y = n.qdq(y, 0.02, 5)
    n.output(y, F, [1, 5])
    n.save()


def residual():
    """Reused activations, a sum with Relu, two outputs, dead nodes, Dropout, Identity, and a constant added."""
    n = Net("residual", 17, 7)
    x = n.qdq(n.input("x", F, ["N", 3, 5, 5]), 0.02, -1)
    y = n.qdq(n.op("Conv", [x, n.weight([3, 3, 3, 3], 0.01)], pads=[1, 1, 1, 1]), 0.05, 4)
    y = n.op("Identity", [n.op("Dropout", [y])])
    n.op("Sigmoid", [y])
    n.init.append(nh.from_array(np.zeros(3, np.float64), "unused"))
    a = n.q(n.op("Relu", [n.op("Add", [y, x])]), 0.04, -128)
    n.output(a, I8, ["N", 3, 5, 5])
    a = n.dq(a, 0.04, -128)
    c = n.dq(n.const(n.ints([3, 1, 1])), 0.01, 9)
    y = n.qdq(n.op("Add", [a, c]), 0.05, -100)
    y = n.qdq(n.op("AveragePool", [y], kernel_shape=[2, 2], strides=[3, 3]), 0.05, -100)
    n.output(n.op("ArgMax", [n.op("Flatten", [y])], axis=1, keepdims=0), I64, ["N"])
    n.save()


def rescales():
    """Relu and Clip between two pairs, with other parameters after it and with the same."""
    n = Net("rescales", 13, 8)
    x = n.qdq(n.input("x", F, [1, 8]), 0.02, 0)
    y = n.qdq(n.op("Relu", [x]), 0.009, -120)
    y = n.qdq(n.op("Gemm", [y, n.weight([8, 6], 0.01)]), 0.05, 2)
    y = n.qdq(n.op("Clip", [y, n.const(np.float32(-1.5)), n.const(np.float32(2))]), 0.05, 2)
    y = n.op("Unsqueeze", [y, n.const(np.array([2, 3], np.int64))])
    y = n.op("MaxPool", [n.op("Transpose", [y], perm=[0, 2, 1, 3])], kernel_shape=[2, 1], strides=[2, 1], ceil_mode=1)
    n.output(n.qdq(y, 0.05, 2), F, [1, 1, 3, 1])
    n.save()


def double_pair():
    """Two pairs with nothing between: each is kept. onnxruntime's optimizer would merge them into one with parameters
    of its own (DoubleQDQPairsRemover), which changes values, so the outputs are those without optimizations."""
    n = Net("double_pair", 13, 12)
    x = n.qdq(n.input("x", F, [1, 50]), 0.02, 0)
    x = n.qdq(x, 0.013, -20)
    n.output(n.qdq(x, 0.0171, 90, np.uint8), F, [1, 50])
    n.save(ort.GraphOptimizationLevel.ORT_DISABLE_ALL)


def mean_and_matmul():
    """ReduceMean over the planes with axes as an input, then MatMul over three dimensions."""
    n = Net("mean_and_matmul", 18, 9)
    x = n.input("x", U8, [1, 4, 3, 3])
    x = n.dq(x, 0.02, 120, np.uint8)
    y = n.op("ReduceMean", [x, n.const(np.array([-1, -2], np.int64))], keepdims=0)
    y = n.qdq(y, 0.008, 126, np.uint8)
    y = n.op("Reshape", [y, n.const(np.array([1, 2, 2], np.int64))])
    y = n.qdq(y, 0.008, 126, np.uint8)
    y = n.qdq(n.op("MatMul", [y, n.weight([2, 5], np.linspace(0.01, 0.03, 5), axis=1)]), 0.02, 120, np.uint8)
    n.output(y, F, [1, 2, 5])
    n.save()


def qoperator():
    """One-dimensional QLinearConv, QLinearAdd, QLinearAveragePool, QLinearMatMul per column, QGemm with alpha."""
    n = Net("qoperator", 13, 10)
    ms = "com.microsoft"
    x = n.q(n.input("x", F, [1, 3, 14]), 0.02, 120, np.uint8)
    w = [n.const(n.ints([3, 3, 3])), n.const(np.float32([0.01, 0.02, 0.015])), n.const(np.zeros(3, np.int8))]
    b = n.const(n.rng.integers(-2000, 2000, 3).astype(np.int32))
    xp = n.params(0.02, 120, np.uint8)
    yp = n.params(0.0517, 128, np.uint8)
    y = n.op("QLinearConv", [x] + xp + w + yp + [b], pads=[2, 2], dilations=[2])
    zp = n.params(0.0613, 125, np.uint8)
    y = n.op("QLinearAdd", [y] + yp + [x] + xp + zp, domain=ms)
    ap = n.params(0.05, 127, np.uint8)
    y = n.op("QLinearAveragePool", [y] + zp + ap, domain=ms, kernel_shape=[2], strides=[2])
    y = n.op("Flatten", [y])
    w = [n.const(n.ints([21, 4])), n.const(np.linspace(0.01, 0.03, 4).astype(np.float32)), n.const(np.zeros(4, np.int8))]
    mp = n.params(0.2, 128, np.uint8)
    y = n.op("QLinearMatMul", [y] + ap + w + mp)
    w = [n.const(n.ints([6, 4])), n.const(np.float32(0.02)), n.const(np.int8(0))]
    b = n.const(n.rng.integers(-2000, 2000, 6).astype(np.int32))
    gp = n.params(0.1, 117, np.uint8)
    y = n.op("QGemm", [y] + mp + w + [b] + gp, domain=ms, transB=1, alpha=0.7)
    n.output(n.dq(y, 0.1, 117, np.uint8), F, [1, 6])
    n.save()


def padded_pools():
    """Average pools that count their padding, and padded max pools over zero points inside the range."""
    n = Net("padded_pools", 17, 13)
    x = n.qdq(n.input("x", F, [1, 3, 9, 8]), 0.02, 11)
    y = n.qdq(n.op("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 0.02, 11)
    y = n.qdq(n.op("Conv", [y, n.weight([4, 3, 3, 3], 0.01)], pads=[1, 1, 1, 1]), 0.05, -7)
    a = n.op("AveragePool", [y], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    a = n.qdq(a, 0.03, -7)
    b = n.op("AveragePool", [y], kernel_shape=[2, 3], strides=[2, 2], pads=[1, 0, 0, 2], count_include_pad=1)
    b = n.qdq(b, 0.0321, -9)
    n.output(b, F, [1, 4, 3, 2])
    m = n.op("MaxPool", [a], kernel_shape=[5, 2], strides=[1, 1], dilations=[1, 2], pads=[2, 1, 2, 0])
    n.output(n.qdq(m, 0.03, -7), F, [1, 4, 5, 3])
    n.save()


def edge_averages():
    """Average pools whose windows over the edge divide by fewer values, with other operators around them."""
    n = Net("edge_averages", 19, 14)
    x = n.qdq(n.input("x", F, [1, 2, 11, 10]), 0.02, 11)
    a = n.qdq(n.op("AveragePool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 0.0177, 9)
    y = n.qdq(n.op("Conv", [a, n.weight([4, 2, 3, 3], 0.01)], pads=[1, 1, 1, 1], strides=[2, 2]), 0.04, -7)
    b = n.op("AveragePool", [y], kernel_shape=[3, 2], strides=[2, 2], pads=[2, 0, 1, 1], ceil_mode=1)
    b = n.qdq(b, 0.0231, -5)
    n.output(b, F, [1, 4, 4, 3])
    c = n.qdq(n.op("AveragePool", [y], kernel_shape=[5, 5], pads=[2, 2, 2, 2]), 0.0199, -9)
    n.output(n.qdq(n.op("Add", [c, y]), 0.051, 3), F, [1, 4, 6, 5])
    m = n.op("MaxPool", [c], kernel_shape=[2, 3], strides=[2, 1])
    n.output(n.qdq(m, 0.0199, -9), F, [1, 4, 3, 3])
    n.save()


def qoperator_averages():
    """QLinearAveragePool over the edge, in one dimension and in two, and rounded up."""
    n = Net("qoperator_averages", 17, 15)
    ms = "com.microsoft"
    for dims, kernel, extra in [
        ([1, 3, 14], [4], dict(pads=[1, 3])),
        ([1, 2, 7, 7], [2, 2], dict(strides=[2, 2], ceil_mode=1)),
        ([1, 2, 6, 9], [3, 4], dict(strides=[1, 2], pads=[0, 2, 2, 1])),
    ]:
        name = f"x{len(n.inputs)}"
        xp, yp = n.params(0.02, 120, np.uint8), n.params(0.0167, 131, np.uint8)
        x = n.input(name, U8, dims)
        y = n.op("QLinearAveragePool", [x] + xp + yp, domain=ms, kernel_shape=kernel, **extra)
        n.output(y, U8, None)
    n.save()


def batch_norm():
    """BatchNormalization that was not folded: refused."""
    n = Net("refused_batch_norm", 17, 11)
    x = n.qdq(n.input("x", F, [1, 2, 4, 4]), 0.02, 0)
    y = n.op("Conv", [x, n.weight([3, 2, 3, 3], 0.01)])
    ones = n.const(np.ones(3, np.float32))
    y = n.op("BatchNormalization", [y, ones, n.const(np.zeros(3, np.float32)), n.const(np.zeros(3, np.float32)), ones])
    n.output(n.qdq(y, 0.05, 0), F, [1, 3, 2, 2])
    n.save()


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for opset in (10, 13, 19, 21):
        simple(opset)
    for make in (dynamic_shape, constant_nodes, clip_opset10, keras_nhwc, float_bias, unfolded_weights, residual,
                 rescales, double_pair, mean_and_matmul, qoperator, padded_pools, edge_averages, qoperator_averages,
                 batch_norm):
        make()
