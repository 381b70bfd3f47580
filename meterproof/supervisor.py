"""Runs the components of one process, each in a thread, and ends them together."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType

Component = Callable[[threading.Event], None]

log = logging.getLogger(__name__)


def run_components(
    components: Mapping[str, Component], parent_pid: int = 0, on_hangup: Callable[[], None] | None = None
) -> BaseException | None:
    """Run all until a signal (SIGINT, SIGTERM), the end of one of them, or the end of the process `parent_pid`.

    A component is called with an event that tells it to end; one that raises ends the others. Returns that error, or
    None. SIGHUP calls `on_hangup`, where there is one, within a second; it must not raise.
    """
    stop = threading.Event()
    hung_up = threading.Event()
    failures: list[BaseException] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("%s received: ending", signal.Signals(number).name)
        stop.set()

    def run(name: str, component: Component) -> None:
        try:
            component(stop)
        except BaseException as error:  # whatever it is, the process must end with it
            log.debug("%s failed", name, exc_info=True)
            failures.append(error)
        finally:
            stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    if on_hangup:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    threads = [threading.Thread(target=run, args=item, name=item[0]) for item in components.items()]
    for thread in threads:
        thread.start()
    while not stop.wait(1.0):
        if on_hangup and hung_up.is_set():
            hung_up.clear()
            on_hangup()
        if parent_pid and os.getppid() != parent_pid:
            log.info("the process that started this one is gone: ending")
            stop.set()
    for thread in threads:
        thread.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return failures[0] if failures else None
