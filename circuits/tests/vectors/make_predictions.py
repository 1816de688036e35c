"""Writes predictions.txt: the classes that onnxruntime predicts for the shared models on the shared data sets.

    python make_predictions.py SHARED > predictions.txt

SHARED is a folder with models/ and data/. One line per model: name, data set, number of samples (the first ones),
how many predictions are the labels, the session options, and the predictions, one character each (0-9, then a, b, ...). A prediction is the
first largest output. The kernels are the exact integer ones: session options are taken with which the stored samples of
the model come out bit for bit.
"""

import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

MNIST = 2000
# Model, data set, number of samples.
RUNS = [
    ("mnist_lenet5_qdq_s8s8_pc", "mnist", MNIST),
    ("mnist_lenet5_qop_u8s8_pc", "mnist", MNIST),
    ("mnist_dwcnn_qdq_s8s8_pc", "mnist", MNIST),
    ("mnist_dwcnn_qop_u8s8_pc", "mnist", MNIST),
    ("onnx_mnist8_qdq_u8s8_pt", "mnist", MNIST),
    ("tinymaix_mnist_dw_tf2onnx_qdq", "mnist", MNIST),
    ("tinymaix_mnist_resnet_tf2onnx_qdq", "mnist", MNIST),
    ("mlperf_kws_tf2onnx_qdq", "kws", 1000),
    ("mlperf_resnet8_tf2onnx_qdq", "cifar", 500),
]
FILES = {
    "mnist": ("mnist_t10k.npz", "images"),
    "kws": ("kws_mfcc_int8_1000.npz", "features"),
    "cifar": ("cifar10_test_first932.npz", "images"),
}


def feed(values, kind, shape, scale):
    """One sample as the model takes it: int8 models take pixels less 128, float models pixels times a scale."""
    if kind == "tensor(int8)":
        values = values if values.dtype == np.int8 else (values.astype(np.int16) - 128).astype(np.int8)
    else:
        values = values.astype(np.float32) * np.float32(scale)
    return values.reshape(shape)


def session(path, *entries):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    for entry in entries:
        options.add_session_config_entry(f"session.{entry}", "1")
    return ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def exact_session(folder):
    """The first choice of options with which every stored sample comes out as stored (on a processor with VNNI)."""
    samples = np.load(folder / "samples.npz")
    for entries in (["x64quantprecision", "qdqisint8allowed"], ["x64quantprecision"], ["qdqisint8allowed"]):
        try:
            found = session(folder / "model.onnx", *entries)
        except Exception:  # onnxruntime refuses some models with some options, with an exception of its own each time
            continue
        name_in, name_out = found.get_inputs()[0].name, found.get_outputs()[0].name
        key = f"out__{name_out}__int8allowed"
        stored = samples[key if key in samples else f"out__{name_out}"]
        outputs = [found.run(None, {name_in: x})[0] for x in samples[f"in__{name_in}"]]
        if all(np.array_equal(y, w) for y, w in zip(outputs, stored)):
            return found, entries, samples[f"in__{name_in}"]
    raise SystemExit(f"{folder.name}: no options give the stored outputs")


def predict(folder, values):
    found, entries, stored = exact_session(folder)
    port = found.get_inputs()[0]
    shape = [1] + [int(d) for d in port.shape[1:]]
    scale = 1.0 if stored.max() > 1 else 1 / 255
    outputs = (found.run(None, {port.name: feed(v, port.type, shape, scale)})[0] for v in values)
    return "+".join(entries), [int(np.argmax(y)) for y in outputs]


def main():
    shared = Path(sys.argv[1])
    print(f"# onnxruntime {ort.__version__}, numpy {np.__version__}, {platform.machine()}")
    print("# model | data | samples | correct | session options | predictions")
    for name, data, count in RUNS:
        file, key = FILES[data]
        arrays = np.load(shared / "data" / file)
        entries, predictions = predict(shared / "models" / name, arrays[key][:count])
        correct = sum(int(p == l) for p, l in zip(predictions, arrays["labels"][:count]))
        digits = "".join("0123456789abcdef"[p] for p in predictions)
        print(f"{name} | {data} | {count} | {correct} | {entries} | {digits}")


main()
