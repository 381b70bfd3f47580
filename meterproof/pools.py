"""The groups of a fleet whose meters' priors are pooled: as plain data and as a table for people."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from meterproof.console import out, print_table
from metrology.quantities import Medium
from verifier.balance.fleet import Fleet


def pool_data(medium: Medium, fleet: Fleet | None) -> dict[str, Any]:
    """The types and lots of a medium with what is known of them, and what all zones may err together [%]."""
    groups = [] if fleet is None else [asdict(row) for row in fleet.table()]
    return {"medium": medium.value, "common_pct": fleet and fleet.common_pct, "groups": groups}


def print_pools(pools: Iterable[dict[str, Any]]) -> None:
    """The same for people."""
    columns = ["type", "lot", "meters", "zones", "far", "mean [%]", "std of mean [%]", "sd [%]", "trend [%/a]", "used"]
    for pool in pools:
        rows = [
            [
                group["model"] or "(none stated)",
                "all" if group["lot"] is None else group["lot"] or "(none stated)",
                str(group["meters"]),
                str(group["zones"]),
                str(group["far"]),
                f"{group['mean_pct']:+.3f}",
                f"{group['mean_std_pct']:.3f}",
                f"{group['between_sd_pct']:.3f}",
                f"{group['trend_pct_per_year']:+.3f}" if group["trend_pct_per_year"] else "",
                "yes" if group["used"] else "too few",
            ]
            for group in pool["groups"]
        ]
        if not rows:
            out.print(f"{pool['medium']}: no zone tells of its meters", markup=False)
            continue
        print_table(f"{pool['medium']}: meters by type and lot", columns, rows)
        out.print(f"what all zones may err together: {pool['common_pct']:.3f} %", markup=False)
