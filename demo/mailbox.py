"""The mailbox: what moto's SES accepted, and what each mail says. zerocloud is not asked."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timezone
from html.parser import HTMLParser
from typing import Any


@dataclass(frozen=True)
class Notice:
    """What one mail says of one instance."""

    to: str
    instance: str
    kind: str
    """`first`, `soon`, `over`, `stopped`, `terminated`, `held (why)`, or the headline where it is none of these."""
    names_end: float | None
    """The end that it names, as Unix seconds."""
    commands: tuple[str, ...]
    """What its reader can run."""
    links: tuple[tuple[str, str], ...]
    """What its reader can open: label and address."""
    seen_at: float
    """When the demo found it, as Unix seconds: SES had accepted it by then."""


@dataclass(frozen=True)
class Mail:
    """One mail."""

    to: str
    subject: str
    notices: tuple[Notice, ...]


KINDS = {
    "This is yours": "first",
    "Ends soon": "soon",
    "Lease over": "over",
    "Stopped": "stopped",
    "Put to sleep": "stopped",
    "Terminated": "terminated",
}


class Mailbox:
    """Reads moto's record of what was sent; every mail once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.mails: list[Mail] = []

    def fetch(self) -> list[Mail]:
        """The mails that came since the last time."""
        with urllib.request.urlopen(f"{self.url}/moto-api/data.json", timeout=30) as answer:
            sent = json.load(answer).get("ses", {}).get("Message", [])
        now = time.time()
        new = [read(one, now) for one in sent[len(self.mails) :]]
        self.mails += new
        return new

    @property
    def notices(self) -> list[Notice]:
        """All that was said, in order."""
        return [notice for mail in self.mails for notice in mail.notices]


def read(sent: dict[str, Any], now: float) -> Mail:
    """A mail as moto recorded it, found at `now`. moto keeps only the HTML of a mail that has both."""
    to = ", ".join(sent["destinations"]["ToAddresses"])
    reader = _Cards()
    reader.feed(str(sent["body"]))
    return Mail(to, str(sent["subject"]), tuple(_notice(card, to, now) for card in reader.cards))


def _notice(card: _Card, to: str, now: float) -> Notice:
    headline = card.headline.partition(":")[0].strip()
    kind = KINDS.get(headline, headline)
    if headline == "Held":
        why = re.search(r"\(([^)]+)\)", card.lead)
        kind = f"held ({why[1]})" if why else "held"
    end = card.rows.get("Lease ends") or card.rows.get("Terminated")
    what = card.rows.get("Instance") or card.rows.get("Group", "?")
    return Notice(to, what, kind, _time(end), tuple(card.commands), tuple(card.links), now)


def _time(text: str | None) -> float | None:
    """Such as `Tue 24 Nov 2026, 08:00:00 UTC`."""
    if text is None:
        return None
    return datetime.strptime(text, "%a %d %b %Y, %H:%M:%S UTC").replace(tzinfo=timezone.utc).timestamp()


class _Card:
    """The part of a mail that is about one instance."""

    def __init__(self) -> None:
        self.headline = ""
        self.lead = ""
        self.rows: dict[str, str] = {}
        self.commands: list[str] = []
        self.links: list[tuple[str, str]] = []


class _Cards(HTMLParser):
    """Collects cards: a heading, a sentence, a table of two columns, commands and links."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[_Card] = []
        self.inside = ""
        self.text = ""
        self.label = ""
        self.address = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if tag == "div" and "card" in classes:
            self.cards.append(_Card())
        self.inside = "code" if "code" in classes else tag
        if tag == "a":
            self.address = dict(attrs).get("href") or ""
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        text = self.text.strip()
        self.text = ""
        if not self.cards or not text:
            return
        card = self.cards[-1]
        if tag == "a" and "/l/" in self.address:
            card.links.append((text, self.address))
        elif tag == "h1":
            card.headline = text
        elif tag == "p" and not card.lead:
            card.lead = text
        elif tag == "td" and not self.label:
            self.label = text
        elif tag == "td":
            card.rows[self.label] = text
            self.label = ""
        elif tag == "div" and self.inside == "code":
            card.commands.append(text)
