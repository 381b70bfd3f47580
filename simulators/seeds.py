"""Random numbers by name: every purpose and day has its own stream, so nothing depends on what was drawn before."""

import zlib

import numpy as np


def stream(seed: int, *names: object, day: int = 0) -> np.random.Generator:
    """The generator for a purpose and a day: always the same for the same arguments, whatever else was drawn."""
    words = [zlib.crc32(str(name).encode()) for name in names]
    key = np.random.SeedSequence([seed, *words]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, day % 2**63]))
