//! What is wrong with documents, and where they and config.yml say different things.

use super::super::policies;
use super::{Check, Found};
use crate::config::{AccountSeed, Config};
use crate::model::Doc;
use serde_json::{Value, json};

/// Each document that cannot be read, with what is wrong with it.
pub(super) fn unreadable(all: &[Doc<Value>]) -> Vec<Check> {
    let faults = all.iter().filter_map(|doc| {
        let why = crate::follower::fault(&doc.id, doc.rev.as_deref(), &doc.body)?;
        let mend = format!("cannot be read as a whole: {why}; it is left alone until an admin corrects or deletes it");
        Some(Check::new(doc.id.clone(), Found::Mend(mend)))
    });
    faults.collect()
}

/// Notices that the mail service refused for good or has not taken yet, and ends held because nobody was told.
pub(super) fn untold(all: &[Doc<Value>]) -> Vec<Check> {
    let is = |doc: &&Doc<Value>, prefix: &str, field: &str, value: &str| {
        doc.id.starts_with(prefix) && doc.body.pointer(field).and_then(Value::as_str) == Some(value)
    };
    let refused: std::collections::BTreeSet<&str> = all
        .iter()
        .filter(|doc| is(doc, "notice::", "/status", "refused") || is(doc, "notice::", "/status", "bounced"))
        .filter(|doc| is_present_address(all, &doc.body))
        .filter_map(|doc| doc.body.get("user").and_then(Value::as_str))
        .collect();
    let mut checks = Vec::new();
    for user in refused {
        let mend = "mail to this person was refused: correct the address of the user; admins are told instead";
        checks.push(Check::new(format!("mail to {user}"), Found::Mend(mend.to_owned())));
    }
    let failing =
        all.iter().filter(|doc| is(doc, "notice::", "/status", "queued") && doc.body["attempts"].as_u64() > Some(0));
    if let Some(first) = failing.clone().next() {
        let why = first.body.get("error").and_then(Value::as_str).unwrap_or_default();
        checks.push(Check::new("outbox", Found::Mend(format!("{} notices wait: {why}", failing.count()))));
    }
    let held = all.iter().filter(|doc| is(doc, "lease::", "/hold/kind", "no_notice")).count();
    if held > 0 {
        let mend = format!("{held} ends are held because nobody could be told of them: mend the mail above");
        checks.push(Check::new("notices", Found::Mend(mend)));
    }
    checks
}

/// Whether a notice went to the address that its reader has now: one that was corrected is no fault any more.
fn is_present_address(all: &[Doc<Value>], notice: &Value) -> bool {
    let text =
        |body: &Value, name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_lowercase();
    let id = format!("user::{}::{}", text(notice, "account"), text(notice, "user"));
    all.iter().any(|doc| doc.id == id && text(&doc.body, "email") == text(notice, "address"))
}

/// config.yml makes documents that do not exist; afterwards they win. What differs is told, so that nobody edits the file
/// and wonders.
pub(super) fn differences(config: &Config, all: &[Doc<Value>]) -> Vec<Check> {
    config.accounts.iter().flat_map(|seed| account(seed, all)).collect()
}

fn account(seed: &AccountSeed, all: &[Doc<Value>]) -> Vec<Check> {
    let id = &seed.id;
    let mut checks = compare(all, format!("account::{id}"), &json!({ "name": seed.name }));
    let policy = serde_json::to_value(&seed.policy).unwrap_or_default();
    checks.extend(compare_within(all, format!("policy::{id}"), "policy", &policy));
    for aws in &seed.aws_accounts {
        if all.iter().any(|doc| doc.id == format!("aws_setup::{id}::{}", aws.aws_id)) {
            let told = "begun or removed by an admin, so config.yml has no say: take it out there".to_owned();
            checks.push(Check::new(format!("aws_account::{id}::{}", aws.aws_id), Found::Note(told)));
            continue;
        }
        let wanted = json!({
            "name": aws.name, "regions": aws.regions, "stage": aws.stage, "role_arn": aws.role_arn,
        });
        checks.extend(compare(all, format!("aws_account::{id}::{}", aws.aws_id), &wanted));
    }
    for user in &seed.users {
        let wanted = json!({
            "email": user.email, "name": user.name, "role": user.role, "github_login": user.github_login,
            "key_names": user.key_names, "time_zone": user.time_zone,
        });
        checks.extend(compare(all, format!("user::{id}::{}", user.id), &wanted));
    }
    checks
}

