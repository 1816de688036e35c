#!/usr/bin/env python3
"""Proves the same float networks with EZKL and with inferproof, side by side, and writes a Markdown table.

    benches/peers/run.py FOLDER --inferproof target/release/inferproof --report report.md

FOLDER holds NAME.onnx (batch 1) and NAME.npz (array `x`: inputs, first axis = sample) for each network.
EZKL proves the float network after its own calibration; inferproof proves the static int8
quantization that onnxruntime makes of it. Only the standard library is needed to start: EZKL,
onnx and onnxruntime go into a virtual environment made at run time.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
MIB = 1024 * 1024
POLL_SECONDS = 0.05

# Hand-tuned settings of EZKL, beside its defaults, for the networks where they are known to help.
TUNED = {"mlp_digits": {"decomp_base": 128, "decomp_legs": 4}}


class StepFailed(Exception):
    """A step that did not finish: why, in the words of the table."""


@dataclass
class Measured:
    """What one child process used, and what it said."""

    result: dict
    cpu_s: float
    wall_s: float
    peak_mib: float


@dataclass
class Row:
    """One prover on one network."""

    system: str
    network: str
    k: object = None
    sizes: dict = field(default_factory=dict)
    cpu: dict = field(default_factory=dict)
    wall: dict = field(default_factory=dict)
    peak_mib: dict = field(default_factory=dict)
    error: object = None
    failed: str = ""

    def record(self, step, measured):
        self.cpu.setdefault(step, []).append(measured.cpu_s)
        self.wall.setdefault(step, []).append(measured.wall_s)
        self.peak_mib[step] = max(self.peak_mib.get(step, 0.0), measured.peak_mib)


def resident_mib(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


def measure(step, command, limits):
    """Runs a command under the limits. Its last line of output, when JSON, is its result."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        stopped = None
        while True:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() - start > limits.timeout:
                stopped = stopped or f"over {limits.timeout:.0f} s"
            if resident_mib(child.pid) > limits.memory_gib * 1024:
                stopped = stopped or f"over {limits.memory_gib:g} GiB after {time.perf_counter() - start:.0f} s"
            if stopped:
                child.kill()
            time.sleep(POLL_SECONDS)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        out.seek(0), err.seek(0)
        said, complaint = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if stopped:
        raise StepFailed(f"{step}: {stopped}")
    if child.returncode:
        lines = [line.strip() for line in (complaint or said).splitlines() if line.strip()]
        raise StepFailed(f"{step}: exit {child.returncode}: {lines[-1][:160] if lines else 'said nothing'}")
    return Measured(last_json(said), used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def last_json(text):
    """The JSON object that the output is, or that its last line is; {} where there is none."""
    for candidate in (text, text.strip().splitlines()[-1] if text.strip() else ""):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}


class Steps:
    """Runs the steps of step.py in the environment that was made for them."""

    def __init__(self, python, limits):
        self.python, self.limits = python, limits

    def __call__(self, name, **options):
        options = {key: str(value) if isinstance(value, Path) else value for key, value in options.items()}
        measured = measure(name, [str(self.python), str(HERE / "step.py"), name, json.dumps(options)], self.limits)
        if "cpu_s" not in measured.result:
            raise StepFailed(f"{name}: ended without a result")
        measured.cpu_s, measured.wall_s = measured.result["cpu_s"], measured.result["wall_s"]
        return measured


def largest_error(output, expected):
    if output is None or len(output) != len(expected):
        return None
    return max(abs(a - b) for a, b in zip(output, expected))


class Ezkl:
    """EZKL on a float network: settings, calibration and keys once, then any number of proofs."""

    def __init__(self, steps, model, folder, srs_folder, run_args, label):
        self.steps, self.model, self.folder, self.srs_folder = steps, model, folder, srs_folder
        self.run_args = run_args
        self.row = Row(label, model.stem)
        self.own = folder / label.replace(" ", "_").replace(",", "")
        self.own.mkdir(parents=True, exist_ok=True)

    def paths(self, *names):
        return {name: self.own / name for name in names}

    def step(self, name, **options):
        measured = self.steps(f"ezkl_{name}", **options)
        self.row.record(name, measured)
        return measured.result

    def set_up(self):
        self.step("settings", model=self.model, run_args=self.run_args, **self.paths("settings"))
        calibrated = self.step("calibrate", model=self.model, calibration=self.folder / "calibration.json",
                               **self.paths("settings"))
        self.row.k = calibrated["k"]
        self.step("compile", model=self.model, **self.paths("settings", "circuit"))
        self.srs = self.srs_folder / f"k{self.row.k}.srs"
        if not self.srs.exists():
            self.step("srs", srs=self.srs, k=self.row.k)
        keys = self.step("setup", srs=self.srs, **self.paths("circuit", "vk", "pk"))
        self.row.sizes.update(pk=keys["pk_bytes"], vk=keys["vk_bytes"])

    def prove_and_verify(self, expected):
        proof = self.step("prove", input=self.folder / "input.json", srs=self.srs,
                          **self.paths("circuit", "pk", "proof", "witness"))
        self.row.sizes["proof"] = proof["proof_bytes"]
        self.row.error = largest_error(proof["output"], expected)
        self.step("verify", srs=self.srs, **self.paths("proof", "settings", "vk"))


