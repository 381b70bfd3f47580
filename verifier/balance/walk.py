"""A zone's history walked day by day: what is given of the zone, and what is known after each of its days. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from metrology.outcomes import Reason
from metrology.quantities import Medium
from verifier.balance.averaging import ChangeBeliefs
from verifier.balance.history import History, history, known_after
from verifier.balance.model import Beliefs
from verifier.balance.sequence import Epochs, ZoneState, advance, begin
from verifier.balance.timeline import zone_timeline
from verifier.balance.types import DAY_US, Comparison, MemberSeries, SideInformation, ZoneFacts
from verifier.balance_settings import BalanceSettings

FaultsAt = Callable[[int], Mapping[int, tuple[str, ...]]]
ComparisonsAt = Callable[[int], Sequence[Comparison]]
_LEAST_INTERVAL_S = 60
_UNCONVERTED_PCT = 3.0  # of gas at unknown temperature and pressure: 10 K are 3.4 %, 30 hPa 3 %


@dataclass(frozen=True)
class ZoneInput:
    """What is given of a zone, see `assess_days`."""

    zone: ZoneFacts
    members: tuple[MemberSeries, ...]
    side: SideInformation
    comparisons_at: ComparisonsAt
    faults_at: FaultsAt | None = None

    @cached_property
    def customers(self) -> list[MemberSeries]:
        """The members that are judged or count as customers."""
        return [member for member in self.members if not member.is_reference]

    @cached_property
    def references(self) -> list[MemberSeries]:
        """The zone's own reference meters."""
        return [member for member in self.members if member.is_reference]


@dataclass(frozen=True)
class Known:
    """A history as it was known after some days, and the zone's state then; None before the first epoch."""

    past: History
    state: ZoneState | None


class ZoneWalk:
    """A zone's history that begins at `start_us`, walked from epoch to epoch; the last that was found is kept."""

    def __init__(self, given: ZoneInput, start_us: int, settings: BalanceSettings) -> None:
        self.given, self.start_us, self.settings = given, start_us, settings
        self.epochs = Epochs(settings.first_days, settings.epoch_days)
        self._changing = change_beliefs(settings, len(given.customers))
        self._last: tuple[int, Known] | None = None

    def after(self, days: int) -> Known | tuple[Reason, ...]:
        """What is known after so many days (at least 1), or why nothing can be."""
        epoch = self.epochs.last(days)
        if epoch == 0:
            base = self._base(days)
            return base if isinstance(base, tuple) else Known(self._known(base, days), None)
        if self._last is None or self._last[0] != epoch or self._last[1].past.days > days:
            found = self.at_epoch(epoch)
            if isinstance(found, tuple):
                return found
            self._last = (epoch, found)
        known = self._last[1]
        while known.past.days < days and known.state is not None:
            past = self._known(known.past, known.past.days + 1)
            known = Known(*advance(past, known.state, self._changing))
        self._last = (epoch, known)
        return known

    def at_epoch(self, epoch: int) -> Known | tuple[Reason, ...]:
        """What was known at an epoch, weighed from nothing."""
        base = self._base(epoch)
        if isinstance(base, tuple):
            return base
        past = self._known(base, epoch)
        return Known(*begin(past, self._changing))

    def _known(self, past: History, days: int) -> History:
        end_us = self.start_us + days * DAY_US
        late_us = int(self.settings.late_member_s * 1e6)
        return known_after(past, days, self.given.customers, self.given.comparisons_at(end_us), late_us)

    def _base(self, learned_days: int) -> History | tuple[Reason, ...]:
        """The model's rows up to the next epoch, learned from the first days."""
        given, settings = self.given, self.settings
        end_us = self.start_us + (learned_days + settings.epoch_days) * DAY_US
        interval_us = given.zone.interval_s * 1_000_000
        if given.zone.interval_s < _LEAST_INTERVAL_S or DAY_US % interval_us:
            text = f"the zone's interval of {given.zone.interval_s} s is none of a minute or more that divides a day"
            return (Reason("insufficient_data", f"{text}: state another interval_s"),)
        learned_us = self.start_us + learned_days * DAY_US
        try:
            line = zone_timeline(
                given.customers, given.references, self.start_us, end_us, interval_us,
                settings.interpolation_reach_intervals, learned_us, int(settings.late_member_s * 1e6),
            )  # fmt: skip
        except ValueError as error:
            return (Reason("insufficient_data", str(error)),)
        if not line.usable[line.instants_us[1:] <= learned_us].any():
            return (Reason("insufficient_data", "there is no interval that is known of all the zone's meters"),)
        believed = beliefs(given.zone.medium, given.side, settings)
        try:
            return history(given.zone, given.customers, given.side, believed, line, learned_days)
        except ValueError as error:
            return (Reason("no_consumption", str(error)),)


def change_beliefs(settings: BalanceSettings, meters: int) -> ChangeBeliefs:
    """How often meters change, from settings a year to a day."""
    return ChangeBeliefs(
        settings.initial_fault_share,
        settings.change_rate_per_year / 365.25,
        max(10, meters // settings.meters_per_change),
        settings.stopped_share_min,
    )


def beliefs(medium: Medium, side: SideInformation, settings: BalanceSettings) -> Beliefs:
    """Prior spreads of a medium's terms: constant, quadratic, daily course, and what all meters may err alike [%]."""
    least = 0.0
    constant, quadratic, rhythm, common = {
        # Technical losses of low-voltage networks are some percent, partly fixed, partly with the square of the load.
        Medium.ELECTRICITY: (2.0, 3.0, 0.3, 0.1),
        # Background leakage of tens of percent is common; it follows the pressure, and that the time of day.
        Medium.WATER: (30.0, 0.0, 5.0, 2.0),
        # Tight networks; a constant takes up what base conditions leave.
        Medium.GAS: (1.0, 0.0, 1.0, 0.5),
    }[medium]
    if medium is Medium.GAS and side.temperature_degc is None and side.atmospheric_hpa is None:
        common = least = _UNCONVERTED_PCT  # of the season, whatever is known of the meters
    return Beliefs(constant, quadratic, rhythm, settings.loss_spread, settings.clock_sd_s(medium), common, least)
