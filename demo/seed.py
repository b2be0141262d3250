"""The world that the demo starts with, and what must become of every instance in it.

Plain data: it knows nothing of AWS calls, and nothing of what zerocloud does. The checker's expectations come from here
alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

REGIONS = ("us-east-1", "eu-central-1", "us-west-2")


@dataclass(frozen=True)
class AwsAccount:
    """One AWS account and what zerocloud may do there."""

    aws_id: str
    name: str
    stage: str


DEV = AwsAccount("111122223333", "BigDB Dev", "terminate")
TEST = AwsAccount("444455556666", "BigDB Test", "stop")
LAB = AwsAccount("777788889999", "BigDB Lab", "observe")
"""New: an admin raises it while zerocloud runs."""
AWS_ACCOUNTS = (DEV, TEST, LAB)


@dataclass(frozen=True)
class User:
    """A person, or the mailbox of a team."""

    id: str
    name: str
    role: str
    github_login: str
    key_name: str

    @property
    def email(self) -> str:
        return f"{self.id}@bigdb.example"


ADA = User("ada", "Ada from Build", "dev", "ada-builds", "ada-laptop")
LIN = User("lin", "Lin from QA", "dev", "lin-tests", "lin-laptop")
MAX = User("max", "Max", "admin", "max-ops", "max-laptop")
OPS = User("ops", "Operations", "admin", "bigdb-ops", "ops-bastion")
USERS = (ADA, LIN, MAX, OPS)
ADMINS = frozenset(user.email for user in USERS if user.role == "admin")


class Fate(Enum):
    """What must become of an instance."""

    ENDED = "stopped, then terminated"
    STOPPED = "stopped, never terminated"
    TERMINATED = "terminated without a stop"
    KEPT = "never ended"
    RENEWED = "renewed and never ended"
    PARKED = "left as it was found, stopped"
    VANISHED = "terminated by somebody else"
    REVIVED = "put to sleep, and revived with the sizes that it had"


@dataclass(frozen=True)
class Machine:
    """One instance to launch. Its Name tag is unique: people and the checker find it by that."""

    name: str
    aws: AwsAccount
    region: str
    owners: frozenset[str]
    """The addresses of which exactly one must be told."""
    fate: Fate
    tags: dict[str, str] = field(default_factory=dict)
    key_name: str | None = None
    spot: bool = False
    protect_stop: bool = False
    protect_termination: bool = False
    group: bool = False
    """An Auto Scaling group of two: one lease for both, so that its members are nobody's here."""
    held: str | None = None
    """The hold that admins must be told of."""
    instance_type: str = "t3.large"


GROUP = "fleet-1"


def _everywhere(number: int, aws: AwsAccount, region: str) -> list[Machine]:
    """The nine kinds that stand in every region of the two AWS accounts that are in use already."""
    end = Fate.ENDED if aws.stage == "terminate" else Fate.STOPPED
    spot_end = Fate.TERMINATED if aws.stage == "terminate" else Fate.KEPT
    ada, lin = frozenset({ADA.email}), frozenset({LIN.email})

    def machine(name: str, owners: frozenset[str], **more: object) -> Machine:
        return Machine(f"{name}-{number}", aws, region, owners, **{"fate": end, **more})  # type: ignore[arg-type]

    return [
        machine("web", ada, tags={"owner": ADA.email}),
        machine("api", lin, tags={"Owner": LIN.email.upper()}),
        machine("ci", lin, tags={"OWNER": LIN.github_login}),
        machine("batch", ada, tags={"owner": ADA.name.lower()}),
        machine("poc", ADMINS, tags={"owner": "contractor@elsewhere.example"}),
        machine("tmp", ADMINS),
        machine("bench", ada, key_name=ADA.key_name),
        machine("old", ADMINS, key_name="somebody-2019"),
        machine("spot", lin, tags={"owner": LIN.id}, spot=True, fate=spot_end),
    ]


def _special() -> list[Machine]:
    ada, lin = frozenset({ADA.email}), frozenset({LIN.email})
    us, eu, west = REGIONS
    by_ada, by_lin = {"owner": ADA.email}, {"owner": LIN.email}
    return [
        Machine("db-1", DEV, us, lin, Fate.STOPPED, by_lin, protect_termination=True, held="protected"),
        Machine("vault-2", DEV, eu, ada, Fate.KEPT, by_ada, protect_stop=True, held="protected"),
        Machine("db-4", TEST, us, lin, Fate.STOPPED, by_lin, protect_termination=True),
        Machine(GROUP, DEV, us, ada, Fate.REVIVED, by_ada, group=True),
        Machine("long-3", DEV, west, ada, Fate.KEPT, {**by_ada, "lease": "10m"}),
        Machine("train-2", DEV, eu, ada, Fate.RENEWED, by_ada),
        Machine("train-5", TEST, eu, ada, Fate.RENEWED, by_ada),
        Machine("train-6", TEST, west, lin, Fate.RENEWED, by_lin),
        Machine("parked-2", DEV, eu, lin, Fate.PARKED, by_lin),
        Machine("brief-3", DEV, west, lin, Fate.VANISHED, by_lin),
        Machine("lab-7", LAB, us, ada, Fate.ENDED, by_ada),
    ]


def _lasting() -> list[Machine]:
    """What is still there when the short lives are over, so that there is something to look at and to act on."""
    us, eu, west = REGIONS

    def machine(name: str, aws: AwsAccount, region: str, owner: User, lease: str, instance_type: str) -> Machine:
        tags = {"owner": owner.email, "lease": lease}
        return Machine(name, aws, region, frozenset({owner.email}), Fate.KEPT, tags, instance_type=instance_type)

    return [
        machine("checkout-api", DEV, us, ADA, "2d", "m5.xlarge"),
        machine("search-index", TEST, eu, ADA, "6d", "r5.2xlarge"),
        machine("load-generator", DEV, west, ADA, "9h", "c5.4xlarge"),
        machine("android-farm", DEV, eu, LIN, "3d", "m5.2xlarge"),
        machine("nightly-soak", TEST, us, LIN, "16h", "c5.xlarge"),
        machine("screenshots", DEV, us, LIN, "45m", "t3.medium"),
        machine("gpu-training", DEV, us, LIN, "26h", "g4dn.xlarge"),
        machine("grafana", TEST, west, MAX, "7d", "t3.large"),
        machine("bastion", DEV, eu, OPS, "5d", "t3.micro"),
    ]


def machines() -> list[Machine]:
    """Everything that stands there before zerocloud starts."""
    places = [(aws, region) for aws in (DEV, TEST) for region in REGIONS]
    common = [one for number, place in enumerate(places, 1) for one in _everywhere(number, *place)]
    return common + _special() + _lasting()


BY_CLI, BY_CURL, BY_LINK, VANISHES = "train-2", "train-5", "train-6", "brief-3"
"""Renewed by `zerocloud renew`, by curl, by the link in the mail; terminated while zerocloud runs."""

RAISED = "lab-7"
"""Its AWS account is only observed at first: nobody is told of it until an admin raises the stage."""

LATE = Machine("late-1", DEV, REGIONS[0], frozenset({ADA.email}), Fate.ENDED, {"owner": f"@{ADA.github_login}"})
"""Launched while zerocloud runs."""
