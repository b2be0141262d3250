//! What of a document is an admin's doing, and how a change of it reads. Pure. Never a secret: no key, no external id, of an
//! address that may hold one only its host.

use crate::model::Time;
use crate::words::{clean, cut, span};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What stands in a document that is an admin's doing.
pub(super) type Facts = Map<String, Value>;

/// What a document is about, by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    AwsAccount,
    User,
    Policy,
    Pause,
    Region,
    Hook,
    Token,
    EventKey,
}

/// Grows with what is recorded: what an earlier version did not look at is no news to the next. With 2 came event keys, and
/// of AWS accounts what stands in [`ADDED`].
pub(super) const SHAPE: u64 = 2;
const ADDED: [&str; 3] = ["role_arn", "rotation", "write_tags"];

const KINDS: [(&str, Kind); 9] = [
    ("account::", Kind::Account),
    ("aws_account::", Kind::AwsAccount),
    ("user::", Kind::User),
    ("policy::", Kind::Policy),
    ("pause::", Kind::Pause),
    ("region::", Kind::Region),
    ("hook::", Kind::Hook),
    ("api_token::", Kind::Token),
    ("event_key::", Kind::EventKey),
];

impl Kind {
    pub(super) fn of(id: &str) -> Option<Kind> {
        KINDS.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, kind)| *kind)
    }

    /// The shape that it came with.
    pub(super) fn since(self) -> u64 {
        if self == Kind::EventKey { 2 } else { 1 }
    }

    /// The word in events.
    pub(super) fn word(self) -> &'static str {
        match self {
            Kind::Account => "account",
            Kind::AwsAccount => "aws_account",
            Kind::User => "user",
            Kind::Policy => "policy",
            Kind::Pause => "pause",
            Kind::Region => "region",
            Kind::Hook => "hook",
            Kind::Token => "token",
            Kind::EventKey => "event_key",
        }
    }

    /// Which fields are an admin's doing.
    fn fields(self) -> &'static [&'static str] {
        match self {
            Kind::Account => &["name"],
            Kind::AwsAccount => &["name", "regions", "stage", "disabled", "role_arn", "write_tags"],
            Kind::User => &["email", "role", "aliases"],
            Kind::Pause => &["reason", "since", "resumed_at"],
            Kind::Region => &["resume"],
            Kind::Hook => &["name", "shape"],
            Kind::Token => &["name", "user", "scopes", "expires"],
            Kind::EventKey => &["name", "speaks_for", "expires"],
            // Taken apart below.
            Kind::Policy => &[],
        }
    }
}

/// What stands there that is an admin's doing.
pub(super) fn facts(kind: Kind, doc: &Value) -> Facts {
    let mut facts: Facts =
        kind.fields().iter().filter_map(|name| Some(((*name).to_owned(), doc.get(*name)?.clone()))).collect();
    match kind {
        Kind::Policy => facts.extend(doc.get("policy").and_then(Value::as_object).cloned().unwrap_or_default()),
        Kind::Account => {
            let rules = doc.pointer("/settings/exemptions").and_then(Value::as_array);
            facts.extend(rules.into_iter().flatten().filter_map(rule));
        }
        Kind::Hook => {
            let url = doc.get("url").and_then(Value::as_str).and_then(|url| reqwest::Url::parse(url).ok());
            facts.extend(url.map(|url| ("target".to_owned(), url.origin().ascii_serialization().into())));
        }
        // How far it is, never the external ids.
        Kind::AwsAccount => {
            let stands = |name: &str| doc.get(name).is_some_and(|id| !id.is_null());
            let begun = stands("external_id_next").then_some("begun");
            let rotation = begun.or(stands("external_id_former").then_some("ending"));
            facts.extend(rotation.map(|how| ("rotation".to_owned(), how.into())));
        }
        Kind::Region => facts.retain(|_, value| *value == true),
        _ => {}
    }
    facts
}

/// Facts that a version of that shape noted, and what it did not look at, as it stands now.
pub(super) fn completed(kind: Kind, noted: &Facts, now: &Facts, shape: u64) -> Facts {
    let mut facts = noted.clone();
    if kind == Kind::AwsAccount && shape < 2 {
        facts.extend(ADDED.iter().filter_map(|name| Some(((*name).to_owned(), now.get(*name)?.clone()))));
    }
    facts
}

