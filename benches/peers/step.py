"""One step of a comparison in a process of its own; run.py starts it with the environment it made.

    step.py NAME JSON

JSON holds the step's paths and options. The last line printed is a JSON object: the step's result,
the wall seconds, and the CPU seconds of the step itself, without the start of Python and imports.
"""

import json
import resource
import sys
import time
from pathlib import Path


def samples(options, count=None):
    """Inputs of the network, first axis = sample, each with the graph's own shape."""
    import numpy as np

    return np.load(options["data"])["x"][:count].astype(np.float32)


def write_ezkl_input(path, x):
    Path(path).write_text(json.dumps({"input_data": [x.reshape(-1).astype(float).tolist()]}))


def prepare(options):
    """Writes EZKL's input and calibration files, the other prover's input, and the float output."""
    import numpy as np
    import onnx
    import onnxruntime

    folder = Path(options["folder"])
    graph = onnx.load(options["model"]).graph
    shape = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    x = samples(options)
    one = x[options["sample"]].reshape(shape)
    write_ezkl_input(folder / "input.json", one)
    write_ezkl_input(folder / "calibration.json", x[: options["calibration_samples"]])
    np.savez(folder / "input.npz", **{graph.input[0].name: one})
    run = onnxruntime.InferenceSession(options["model"], providers=["CPUExecutionProvider"])
    expected = run.run(None, {graph.input[0].name: one})[0].reshape(-1)
    return {"float_output": expected.astype(float).tolist()}


def quantize(options):
    """The network's static int8 quantization: QDQ, uint8 activations, int8 weights per channel."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    run = onnxruntime.InferenceSession(options["model"], providers=["CPUExecutionProvider"])
    wanted = run.get_inputs()[0]

    class Samples(CalibrationDataReader):
        def __init__(self):
            self.feeds = iter([{wanted.name: one.reshape(wanted.shape)} for one in samples(options)])

        def get_next(self):
            return next(self.feeds, None)

    quantize_static(
        options["model"], options["quantized"], Samples(), quant_format=QuantFormat.QDQ, per_channel=True,
        reduce_range=False, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )
    exact = onnxruntime.SessionOptions()
    exact.add_session_config_entry("session.x64quantprecision", "1")  # exact without VNNI too
    quantized = onnxruntime.InferenceSession(options["quantized"], exact, providers=["CPUExecutionProvider"])
    one = samples(options)[options["sample"]].reshape(wanted.shape)
    output = quantized.run(None, {wanted.name: one})[0].reshape(-1)
    return {"output": output.astype(float).tolist(), "bytes": Path(options["quantized"]).stat().st_size}


def ezkl_settings(options):
    import ezkl

    arguments = ezkl.PyRunArgs()
    arguments.input_visibility = "public"
    arguments.output_visibility = "public"
    arguments.param_visibility = "fixed"
    for name, value in options["run_args"].items():
        setattr(arguments, name, value)
    return {"ok": ezkl.gen_settings(options["model"], options["settings"], py_run_args=arguments)}


def ezkl_calibrate(options):
    import ezkl

    ok = ezkl.calibrate_settings(options["calibration"], options["model"], options["settings"], "resources")
    settings = json.loads(Path(options["settings"]).read_text())
    return {"ok": ok, "k": settings["run_args"]["logrows"], "rows": settings["num_rows"],
            "input_scale": settings["run_args"]["input_scale"]}


def ezkl_compile(options):
    import ezkl

    return {"ok": ezkl.compile_circuit(options["model"], options["circuit"], options["settings"])}


def ezkl_srs(options):
    import ezkl

    ezkl.gen_srs(options["srs"], options["k"])
    return {"ok": True}


def ezkl_setup(options):
    import ezkl

    ok = ezkl.setup(options["circuit"], options["vk"], options["pk"], options["srs"])
    return {"ok": ok, "pk_bytes": Path(options["pk"]).stat().st_size, "vk_bytes": Path(options["vk"]).stat().st_size}


def ezkl_prove(options):
    """Witness and proof: what turns an input into a proof."""
    import ezkl

    ezkl.gen_witness(options["input"], options["circuit"], options["witness"])
    ezkl.prove(options["witness"], options["circuit"], options["pk"], options["proof"], options["srs"])
    written = json.loads(Path(options["witness"]).read_text())
    output = [float(value) for value in written["pretty_elements"]["rescaled_outputs"][0]]
    proof = json.loads(Path(options["proof"]).read_text())["hex_proof"]
    return {"ok": True, "proof_bytes": len(bytes.fromhex(proof.removeprefix("0x"))), "output": output}


def ezkl_verify(options):
    import ezkl

    return {"ok": ezkl.verify(options["proof"], options["settings"], options["vk"], options["srs"])}


STEPS = {step.__name__: step for step in (
    prepare, quantize, ezkl_settings, ezkl_calibrate, ezkl_compile, ezkl_srs, ezkl_setup, ezkl_prove, ezkl_verify,
)}


def cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main():
    name, options = sys.argv[1], json.loads(sys.argv[2])
    if name.startswith("ezkl"):
        import ezkl  # noqa: F401  the import is not part of the step
    cpu, wall = cpu_seconds(), time.perf_counter()
    result = STEPS[name](options)
    result.update(cpu_s=cpu_seconds() - cpu, wall_s=time.perf_counter() - wall)
    if result.get("ok", True) is not True:
        raise SystemExit(f"{name} returned {result['ok']!r}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
