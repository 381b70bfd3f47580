"""The house: the packages are ours, rooms import downwards (import-linter), files and functions stay readable."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("metrology", "store", "gateway", "verifier", "api", "simulators", "meterproof")
PURE = (
    *("accepted", "explanation", "inference", "offline", "offline_days", "steps", "zone_days"),
    *("compared", "comparison", "comparison_budget", "file_comparisons", "pair_comparison", "site_test"),
    *("persistence", "resistances"),
    *("light_load", "light_load_due", "light_load_findings", "low_flow", "low_flow_loss", "low_flow_outlook"),
)
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_ours_and_not_another_distributions_package_of_that_name(room: str) -> None:
    file = importlib.import_module(room).__file__
    assert file is not None
    assert Path(file).is_relative_to(ROOT)


def test_imports_go_one_way() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 70
    ]
    assert not long


def test_sql_is_in_the_store_alone() -> None:
    """Statements are looked for by their shape; embedded servers make databases, which is not the schema's business."""
    allowed = (ROOT / "store", ROOT / "meterproof" / "embedded")
    words = ("select ", "insert into ", "update ", "delete from ")
    found = []
    for path in SOURCES:
        if any(path.is_relative_to(place) for place in allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = " ".join(node.value.lower().split())
                if text.startswith(words) and (" from " in text or " set " in text or " values" in text):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_the_mathematics_have_no_clock_and_no_io() -> None:
    forbidden = {"datetime.now", "time.time", "time.monotonic", "open", "print", "logging.getLogger"}
    pure = [
        *(ROOT / "metrology").rglob("*.py"),
        *(ROOT / "verifier" / "balance").rglob("*.py"),
        *((ROOT / "verifier" / f"{name}.py") for name in PURE),
    ]
    found = []
    for path in pure:
        calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
        found += [f"{path.name}:{call.lineno}" for call in calls if ast.unparse(call.func) in forbidden]
    assert not found


def test_no_test_imports_from_a_conftest() -> None:
    """There are several of that name: which one an import finds depends on what else is run."""
    found = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "conftest"
    ]
    assert not found
