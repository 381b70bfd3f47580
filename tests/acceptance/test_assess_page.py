"""docs/assess.md is true: its commands run on its example, and give the table that it shows."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from zone_files import read_csv, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "assess.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^meterproof (assess .*)$", PAGE, flags=re.MULTILINE)
SHOWN = re.findall(r"^\| (E-\d+) \| ([-\d.]+) \| ([\d.]+) \| (\w+) \| ([-\d]*) ?\|$", PAGE, flags=re.MULTILINE)


def test_the_page_shows_commands_and_a_table() -> None:
    assert len(COMMANDS) == 2
    assert len(SHOWN) == 6


@pytest.mark.parametrize("command", COMMANDS)
def test_the_worked_example_gives_what_the_page_shows(command: str, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "docs" / "examples" / "zone", tmp_path / "zone")
    result = run(*shlex.split(command), cwd=folder)
    assert result.returncode == 0, result.stderr
    rows = {row["meter"]: row for row in read_csv(folder / "verdicts.csv")}
    for meter, error_pct, std_pct, outcome, alert_on in SHOWN:
        row = rows[meter]
        assert (row["outcome"], row["first_alert_at"][:10]) == (outcome, alert_on)
        assert float(row["error_pct"]) == pytest.approx(float(error_pct), abs=0.06)
        assert float(row["std_pct"]) == pytest.approx(float(std_pct), abs=0.06)
    if "--explain" in command:
        assert "what would make the zone surer" in result.stdout
        assert {file.name for file in (folder / "figures").iterdir()} == {"EZ001.svg", "EZ001.png"}
