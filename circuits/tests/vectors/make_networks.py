"""Writes networks.json.gz: random networks of one operator, each with onnxruntime's outputs on 50 inputs.

    python make_networks.py     (numpy, onnx, onnxruntime; made with onnx 1.23.2 and onnxruntime 1.31.1, CPU, x86-64)

Twenty networks an operator make 1,000 inputs for each. The graphs are quantize/dequantize pairs around float operators; the
outputs are those of onnxruntime's fused integer kernels: all optimizations, for int8 session.qdqisint8allowed=1, for uint8
session.x64quantprecision=1, without which processors that lack VNNI saturate sums of two products to 16 bits.

Inputs are not stored: byte i of sample s is the top byte of state i of a 64-bit congruential generator that starts at
`seed + s` (`stream` below). Outputs are stored as one FNV-1a digest for each sample.
"""
import gzip
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SAMPLES, NETWORKS = 50, 20
MASK = (1 << 64) - 1
TYPES = {"u8": (np.uint8, TensorProto.UINT8), "i8": (np.int8, TensorProto.INT8)}
rng = np.random.default_rng(20250101)


def stream(seed, count):
    out, state = bytearray(), seed & MASK
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        out.append(state >> 56)
    return bytes(out)


def fnv(data):
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & MASK
    return f"{h:016x}"


class Net:
    """A graph of one float operator between quantized tensors."""

    def __init__(self, kind):
        self.kind, self.nodes, self.init, self.inputs, self.count = kind, [], [], [], 0

    def const(self, value):
        self.count += 1
        self.init.append(numpy_helper.from_array(np.asarray(value), f"c{self.count}"))
        return f"c{self.count}"

    def op(self, kind, inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(kind, inputs, [f"v{self.count}"], name=f"n{self.count}", **attributes))
        return f"v{self.count}"

    def zero(self):
        info = np.iinfo(TYPES[self.kind][0])
        return TYPES[self.kind][0](rng.choice([info.min, info.min + 128, rng.integers(info.min, info.max + 1)]))

    def quant(self, scale, zero=None):
        return [self.const(np.float32(scale)), self.const(self.zero() if zero is None else zero)]

    def input(self, shape, quant):
        name = f"x{len(self.inputs)}"
        self.inputs.append((name, shape))
        return self.op("DequantizeLinear", [name] + quant)

    def weights(self, shape, axis, channels, s_x):
        """Dequantized int8 weights and int32 bias, and a typical size of the products' sum in real units."""
        scale = np.exp(rng.uniform(np.log(1e-3), np.log(0.1)))
        per_channel = axis is not None and rng.integers(2)
        s_w = (scale * rng.uniform(0.4, 1.6, channels)).astype(np.float32) if per_channel else np.float32(scale)
        w = rng.integers(-127, 128, shape).astype(np.int8)
        attributes = {"axis": axis} if per_channel else {}
        z = np.zeros(channels, np.int8) if per_channel else np.int8(0)
        dequantized = self.op("DequantizeLinear", [self.const(w), self.const(s_w), self.const(z)], **attributes)
        spread = 74.0 * 74.0 * np.sqrt(w.size / channels)
        bias = rng.integers(-int(spread), int(spread), channels).astype(np.int32)
        s_b = (np.float32(s_x) * s_w).astype(np.float32)
        attributes = {"axis": 0} if per_channel else {}
        z = np.zeros(channels, np.int32) if per_channel else np.int32(0)
        bias = self.op("DequantizeLinear", [self.const(bias), self.const(s_b), self.const(z)], **attributes)
        return dequantized, bias, spread * s_x * scale

    def finish(self, value, quant):
        y = self.op("QuantizeLinear", [value] + quant)
        proto = TYPES[self.kind][1]
        inputs = [helper.make_tensor_value_info(n, proto, s) for n, s in self.inputs]
        graph = helper.make_graph(self.nodes, "g", inputs, [helper.make_tensor_value_info(y, proto, None)], self.init)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        return onnx.shape_inference.infer_shapes(model)


def scale():
    return float(np.exp(rng.uniform(np.log(1e-3), np.log(0.2))))


