"""Zones shared among processors give what they give one after the other."""

from pathlib import Path

import numpy as np
from small_zone import SETTINGS, meter_row, read_files, reading_rows, registers, use_kwh, write_csv

from verifier.accepted import step_results
from verifier.offline import judge_zones, zone_files


def test_processes_give_the_same_verdicts_in_the_order_of_the_zones(tmp_path: Path) -> None:
    rows, series = [], {}
    for zone in ("Z1", "Z2"):
        use = use_kwh(len(series), 5, 4)
        series |= {f"{zone}-{i}": registers(use[:, i], 0.1 * i) for i in range(4)} | {
            f"{zone}-R": registers(np.sum(use, axis=1))
        }
        rows += [meter_row(f"{zone}-{i}", zone=zone) for i in range(4)] + [meter_row(f"{zone}-R", "reference", zone)]
    write_csv(tmp_path / "meters.csv", rows)
    write_csv(tmp_path / "readings.csv", reading_rows(series))
    given = read_files(tmp_path)
    steps = step_results(given.readings.rows, given.registry.records, SETTINGS)
    zones = list(zone_files(given.registry, steps, given.side, given.site_tests))
    done: list[int] = []
    shared = judge_zones(zones, SETTINGS, done.append, processes=2)
    alone = judge_zones(zones, SETTINGS, processes=1)
    assert done == [1, 2]
    assert [one.zone.code for one in shared] == ["Z1", "Z2"]
    assert [one.meters for one in shared] == [one.meters for one in alone]
    assert [one.given for one in shared] == zones
