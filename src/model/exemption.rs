//! Exemption rules: an admin's word that what a tag, a network, an image or a name picks out does not end for now. They stand
//! in the settings of the Account.

use super::{Facts, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// How much of a rule that cannot be read is shown, in characters.
const SHOWN: usize = 200;

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
    /// Nobody can tell: everything, until it is mended. Never written.
    #[serde(skip)]
    Unknown,
}

impl RuleKind {
    /// The word in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::Tag => "tag",
            RuleKind::Vpc => "vpc",
            RuleKind::Image => "image",
            RuleKind::Name => "name",
            RuleKind::Unknown => "unknown",
        }
    }

    /// The kind that a word means, in any case.
    fn meant(word: &Value) -> Option<RuleKind> {
        serde_json::from_value(word.as_str()?.trim().to_lowercase().into()).ok()
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
            RuleKind::Unknown => true,
        }
    }

    /// A rule as it stands in the settings, and what is wrong with it. What an admin meant to exempt is not ended because of
    /// a slip: a rule of which it can be told what it picks holds that, and one of which it cannot holds everything; both
    /// until they are mended, or their end, where that can be read.
    pub fn read(written: &Value) -> (ExemptionRule, Option<String>) {
        if let Ok(rule) = ExemptionRule::deserialize(written)
            && rule.is_told()
        {
            return (rule, None);
        }
        let field = |name: &str| written.get(name).unwrap_or(&Value::Null);
        let text = |name: &str| match field(name) {
            Value::String(text) => text.trim().to_owned(),
            Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
            other => other.to_string(),
        };
        let time = |name: &str| field(name).as_str().and_then(|at| Time::parse(at).ok());
        let mut rule = ExemptionRule {
            id: text("id"),
            by: RuleKind::meant(field("by")).unwrap_or(RuleKind::Unknown),
            key: text("key"),
            value: text("value"),
            reason: text("reason"),
            until: time("until").unwrap_or(Time::MAX),
            made_by: text("made_by"),
            made_at: time("made_at").unwrap_or(Time::MIN),
        };
        if !rule.is_told() {
            rule.by = RuleKind::Unknown;
            rule.value = written.to_string().chars().take(SHOWN).collect();
        }
        let until = time("until").map_or("it is mended".to_owned(), |until| until.to_string());
        let fault = match rule.by {
            RuleKind::Unknown => format!("every end is held until {until}, as nobody can tell what it picks: {rule}"),
            _ => format!("{rule} is not written as it should be, and holds what it picks until {until}"),
        };
        (rule, Some(fault))
    }

    /// Whether it can be told what it picks.
    fn is_told(&self) -> bool {
        let keyed = self.by != RuleKind::Tag || !self.key.trim().is_empty();
        self.by != RuleKind::Unknown && keyed && !self.value.trim().is_empty()
    }
}

impl fmt::Display for ExemptionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            RuleKind::Tag => write!(f, "tag {} = {}", self.key, self.value),
            RuleKind::Vpc => write!(f, "VPC {}", self.value),
            RuleKind::Image => write!(f, "image {}", self.value),
            RuleKind::Name => write!(f, "name {}", self.value),
            RuleKind::Unknown => f.write_str(&self.value),
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

    #[test]
    fn a_rule_with_a_slip_holds_what_it_means_and_one_that_nobody_understands_holds_everything() {
        let facts = |tag: &str| -> Facts {
            serde_json::from_value(json!({"state": "running", "tags": {(tag): "true"}})).unwrap()
        };
        let good = json!({
            "id": "1", "by": "tag", "key": "keep", "value": "*", "reason": "demo", "until": "2027-12-31T00:00:00Z",
            "made_at": "2026-11-24T08:00:00Z",
        });
        let with = |more: serde_json::Value| {
            let mut rule = good.as_object().unwrap().clone();
            rule.extend(more.as_object().unwrap().clone());
            rule.retain(|_, value| *value != json!("none"));
            json!(rule)
        };
        assert_eq!(ExemptionRule::read(&good).1, None);
        let read = |written: serde_json::Value| {
            let (rule, fault) = ExemptionRule::read(&written);
            assert!(fault.is_some(), "{written} is no fault");
            (rule.picks(&facts("keep")), rule.picks(&facts("other")), rule.until)
        };
        let end = Time::parse("2027-12-31T00:00:00Z").unwrap();
        for (slip, until) in [
            (json!({"until": "2027-12-31"}), Time::MAX),
            (json!({"until": null, "reason": 7}), Time::MAX),
            (json!({"made_at": "none", "id": "none"}), end),
            (json!({"by": "Tag ", "value": true}), end),
        ] {
            assert_eq!(read(with(slip.clone())), (true, false, until), "{slip}");
        }
        for (slip, until) in [
            (json!({"by": "subnet"}), end),
            (json!({"by": "unknown", "until": "soon"}), Time::MAX),
            (json!({"key": ""}), end),
            (json!({"value": "none"}), end),
            (json!({"value": " "}), end),
            (json!({"value": ["a"]}), end),
        ] {
            assert_eq!(read(with(slip.clone())), (true, true, until), "{slip}");
        }
        for odd in [json!("tag keep"), json!(7), json!(null), json!([])] {
            assert_eq!(read(odd.clone()), (true, true, Time::MAX), "{odd}");
        }
        let named = ExemptionRule::read(&with(json!({"by": "subnet"}))).0.to_string();
        assert!(named.contains(r#""by":"subnet""#) && named.len() <= 200, "{named}");
    }
}
