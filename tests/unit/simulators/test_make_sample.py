from pathlib import Path

import numpy as np
import pytest

from metrology.errors import InvalidInputError
from simulators.accounting import HELD_ROW, Held, account
from simulators.make_sample import SampleCounts, write_sample
from simulators.mapping import load_mapping
from simulators.replay import ReplayPlan, load_replay

SWM = Path(__file__).parents[3] / "simulators/mappings/swm.toml"


def made(tmp_path: Path, lines: int, meters: int, seed: int) -> tuple[SampleCounts, ReplayPlan]:
    path = tmp_path / f"{seed}.csv"
    return write_sample(path, lines, meters, seed), load_replay(path, load_mapping(SWM))


def first_come(plan: ReplayPlan) -> Held:
    """What a store holds that keeps the first row of each meter and time, and every other value as a conflict."""
    stored: dict[tuple[int, int], tuple[int, ...]] = {}
    conflicting: set[tuple[int, ...]] = set()
    for row in plan.rows:
        entry = (int(row["observed_us"]), int(row["register_micro"]), int(row["meter"]), int(row["status"]))
        if stored.setdefault((entry[2], entry[0]), entry) != entry:
            conflicting.add(entry)
    return Held(np.array(list(stored.values()), dtype=HELD_ROW), np.array(sorted(conflicting), dtype=HELD_ROW))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_file_holds_what_its_counts_say(tmp_path: Path, seed: int) -> None:
    counts, plan = made(tmp_path, 4000, 5, seed)
    found = account(plan, first_come(plan))
    assert found.complete
    assert (counts.lines, counts.meters) == (plan.lines, len(plan.serials))
    assert (found.stored, found.exact_duplicates, found.conflicting, found.rejected) == (
        counts.stored, counts.exact_duplicates, counts.conflicting, counts.rejected)  # fmt: skip
    assert counts.stored + counts.exact_duplicates + counts.conflicting + counts.rejected == counts.lines
    assert found.ambiguous_local_times == counts.ambiguous == 2 * counts.meters
    assert min(counts.gaps, counts.backward_steps, counts.glitches, counts.conflicting, counts.rejected) >= 5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_drops_gaps_and_totals_are_as_counted_after_the_replay_put_all_into_utc(tmp_path: Path, seed: int) -> None:
    counts, plan = made(tmp_path, 4000, 5, seed)
    stored = np.sort(first_come(plan).stored, order=["meter", "observed_us"])
    same = np.diff(stored["meter"]) == 0
    spacing_s = np.diff(stored["observed_us"])[same] / 1e6
    assert (((spacing_s > 3500) & (spacing_s < 3700)) | ((spacing_s > 10_700) & (spacing_s < 10_900))).all()
    assert (spacing_s > 7200).sum() == counts.gaps
    litres = stored["register_micro"] // 1000
    steps = np.diff(litres)[same]
    assert (steps < 0).sum() == counts.backward_steps + counts.glitches
    assert (litres == 0).sum() == counts.glitches
    ends = np.append(np.flatnonzero(~same), len(litres) - 1)
    begins = np.append(0, np.flatnonzero(~same) + 1)
    assert (litres[ends] - litres[begins]).sum() == counts.net_litres


def test_the_same_arguments_give_the_same_file(tmp_path: Path) -> None:
    write_sample(tmp_path / "a.csv", 1000, 2, 5)
    write_sample(tmp_path / "b.csv", 1000, 2, 5)
    write_sample(tmp_path / "c.csv", 1000, 2, 6)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c
    assert a.splitlines()[0] == b"user key;datetime;meter reading;diff"


def test_too_few_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="give 100 to 16000 lines for each"):
        write_sample(tmp_path / "x.csv", 500, 6)
