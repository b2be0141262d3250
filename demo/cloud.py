"""EC2 as moto plays it: launching the seed, and reading what became of it. zerocloud is not asked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

import boto3

from demo.config import SENDER
from demo.seed import AWS_ACCOUNTS, REGIONS, AwsAccount, Fate, Machine

IMAGE = "ami-0de30de30de30de30"


@dataclass(frozen=True)
class Seen:
    """One instance, as EC2 shows it."""

    id: str
    name: str
    state: str
    changed_at: float
    """When it was last stopped or terminated, as Unix seconds; 0 when never."""


class Cloud:
    """Every AWS account and region of the demo."""

    def __init__(self, url: str, mail_url: str) -> None:
        self.url = url
        self.mail_url = mail_url
        self.clients: dict[tuple[str, str, str], Any] = {}

    def verify_sender(self) -> None:
        """SES sends only for an identity that was verified; moto verifies at once."""
        ses = boto3.client("sesv2", region_name="us-east-1", endpoint_url=self.mail_url, **self.keys)
        ses.create_email_identity(EmailIdentity=SENDER)

    @cached_property
    def keys(self) -> dict[str, str]:
        return {"aws_access_key_id": "demo", "aws_secret_access_key": "demo"}

    def client(self, service: str, aws: AwsAccount, region: str) -> Any:
        """A client inside an AWS account: moto keeps them apart by the role that was assumed."""
        key = (service, aws.aws_id, region)
        if key not in self.clients:
            sts = boto3.client("sts", region_name=region, endpoint_url=self.url, **self.keys)
            role = f"arn:aws:iam::{aws.aws_id}:role/people"
            given = sts.assume_role(RoleArn=role, RoleSessionName="demo")["Credentials"]
            self.clients[key] = boto3.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"],
                aws_session_token=given["SessionToken"],
            )
        return self.clients[key]

    def launch_all(self, machines: Iterable[Machine]) -> None:
        """Launches the seed."""
        for machine in machines:
            if machine.group:
                self._launch_group(machine)
            else:
                self.launch(machine)

    def launch(self, machine: Machine) -> str:
        """Launches one instance and gives its id."""
        ec2 = self.client("ec2", machine.aws, machine.region)
        what: dict[str, Any] = {"ImageId": IMAGE, "InstanceType": machine.instance_type}
        if machine.key_name:
            what["KeyName"] = machine.key_name
        tags = _tags({"Name": machine.name, **machine.tags})
        instance = _request_spot(ec2, what, tags) if machine.spot else _run(ec2, what, tags)
        # moto drops DisableApiTermination at launch.
        if machine.protect_termination:
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
        if machine.protect_stop:
            ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": True})
        if machine.fate == Fate.PARKED:
            ec2.stop_instances(InstanceIds=[instance])
        return instance

    def _launch_group(self, machine: Machine) -> None:
        """An Auto Scaling group of two."""
        where = f"{machine.region}a"
        self.client("ec2", machine.aws, machine.region).create_launch_template(
            LaunchTemplateName=machine.name, LaunchTemplateData={"ImageId": IMAGE, "InstanceType": machine.instance_type}
        )
        self.client("autoscaling", machine.aws, machine.region).create_auto_scaling_group(
            AutoScalingGroupName=machine.name,
            LaunchTemplate={"LaunchTemplateName": machine.name},
            MinSize=1,
            DesiredCapacity=2,
            MaxSize=3,
            AvailabilityZones=[where],
            Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in machine.tags.items()],
        )

    def terminate(self, machine: Machine, instance: str) -> None:
        """As a person would."""
        self.client("ec2", machine.aws, machine.region).terminate_instances(InstanceIds=[instance])

    def look(self) -> list[Seen]:
        """Every instance and group everywhere."""
        seen = []
        for aws in AWS_ACCOUNTS:
            for region in REGIONS:
                pages = self.client("ec2", aws, region).get_paginator("describe_instances").paginate()
                reservations = (reservation for page in pages for reservation in page["Reservations"])
                seen += [_seen(one) for reservation in reservations for one in reservation["Instances"]]
                groups = self.client("autoscaling", aws, region).describe_auto_scaling_groups()
                seen += [_seen_group(one) for one in groups["AutoScalingGroups"]]
        return seen


def _run(ec2: Any, what: dict[str, Any], tags: list[dict[str, str]]) -> str:
    on_instance = [{"ResourceType": "instance", "Tags": tags}]
    answer = ec2.run_instances(MinCount=1, MaxCount=1, TagSpecifications=on_instance, **what)
    return str(answer["Instances"][0]["InstanceId"])


def _request_spot(ec2: Any, what: dict[str, Any], tags: list[dict[str, str]]) -> str:
    """moto fulfils a request at once; a request takes no tags for its instance."""
    answer = ec2.request_spot_instances(InstanceCount=1, Type="one-time", LaunchSpecification=what)
    instance = str(answer["SpotInstanceRequests"][0]["InstanceId"])
    ec2.create_tags(Resources=[instance], Tags=tags)
    return instance


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _seen(one: dict[str, Any]) -> Seen:
    names = [tag["Value"] for tag in one.get("Tags", []) if tag["Key"] == "Name"]
    # "User initiated (2026-11-25 13:39:31 UTC)"
    at = re.search(r"\((.+) UTC\)", one.get("StateTransitionReason", ""))
    changed = datetime.fromisoformat(at[1]).replace(tzinfo=timezone.utc).timestamp() if at else 0.0
    return Seen(one["InstanceId"], names[0] if names else "", one["State"]["Name"], changed)


def _seen_group(one: dict[str, Any]) -> Seen:
    """A group stands still when its three sizes are 0; when it came to that, AWS does not say."""
    uuid = one["AutoScalingGroupARN"].split(":")[6]
    sizes = (one["MinSize"], one["DesiredCapacity"], one["MaxSize"])
    state = {(0, 0, 0): "stopped", (1, 2, 3): "running"}.get(sizes, f"of the sizes {sizes}")
    return Seen(f"asg-{uuid}", one["AutoScalingGroupName"], state, time.time())
