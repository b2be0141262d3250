"""Each part of zerocloud, broken from outside, and how the checker must notice. `make demo BREAK=detector`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demo.watch import Watch


@dataclass(frozen=True)
class Break:
    """One part that does not work."""

    how: str
    then: str
    """What follows for the world."""
    noticed: Callable[[Watch], bool]
    """Whether the checker misses what this break takes away."""

    def shows(self, watch: Watch) -> bool:
        """Whether the run failed for this reason, and nothing was ended nor said that should not."""
        return self.noticed(watch) and watch.ended() == 0 and not watch.wrong()


def _nobody_told(watch: Watch) -> bool:
    return bool(watch.untold()) and not watch.mailbox.mails


def _all_told_and_still_running(watch: Watch) -> bool:
    return not watch.untold() and any(": not stopped: " in what for what in watch.missing())


BREAKS = {
    "detector": Break(
        "its EC2 address refuses connections, so it sees no instance",
        "no instance gets a lease, nobody is told, nothing ends",
        _nobody_told,
    ),
    "notifier": Break(
        "the sender is not verified, so SES accepts no mail",
        "nobody is told, and so nothing may end, overdue as it is",
        _nobody_told,
    ),
    "reaper": Break(
        "`zerocloud pause --all` lets it end nothing",
        "everybody is told, and what nobody renewed runs on",
        _all_told_and_still_running,
    ),
}
