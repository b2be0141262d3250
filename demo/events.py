"""EventBridge as an API destination of it would act: moto has none, so the demo posts what AWS would."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from demo.config import Urls
from demo.processes import Failure
from demo.seed import Machine

WITHIN = 20.0
"""Seconds until the lease has to stand there with the event as its cause."""


@dataclass(frozen=True)
class EventBridge:
    """Where to, and with which key."""

    urls: Urls
    key: str

    def tell_of_launch(self, machine: Machine, instance: str, say: Callable[[str, str], None]) -> None:
        """CloudTrail's record of the launch; then looks on until the lease names it as its cause."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        role = f"arn:aws:sts::{machine.aws.aws_id}:assumed-role/dev/somebody@elsewhere.example"
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "AWS API Call via CloudTrail",
            "source": "aws.ec2",
            "account": machine.aws.aws_id,
            "time": now,
            "region": machine.region,
            "resources": [],
            "detail": {
                "eventVersion": "1.10",
                "userIdentity": {"type": "AssumedRole", "arn": role, "accountId": machine.aws.aws_id},
                "eventTime": now,
                "eventSource": "ec2.amazonaws.com",
                "eventName": "RunInstances",
                "awsRegion": machine.region,
                "responseElements": {"instancesSet": {"items": [{"instanceId": instance}]}},
            },
        }
        headers = {"Content-Type": "application/json", "x-zerocloud-key": self.key}
        post = urllib.request.Request(f"{self.urls.pages}/hooks/aws/events", json.dumps(event).encode(), headers)
        began = time.monotonic()
        with urllib.request.urlopen(post, timeout=5) as answer:
            say("event", f"EventBridge tells of {machine.name}'s launch: {answer.status}")
        lease = f"{self.urls.admin}/zerocloud/lease::{machine.aws.aws_id}::{machine.region}::{instance}"
        while time.monotonic() - began < WITHIN:
            try:
                with urllib.request.urlopen(lease, timeout=10) as answer:
                    cause = json.load(answer)["trigger"].get("detail", {}).get("eventName")
                if cause == "RunInstances":
                    say("leased", f"{machine.name}, by {cause}, {time.monotonic() - began:.1f} s after its event")
                    return
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
            time.sleep(0.05)
        raise Failure(f"{machine.name} has no lease by its event after {WITHIN:.0f} s")
