"""Wrong files given to the replay: a clear refusal, a true account, and nothing of the user's destroyed."""

from pathlib import Path

from running_system import System

MAPPING = """
utility = "alicante"
medium = "water"
unit = "L"
[file]
separator = ";"
[columns]
meter = "meter"
observed_at = "time"
register = "reg"
[time]
format = "%d/%m/%Y %H:%M:%S"
zone = "Europe/Madrid"
"""


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_rejects_never_overwrite_the_input(system: System, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    file = write(tmp_path, "a.csv", "meter;time;reg\nW1;20/03/2026 00:00:00;x\n")
    result = system.run("replay", file, "--mapping", mapping, "--rejects", file)
    assert result.returncode == 2
    assert "would overwrite" in result.stderr
    assert file.read_text().startswith("meter;time;reg")
    result = system.run("replay", file, "--mapping", mapping, "--register", "--rejects", tmp_path / "no" / "x.csv")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "x.csv" in result.stderr


def test_a_file_without_one_usable_line_fails_and_says_why(system: System, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    file = write(tmp_path, "a.csv", "meter;time;reg\nW1;20/03/2026 00:00:00;x\nW1;20/03/2026 01:00:00;\n")
    result = system.run("replay", file, "--mapping", mapping, "--register")
    assert result.returncode == 2
    assert "line 2, column reg: 'x'" in result.stderr
    assert "not one of 2 lines" in result.stderr
    wrong = write(tmp_path, "wrong.toml", MAPPING.replace("%d/%m/%Y", "%Q/%Y"))
    result = system.run("replay", file, "--mapping", wrong, "--register")
    assert result.returncode == 2
    assert "%Q is no directive" in result.stderr


def test_a_line_without_a_meter_does_not_hold_up_the_others(system: System, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    lines = [
        "W1;20/03/2026 00:00:00;5",
        ";20/03/2026 05:00:00;7",
        "W\0;20/03/2026 05:00:00;7",
        "W2;20/03/2026 05:00:00;7",
    ]
    file = write(tmp_path, "a.csv", "\n".join(["meter;time;reg", *lines, ""]))
    figures = system.run_json("replay", file, "--mapping", mapping, "--register")
    assert (figures["accounting"]["stored"], figures["accounting"]["rejected"]) == (2, 2)
    assert figures["run"]["meters"] == 2


def test_what_has_not_arrived_is_not_called_accounted_for(system: System, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    file = write(tmp_path, "a.csv", "meter;time;reg\nW1;20/03/2026 00:00:00;5\n")
    system.kill_role("gateway")
    result = system.run("replay", file, "--mapping", mapping, "--register", "--timeout-s", "2")
    assert result.returncode == 1
    assert "INCOMPLETE" in result.stdout
    assert "1 lines missing" in result.stderr
    assert "every line accounted for" not in result.stdout


def test_another_citys_history_is_not_mixed_in(system: System, tmp_path: Path) -> None:
    scenario = (Path(__file__).parents[2] / "simulators" / "scenarios" / "tiny.toml").read_text()
    first = write(tmp_path, "first.toml", scenario)
    assert system.run("simulate", first).returncode == 0
    system.wait_until("select count(*) > 0 from reading")
    other = write(tmp_path, "other.toml", scenario.replace("start = 20", "start = 21"))
    assert other.read_text() != first.read_text()
    result = system.run("simulate", other)
    assert result.returncode == 2
    assert "another city's" in result.stderr
