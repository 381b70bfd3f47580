"""What operators see of the repair: commands, readings that came back, clocks; never by meter."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class RepairMetrics:
    """The repair's metrics in a registry of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag = Gauge("meterproof_repair_lag_batches", "Committed batches not yet followed", registry=registry)
        self.connected = Gauge("meterproof_repair_connected", "1 while connected to the broker", registry=registry)
        self.made = Counter("meterproof_repair_commands_made", "Commands made", ["kind"], registry=registry)
        self.closed = Counter(
            "meterproof_repair_commands_closed", "Commands by how they ended", ["kind", "state"], registry=registry
        )
        self.readings = Counter(
            "meterproof_repair_readings", "Readings asked for by what came of them", ["result"], registry=registry
        )
        self.clocks = Counter(
            "meterproof_repair_clocks", "Clocks that were to be set by what came of it", ["result"], registry=registry
        )
        self.acknowledgements = Counter(
            "meterproof_repair_acknowledgements", "Acknowledgements received", ["result"], registry=registry
        )
        self.faults = Counter("meterproof_repair_faults", "Passing database faults", registry=registry)
