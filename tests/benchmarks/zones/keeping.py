"""Made zones and their peers' scores kept in .cache: both hang on the class, the seed and the code alone."""

import gzip
import hashlib
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from zones.homes import homes_file

FOLDER = Path(__file__).resolve().parents[3] / ".cache" / "bench-balance"
# What neither makes a zone nor runs or scores a peer.
APART = ("members.py", "assessed.py", "alerts.py", "metrics.py", "page.py", "aims.py", "running.py", "files.py")
Held = TypeVar("Held")


def kept(kind: str, zone_class: str, seed: int, make: Callable[[], Held]) -> Held:
    """What `make` gives, or gave before under the same code. A file that can't be read is made again."""
    name = hashlib.sha256(f"{_code()} {kind} {zone_class} {seed}".encode()).hexdigest()[:24]
    path = FOLDER / f"{kind}-{name}.pickle.gz"
    try:
        with gzip.open(path) as held:
            found: Held = pickle.load(held)
            return found
    except (OSError, EOFError, pickle.UnpicklingError, AttributeError):
        made = make()
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    with gzip.open(part, "wb", compresslevel=1) as out:
        pickle.dump(made, out, protocol=pickle.HIGHEST_PROTOCOL)
    part.rename(path)
    return made


@cache
def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name not in APART:
            digest.update(path.read_bytes())
    homes = homes_file()
    digest.update(str(homes.stat().st_size if homes else 0).encode())
    return digest.hexdigest()
