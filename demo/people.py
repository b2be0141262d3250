"""What people do during the demo: renew by command line, by curl and by the link in a mail, sign in, launch one more,
terminate one by themselves."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from demo.browser import Browser, Page
from demo.checker import History
from demo.config import ACCOUNT, Urls
from demo.events import EventBridge
from demo.processes import Failure
from demo.seed import (
    ADA,
    BY_CLI,
    BY_CURL,
    BY_LINK,
    GROUP,
    LATE,
    MAX,
    OPS,
    RAISED,
    VANISHES,
    AwsAccount,
    User,
)
from demo.watch import Watch

RENEWED_FOR = 240
"""Seconds; longer than the demo may take, shorter than the policy's max_lease."""


@dataclass(frozen=True)
class People:
    """What they need: the program, its configuration, and the URLs."""

    zerocloud: Path
    config: Path
    urls: Urls
    say: Callable[[str, str], None]

    def act(self, watch: Watch) -> None:
        """Everything, one after another."""
        self.renew_by_command(watch.histories[BY_CLI])
        self.renew_by_curl(watch.histories[BY_CURL])
        self.renew_by_link(watch.histories[BY_LINK])
        self.look(ADA, watch.histories[BY_CURL])
        self.raise_stage(MAX, watch.histories[RAISED])
        vanishing = watch.histories[VANISHES]
        watch.cloud.terminate(vanishing.machine, vanishing.id)
        self.say("by hand", f"{VANISHES} was terminated in EC2, behind zerocloud's back")
        to = EventBridge(self.urls, self.event_key(LATE.aws))
        watch.add(LATE)
        instance = watch.cloud.launch(LATE)
        self.say("by hand", f"{LATE.name} was launched")
        to.tell_of_launch(LATE, instance, self.say)

    def renew_by_command(self, history: History) -> None:
        """`zerocloud renew TOKEN`, with the token of the mail's link."""
        token = self.link(history).rpartition("/")[2]
        command = [str(self.zerocloud), "--config", str(self.config), "renew", token, "--for", f"{RENEWED_FOR}s"]
        self.say("renewing", f"{history.machine.name}: zerocloud renew TOKEN --for {RENEWED_FOR}s")
        answer = _run(command)
        self.say("answer", answer)
        renewed = _renewed(answer)
        if renewed is None:
            raise Failure(f"{command[0]} renew does not say until when it is renewed: {answer[:300]}")
        history.granted = renewed[1]

    def link(self, history: History) -> str:
        """Where the first mail about it can be answered with a renewal."""
        links = [link for notice in history.told("first") for link in notice.links]
        address = next((address for label, address in links if label.startswith("Renew")), None)
        if address is None:
            raise Failure(f"the mail about {history.machine.name} has no link to renew it")
        return address

    def renew_by_curl(self, history: History) -> None:
        """A `request` document, put on the public port with the owner's own session."""
        self._ask_by_curl(history, "renew", "renewing")

    def revive(self, watch: Watch) -> None:
        """The owner of the group that sleeps wants it back; once."""
        history = watch.histories[GROUP]
        if history.state == "stopped" and history.granted is None and history.told("stopped"):
            self._ask_by_curl(history, "revive", "reviving")

    def _ask_by_curl(self, history: History, action: str, verb: str) -> None:
        name = f"{ACCOUNT}.{ADA.id}"
        cookie = self.session(name)
        id = f"request::{ACCOUNT}::{ADA.id}::{uuid.uuid4()}"
        machine = history.machine
        request = {
            "type": "request",
            "account": ACCOUNT,
            "schema": 1,
            "user": ADA.id,
            "updated_by": name,
            "lease": f"lease::{machine.aws.aws_id}::{machine.region}::{history.id}",
            "action": action,
            "until": _text(time.time() + RENEWED_FOR),
            "at": _text(time.time()),
        }
        url = f"{self.urls.public}/zerocloud/{id}"
        base = ["curl", "--silent", "--show-error", "--fail-with-body", "--cookie", cookie]
        put = [*base, "-X", "PUT", "-H", "Content-Type: application/json", "--data", json.dumps(request), url]
        self.say(verb, f"{machine.name}: {shlex.join(put)}")
        _run(put)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = json.loads(_run([*base, url])).get("answer")
            if answer is not None:
                self.say("answer", f"{answer['outcome']}: {answer['reason']}")
                history.granted = _time(answer["until"]) if answer["outcome"] == "done" else None
                return
            time.sleep(0.2)
        raise Failure(f"the request {id} was not answered within 30 s")

    def renew_by_link(self, history: History) -> None:
        """The button of the page that the mail's link opens; nobody signs in."""
        address = self.link(history)
        browser = Browser()
        page = browser.open(address)
        self.say("renewing", f"{history.machine.name}: the button of {address.rpartition('/')[0]}/TOKEN")
        page = browser.press(page, "Renew", **{"for": str(RENEWED_FOR)})
        renewed = _renewed(page.text)
        if renewed is None:
            raise Failure(f"{page.url} does not say until when it is renewed: {page.text[:300]}")
        said, history.granted = renewed
        self.say("answer", said)

    def look(self, user: User, history: History) -> None:
        """Signs in with the stand-in for GitHub and finds an instance among `my leases`."""
        _, page = self.sign_in(user)
        if history.machine.name not in page.text:
            raise Failure(f"{user.name} does not see {history.machine.name} at {page.url}: {page.text[:300]}")
        self.say("signed in", f"{user.name} sees {history.machine.name} at {page.url}")

    def sign_in(self, user: User) -> tuple[Browser, Page]:
        """By the stand-in for GitHub."""
        browser = Browser()
        page = browser.press(browser.open(f"{self.urls.pages}/"), "Continue with GitHub")
        return browser, browser.press(page, user.name)

    def raise_stage(self, admin: User, history: History) -> None:
        """An AWS account that was only observed, step by step; the page shows each step before it is taken."""
        aws = history.machine.aws
        browser, _ = self.sign_in(admin)
        for stage in ("notify", "stop", "terminate"):
            page = browser.open(f"{self.urls.pages}/aws-accounts/{aws.aws_id}/stage?to={stage}")
            shown = re.search(r"What it would do (.*?) (?:If nobody did|No running lease)", page.text)
            if shown is None or (stage == "notify" and history.machine.name not in page.text):
                raise Failure(f"{page.url} does not show what it would do: {page.text[:500]}")
            self.say("preview", f"{aws.name} to {stage}: {shown[1]}")
            page = browser.press(page, f"Set stage {stage}")
            if f"Stage {stage}:" not in page.text:
                raise Failure(f"{aws.name} was not raised to {stage}: {page.text[:500]}")
            self.say("raised", f"{aws.name} to stage {stage}, by {admin.name}")

    def event_key(self, aws: AwsAccount) -> str:
        """An admin makes it on the AWS account's page, where it is shown once."""
        browser, _ = self.sign_in(OPS)
        page = browser.press(browser.open(f"{self.urls.pages}/aws-accounts/{aws.aws_id}"), "Make it")
        key = re.search(r"zce_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", page.text)
        if key is None:
            raise Failure(f"{page.url} shows no event key: {page.text[:300]}")
        self.say("event key", f"{OPS.name} made one for {aws.name} and gave it to EventBridge")
        return key[0]

    def session(self, name: str) -> str:
        """A cookie for that person at the gateway, made on its admin port."""
        body = json.dumps({"name": name, "ttl": 600}).encode()
        headers = {"Content-Type": "application/json"}
        ask = urllib.request.Request(f"{self.urls.admin}/zerocloud/_session", body, headers)
        with urllib.request.urlopen(ask, timeout=10) as answer:
            made = json.load(answer)
        return f"{made['cookie_name']}={made['session_id']}"


def _run(command: list[str]) -> str:
    """Its output; a failure shows what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _renewed(text: str) -> tuple[str, float] | None:
    """The sentence that a person reads, on the page and on the command line alike, and the end that it names."""
    said = re.search(r"Renewed until \w+ (\d+ \w+ \d+, [\d:]+) UTC", text)
    if said is None:
        return None
    until = datetime.strptime(said[1], "%d %b %Y, %H:%M:%S").replace(tzinfo=timezone.utc)
    return said[0], until.timestamp()


def _time(text: str) -> float:
    return datetime.strptime(text.rstrip("."), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