fn rule(rule: &Value) -> Option<(String, Value)> {
    let text = |name: &str| rule.get(name).and_then(Value::as_str).unwrap_or_default();
    let key = if text("key").is_empty() { String::new() } else { format!(" {} =", text("key")) };
    let what = format!("{}{key} {}, until {}: {}", text("by"), text("value"), text("until"), text("reason"));
    Some((format!("exemption {}", rule.get("id")?.as_str()?), what.into()))
}

/// Who the document says did it; nothing for the service, and for whoever writes past the access rules.
pub(super) fn author(kind: Kind, doc: &Value, made: bool) -> Option<String> {
    let text = |name: &str| doc.get(name).and_then(Value::as_str).map(str::to_owned);
    let of_its_kind = match kind {
        Kind::Pause => text("by"),
        Kind::User if made => text("invited_by"),
        Kind::Hook if made => text("made_by"),
        Kind::AwsAccount if made => text("connected_by"),
        Kind::EventKey if made => Some(format!("{}.{}", text("account")?, text("made_by")?)),
        Kind::Token => Some(format!("{}.{}", text("account")?, text("user")?)),
        _ => None,
    };
    // Of an Account and its first policy the set-up says for whom it made them; whoever writes past it is named by the rules.
    let founder = || matches!(kind, Kind::Account | Kind::Policy).then(|| text("made_by")).flatten().filter(|_| made);
    of_its_kind.or_else(|| text("updated_by")).or_else(founder)
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) what: String,
    /// `None` when it was not there; null lifts a limit.
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

impl Change {
    pub(super) fn json(&self) -> Value {
        json!({ "what": self.what, "before": self.before, "after": self.after })
    }
}

/// What differs; a missing one is null.
pub(super) fn changes(before: Option<&Facts>, after: Option<&Facts>) -> Vec<Change> {
    let names: BTreeSet<&String> = [before, after].into_iter().flatten().flat_map(Map::keys).collect();
    let value = |facts: Option<&Facts>, name: &String| facts.and_then(|facts| facts.get(name)).cloned();
    let all = names.into_iter().map(|name| (name, value(before, name), value(after, name)));
    let differing = all.filter(|(_, before, after)| before != after);
    differing.map(|(name, before, after)| Change { what: name.clone(), before, after }).collect()
}

/// Whether there is anything to tell: a wish that the service took back, or what ended at its time, is nobody's doing.
pub(super) fn is_news(kind: Kind, before: Option<&Facts>, after: Option<&Facts>, now: Time) -> bool {
    let ended = |facts: &Facts| {
        let expires = facts.get("expires").and_then(Value::as_str).and_then(|at| Time::parse(at).ok());
        expires.is_some_and(|expires| expires <= now)
    };
    match kind {
        Kind::Region => after.is_some_and(|facts| !facts.is_empty()),
        Kind::Token | Kind::EventKey if after.is_none() => !before.is_some_and(ended),
        _ => before != after,
    }
}

/// The sentence for people.
pub(super) fn sentence(kind: Kind, id: &str, before: Option<&Facts>, after: Option<&Facts>) -> String {
    let text = |name: &str| {
        let value = after.or(before).and_then(|facts| facts.get(name)).and_then(Value::as_str);
        value.map(|text| cut(&clean(text), 120)).unwrap_or_default()
    };
    let what = subject(kind, id, &text);
    let said = match (kind, before, after) {
        (Kind::Pause, _, Some(facts)) if facts.contains_key("resumed_at") => format!("{what}: resumed"),
        (Kind::Pause, _, Some(_)) => format!("{what}: paused: {}", text("reason")),
        (Kind::Pause, _, None) => format!("{what}: its pause removed"),
        (Kind::Region, ..) => format!("{what}: reading goes on"),
        (Kind::Policy, None, Some(facts)) if facts.is_empty() => format!("{what}: made, with nothing set"),
        (Kind::Policy, None, Some(_)) | (_, Some(_), Some(_)) => format!("{what}: {}", list(kind, before, after)),
        (Kind::User, None, Some(_)) => format!("{what} may come in as {}", text("role")),
        (Kind::AwsAccount, None, Some(_)) => format!("{what} is here, at stage {}", text("stage")),
        (_, None, Some(_)) => format!("{what} made"),
        (_, _, None) => format!("{what} removed"),
    };
    cut(&said, 500)
}

