"""Judges what EC2 and the mailbox show against the seed. Pure: it knows nothing of zerocloud, of time, or of AWS calls.

`wrong` can never become right again; `missing` may still come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from demo.mailbox import Notice
from demo.seed import ADMINS, Fate, Machine

_ANNOUNCED = (("first",), ("soon", "over"))
"""On a busy machine an end may overtake the word that the lease is over, and that word a warning."""

MAILS: dict[Fate, tuple[tuple[str, ...], ...]] = {
    Fate.ENDED: (*_ANNOUNCED, ("stopped",), ("terminated",)),
    Fate.STOPPED: (*_ANNOUNCED, ("stopped",)),
    Fate.TERMINATED: (*_ANNOUNCED, ("terminated",)),
    Fate.KEPT: (("first",),),
    Fate.RENEWED: (("first",), ("soon",)),
    Fate.PARKED: (),
    Fate.VANISHED: (("first",),),
    Fate.REVIVED: (*_ANNOUNCED, ("stopped",)),
}
"""What the owner must be told; of several kinds one is enough."""

ANNOUNCES_END = ("first", "soon", "over")
TO_OWNERS = (*ANNOUNCES_END, "stopped", "terminated")


@dataclass
class History:
    """What was seen of one machine."""

    machine: Machine
    id: str = ""
    state: str = ""
    stopped_at: float | None = None
    terminated_at: float | None = None
    granted: float | None = None
    """The end that a renewal was answered with."""
    notices: list[Notice] = field(default_factory=list)

    def observe(self, state: str, changed_at: float) -> None:
        """EC2 shows this state, entered then."""
        self.state = state
        if state == "stopped" and self.stopped_at is None:
            self.stopped_at = changed_at
        if state == "terminated" and self.terminated_at is None:
            self.terminated_at = changed_at

    def told(self, *kinds: str) -> list[Notice]:
        """What was said to anybody, of these kinds."""
        return [notice for notice in self.notices if notice.kind in kinds]

    @property
    def ended_at(self) -> float | None:
        """When zerocloud first stopped or terminated it."""
        if self.machine.fate in (Fate.PARKED, Fate.VANISHED):
            return None
        ends = [at for at in (self.stopped_at, self.terminated_at) if at is not None]
        return min(ends, default=None)


def missing(history: History) -> Iterator[str]:
    """What must come and has not."""
    machine = history.machine
    for kinds in MAILS[machine.fate]:
        if not history.told(*kinds):
            yield f"no mail {' or '.join(map(repr, kinds))} to {' or '.join(sorted(machine.owners))}"
    if machine.held:
        told = {notice.to for notice in history.told(f"held ({machine.held})")}
        yield from (f"no mail 'held ({machine.held})' to {admin}" for admin in sorted(ADMINS - told))
    if machine.fate in (Fate.ENDED, Fate.STOPPED) and history.stopped_at is None and history.terminated_at is None:
        yield f"not stopped: it is {history.state or 'not there'}"
    elif machine.fate in (Fate.ENDED, Fate.TERMINATED) and history.terminated_at is None:
        yield f"not terminated: it is {history.state or 'not there'}"
    if machine.fate == Fate.REVIVED:
        if history.stopped_at is None:
            yield f"not put to sleep: it is {history.state or 'not there'}"
        elif history.granted is None or history.state != "running":
            yield f"not revived with the sizes that it had: it is {history.state}"
    if machine.fate == Fate.RENEWED:
        ends = [notice.names_end for notice in history.told("soon")]
        if history.granted is None:
            yield "not renewed"
        elif history.granted not in ends:
            yield "no mail names the end that the renewal was answered with"


def wrong(history: History) -> Iterator[str]:
    """What must never be."""
    yield from _wrong_mails(history)
    yield from _wrong_state(history)
    yield from _wrong_order(history)


def _wrong_mails(history: History) -> Iterator[str]:
    machine = history.machine
    owners = {notice.to for notice in history.told(*TO_OWNERS)}
    for stranger in sorted(owners - machine.owners):
        yield f"{stranger} was told, who does not own it"
    if len(owners & machine.owners) > 1:
        yield f"several were told that it is theirs: {', '.join(sorted(owners))}"
    expected = {kind for kinds in MAILS[machine.fate] for kind in kinds}
    if machine.held:
        expected.add(f"held ({machine.held})")
    if machine.fate in (Fate.KEPT, Fate.VANISHED):
        expected |= {"soon", "over"}
    for kind in sorted({notice.kind for notice in history.notices} - expected):
        yield f"a mail {kind!r} about it"
    # A renewed lease is warned of again, for its new end.
    said = Counter((notice.to, notice.kind, notice.names_end) for notice in history.notices)
    for (to, kind, _), count in said.items():
        if count > 1:
            yield f"{count} mails {kind!r} to {to}"


def _wrong_state(history: History) -> Iterator[str]:
    fate, state = history.machine.fate, history.state
    if fate in (Fate.KEPT, Fate.RENEWED) and history.ended_at is not None:
        yield f"it is {state} and should run"
    elif fate in (Fate.STOPPED, Fate.PARKED) and history.terminated_at is not None:
        yield "it is terminated and should only be stopped"
    elif fate == Fate.PARKED and state not in ("", "stopped"):
        yield f"it is {state} and should stay stopped"
    elif fate == Fate.TERMINATED and history.stopped_at is not None:
        yield "it was stopped, which this kind of instance cannot be"
    elif fate == Fate.ENDED and history.terminated_at is not None and history.stopped_at is None:
        yield "it was terminated without being stopped first"


def _wrong_order(history: History) -> Iterator[str]:
    """Nothing ends before a mail about it was accepted, or before the end that the last such mail named."""
    ended = history.ended_at
    if ended is not None:
        before = [notice for notice in history.told(*ANNOUNCES_END) if notice.seen_at <= ended]
        if not before:
            yield "it was ended before any mail about that"
        elif any(notice.names_end is not None and notice.names_end > ended for notice in before[-1:]):
            yield "it was ended before the end that its mail named"
    if history.stopped_at is not None and history.terminated_at is not None and history.machine.fate == Fate.ENDED:
        own = [notice for notice in history.told("stopped") if notice.seen_at <= history.terminated_at]
        if not own:
            yield "it was terminated before a mail of its own about that"


def too_late(wrong: list[str], missing: list[str], seconds: float, load: float, processors: int) -> str | None:
    """What to say when nothing went wrong and time alone ran out; `load` is how many processes want a processor."""
    if wrong or not missing:
        return None
    said = f"time ran out: {len(missing)} expectations had not come true after {seconds:.0f} s, and nothing went wrong."
    if load > processors:
        said += f" This machine is busy ({load:.0f} processes for {processors} processors): run it when it is quiet."
    return said