class Inferproof:
    """inferproof on the int8 quantization of the network."""

    def __init__(self, steps, program, model, data, folder, sample, limits):
        self.steps, self.program, self.model, self.data = steps, program, model, data
        self.folder, self.sample, self.limits = folder, sample, limits
        self.row = Row("inferproof", model.stem)
        self.quantized, self.keys = folder / "int8.onnx", folder / "keys"
        self.proof = folder / "inferproof.proof"

    def step(self, name, *arguments):
        measured = measure(name, [str(self.program), name, *map(str, arguments)], self.limits)
        self.row.record(name, measured)
        return measured.result

    def set_up(self):
        made = self.steps("quantize", model=self.model, data=self.data, quantized=self.quantized, sample=self.sample)
        self.runtime_output = made.result["output"]
        self.step("setup", self.quantized, "--keys", self.keys)
        for kind in ("pk", "vk"):
            self.row.sizes[kind] = (self.keys / f"model.{kind}").stat().st_size

    def prove_and_verify(self, expected):
        report = self.step("prove", self.quantized, "--input", self.folder / "input.npz", "-o", self.proof,
                           "--keys", self.keys, "--json")
        if "model_id" not in report:
            raise StepFailed("prove: its JSON names no model_id")
        self.row.k = report.get("k")
        self.row.sizes["proof"] = report.get("proof_bytes", self.proof.stat().st_size)
        verified = self.step("verify", self.proof, "--model-id", report["model_id"], "--allow-insecure-srs", "--json")
        output = proved_output(verified) or proved_output(report)
        self.row.error = largest_error(output, expected)
        apart = largest_error(output, self.runtime_output)
        self.row.sizes["from_runtime"] = apart


def proved_output(report):
    """The first output's values from a JSON report."""
    outputs = report.get("outputs")
    if not isinstance(outputs, dict) or not outputs:
        return None
    return [float(value) for value in next(iter(outputs.values()))["data"]]


def attempt(prover, action):
    """Runs one part of a prover; what stops it goes into its row."""
    if prover.row.failed:
        return
    try:
        action()
    except StepFailed as failure:
        prover.row.failed = str(failure)
        print(f"  {prover.row.system}: {failure}", flush=True)


def compare(model, arguments, steps, work):
    """All provers on one network; proofs alternate, so that a busy machine is shared fairly."""
    folder, srs_folder = work / model.stem, work / "srs"
    folder.mkdir(parents=True, exist_ok=True)
    srs_folder.mkdir(exist_ok=True)
    data = model.with_suffix(".npz")
    provers = []
    if not arguments.without_ezkl:
        provers.append(Ezkl(steps, model, folder, srs_folder, {}, "EZKL"))
        if model.stem in TUNED:
            provers.append(Ezkl(steps, model, folder, srs_folder, TUNED[model.stem], "EZKL, hand-tuned"))
    if arguments.inferproof:
        provers.append(Inferproof(steps, arguments.inferproof, model, data, folder, arguments.sample, arguments))
    try:
        prepared = steps("prepare", model=model, data=data, folder=folder, sample=arguments.sample,
                         calibration_samples=arguments.calibration_samples)
    except StepFailed as failure:
        for prover in provers:
            prover.row.failed = str(failure)
        return [prover.row for prover in provers]
    expected = prepared.result["float_output"]
    for prover in provers:
        print(f"{model.stem}: set up {prover.row.system}", flush=True)
        attempt(prover, prover.set_up)
    for turn in range(arguments.rounds):
        for prover in provers:
            print(f"{model.stem}: proof {turn + 1} of {arguments.rounds}, {prover.row.system}", flush=True)
            attempt(prover, lambda: prover.prove_and_verify(expected))
    if not arguments.keep:
        shutil.rmtree(folder)
    return [prover.row for prover in provers]


def number(value, digits=2):
    if value is None:
        return "-"
    if value and abs(value) < 10**-digits:
        return f"{value:.1e}"
    return f"{value:.{digits}f}"


def median(values):
    return statistics.median(values) if values else None


