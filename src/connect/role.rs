//! What the role in an AWS account is to be: read from the CloudFormation template, which is the one place that says so, with
//! its parameters filled in.

use crate::model::{AwsId, Stage};
use serde_json::{Map, Value as Json};
use serde_yaml_ng::Value as Yaml;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The CloudFormation template.
pub(super) const CLOUDFORMATION: &str = include_str!("../../aws-setup/role.yaml");

static TEMPLATE: LazyLock<Yaml> = LazyLock::new(|| serde_yaml_ng::from_str(CLOUDFORMATION).unwrap_or_default());

/// What zerocloud may do to instances: the template's parameter `Ends`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing.
    None,
    /// Stop them, and start them again.
    Stop,
    /// And terminate them.
    Terminate,
}

impl Ends {
    /// As the templates call it.
    pub fn word(self) -> &'static str {
        match self {
            Ends::None => "none",
            Ends::Stop => "stop",
            Ends::Terminate => "terminate",
        }
    }

    /// What that word means.
    pub fn parse(word: &str) -> Option<Ends> {
        [Ends::None, Ends::Stop, Ends::Terminate].into_iter().find(|ends| ends.word() == word)
    }

    /// What a stage needs.
    pub fn of(stage: Stage) -> Ends {
        match stage {
            Stage::Observe | Stage::Notify => Ends::None,
            Stage::Stop => Ends::Stop,
            Stage::Terminate => Ends::Terminate,
        }
    }
}

/// The template's parameters.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) aws_id: AwsId,
    /// `aws`, or that of another partition.
    pub(super) partition: String,
    /// Who may assume the role.
    pub(super) principal: String,
    pub(super) external_id: String,
    /// The one before it, while it is rotated; else empty.
    pub(super) former: String,
    pub(super) role_name: String,
    pub(super) ends: Ends,
    pub(super) tags: bool,
    pub(super) owner_tag: String,
    /// Whether it may ask CloudTrail who launched what.
    pub(super) launches: bool,
}

/// A policy of the role.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Policy {
    pub(super) name: String,
    /// Whether it is part of the role as it is wanted.
    pub(super) wanted: bool,
    pub(super) document: Json,
}

impl Policy {
    /// Its statements, each with the actions in it.
    pub(super) fn statements(&self) -> Vec<(&Json, Vec<&str>)> {
        let all = self.document["Statement"].as_array().into_iter().flatten();
        all.map(|statement| (statement, texts(&statement["Action"]))).collect()
    }
}

fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

impl Wanted {
    /// Those that the program knows by name; what else the template has stands there with its default.
    pub(super) fn parameters(&self) -> [(&'static str, &str); 8] {
        let word = |flag| if flag { "yes" } else { "no" };
        [
            ("Principal", &self.principal),
            ("ExternalId", &self.external_id),
            ("FormerExternalId", &self.former),
            ("RoleName", &self.role_name),
            ("Ends", self.ends.word()),
            ("Tags", word(self.tags)),
            ("OwnerTag", &self.owner_tag),
            ("Launches", word(self.launches)),
        ]
    }

    /// Who may assume the role, and on what condition.
    pub(super) fn trust(&self) -> Json {
        let role = resources("AWS::IAM::Role").next();
        role.map(|(_, properties)| self.filled().fill(&properties["AssumeRolePolicyDocument"])).unwrap_or_default()
    }

    /// What the role may do.
    pub(super) fn policies(&self) -> Vec<Policy> {
        let filled = self.filled();
        let all = resources("AWS::IAM::RolePolicy").map(|(resource, properties)| Policy {
            name: properties["PolicyName"].as_str().unwrap_or_default().to_owned(),
            wanted: resource["Condition"].as_str().is_none_or(|name| filled.named(name)),
            document: filled.fill(&properties["PolicyDocument"]),
        });
        all.collect()
    }

    fn filled(&self) -> Filled {
        let mut values = BTreeMap::new();
        for (name, parameter) in TEMPLATE["Parameters"].as_mapping().into_iter().flatten() {
            let default = parameter["Default"].as_str().unwrap_or_default();
            values.insert(name.as_str().unwrap_or_default().to_owned(), default.to_owned());
        }
        let own = [("AWS::Partition", self.partition.as_str()), ("AWS::AccountId", self.aws_id.as_str())];
        values
            .extend(self.parameters().into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())));
        Filled(values)
    }
}

/// The resources of a type, each with its properties.
fn resources(kind: &'static str) -> impl Iterator<Item = (&'static Yaml, &'static Yaml)> {
    let all = TEMPLATE["Resources"].as_mapping().into_iter().flatten();
    all.filter(move |(_, it)| it["Type"].as_str() == Some(kind)).map(|(_, it)| (it, &it["Properties"]))
}

/// Parameters by name.
struct Filled(BTreeMap<String, String>);

