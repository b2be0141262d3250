"""What the demo prints at the end, and the commands to try while it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from demo import checker
from demo.config import Urls
from demo.people import People
from demo.seed import ADA
from demo.watch import Watch


def tables(people: People, watch: Watch) -> None:
    """Leases as zerocloud lists them; then what EC2 and the mailbox show, and whether it is what the seed asks for."""
    print("\nLeases, as `zerocloud leases --all` lists them:\n")
    command = [str(people.zerocloud), "--config", str(people.config), "leases", "--all"]
    subprocess.run(command, timeout=60, check=False)
    print("\nWhat EC2 and the mailbox show, and what must have become of each instance:\n", flush=True)
    _table(["NAME", "AWS ACCOUNT", "REGION", "EC2", "MAILS", "TO", "EXPECTED", ""], _machines(watch))
    print("\nMails:\n")
    said = Counter((notice.to, notice.kind) for notice in watch.mailbox.notices)
    sent = Counter(mail.to for mail in watch.mailbox.mails)
    rows = ([to, kind, str(count), str(sent[to])] for (to, kind), count in sorted(said.items()))
    _table(["TO", "SAYS", "INSTANCES", "ALL MAILS TO THEM"], rows)


def _machines(watch: Watch) -> Iterable[list[str]]:
    for history in watch.histories.values():
        machine = history.machine
        kinds = dict.fromkeys(notice.kind for notice in history.notices)
        to = dict.fromkeys(notice.to.partition("@")[0] for notice in history.notices)
        right = not any(checker.wrong(history)) and not any(checker.missing(history))
        yield [
            machine.name,
            machine.aws.name,
            machine.region,
            history.state,
            ", ".join(kinds),
            ", ".join(to),
            machine.fate.value,
            "ok" if right else "WRONG",
        ]


def _table(header: list[str], rows: Iterable[list[str]]) -> None:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def hints(people: People, log: Path) -> None:
    """Where everything is, and what to try."""
    urls: Urls = people.urls
    zerocloud = shlex.join([str(people.zerocloud), "--config", str(people.config)])
    cookie = people.session(f"bigdb.{ADA.id}")
    print(
        f"""
  Open {urls.pages}/ and choose who you are; max and ops are admins.

  people's port   {urls.public}/zerocloud/
  service's port  {urls.admin}/zerocloud/
  EC2 (moto)      {urls.ec2}/moto-api/
  mailbox (moto)  {urls.mail}/moto-api/data.json
  Dkron (ours)    {urls.dkron}/v1/jobs
  zerocloud's log {log}

Try:
  {zerocloud} leases
  {zerocloud} plan
  {zerocloud} doctor    # moto has no ses:GetAccount, so this one asks to mend the mail
  {zerocloud} pause --all --reason 'a look around'
  curl -s --cookie {cookie} '{urls.public}/zerocloud/_changes?include_docs=true'    # as Ada: only hers
  curl -s '{urls.admin}/zerocloud/_all_docs?include_docs=true'    # as the service: all
  {sys.executable} -m demo.launch {urls.ec2} Name=mine owner=lin    # one more instance, with a life of a minute

Ctrl-C ends everything that the demo started.
""",
        flush=True,
    )
