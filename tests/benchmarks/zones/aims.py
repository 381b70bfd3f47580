"""The aims of the balance, each with the figure measured and whether it was met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from zones.metrics import ClassFigures, figures
from zones.running import ZoneRun

MOST_DELAY_DAYS = {"step": 5.0, "drift": 12.0, "stopped": 2.0, "reversed": 2.0}
Runs = Mapping[str, Sequence[ZoneRun]]


@dataclass(frozen=True)
class Aim:
    """`is_met` None: not measured in this run."""

    text: str
    figure: str
    is_met: bool | None


def aims_of(runs: Runs) -> list[Aim]:
    """In the order in which they are stated."""
    every = figures([run for held in runs.values() for run in held])
    classes = {name: figures(held) for name, held in runs.items()}
    out = [
        Aim(
            "RMSE of healthy meters at most the prior's in every zone",
            f"{every.not_worse} of {every.zones} zones, worst ratio {every.worst_ratio:.2f}",
            every.not_worse == every.zones,
        ),
        _coverage("Coverage of 95 % intervals 93 to 97 % a zone class", classes, lambda one: one.coverage_pct),
        _coverage("The same, where the gate is open", classes, lambda one: one.open_coverage_pct),
        _most("False alerts by 1,000 meter-months", every.false_per_1000_meter_months, 1.0, 2),
        _least("Precision of alerts", every.precision, 0.95),
        _least("Recall of the decidable bad meters", every.recall, 0.90),
    ]
    for count, most in ((100, 0.30), (50, 0.25)):
        of_class = classes.get(f"homes {count}")
        figure = of_class.rmse_pct if of_class else None
        out.append(_most(f"{count} real homes, 30 min, 90 days, clocks < 10 s: RMSE [%]", figure, most))
    big = classes.get("homes 100, 5 bad")
    out.append(_least("100 real homes: meters beyond 2.5 % found", big.told / big.bad if big else None, 0.95))
    false_pct = 100.0 * big.false_alerts / (big.zones * big.customers - big.bad) if big else None
    out.append(_most("100 real homes: false alerts by healthy meter [%]", false_pct, 0.1))
    for name in ("grid 20, topology", "grid 20, long lines, topology"):
        of_class = classes.get(name)
        out.append(_most(f"{name}: RMSE at 15 min [%]", of_class.rmse_pct if of_class else None, 0.10))
    for name in ("homes 100", "homes 200", "homes 200, 0.1 % missing"):
        of_class = classes.get(name)
        text = f"{name} (100 to 200 meters, ≥ 99.9 % of readings, clocks < 10 s): RMSE [%]"
        out.append(_most(text, of_class.rmse_pct if of_class else None, 0.25))
    for kind, most in MOST_DELAY_DAYS.items():
        text = f"Median delay after leaving the limit, {kind} [d], {every.told_of_kind[kind]} told"
        out.append(_most(text, every.delays_days[kind], most, 1))
    return out


def _coverage(text: str, classes: Mapping[str, ClassFigures], of: Callable[[ClassFigures], float | None]) -> Aim:
    told = {name: value for name, one in classes.items() if (value := of(one)) is not None}
    outside = [f"{name} {value:.1f}" for name, value in told.items() if not 93.0 <= value <= 97.0]
    figure = f"{len(told) - len(outside)} of {len(told)} classes" + (f"; outside: {'; '.join(outside)}" * bool(outside))
    return Aim(text, figure, not outside if told else None)


def _most(text: str, figure: float | None, limit: float, digits: int = 3) -> Aim:
    told = "not measured" if figure is None else f"{figure:.{digits}f}"
    return Aim(f"{text} ≤ {limit:g}", told, None if figure is None else figure <= limit)


def _least(text: str, figure: float | None, limit: float) -> Aim:
    told = "not measured" if figure is None else f"{figure:.3f}"
    return Aim(f"{text} ≥ {limit:g}", told, None if figure is None else figure >= limit)