def conv(net, depthwise=False, relu=False):
    c = int(rng.integers(1, 4))
    groups, out = (c, c) if depthwise else (1, int(rng.integers(1, 5)))
    kernel, stride = [int(k) for k in rng.integers(1, 4, 2)], [int(s) for s in rng.integers(1, 3, 2)]
    pads = [int(p) for p in rng.integers(0, 2, 4)]
    s_x = scale()
    x = net.input([1, c, 6, 5], net.quant(s_x))
    w, b, size = net.weights([out, c // groups, *kernel], 0, out, s_x)
    y = net.op("Conv", [x, w, b], kernel_shape=kernel, strides=stride, pads=pads, group=groups)
    y = net.op("Relu", [y]) if relu else y
    return net.finish(y, net.quant(size / rng.uniform(20, 90)))


def gemm(net):
    k, n, s_x = int(rng.integers(2, 40)), int(rng.integers(1, 9)), scale()
    x = net.input([1, k], net.quant(s_x))
    w, b, size = net.weights([k, n], None, n, s_x)
    return net.finish(net.op("Gemm", [x, w, b]), net.quant(size / rng.uniform(20, 90)))


def matmul(net):
    rows, k, n, s_x = int(rng.integers(1, 4)), int(rng.integers(2, 20)), int(rng.integers(1, 9)), scale()
    x = net.input([1, rows, k], net.quant(s_x))
    w, _, size = net.weights([k, n], None, n, s_x)
    net.nodes.pop()
    return net.finish(net.op("MatMul", [x, w]), net.quant(size / rng.uniform(20, 90)))


def add(net):
    s_a, s_b = scale(), scale()
    a, b = net.input([1, 2, 4, 4], net.quant(s_a)), net.input([1, 2, 4, 4], net.quant(s_b))
    return net.finish(net.op("Add", [a, b]), net.quant((s_a + s_b) * rng.uniform(0.4, 1.1)))


def rescale(net):
    s_x = scale()
    return net.finish(net.input([1, 2, 4, 4], net.quant(s_x)), net.quant(s_x * rng.uniform(0.3, 3)))


def max_pool(net):
    quant = net.quant(scale())
    x = net.input([1, 2, 6, 5], quant)
    kernel, stride = [int(k) for k in rng.integers(1, 4, 2)], [int(s) for s in rng.integers(1, 3, 2)]
    return net.finish(net.op("MaxPool", [x], kernel_shape=kernel, strides=stride), quant)


def average_pool(net):
    s_x = scale()
    x = net.input([1, 2, 6, 5], net.quant(s_x))
    kernel, stride = [int(k) for k in rng.integers(2, 4, 2)], [int(s) for s in rng.integers(1, 3, 2)]
    y = net.op("AveragePool", [x], kernel_shape=kernel, strides=stride)
    return net.finish(y, net.quant(s_x * rng.uniform(0.3, 0.9)))


def global_average(net):
    s_x, plane = scale(), [int(p) for p in rng.integers(2, 8, 2)]
    x = net.input([1, 4, *plane], net.quant(s_x))
    return net.finish(net.op("GlobalAveragePool", [x]), net.quant(s_x * rng.uniform(0.1, 0.6)))


def edge_average(net):
    s_x = scale()
    x = net.input([1, 2, 6, 5], net.quant(s_x))
    kernel, stride = [int(k) for k in rng.integers(2, 5, 2)], [int(s) for s in rng.integers(1, 3, 2)]
    pads = [int(rng.integers(0, k)) for k in kernel * 2]
    y = net.op("AveragePool", [x], kernel_shape=kernel, strides=stride, pads=pads, ceil_mode=int(rng.integers(0, 2)))
    return net.finish(y, net.quant(s_x * rng.uniform(0.3, 0.9)))


def edge_max(net):
    quant = net.quant(scale())
    x = net.input([1, 2, 11, 12], quant)
    kernel, stride = [int(k) for k in rng.integers(1, 6, 2)], [int(s) for s in rng.integers(1, 3, 2)]
    dilation = [int(d) for d in rng.integers(1, 3, 2)]
    pads = [int(rng.integers(0, k)) for k in kernel * 2]
    y = net.op("MaxPool", [x], kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads)
    return net.finish(y, quant)


def dilated_conv(net):
    c, out = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    kernel, stride = [int(k) for k in rng.integers(1, 4, 2)], [int(s) for s in rng.integers(1, 4, 2)]
    dilation = [int(d) for d in rng.integers(1, 4, 2)]
    pads = [int(p) for p in rng.integers(0, 4, 4)]
    s_x = scale()
    x = net.input([1, c, 9, 8], net.quant(s_x))
    w, b, size = net.weights([out, c, *kernel], 0, out, s_x)
    y = net.op("Conv", [x, w, b], kernel_shape=kernel, strides=stride, dilations=dilation, pads=pads)
    return net.finish(y, net.quant(size / rng.uniform(20, 90)))


OPERATORS = {
    "conv": conv,
    "conv_relu": lambda net: conv(net, relu=True),
    "depthwise": lambda net: conv(net, depthwise=True),
    "gemm": gemm,
    "matmul": matmul,
    "add": add,
    "rescale": rescale,
    "max_pool": max_pool,
    "average_pool": average_pool,
    "global_average": global_average,
    "edge_average": edge_average,
    "edge_max": edge_max,
    "dilated_conv": dilated_conv,
}


def run(model, kind, inputs, seed):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    option = {"u8": "session.x64quantprecision", "i8": "session.qdqisint8allowed"}[kind]
    options.add_session_config_entry(option, "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    digests = []
    for sample in range(SAMPLES):
        count = sum(int(np.prod(shape)) for _, shape in inputs)
        values = np.frombuffer(stream(seed + sample, count), np.uint8).view(TYPES[kind][0])
        feeds, at = {}, 0
        for name, shape in inputs:
            size = int(np.prod(shape))
            feeds[name], at = values[at:at + size].reshape(shape), at + size
        digests.append(fnv(session.run(None, feeds)[0].tobytes()))
    return digests


cases = {}
for number, (name, make) in enumerate(OPERATORS.items()):
    cases[name] = []
    for i in range(NETWORKS):
        kind = ["u8", "i8"][i % 2]
        net = Net(kind)
        model = make(net)
        seed = number << 32 | i << 16
        digests = run(model, kind, net.inputs, seed)
        cases[name].append(dict(model=model.SerializeToString().hex(), seed=seed, digests=digests))
path = pathlib.Path(__file__).with_name("networks.json.gz")
path.write_bytes(gzip.compress(json.dumps(cases).encode(), 9, mtime=0))
