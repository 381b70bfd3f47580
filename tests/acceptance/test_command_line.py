"""The command line as a user meets it: the demo, and wrong input that gets one clear message and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meterproof.embedded.runtime import embedded_servers
from meterproof.settings import EmbeddedSettings, Settings

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("METERPROOF_")}
    return subprocess.run(
        [sys.executable, "-m", "meterproof", *arguments],
        cwd=cwd,
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_demo_ends_by_itself_and_accounts_for_its_readings(tmp_path: Path) -> None:
    tiny = str(ROOT / "simulators" / "scenarios" / "tiny.toml")
    # Slow batches: the summary has to wait for what was published last, and must not be early.
    result = run("demo", "--once", "--scenario", tiny, cwd=tmp_path, METERPROOF_GATEWAY__BATCH_LINGER_MS="1500")
    assert result.returncode == 0, result.stderr
    figures = {
        cells[1].strip(): cells[2].strip()
        for cells in (line.split("│") for line in result.stdout.splitlines())
        if len(cells) == 4
    }
    published = int(figures["published in this run"].replace(",", ""))
    stored = [int(figures[name].replace(",", "")) for name in ("stored", "exact duplicates", "conflicting values")]
    assert published > 1000
    assert sum(stored) == published
    assert figures["messages in quarantine"] == "4"
    assert "alerts against truth" in result.stdout
    again = run("demo", "--once", "--scenario", tiny, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "is loaded already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "place"),
    [
        (["check-config"], {"METERPROOF_DATABASE__POOL_MAX": "none"}, "database.pool_max = 'none'"),
        (["check-config"], {"METERPROOF_DATABSE__DSN": "x"}, "METERPROOF_DATABSE__DSN"),
        (["check-config"], {"METERPROOF_API__PROT": "1"}, "api.prot"),
        (["check-config"], {"METERPROOF_MQTT__URL": "http://x", "METERPROOF_MQTT__CLIENT_ID": "g"}, "mqtt.url"),
        (["--config", "missing.toml", "check-config"], {}, "missing.toml"),
        (["import", "meters", "missing.csv", "--utility", "u"], {}, "missing.csv"),
        (["import", "side", "missing", "--utility", "u"], {}, "missing"),
        (["replay", "missing.csv", "--mapping", "missing.toml"], {}, "missing.toml"),
        (["simulate", "missing.toml"], {}, "missing.toml"),
        (["score", "missing.json"], {}, "missing.json"),
        (["regulations", "--show", "oiml-r99"], {}, "oiml-r46"),
        (["serve", "gateway"], {}, "database.dsn"),
        (["serve", "postman"], {}, "postman"),
        (["migrate", "--check"], {"METERPROOF_DATABASE__DSN": "postgresql://nobody@127.0.0.1:1/x"}, "database.dsn"),
        (["migrate"], {"METERPROOF_DATABASE__DSN": "nonsense"}, "database.dsn"),
    ],
)
def test_wrong_use_gets_one_message_that_names_the_place(
    arguments: list[str], environment: dict[str, str], place: str, tmp_path: Path
) -> None:
    result = run(*arguments, cwd=tmp_path, **environment)
    assert result.returncode in (1, 2), result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert place in result.stderr


def test_migrate_takes_the_database_that_is_set_and_starts_no_server_beside_it(
    migrated_dsn: str, tmp_path: Path
) -> None:
    for arguments in (["migrate"], ["migrate", "--check"]):
        result = run(*arguments, cwd=tmp_path, METERPROOF_DATABASE__DSN=migrated_dsn)
        assert (result.returncode, result.stdout) == (0, "up to date\n"), result.stderr
    assert not (tmp_path / "var").exists()


def test_migrate_finds_the_system_that_runs_in_the_folder_and_does_without_one(tmp_path: Path) -> None:
    settings = Settings(embedded=EmbeddedSettings(var_dir=tmp_path / "var"))
    with embedded_servers(settings):
        assert run("migrate", "--check", cwd=tmp_path).returncode == 1
        applied = run("migrate", cwd=tmp_path)
        assert applied.returncode == 0, applied.stderr
        assert "applied 0001" in applied.stdout
    assert run("migrate", "--check", cwd=tmp_path).stdout == "up to date\n"


def test_a_settings_file_with_faults_names_each(tmp_path: Path) -> None:
    (tmp_path / "meterproof.toml").write_text('[database]\npool_min = 9\npool_max = 2\n[log]\nlevel = "LOUD"\n')
    result = run("check-config", cwd=tmp_path)
    assert result.returncode == 2
    assert "pool_min" in result.stderr
    assert "log.level = 'LOUD'" in result.stderr
    (tmp_path / "meterproof.toml").write_text("[database\n")
    assert "not TOML" in run("check-config", cwd=tmp_path).stderr


def test_check_config_hides_what_is_secret(tmp_path: Path) -> None:
    secrets = {
        "METERPROOF_DATABASE__DSN": "postgresql://u:sesame@127.0.0.1/x",
        "METERPROOF_MQTT__CLIENT_ID": "g",
        "METERPROOF_MQTT__URL": "mqtt://127.0.0.1",
        "METERPROOF_MQTT__USERNAME": "g",
        "METERPROOF_MQTT__PASSWORD": "sesame",
    }
    for arguments in (["check-config"], ["check-config", "--json"]):
        result = run(*arguments, cwd=tmp_path, **secrets)
        assert result.returncode == 0, result.stderr
        assert "sesame" not in result.stdout + result.stderr
    assert json.loads(run("check-config", "--json", cwd=tmp_path, **secrets).stdout)["api"]["port"] == 8017