fn subject(kind: Kind, id: &str, text: &dyn Fn(&str) -> String) -> String {
    let parts: Vec<&str> = id.split("::").collect();
    let last = parts.last().copied().unwrap_or_default();
    match (kind, &parts[..]) {
        (Kind::Account, _) => "Account".to_owned(),
        (Kind::AwsAccount, _) => format!("AWS account {last} {}", text("name")).trim_end().to_owned(),
        (Kind::User, _) => format!("{} ({last})", text("email")),
        (Kind::Policy, [_, _, "aws", aws_id]) => format!("Policy of AWS account {aws_id}"),
        (Kind::Policy, [_, _, "user", user]) => format!("Policy of {user}"),
        (Kind::Policy, _) => "Policy of the Account".to_owned(),
        (Kind::Pause, [_, "all"]) => "Everything".to_owned(),
        (Kind::Pause, [_, _, aws_id]) => format!("AWS account {aws_id}"),
        (Kind::Pause, _) => "The whole Account".to_owned(),
        (Kind::Region, [_, aws_id, region]) => format!("Region {region} of AWS account {aws_id}"),
        (Kind::Hook, _) => format!("Hook {} to {}", text("name"), text("target")),
        (Kind::Token, _) => format!("Token {} of {}", text("name"), text("user")),
        (Kind::EventKey, [_, _, aws_id, ..]) => {
            let name = Some(text("name")).filter(|name| !name.is_empty());
            format!("Event key {} of AWS account {aws_id}", name.as_deref().unwrap_or(last))
        }
        _ => last.to_owned(),
    }
}

fn list(kind: Kind, before: Option<&Facts>, after: Option<&Facts>) -> String {
    let one = |change: &Change| {
        let say = |value: &Value| words(kind, &change.what, value);
        let [before, after] =
            [&change.before, &change.after].map(|value| value.as_ref().map_or_else(|| "–".to_owned(), say));
        match (kind, &change.before, &change.after) {
            (Kind::Account, None, Some(_)) => format!("{} made: {after}", change.what),
            (Kind::Account, Some(_), None) => format!("{} ended: {before}", change.what),
            _ => format!("{} {before} → {after}", change.what),
        }
    };
    changes(before, after).iter().map(one).collect::<Vec<_>>().join("; ")
}

/// A value as people read it; whole numbers of a policy are durations but for those that count something.
fn words(kind: Kind, name: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Number(number)
            if kind == Kind::Policy && !name.starts_with("max_instances") && !name.contains("reaps") =>
        {
            number.as_i64().map_or_else(|| number.to_string(), span)
        }
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(|value| words(kind, name, value)).collect::<Vec<_>>().join(", "),
        Value::String(text) => cut(&clean(text), 120),
        other => other.to_string(),
    }
}

