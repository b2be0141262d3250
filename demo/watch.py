"""Keeps the history of every machine: looks into EC2 and the mailbox again and again, and asks the checker."""

from __future__ import annotations

import time
from collections.abc import Callable

from demo import checker
from demo.checker import History
from demo.cloud import Cloud
from demo.mailbox import Mail, Mailbox
from demo.seed import Machine

EC2_EVERY = 2.0
"""Seconds between two looks into EC2; well below the time between a stop and a termination."""


class Watch:
    """What the demo has seen so far."""

    def __init__(self, cloud: Cloud, mailbox: Mailbox, machines: list[Machine]) -> None:
        self.cloud = cloud
        self.mailbox = mailbox
        self.histories = {machine.name: History(machine) for machine in machines}
        self.strays: list[str] = []
        self.looked = 0.0
        self.look()

    def add(self, machine: Machine) -> None:
        """Expects one more."""
        self.histories[machine.name] = History(machine)

    def tick(self) -> list[Mail]:
        """Looks once and gives the new mails. The mailbox goes first: what ended must have been announced before."""
        new = self.mailbox.fetch()
        if time.monotonic() - self.looked > EC2_EVERY:
            self.look()
        by_id = {history.id: history for history in self.histories.values()}
        for notice in (notice for mail in new for notice in mail.notices):
            if notice.instance in by_id:
                by_id[notice.instance].notices.append(notice)
            else:
                self.strays.append(f"{notice.instance}: a mail {notice.kind!r} to {notice.to}, and no such instance")
        return new

    def look(self) -> None:
        """Reads EC2."""
        for seen in self.cloud.look():
            history = self.histories.get(seen.name)
            if history is not None:
                history.id = seen.id
                history.observe(seen.state, seen.changed_at)
        self.looked = time.monotonic()

    def untold(self) -> list[str]:
        """Those of which nobody was told yet, and should have been. Where zerocloud only observes, it tells nobody."""
        told = {name: history for name, history in self.histories.items() if history.machine.aws.stage != "observe"}
        return _each(told, lambda history: [what for what in checker.missing(history) if "'first'" in what])

    def missing(self) -> list[str]:
        """What must still come."""
        missing = _each(self.histories, lambda history: list(checker.missing(history)))
        kinds = {notice.kind for notice in self.mailbox.notices}
        return missing + [f"nobody: no mail {kind!r} at all" for kind in checker.TO_OWNERS if kind not in kinds]

    def wrong(self) -> list[str]:
        """What must never have happened."""
        return _each(self.histories, lambda history: list(checker.wrong(history))) + self.strays

    def ended(self) -> int:
        """How many zerocloud has ended."""
        return sum(history.ended_at is not None for history in self.histories.values())


def _each(histories: dict[str, History], judge: Callable[[History], list[str]]) -> list[str]:
    return [f"{name} {history.id}: {what}" for name, history in histories.items() for what in judge(history)]
