"""Installs the other systems into a cache folder, apart from the project's own environment."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
NODE_RED_FOLDER: Final = ROOT / ".cache" / "peers" / "node-red"
MQ_BRIDGE_FOLDER: Final = ROOT / ".cache" / "peers" / "mq-bridge"
# Node-RED 5 needs Node.js 22.9 or later, whatever this machine has.
NODE_RED_PACKAGES: Final = ("node@22", "node-red@5.0.7", "node-red-contrib-postgrestor-next@0.5.2")
MQ_BRIDGE_PACKAGE: Final = "mq-bridge==1.2.0"
_TIMEOUT_S: Final = 180


def install_node_red() -> str | None:
    """Why it can't be compared, or None."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "Node.js with npm is not installed"
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(NODE_RED_FOLDER)]
    return _install([*command, *NODE_RED_PACKAGES], NODE_RED_FOLDER, "\n".join(NODE_RED_PACKAGES))


def install_mq_bridge() -> str | None:
    """Why it can't be compared, or None."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade"]
    return _install(
        [*command, "--target", str(MQ_BRIDGE_FOLDER), MQ_BRIDGE_PACKAGE], MQ_BRIDGE_FOLDER, MQ_BRIDGE_PACKAGE
    )


def _install(command: list[str], folder: Path, wanted: str) -> str | None:
    stamp = folder / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    print(f"installing {wanted.replace(chr(10), ', ')} (once)", flush=True)
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"its installation failed: {error}"
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        return f"its installation failed: {lines[-1] if lines else result.returncode}"
    stamp.write_text(wanted, encoding="utf-8")
    return None