/// The document's name in an event: a token's id is the hash of what it consists of, and is cut short.
pub(super) fn about(kind: Kind, id: &str) -> String {
    let keep = if kind == Kind::Token { "api_token::".len() + 16 } else { usize::MAX };
    id.chars().take(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::{Facts, Kind, author, changes, facts, is_news, sentence};
    use crate::model::Time;
    use serde_json::{Value, json};

    fn read(id: &str, doc: &Value) -> (Kind, Facts) {
        let kind = Kind::of(id).unwrap();
        (kind, facts(kind, doc))
    }

    #[test]
    fn a_change_reads_as_what_was_and_what_is() {
        let said = |id: &str, before: &Value, after: &Value| {
            let ((kind, before), (_, after)) = (read(id, before), read(id, after));
            sentence(kind, id, Some(&before), Some(&after))
        };
        let aws = |stage: &str| json!({ "name": "Dev", "stage": stage, "external_id": stage });
        let told = [
            said("aws_account::bigdb::111122223333", &aws("observe"), &aws("notify")),
            said(
                "policy::bigdb::user::lin",
                &json!({ "policy": { "grace": 3_600, "max_instances": 2 } }),
                &json!({ "policy": { "grace": 7_200, "max_instances": 3, "max_total": null } }),
            ),
            said(
                "account::bigdb",
                &json!({}),
                &json!({ "settings": { "exemptions": [{ "id": "ab", "by": "tag", "key": "env", "value": "prod",
                    "until": "2099-01-01T00:00:00Z", "reason": "live" }] } }),
            ),
            said(
                "pause::bigdb",
                &json!({ "reason": "x", "since": "a", "resumed_at": "b" }),
                &json!({ "reason": "a demo" }),
            ),
            said(
                "aws_account::bigdb::111122223333",
                &json!({ "role_arn": "arn:a", "external_id_next": "SECRET" }),
                &json!({ "role_arn": "arn:b", "external_id_former": "SECRET", "write_tags": true }),
            ),
            said(
                "event_key::bigdb::111122223333::0a",
                &json!({ "name": "" }),
                &json!({ "name": "", "expires": "2026-11-25T00:00:00Z" }),
            ),
            said(
                "user::bigdb::lin",
                &json!({ "role": "dev", "email": "l@x" }),
                &json!({ "role": "admin", "email": "l@x" }),
            ),
        ];
        assert_eq!(
            told,
            [
                "AWS account 111122223333 Dev: stage observe → notify",
                "Policy of lin: grace 1 hour → 2 hours; max_instances 2 → 3; max_total – → none",
                "Account: exemption ab made: tag env = prod, until 2099-01-01T00:00:00Z: live",
                "The whole Account: paused: a demo",
                "AWS account 111122223333: role_arn arn:a → arn:b; rotation begun → ending; write_tags – → true",
                "Event key 0a of AWS account 111122223333: expires – → 2026-11-25T00:00:00Z",
                "l@x (lin): role dev → admin",
            ]
        );
    }

    #[test]
    fn a_policy_that_sets_nothing_says_so() {
        let (kind, empty) = read("policy::bigdb", &json!({ "policy": {} }));
        let told = sentence(kind, "policy::bigdb", None, Some(&empty));
        assert_eq!(told, "Policy of the Account: made, with nothing set");
    }

    #[test]
    fn no_secret_is_among_the_facts() {
        let hook =
            json!({ "name": "ops", "url": "https://hooks.example/T0/SECRET", "secret": "SECRET", "shape": "slack" });
        let (_, hook) = read("hook::bigdb::1", &hook);
        let aws = json!({ "external_id": "SECRET", "external_id_next": "SECRET", "external_id_former": "SECRET" });
        let (_, aws) = read("aws_account::bigdb::111122223333", &aws);
        let (_, key) = read("event_key::bigdb::111122223333::0a", &json!({ "name": "east", "hash": "SECRET" }));
        assert!(!json!([hook, aws, key]).to_string().contains("SECRET"));
        assert_eq!(aws["rotation"], "begun");
        assert_eq!(hook["target"], "https://hooks.example");
    }

    #[test]
    fn what_the_service_does_by_itself_is_nobodys_doing() {
        let now = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let (kind, asked) = read("region::111122223333::us-east-1", &json!({ "resume": true, "state": "paused" }));
        let (_, done) = read("region::111122223333::us-east-1", &json!({ "state": "ok" }));
        assert!(is_news(kind, Some(&done), Some(&asked), now) && !is_news(kind, Some(&asked), Some(&done), now));
        let token = |expires: &str| read("api_token::ab", &json!({ "name": "x", "expires": expires })).1;
        assert!(is_news(Kind::Token, Some(&token("2026-11-25T00:00:00Z")), None, now));
        assert!(!is_news(Kind::Token, Some(&token("2026-11-24T00:00:00Z")), None, now));
        assert!(changes(Some(&done), Some(&done)).is_empty());
    }

    #[test]
    fn who_did_it_is_who_the_access_rules_let_write() {
        assert_eq!(author(Kind::Policy, &json!({ "updated_by": "bigdb.ada" }), false).as_deref(), Some("bigdb.ada"));
        assert_eq!(author(Kind::User, &json!({ "invited_by": "bigdb.ada" }), true).as_deref(), Some("bigdb.ada"));
        assert_eq!(author(Kind::User, &json!({ "invited_by": "bigdb.ada" }), false), None);
        let founded = json!({ "made_by": "bigdb.ada" });
        assert_eq!(author(Kind::Account, &founded, true).as_deref(), Some("bigdb.ada"));
        assert_eq!(author(Kind::Account, &founded, false), None);
        let forged = json!({ "made_by": "bigdb.ada", "updated_by": "bigdb.max" });
        assert_eq!(author(Kind::Policy, &forged, true).as_deref(), Some("bigdb.max"));
        assert_eq!(
            author(Kind::Token, &json!({ "account": "bigdb", "user": "lin" }), true).as_deref(),
            Some("bigdb.lin")
        );
    }
}