impl Filled {
    /// A part of the template as JSON, its functions worked out. A function that is none of these gives nothing.
    fn fill(&self, part: &Yaml) -> Json {
        match part {
            Yaml::Bool(flag) => (*flag).into(),
            Yaml::Number(number) => number.as_i64().into(),
            Yaml::String(text) => text.as_str().into(),
            Yaml::Sequence(items) => items.iter().map(|item| self.fill(item)).collect(),
            Yaml::Mapping(fields) => {
                let fields = fields.iter();
                let filled: Map<String, Json> = fields
                    .map(|(name, value)| (name.as_str().unwrap_or_default().to_owned(), self.fill(value)))
                    .collect();
                Json::Object(filled)
            }
            Yaml::Tagged(call) if call.tag == "Ref" => {
                self.0.get(call.value.as_str().unwrap_or_default()).cloned().into()
            }
            Yaml::Tagged(call) if call.tag == "Sub" => {
                let mut text = call.value.as_str().unwrap_or_default().to_owned();
                for (name, value) in &self.0 {
                    text = text.replace(&format!("${{{name}}}"), value);
                }
                text.into()
            }
            Yaml::Tagged(call) if call.tag == "If" => {
                let holds = self.named(call.value[0].as_str().unwrap_or_default());
                self.fill(&call.value[if holds { 1 } else { 2 }])
            }
            Yaml::Null | Yaml::Tagged(_) => Json::Null,
        }
    }

    /// Whether a condition of that name holds.
    fn named(&self, name: &str) -> bool {
        self.holds(&TEMPLATE["Conditions"][name])
    }

    fn holds(&self, condition: &Yaml) -> bool {
        let Yaml::Tagged(call) = condition else { return false };
        let parts = || call.value.as_sequence().into_iter().flatten();
        if call.tag == "Equals" {
            self.fill(&call.value[0]) == self.fill(&call.value[1])
        } else if call.tag == "Not" {
            !parts().all(|part| self.holds(part))
        } else if call.tag == "And" {
            parts().all(|part| self.holds(part))
        } else if call.tag == "Or" {
            parts().any(|part| self.holds(part))
        } else {
            call.tag == "Condition" && self.named(call.value.as_str().unwrap_or_default())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Ends, Wanted};
    use crate::model::AwsId;
    use serde_json::json;

    pub(in super::super) fn wanted() -> Wanted {
        Wanted {
            aws_id: AwsId::parse("111122223333").unwrap(),
            partition: "aws".to_owned(),
            principal: "arn:aws:iam::444455556666:role/zerocloud-service".to_owned(),
            external_id: "0123456789abcdef0123".to_owned(),
            former: String::new(),
            role_name: "zerocloud".to_owned(),
            ends: Ends::None,
            tags: false,
            owner_tag: "owner".to_owned(),
            launches: false,
        }
    }

    #[test]
    fn the_trust_policy_names_zerocloud_and_its_external_id_and_both_while_it_is_rotated() {
        let mut wanted = wanted();
        let statement = |condition| {
            json!({
                "Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": { "AWS": "arn:aws:iam::444455556666:role/zerocloud-service" },
                "Condition": { "StringEquals": { "sts:ExternalId": condition } },
            })
        };
        let trust = |condition| json!({ "Version": "2012-10-17", "Statement": [statement(condition)] });
        assert_eq!(wanted.trust(), trust(json!("0123456789abcdef0123")));
        wanted.former = "the-one-before-it".to_owned();
        assert_eq!(wanted.trust(), trust(json!(["0123456789abcdef0123", "the-one-before-it"])));
    }

    #[test]
    fn the_policies_are_those_that_the_parameters_ask_for() {
        let mut wanted = wanted();
        let names = |wanted: &Wanted| {
            let all = wanted.policies();
            all.into_iter().filter(|policy| policy.wanted).map(|policy| policy.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&wanted), ["see"]);
        (wanted.ends, wanted.tags, wanted.launches) = (Ends::Terminate, true, true);
        for name in ["see", "stop", "terminate", "tag", "launches"] {
            assert!(names(&wanted).contains(&name.to_owned()), "{name}");
        }
        let policies = wanted.policies();
        let stop = policies.iter().find(|policy| policy.name == "stop").unwrap();
        let (statement, actions) = &stop.statements()[0];
        assert_eq!(*actions, ["ec2:StartInstances", "ec2:StopInstances"]);
        assert_eq!(statement["Resource"], "arn:aws:ec2:*:111122223333:instance/*");
        let tag = policies.iter().find(|policy| policy.name == "tag").unwrap();
        let keys =
            tag.document.pointer("/Statement/0/Condition/ForAllValues:StringEqualsIgnoreCase/aws:TagKeys").unwrap();
        assert_eq!(*keys, json!(["zerocloud:lease", "zerocloud:expires", "zerocloud:owner", "owner"]));
    }
}
