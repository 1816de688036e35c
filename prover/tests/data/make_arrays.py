"""Makes the NumPy files of this folder: every type, both orders, both byte orders, stored and deflated."""
import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
base = np.arange(24).reshape(2, 3, 4) - 5
arrays = {}
for name in "u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8".split():
    values = np.abs(base) if name[0] == "u" else base / 2 if name[0] == "f" else base
    arrays[name] = values.astype("<" + name)
    arrays[name + "_big"] = values.astype(">" + name)
    arrays[name + "_fortran"] = np.asfortranarray(values.astype("<" + name))
arrays["bool"] = base % 3 == 0
arrays["scalar"] = np.float32(1.5)
arrays["one"] = np.asarray([7], "i8")
arrays["model/input:0"] = np.linspace(-1, 1, 12, dtype="f4").reshape(1, 12)
np.savez(here / "stored.npz", **arrays)
np.savez_compressed(here / "deflated.npz", **arrays)
np.savez(here / "unnamed.npz", arrays["f4"])
np.save(here / "plain.npy", arrays["f4_fortran"])
with open(here / "version2.npy", "wb") as file:
    np.lib.format.write_array(file, arrays["i1"], version=(2, 0))