def table(rows):
    head = ["network", "prover", "k", "calibrate s", "setup s", "prove s", "verify s", "prove wall s", "peak MiB setup",
            "peak MiB prove", "proof B", "pk MB", "vk kB", "largest error", "note"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cpu = {step: median(values) for step, values in row.cpu.items()}
        sizes = row.sizes
        note = row.failed or (f"{number(sizes['from_runtime'], 3)} from onnxruntime's int8 output"
                              if sizes.get("from_runtime") is not None else "")
        lines.append("| " + " | ".join([
            row.network, row.system, "-" if row.k is None else str(row.k),
            number(cpu.get("calibrate")), number(cpu.get("setup")), number(cpu.get("prove")),
            number(cpu.get("verify"), 3), number(median(row.wall.get("prove"))),
            number(row.peak_mib.get("setup"), 0), number(row.peak_mib.get("prove"), 0),
            str(sizes.get("proof", "-")),
            number(sizes["pk"] / 1e6, 1) if "pk" in sizes else "-",
            number(sizes["vk"] / 1e3, 1) if "vk" in sizes else "-",
            number(row.error, 4), note.replace("|", "/"),
        ]) + " |")
    return "\n".join(lines)


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def memory_gib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def shown(argument):
    """An argument as the report shows it: existing paths by their last part, so no machine's folders leak."""
    return Path(argument).name if os.sep in argument else argument


def report(rows, arguments, versions):
    now = datetime.datetime.now(datetime.timezone.utc)
    command = shlex.join(["benches/peers/run.py", *map(shown, sys.argv[1:])])
    return "\n".join([
        "# Side by side with EZKL", "",
        f"- machine: {cpu_name()}, {len(os.sched_getaffinity(0))} cores, {memory_gib():.0f} GiB, "
        f"{platform.system()} {platform.machine()}",
        f"- load average at the end: {', '.join(f'{x:.1f}' for x in os.getloadavg())}",
        f"- date: {now:%Y-%m-%d %H:%M} UTC",
        f"- command: `{command}`",
        f"- versions: {versions}",
        f"- proofs per prover: {arguments.rounds}, in turns; limits per step: {arguments.timeout:.0f} s, "
        f"{arguments.memory_gib:g} GiB",
        "", table(rows), "",
        "Seconds are CPU seconds, user and system, all threads, the median over the proofs, except where the head says "
        "wall. EZKL's are taken inside its process, without the start of Python and imports; inferproof's are those of "
        "the whole program. EZKL's `prove` includes its `gen_witness`. Peak is the resident size of the whole "
        "process. The largest error is against the float network's output in onnxruntime on the same input: it holds "
        "EZKL's fixed-point error on one side and the int8 quantization on the other. Both sides use a locally made, "
        "insecure SRS, public inputs and outputs, and weights fixed in the key.", "",
    ])


def make_environment(folder):
    """The virtual environment with the pinned peers; made once, reused after."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    requirements = HERE / "requirements.txt"
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
    pinned = [line.strip() for line in requirements.read_text().splitlines() if "==" in line]
    return python, ", ".join([*pinned, f"Python {platform.python_version()}"])


def parse():
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with NAME.onnx and NAME.npz")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these networks (all in the folder)")
    parser.add_argument("--inferproof", type=Path, metavar="PROGRAM", help="inferproof (left out: EZKL alone)")
    parser.add_argument("--without-ezkl", action="store_true", help="inferproof alone")
    parser.add_argument("--report", type=Path, help="where the Markdown goes (standard output)")
    parser.add_argument("--rounds", type=int, default=1, help="proofs per prover (1)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds per step (600)")
    parser.add_argument("--memory-gib", type=float, default=6.0, help="resident memory per step (6)")
    parser.add_argument("--sample", type=int, default=0, help="which input to prove (0)")
    parser.add_argument("--calibration-samples", type=int, default=20, help="inputs for EZKL's calibration (20)")
    parser.add_argument("--venv", type=Path, default=cache / "inferproof-peers",
                        help="virtual environment to make or reuse")
    parser.add_argument("--work", type=Path, help="folder for keys and proofs (a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keep keys and proofs")
    return parser.parse_args()


def main():
    arguments = parse()
    models = sorted(path for path in arguments.folder.glob("*.onnx") if path.with_suffix(".npz").exists())
    if arguments.only:
        missing = set(arguments.only) - {path.stem for path in models}
        if missing:
            raise SystemExit(f"no NAME.onnx with NAME.npz in {arguments.folder} for: {', '.join(sorted(missing))}")
        models = [path for path in models if path.stem in arguments.only]
    if arguments.without_ezkl and not arguments.inferproof:
        raise SystemExit("nothing to run: name the program with --inferproof, or leave out --without-ezkl")
    if not models:
        raise SystemExit(f"{arguments.folder} holds no NAME.onnx with a NAME.npz beside it")
    if arguments.inferproof and not os.access(arguments.inferproof, os.X_OK):
        raise SystemExit(f"{arguments.inferproof} is no program; build it: cargo build --release")
    python, versions = make_environment(arguments.venv)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = (arguments.work or Path(temporary)).resolve()
        for model in sorted(models, key=lambda path: path.stat().st_size):
            rows += compare(model.resolve(), arguments, Steps(python, arguments), work)
    text = report(rows, arguments, versions)
    if arguments.report:
        arguments.report.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
