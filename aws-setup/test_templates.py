"""The role's templates: parsed, linted, and granting exactly what the page lists and the program calls."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import hcl2
import yaml

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
POLICIES = ["see", "stop", "terminate", "tag", "launches"]
# Where the program looks for an event key: src/web/hooks/aws.rs.
HEADER = re.search(r'HEADER: &str = "([a-z-]+)"', (ROOT / "src/web/hooks/aws.rs").read_text())[1]


class CloudFormation(yaml.SafeLoader):
    """Reads !Ref, !Sub and the like as what they are applied to."""


def tagged(loader, _suffix, node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True)


CloudFormation.add_multi_constructor("!", tagged)


def texts(value):
    return [value] if isinstance(value, str) else value


def cloudformation():
    """Actions with their resources, by policy."""
    template = yaml.load((HERE / "role.yaml").read_text(), CloudFormation)
    granted = {}
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::IAM::RolePolicy":
            continue
        properties = resource["Properties"]
        statements = properties["PolicyDocument"]["Statement"]
        granted[properties["PolicyName"]] = {
            action: one["Resource"] for one in statements for action in texts(one["Action"])
        }
        assert all(one["Effect"] == "Allow" for one in statements)
    return template, granted


def terraform():
    """Actions by policy; the parser checks the syntax, and keeps expressions as text."""
    with (HERE / "role.tf").open() as file:
        parsed = hcl2.load(file)
    granted = {}
    for resource in parsed["resource"]:
        for kind, named in resource.items():
            if kind.strip('"') != "aws_iam_role_policy":
                continue
            for name, body in named.items():
                granted[name.strip('"')] = set(re.findall(r"(?:autoscaling|cloudtrail|ec2):[A-Z][A-Za-z]+", str(body["policy"])))
    return granted


class Templates(unittest.TestCase):
    def test_cloudformations_linter_finds_nothing(self):
        lint = pathlib.Path(sys.executable).parent / "cfn-lint"
        done = subprocess.run([lint, HERE / "role.yaml"], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_only_the_named_principal_with_the_external_id_may_assume_the_role(self):
        template, _ = cloudformation()
        role = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        self.assertEqual(len(role), 1)
        self.assertEqual(role[0]["Principal"], {"AWS": "Principal"})
        self.assertEqual(role[0]["Condition"], {"StringEquals": {"sts:ExternalId": ["Rotating", ["ExternalId", "FormerExternalId"], "ExternalId"]}})
        self.assertEqual(template["Conditions"]["Rotating"], [["FormerExternalId", ""]])
        self.assertEqual(template["Parameters"]["FormerExternalId"]["Default"], "")
        self.assertEqual(template["Parameters"]["Ends"]["Default"], "none")
        text = re.sub(r"\s+", " ", (HERE / "role.tf").read_text())
        condition = '{ "sts:ExternalId" = compact([var.external_id, var.former_external_id]) }'
        self.assertIn(f"Condition = {{ StringEquals = {condition} }}", text)

    def test_both_templates_grant_the_same(self):
        _, granted = cloudformation()
        self.assertEqual(sorted(granted), sorted(POLICIES))
        self.assertEqual({name: set(actions) for name, actions in granted.items()}, terraform())

    def test_asking_cloudtrail_is_granted_on_request_and_is_all_that_the_program_asks_of_it(self):
        template, granted = cloudformation()
        self.assertEqual(template["Parameters"]["Launches"]["Default"], "no")
        self.assertEqual(list(granted["launches"]), ["cloudtrail:LookupEvents"])
        source = (ROOT / "src" / "aws" / "trail.rs").read_text()
        seeing = {action for action in granted["see"] if action.startswith("cloudtrail:")}
        self.assertEqual(set(re.findall(r'"(cloudtrail:[A-Za-z]+)"', source)), set(granted["launches"]) | seeing)

    def test_what_ends_instances_and_groups_is_granted_on_those_alone(self):
        _, granted = cloudformation()
        for action, resource in {**granted["stop"], **granted["terminate"], **granted["tag"]}.items():
            if action.startswith("autoscaling:"):
                self.assertTrue(resource.endswith(":autoScalingGroupName/*"), action)
            elif action != "ec2:CancelSpotInstanceRequests":
                self.assertTrue(resource.endswith(":instance/*"), action)

    def test_the_page_lists_what_is_granted(self):
        page = (ROOT / "docs" / "aws-setup.md").read_text()
        table = page.split("| Ends | adds | why |")[1].split("\n\n")[0]
        listed, current = {}, None
        for line in table.splitlines()[2:]:
            cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
            current = cells[0] or current
            listed.setdefault(current, set()).add(cells[1])
        _, granted = cloudformation()
        self.assertEqual(list(listed.values()), [set(granted[name]) for name in POLICIES])

    def test_everything_the_program_calls_is_granted_and_nothing_else(self):
        calls = set()
        for path in (ROOT / "src" / "aws").rglob("*.rs"):
            # Schedules are made in zerocloud's own AWS account, without a role.
            if "tests" not in path.parts and path.name != "schedules.rs":
                calls |= set(re.findall(r"\.((?:describe|get_trail|lookup|start|stop|terminate|cancel|modify|create|delete|update)_[a-z_]+)\(\)", path.read_text()))
        scaling = lambda call: "auto_scaling" in call or call == "create_or_update_tags"
        service = lambda call: "autoscaling:" if scaling(call) else "cloudtrail:" if "_trail" in call or "lookup" in call else "ec2:"
        called = {service(call) + "".join(word.capitalize() for word in call.split("_")) for call in calls}
        _, granted = cloudformation()
        self.assertEqual(called, set().union(*(granted[name] for name in POLICIES)))

    def test_the_page_of_the_scheduler_names_what_schedules_need_and_its_template_is_sound(self):
        source = (ROOT / "src" / "aws" / "schedules.rs").read_text()
        page = (ROOT / "docs" / "scheduler.md").read_text()
        calls = {"".join(word.capitalize() for word in call.split("_")) for call in re.findall(r"\.(\w+_schedule)\(\)", source)}
        self.assertEqual({f"scheduler:{call}" for call in calls}, set(re.findall(r"`(scheduler:[A-Za-z]+)`", page)))
        template = "AWSTemplateFormatVersion: '2010-09-09'\n" + page.split("```yml\n")[1].split("```")[0]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(template)
            file.flush()
            lint = pathlib.Path(sys.executable).parent / "cfn-lint"
            done = subprocess.run([lint, file.name], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rule = yaml.load(template, CloudFormation)["Resources"]["Rule"]["Properties"]
        self.assertIn(f'"{rule["EventPattern"]["source"][0]}"', source)

    def test_the_templates_of_events_are_sound_and_give_nothing_but_the_way_to_zerocloud(self):
        lint = pathlib.Path(sys.executable).parent / "cfn-lint"
        files = [HERE / "events.yaml", HERE / "forward.yaml"]
        done = subprocess.run([lint, *files], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        posting, forwarding = (yaml.load(file.read_text(), CloudFormation)["Resources"] for file in files)
        for resources, action in [(posting, "events:InvokeApiDestination"), (forwarding, "events:PutEvents")]:
            policies = resources["Role"]["Properties"]["Policies"]
            statements = [one for policy in policies for one in policy["PolicyDocument"]["Statement"]]
            self.assertEqual([one["Action"] for one in statements], [action])
            self.assertNotIn("*", [one["Resource"] for one in statements])
        self.assertEqual(posting["Connection"]["Properties"]["AuthParameters"]["ApiKeyAuthParameters"]["ApiKeyName"], HEADER)
        pattern = posting["Instances"]["Properties"]["EventPattern"]
        self.assertEqual(pattern, forwarding["Instances"]["Properties"]["EventPattern"])
        names = {name for one in pattern["$or"] for name in one.get("detail", {}).get("eventName", [])}
        text = str(self.events_tf()["resource"])
        for name in names:
            self.assertIn(name, text)
        self.assertIn(HEADER, text)

    def test_the_rule_asks_for_every_call_that_the_program_knows(self):
        source = (ROOT / "src" / "model" / "told.rs").read_text()
        known = set()
        for name in ["ON_INSTANCES", "ON_TAGS"]:
            known |= set(re.findall(r'"([A-Za-z]+)"', re.search(rf"const {name}: [^=]+= \[([^\]]+)\]", source)[1]))
        pattern = yaml.load((HERE / "events.yaml").read_text(), CloudFormation)
        calls = pattern["Resources"]["Instances"]["Properties"]["EventPattern"]["$or"][1]["detail"]["eventName"]
        self.assertEqual(set(calls), known)

    def events_tf(self):
        with (HERE / "events" / "events.tf").open() as file:
            return hcl2.load(file)


if __name__ == "__main__":
    unittest.main()
