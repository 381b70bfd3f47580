"""The figure of a zone: what it shows, for small and large zones, and that the same verdicts give the same bytes."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from small_zone import START

from meterproof.offline.figures import draw_zones
from metrology.conformity import Outcome
from metrology.errors import InvalidInputError
from store.registry import Meter, Zone
from store.times import to_micros
from verifier.accepted import StepResults
from verifier.balance.types import MeterAssessment, SideInformation
from verifier.offline import MeterVerdict, ZoneVerdict
from verifier.offline_days import ZoneFile
from verifier.zone_members import ZoneMeters

END_US = to_micros(START)


def verdict(i: int, error_pct: float | None, std_pct: float | None, outcome: Outcome, mpe_pct: float) -> MeterVerdict:
    meter = Meter(
        i, 0, "f", f"E-{i:03d}", "electricity", "kWh", 1000, None, "2", "", "", "", None, mpe_pct, None, START
    )
    decidable = std_pct is not None and 2 * 1.645 * std_pct < mpe_pct
    one = MeterAssessment(i, END_US, END_US, mpe_pct, error_pct, std_pct, None, outcome, (), None, decidable)
    return MeterVerdict("Z", meter, "customer", outcome, (), one, error_pct, std_pct)


def zone_of(meters: list[MeterVerdict], code: str = "Z") -> ZoneVerdict:
    zone = Zone(0, 0, "f", code, "electricity", None, 900, 0.3)
    given = ZoneFile(ZoneMeters(zone, (), {}), (), StepResults({}, ()), SideInformation())
    return ZoneVerdict(zone, given, tuple(meters), {}, 1)


def many(count: int) -> list[MeterVerdict]:
    errors = np.random.default_rng(count).normal(0, 1, count)
    meters = [verdict(i, float(e), 0.4, Outcome.CONFORMING, 3.5) for i, e in enumerate(errors)]
    meters[0] = verdict(0, -60.0, 0.4, Outcome.NONCONFORMING, 3.5)
    meters[1] = verdict(1, None, None, Outcome.NONCONFORMING, 3.5)
    meters[2] = verdict(2, 0.0, 3.0, Outcome.INCONCLUSIVE, 3.5)
    return meters


def texts(svg: Path) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.parse(svg).iter() if node.tag.endswith("text")]


@pytest.mark.parametrize("count", [5, 60, 300])
def test_a_figure_names_axes_outcomes_and_who_is_nonconforming(tmp_path: Path, count: int) -> None:
    svg, png = draw_zones(tmp_path / "new" / "folder", [zone_of(many(count))])
    shown = texts(svg)
    assert "error of indication [%]" in shown
    assert any(text.startswith("Zone Z (electricity)") for text in shown)
    assert {"nonconforming: 1", "nonconforming: 1 without estimate", "inconclusive: 1 not decidable"} <= set(shown)
    assert f"conforming: {count - 3}" in shown
    assert any("E-000" in text for text in shown)
    assert any("E-001" in text for text in shown)
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_same_verdicts_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (draw_zones(tmp_path / name, [zone_of(many(12))]) for name in ("a", "b"))
    assert [one.read_bytes() for one in first] == [two.read_bytes() for two in second]


def test_names_that_are_no_file_names_and_zones_without_estimates(tmp_path: Path) -> None:
    silent = [verdict(i, None, None, Outcome.WITHHELD, 3.5) for i in range(3)]
    zones = [zone_of(silent, "../五/台区"), zone_of(silent, "a:b"), zone_of([], "a*b")]
    files = draw_zones(tmp_path / "figures", zones)
    assert all(file.parent == tmp_path / "figures" and file.exists() for file in files)
    assert len({file.name for file in files}) == 6


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="--figures"):
        draw_zones(tmp_path / "file" / "figures", [zone_of(many(5))])