fn compare(all: &[Doc<Value>], id: String, wanted: &Value) -> Vec<Check> {
    let Some(doc) = all.iter().find(|doc| doc.id == id) else {
        let mend = "is in config.yml and not in the store: `zerocloud serve` makes it, or its log says why it cannot";
        return vec![Check::new(id, Found::Mend(mend.to_owned()))];
    };
    told(id, wanted, &doc.body, |_, value| value.to_string())
}

fn compare_within(all: &[Doc<Value>], id: String, field: &str, wanted: &Value) -> Vec<Check> {
    let doc = all.iter().find(|doc| doc.id == id);
    doc.map(|doc| told(id, wanted, doc.body.get(field).unwrap_or(&Value::Null), policies::words)).unwrap_or_default()
}

/// A note for each field that says something else; `words` puts a value as people read it.
fn told(id: String, wanted: &Value, there: &Value, words: fn(&str, &Value) -> String) -> Vec<Check> {
    let fields = wanted.as_object().into_iter().flatten();
    let other = fields.filter(|(name, value)| there.get(*name).unwrap_or(&Value::Null) != *value);
    let texts: Vec<String> = other
        .map(|(name, value)| {
            let here = there.get(name).map_or_else(|| "not said".to_owned(), |here| words(name, here));
            format!("{name} is {here} here and {} in config.yml", words(name, value))
        })
        .collect();
    if texts.is_empty() {
        return Vec::new();
    }
    vec![Check::new(id, Found::Note(format!("{}; the document counts", texts.join(", "))))]
}

#[cfg(test)]
mod tests {
    use super::{Check, Doc, Found, compare_within, untold};
    use serde_json::json;

    #[test]
    fn a_duration_that_differs_from_the_configurations_is_told_as_people_read_it() {
        let policy = json!({ "policy": { "default_lease": 259_200, "max_instances": 3 } });
        let doc = Doc { id: "policy::bigdb".to_owned(), rev: None, body: policy };
        let wanted = json!({ "default_lease": 30, "max_instances": 4, "grace": 3_600 });
        let told = compare_within(&[doc], "policy::bigdb".to_owned(), "policy", &wanted);
        let Some(Check(_, Found::Note(told))) = told.into_iter().next() else { panic!("nothing is told") };
        let all = "default_lease is 3 days here and 30 seconds in config.yml, max_instances is 3 here and 4 in config.yml, \
                   grace is not said here and 1 hour in config.yml; the document counts";
        assert_eq!(told, all);
    }

    #[test]
    fn an_address_that_was_corrected_is_no_fault_any_more() {
        let doc = |id: &str, body| Doc { id: id.to_owned(), rev: None, body };
        let user = |email: &str| doc("user::bigdb::lin", json!({ "account": "bigdb", "user": "lin", "email": email }));
        let body = json!({ "account": "bigdb", "user": "lin", "address": "lin@old.example", "status": "refused" });
        let notice = doc("notice::x", body);
        let told =
            |email: &str| untold(&[user(email), notice.clone()]).into_iter().map(|Check(what, _)| what).collect();
        let (old, new): (Vec<String>, Vec<String>) = (told("Lin@old.example"), told("lin@bigdb.example"));
        assert_eq!((old, new), (vec!["mail to lin".to_owned()], vec![]));
    }
}
