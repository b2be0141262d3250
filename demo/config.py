"""config.yml for the demo: real settings, every duration shortened to seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from demo.seed import AWS_ACCOUNTS, REGIONS, USERS

SENDER = "zerocloud@bigdb.example"
ACCOUNT = "bigdb"


@dataclass(frozen=True)
class Urls:
    """Where everything listens."""

    ec2: str
    """moto, for EC2 and STS."""
    mail: str
    """moto again, for SES: apart, so that reading the mailbox does not dump all of EC2."""
    public: str
    admin: str
    pages: str
    """zerocloud's own, for people."""
    github: str
    """The stand-in for GitHub."""
    dkron: str
    """The stand-in for Dkron."""


@dataclass(frozen=True)
class App:
    """zerocloud as GitHub knows it."""

    client_id: str
    client_secret: str


def write(path: Path, urls: Urls, app: App, data: Path, ec2_endpoint: str) -> None:
    """Writes the file; `ec2_endpoint` is moto's, unless a break puts something else there."""
    path.write_text(
        f"""\
# Made by `make demo`. Durations are seconds here, so that a whole life of a lease fits into a minute.
store:
  data: {data}
  public: {urls.public.removeprefix("http://")}
  admin: {urls.admin.removeprefix("http://")}
aws:
  region: us-east-1
  access_key_id: demo              # moto takes any keys
  secret_access_key: demo
  check_external_id: false         # moto never checks external ids, so no role would pass; AWS does: leave it on
  requests_per_second: 100
  endpoints:
    ec2: {ec2_endpoint}
    sts: {urls.ec2}
    ses: {urls.mail}
    autoscaling: {urls.ec2}
    cloudtrail: {urls.ec2}
mail:
  from: {SENDER}
  per_second: 20
schedule:
  poll: "*/2 * * * * *"
  sweep: "*/2 * * * * *"
  outbox: "*/2 * * * * *"
scheduler:
  http:                            # a stand-in for Dkron; without this, zerocloud keeps the deadlines itself
    preset: dkron
    url: {urls.dkron}
    per_second: 100
web:
  listen: {urls.pages.removeprefix("http://")}
  public_url: {urls.pages}
  github:                          # a stand-in that asks who you are; with GitHub itself leave base_url out
    base_url: {urls.github}
    client_id: {app.client_id}
    client_secret: {app.client_secret}
accounts:
  - id: {ACCOUNT}
    name: BigDB
    policy:
      default_lease: 30s
      max_lease: 7d                # a few machines ask for days by their tag, and are there to look at
      warnings: [220s, 12s]        # the first one reaches only leases that were renewed
      grace: 8s
      min_notice: 5s
      settle: 2s
      terminate_after: 15s
      terminate_notice: 5s
      stage_notice: 1s
      max_reaps_per_hour: 500      # so many ends in a minute are meant here
    aws_accounts:
{"".join(_aws_accounts())}\
    users:
{"".join(_users())}"""
    )


def github_people() -> list[dict[str, object]]:
    """Who can sign in, as the stand-in for GitHub reads them."""
    return [
        {
            "id": number,
            "login": user.github_login,
            "name": user.name,
            "emails": [{"email": user.email, "primary": True, "verified": True}],
        }
        for number, user in enumerate(USERS, 1001)
    ]


def _aws_accounts() -> list[str]:
    return [
        f"""\
      - aws_id: "{aws.aws_id}"
        name: {aws.name}
        regions: [{", ".join(REGIONS)}]
        stage: {aws.stage}
        role_arn: arn:aws:iam::{aws.aws_id}:role/zerocloud
        external_id: demo-external-id-of-{aws.aws_id}
"""
        for aws in AWS_ACCOUNTS
    ]


def _users() -> list[str]:
    return [
        f"""\
      - id: {user.id}
        email: {user.email}
        name: {user.name}
        role: {user.role}
        github_login: {user.github_login}
        key_names: [{user.key_name}]
"""
        for user in USERS
    ]
