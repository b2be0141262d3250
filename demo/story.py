"""Tells what happens as it happens, in plain lines. For the eye only: nothing is judged by it.

What zerocloud decides is read from its documents through the gateway's changes feed; mails come from the mailbox.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from demo.config import Urls
from demo.mailbox import Mail

COLOURS = {
    "mailed": 36,
    "called": 35,
    "owner": 34,
    "renewed": 32,
    "expired": 33,
    "held": 33,
    "stopped": 31,
    "asleep": 31,
    "terminated": 31,
    "gone": 31,
    "failed": 31,
    "wrong": 31,
    "passed": 32,
}
NAMED = 5
"""So many names on a line; the rest is counted."""

Document = dict[str, Any]


class Story:
    """Prints; remembers of each lease what it has told."""

    def __init__(self, urls: Urls) -> None:
        self.urls = urls
        self.since: int | str = 0
        self.known: dict[str, Document] = {}
        self.began = time.monotonic()
        self.coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def say(self, verb: str, text: str) -> None:
        """One line: when, what, about what."""
        colour = COLOURS.get(verb)
        word = f"\x1b[{colour}m{verb:<11}\x1b[0m" if colour and self.coloured else f"{verb:<11}"
        print(f"{time.monotonic() - self.began:6.1f} s  {word} {text}", flush=True)

    def mailed(self, mails: list[Mail]) -> None:
        """New mails."""
        for mail in mails:
            self.say("mailed", f"{mail.to}: {mail.subject}")

    def tick(self) -> None:
        """Whatever changed since the last time, told together where it is alike."""
        groups: dict[tuple[str, str], list[str]] = {}
        for doc in self._changes():
            for verb, detail in self._news(doc):
                groups.setdefault((verb, detail), []).append(_name(self._about(doc)))
        for (verb, detail), names in groups.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            self.say(verb, f"{', '.join(names[:NAMED])}{more}{detail}")

    def _changes(self) -> list[Document]:
        url = f"{self.urls.admin}/zerocloud/_changes?include_docs=true&since={self.since}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            changes = json.load(answer)
        self.since = changes["last_seq"]
        return [row["doc"] for row in changes["results"] if isinstance(row.get("doc"), dict)]

    def _about(self, doc: Document) -> Document:
        """A call is about its lease."""
        if doc.get("type") != "callback":
            return doc
        lease = "lease::" + str(doc["lease"]).removeprefix("lease::")
        return self.known.get(lease, {"resource_id": lease.rpartition("::")[2]})

    def _news(self, doc: Document) -> Iterator[tuple[str, str]]:
        before = self.known.get(doc["_id"])
        self.known[doc["_id"]] = doc
        if doc.get("state") == "reaping" and before is not None:
            # What comes of it is told, or nothing came of it.
            doc["state"] = before["state"]
        if doc.get("type") == "resource" and before is None:
            yield "detected", f" in {doc['aws_id']} {doc['region']}"
        if doc.get("type") == "callback" and doc.get("used") and not (before or {}).get("used"):
            yield "called", ": the scheduler, for a deadline"
        if doc.get("type") == "lease":
            yield from _lease_news(before, doc)


def _lease_news(before: Document | None, doc: Document) -> Iterator[tuple[str, str]]:
    if before is None:
        yield "leased", f" until {doc['expires_at']}"
        before = {}
    if doc["owner"] not in (before.get("owner"), "pending"):
        yield "owner", f": {doc['owner']}, by {doc['owner_evidence']['source']}"
    if before and doc["state"] == "active" and doc["expires_at"] > before["expires_at"]:
        yield "renewed", f" until {doc['expires_at']}"
    if doc["state"] != before.get("state", "active") and doc["state"] != "active":
        asleep = doc["state"] == "stopped" and doc.get("kind") == "auto_scaling_group"
        yield "asleep" if asleep else doc["state"], ", not by zerocloud" if doc.get("stopped_by") == "other" else ""
    hold = doc.get("hold") or {}
    if hold and hold["kind"] != (before.get("hold") or {}).get("kind"):
        yield "held", f" ({hold['kind']}): {hold['reason']}"


def _name(doc: Document) -> str:
    name = (doc.get("summary") or doc.get("facts") or {}).get("name")
    return str(name or doc.get("resource_id"))
