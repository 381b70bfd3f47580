"""`assess --pool-priors`: zones judged twice, the second time with what all other zones tell of meters of the type."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pa_csv
import pytest
from small_zone import meter_row, reading_rows, registers, use_kwh, write_csv
from typer.testing import CliRunner

from meterproof.cli import app

ZONES, METERS, DAYS = 4, 8, 7
Rows = dict[str, dict[str, Any]]


def write_zones(folder: Path, stated: Mapping[str, str]) -> dict[str, float]:
    """Zones of two types, of which B errs by 1 % alike; each reference by itself. Returns the true errors [%]."""
    rng = np.random.default_rng(11)
    rows, series, errors = [], {}, {}
    for zone in range(ZONES):
        use = use_kwh(100 + zone, DAYS, METERS)
        for i in range(METERS):
            model = "AB"[i % 2]
            serial = f"{model}{zone}{i}"
            errors[serial] = rng.normal(1.0 if model == "B" else 0.0, 0.15)
            series[serial] = registers(use[:, i], errors[serial])
            own = {"prior_sd_pct": stated.get(serial, "")}
            rows.append(meter_row(serial, zone=f"Z{zone}", model=model, lot="1", installed_on="2020-01-01", **own))
        through = use.sum(axis=1)
        series[f"R{zone}"] = registers(through + 0.015 * through.mean(), rng.normal(0, 0.2))
        rows.append(meter_row(f"R{zone}", "reference", f"Z{zone}"))
    write_csv(folder / "meters.csv", rows)
    write_csv(folder / "readings.csv", reading_rows(series))
    return errors


def assess(folder: Path, *options: str) -> tuple[dict[str, Any], Rows]:
    out = folder / "out.csv"
    files = ["--readings", str(folder / "readings.csv"), "--meters", str(folder / "meters.csv"), "--out", str(out)]
    done = CliRunner().invoke(app, ["assess", *files, "--json", *options])
    assert done.exit_code == 0, done.output
    rows = pa_csv.read_csv(out).to_pylist()
    return json.loads(done.stdout), {row["meter"]: row for row in rows}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, float], Rows, dict[str, Any], Rows]:
    folder = tmp_path_factory.mktemp("pooled")
    errors = write_zones(folder, {"B01": "0.4"})
    config = folder / "meterproof.toml"
    config.write_text("[verifier.balance]\npool_meters_min = 12\n", encoding="utf-8")
    _, plain = assess(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        data, pooled = assess(folder, "--pool-priors", "--explain", "B03")
    return errors, plain, data, pooled


def test_table_shows_the_groups_as_they_are(judged: tuple[dict[str, float], Rows, dict[str, Any], Rows]) -> None:
    _, _, data, _ = judged
    [pool] = data["priors"]
    groups = {group["model"]: group for group in pool["groups"]}
    assert pool["medium"] == "electricity"
    assert {model: (one["meters"], one["zones"], one["used"]) for model, one in groups.items()} == {
        "A": (16, 4, True),
        "B": (16, 4, True),
    }
    for model, mean in (("A", 0.0), ("B", 1.0)):
        one = groups[model]
        assert abs(one["mean_pct"] - mean) < 2.5 * np.hypot(one["mean_std_pct"], pool["common_pct"])
    assert groups["B"]["mean_pct"] - groups["A"]["mean_pct"] == pytest.approx(1.0, abs=0.25)


def test_rows_say_which_prior_a_meter_had(judged: tuple[dict[str, float], Rows, dict[str, Any], Rows]) -> None:
    _, plain, data, pooled = judged
    assert {plain[meter]["prior_source"] for meter in ("A00", "B03")} == {"settings, balance.prior_sd_electricity_pct"}
    assert pooled["B01"]["prior_source"] == "stated for this meter (prior_sd_pct)"
    assert pooled["B01"]["prior_sd_pct"] == 0.4
    assert pooled["B03"]["prior_source"].startswith("pooled by type B, lot 1, age 6.0 a: 12 meters of the type in 3")
    assert pooled["B03"]["prior_mean_pct"] > pooled["A00"]["prior_mean_pct"] + 0.6
    assert pooled["B03"]["prior_sd_pct"] < 0.4
    assert not pooled["R0"]["prior_source"]
    [told] = data["explained"]
    assert told["prior"]["source"] == pooled["B03"]["prior_source"]
    assert told["prior"]["mean_pct"] == pytest.approx(pooled["B03"]["prior_mean_pct"])


def test_estimates_are_nearer_to_the_truth_and_cover_it(
    judged: tuple[dict[str, float], Rows, dict[str, Any], Rows],
) -> None:
    errors, plain, _, pooled = judged
    before, after = (np.array([rows[m]["error_pct"] - e for m, e in errors.items()]) for rows in (plain, pooled))
    assert np.sqrt(np.mean(after**2)) < np.sqrt(np.mean(before**2))
    z = after / np.array([pooled[m]["std_pct"] for m in errors])
    assert np.mean(np.abs(z) < 2.5) >= 0.95
    assert {pooled[m]["outcome"] for m in errors} == {"conforming"}
