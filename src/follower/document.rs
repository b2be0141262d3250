//! One document of the feed as its type, or what is wrong with it. A document that an older version, a permissive rule or a
//! person's hand left behind is named and left alone; it never stops the others.

use crate::model::{
    Account, AccountId, AwsAccount, AwsId, Callback, Doc, EventKey, Lease, LeaseKey, Notice, Pause, PolicyLayer,
    Region, RegionState, Request, Resource, User, UserId,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A document that the service works with.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each holds the document of that name")]
pub enum Document {
    Account(Account),
    AwsAccount(AwsAccount),
    User(User),
    Policy(AccountId, PolicyLayer),
    Pause(Option<AccountId>, Pause),
    Region(AwsId, Region, RegionState),
    Lease(Lease),
    Resource(Doc<Resource>),
    Request(Doc<Request>),
    Notice(Doc<Notice>),
    Callback(Callback),
    EventKey(EventKey),
    /// Of no concern to the index.
    Other,
}

/// The types that ids begin with; policies have three.
const KINDS: [(&str, &[&str]); 12] = [
    ("account::", &["account"]),
    ("aws_account::", &["aws_account"]),
    ("user::", &["user"]),
    ("policy::", &["account_policy", "aws_account_policy", "user_policy"]),
    ("pause::", &["pause"]),
    ("region::", &["region"]),
    ("lease::", &["lease"]),
    ("resource::", &["resource"]),
    ("request::", &["request"]),
    ("notice::", &["notice"]),
    (Callback::PREFIX, &[Callback::KIND]),
    (EventKey::PREFIX, &["event_key"]),
];

/// Reads a document. The error says, for a person, what is wrong with it.
pub fn read(id: &str, rev: Option<&str>, body: &Value) -> Result<Document, String> {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    let Some((prefix, kinds)) = KINDS.iter().find(|(prefix, _)| id.starts_with(prefix)) else {
        let claimed = KINDS.iter().any(|(_, kinds)| kinds.contains(&kind));
        return if claimed { Err(format!("it is a {kind}, which its id does not say")) } else { Ok(Document::Other) };
    };
    if !kinds.contains(&kind) {
        return Err(format!("its type is {kind:?}, and should be {}", kinds.join(" or ")));
    }
    let document = typed(prefix, id, rev, body)?;
    let right = expected_id(id, &document);
    if right.as_deref().is_some_and(|right| right != id) {
        return Err(format!("its fields say that its id should be {}", right.unwrap_or_default()));
    }
    Ok(document)
}

/// Everything that is wrong with a document: that it cannot be read, or what in it is passed over while the rest counts.
pub fn fault(id: &str, rev: Option<&str>, body: &Value) -> Option<String> {
    match read(id, rev, body) {
        Err(why) => Some(why),
        Ok(document) => passed_over(&document),
    }
}

/// What of a readable document has no effect, or not the one that it should have.
pub(super) fn passed_over(document: &Document) -> Option<String> {
    match document {
        Document::Policy(_, layer) => {
            let odd = layer.unreadable();
            (!odd.is_empty()).then(|| format!("{}: without effect, the other settings count", odd.join(", ")))
        }
        Document::Account(account) => {
            let odd = account.rule_faults();
            (!odd.is_empty()).then(|| format!("exemption rules: {}", odd.join("; ")))
        }
        _ => None,
    }
}

fn typed(prefix: &str, id: &str, rev: Option<&str>, body: &Value) -> Result<Document, String> {
    Ok(match prefix {
        "account::" => Document::Account(parse(body)?),
        "aws_account::" => Document::AwsAccount(parse(body)?),
        "user::" => Document::User(parse(body)?),
        "policy::" => Document::Policy(policy_account(id)?, parse(body.get("policy").unwrap_or(&Value::Null))?),
        "pause::" => Document::Pause(pause_account(id)?, parse(body)?),
        "region::" => {
            let (aws_id, region) = region_of(id)?;
            Document::Region(aws_id, region, parse(body)?)
        }
        "lease::" => Document::Lease(parse(body)?),
        "resource::" => Document::Resource(with_rev(id, rev, body)?),
        "request::" => Document::Request(with_rev(id, rev, body)?),
        Callback::PREFIX => Document::Callback(parse(body)?),
        EventKey::PREFIX => Document::EventKey(parse(body)?),
        _ => Document::Notice(with_rev(id, rev, body)?),
    })
}

fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, String> {
    T::deserialize(body).map_err(|why| why.to_string())
}

fn with_rev<T: DeserializeOwned>(id: &str, rev: Option<&str>, body: &Value) -> Result<Doc<T>, String> {
    Ok(Doc { id: id.to_owned(), rev: rev.map(str::to_owned), body: parse(body)? })
}

/// The id that follows from the fields; `None` where the id itself gave them.
fn expected_id(id: &str, document: &Document) -> Option<String> {
    Some(match document {
        Document::Account(it) => format!("account::{}", it.account),
        Document::AwsAccount(it) => format!("aws_account::{}::{}", it.account, it.aws_id),
        Document::User(it) => format!("user::{}::{}", it.account, it.user),
        Document::Lease(it) => it.key().lease_id(),
        Document::Resource(it) => it.body.key.key().resource_doc_id(),
        Document::Notice(it) => it.body.id(),
        Document::Request(it) => {
            let (account, user) = (&it.body.account, &it.body.user);
            let last = it.id.rsplit("::").next().unwrap_or_default();
            format!("request::{account}::{user}::{last}")
        }
        Document::EventKey(it) => it.doc_id(id.rsplit("::").next().unwrap_or_default()),
        Document::Policy(..)
        | Document::Pause(..)
        | Document::Region(..)
        | Document::Callback(..)
        | Document::Other => return None,
    })
}

fn policy_account(id: &str) -> Result<AccountId, String> {
    let wrong = || "its id is none of policy::{account}, policy::{account}::aws::{id}, policy::{account}::user::{id}";
    let parts: Vec<&str> = id.split("::").skip(1).collect();
    let fits = match parts[..] {
        [_] => true,
        [_, "aws", aws_id] => AwsId::parse(aws_id).is_ok(),
        [_, "user", user] => UserId::parse(user).is_ok(),
        _ => false,
    };
    parts.first().filter(|_| fits).and_then(|account| AccountId::parse(account).ok()).ok_or_else(|| wrong().to_owned())
}

fn pause_account(id: &str) -> Result<Option<AccountId>, String> {
    let wrong = || "its id is none of pause::all, pause::{account}, pause::{account}::{aws id}".to_owned();
    let parts: Vec<&str> = id.split("::").skip(1).collect();
    match parts[..] {
        ["all"] => Ok(None),
        [account] => AccountId::parse(account).map(Some).map_err(|_| wrong()),
        [account, aws_id] if AwsId::parse(aws_id).is_ok() => AccountId::parse(account).map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn region_of(id: &str) -> Result<(AwsId, Region), String> {
    // Read as a lease's key, with a resource that every region could have.
    let rest = id.trim_start_matches("region::");
    LeaseKey::parse(&format!("{rest}::x"))
        .map(|key| (key.aws_id, key.region))
        .map_err(|_| "its id is not region::{aws id}::{region}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    fn lease(expires: &str) -> serde_json::Value {
        json!({
            "type": "lease", "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-1",
            "kind": "instance", "state": "active", "owner": "lin", "term": 1, "end_action": "stop",
            "owner_evidence": { "source": "tag", "at": "2026-11-24T08:00:00Z" },
            "first_seen": "2026-11-24T08:00:00Z", "settle_at": "2026-11-24T08:02:00Z", "expires_at": expires,
            "granted_until": "2026-11-27T08:00:00Z", "max_expires_at": "2026-12-01T08:00:00Z",
            "ends_at": "2026-11-27T09:00:00Z",
        })
    }

    #[test]
    fn what_cannot_be_read_says_what_is_wrong() {
        let id = "lease::111122223333::us-east-1::i-1";
        assert!(read(id, None, &lease("2026-11-27T08:00:00Z")).is_ok());
        let cases = [
            (id, json!({"type": "user"}), "should be lease"),
            (id, json!({"type": "lease", "account": "bigdb"}), "missing field"),
            (id, lease("9999-01-01T00:00:00Z"), "expires_at is 9999"),
            (id, lease("2026-11-27T08:00:00+01:00"), "not a time"),
            ("lease::111122223333::us-east-1::i-2", lease("2026-11-27T08:00:00Z"), "its id should be"),
            ("policy::bigdb::team::x", json!({"type": "user_policy"}), "its id is none of"),
            ("note", lease("2026-11-27T08:00:00Z"), "which its id does not say"),
            ("pause::Big", json!({"type": "pause", "since": "2026-11-24T08:00:00Z"}), "its id is none of"),
        ];
        for (id, body, wanted) in cases {
            let why = read(id, None, &body).map(|_| ()).unwrap_err();
            assert!(why.contains(wanted), "{id}: {why}");
        }
    }

    #[test]
    fn documents_of_another_kind_are_of_no_concern() {
        assert!(read("event::bigdb::1", None, &json!({"type": "event"})).is_ok());
        assert!(read("something", None, &json!({})).is_ok());
    }
}
