//! Exemption rules: an admin's word that what a tag, a network, an image or a name picks out does not end for now. They stand
//! in the settings of the Account.

use super::{Facts, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A tag of that key, in any case.
    Tag,
    /// The VPC.
    Vpc,
    /// The image.
    Image,
    /// The Name tag.
    Name,
}

impl RuleKind {
    /// The word in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::Tag => "tag",
            RuleKind::Vpc => "vpc",
            RuleKind::Image => "image",
            RuleKind::Name => "name",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExemptionRule {
    /// Names it among the others.
    pub id: String,
    /// What it looks at.
    pub by: RuleKind,
    /// The tag's key; empty for the others.
    #[serde(default)]
    pub key: String,
    /// What must stand there, any case; `*` is any text, and alone is anything at all.
    pub value: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Time,
    /// Who made it.
    #[serde(default)]
    pub made_by: String,
    /// When.
    pub made_at: Time,
}

impl ExemptionRule {
    /// Whether it picks this resource out; whether it is in force is another question. A rule without a value picks nothing.
    pub fn picks(&self, facts: &Facts) -> bool {
        let fits = |text: &str| glob(self.value.trim(), text.trim());
        match self.by {
            RuleKind::Tag => {
                let key = self.key.trim();
                facts.tags.iter().any(|(name, value)| name.trim().eq_ignore_ascii_case(key) && fits(value))
            }
            RuleKind::Vpc => facts.vpc_id.as_deref().is_some_and(fits),
            RuleKind::Image => facts.image_id.as_deref().is_some_and(fits),
            RuleKind::Name => !facts.name.trim().is_empty() && fits(&facts.name),
        }
    }
}

impl fmt::Display for ExemptionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            RuleKind::Tag => write!(f, "tag {} = {}", self.key, self.value),
            RuleKind::Vpc => write!(f, "VPC {}", self.value),
            RuleKind::Image => write!(f, "image {}", self.value),
            RuleKind::Name => write!(f, "name {}", self.value),
        }
    }
}

/// `*` is any text, also none; all else is itself in any case. An empty pattern fits nothing. Tries no place twice more than
/// it must: linear in the text for each star.
fn glob(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return false;
    }
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{ExemptionRule, RuleKind, glob};
    use crate::model::{Facts, Time};
    use serde_json::json;

    #[test]
    fn a_star_is_any_text_and_nothing_fits_nothing() {
        for (pattern, text, fits) in [
            ("prod", "PROD", true),
            ("prod", "prod-1", false),
            ("prod-*", "prod-1", true),
            ("*", "", true),
            ("*db*1", "my-DB-host-1", true),
            ("a*a", "a", false),
            ("", "", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_rule_looks_only_at_what_it_names() {
        let facts = json!({"state": "running", "name": "build-7", "tags": {"Team": "core"}, "vpc_id": "vpc-1"});
        let facts: Facts = serde_json::from_value(facts).unwrap();
        let rule = |by, key: &str, value: &str| ExemptionRule {
            id: "1".into(),
            by,
            key: key.into(),
            value: value.into(),
            reason: "x".into(),
            until: Time::MAX,
            made_by: String::new(),
            made_at: Time::from_unix(0),
        };
        assert!(rule(RuleKind::Tag, "team", "Core").picks(&facts));
        assert!(!rule(RuleKind::Tag, "owner", "*").picks(&facts));
        assert!(rule(RuleKind::Name, "", "build-*").picks(&facts));
        assert!(rule(RuleKind::Vpc, "", "vpc-1").picks(&facts));
        assert!(!rule(RuleKind::Image, "", "*").picks(&facts), "what is not known is not picked");
    }
}
