//! Policies: of the Account, of one AWS account, of one person. What is changed is shown first, with what it would do; only then
//! it is saved, as the admin's own edit.

use super::edit::{edit, fresh};
use super::form::{Act, Fields};
use super::html::Desk;
use super::{Person, State, WebError};
use crate::config::parse_duration;
use crate::follower::LeaseRow;
use crate::model::{AwsId, Directory, Policy, PolicyLayer, UserId};
use crate::words::{clean, span};
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Is<T> = axum::extract::State<T>;

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Duration,
    Durations,
    Count,
    Action,
    Text,
}

/// The settings: name, how it is written, label, what it means.
const SETTINGS: [(&str, Kind, &str, &str); 18] = [
    ("default_lease", Kind::Duration, "Default lease", "when nobody asked for anything"),
    ("max_lease", Kind::Duration, "Longest renewal", "from when it is accepted"),
    (
        "max_total",
        Kind::Duration,
        "Longest of all renewals together",
        "from when the instance was first seen; none: no limit",
    ),
    ("max_instances", Kind::Count, "Most instances of a person", "beyond it, new leases are short; none: no limit"),
    ("over_quota_lease", Kind::Duration, "Lease beyond that", "how short"),
    ("expiry_action", Kind::Action, "At the end", "stop: can be started again; terminate: gone"),
    ("warnings", Kind::Durations, "Warnings", "before the end, such as 24h, 1h"),
    ("grace", Kind::Duration, "Grace", "between expiry and the end"),
    ("min_notice", Kind::Duration, "Least notice", "no end unless a mail was accepted so long before"),
    ("terminate_after", Kind::Duration, "Terminate after", "stopped so long; stage terminate only"),
    ("terminate_notice", Kind::Duration, "Notice of terminating", "its own mail, so long before"),
    ("max_reaps_per_hour", Kind::Count, "Most ends an hour", "in one AWS account; more wait"),
    ("settle", Kind::Duration, "Settling", "from detection to judging tags"),
    ("stage_notice", Kind::Duration, "Notice of a stage", "after it was raised to stop or terminate"),
    ("owner_tag", Kind::Text, "Owner tag", "names the owner: address, GitHub login or name"),
    ("lease_tag", Kind::Text, "Lease tag", "asks for a lease at launch, such as 2d"),
    ("email_pattern", Kind::Text, "Who may come in", "addresses such as *@example.com; none: only who is invited"),
    ("retention", Kind::Duration, "Kept", "ended leases, so long"),
];

/// Whose policy.
#[derive(Debug, Clone)]
enum Scope {
    Account,
    Aws(AwsId),
    User(UserId),
}

impl Scope {
    fn parse(kind: &str, id: &str) -> Result<Scope, WebError> {
        let unknown = || WebError::NotFound("there is no such policy".to_owned());
        match kind {
            "aws" => AwsId::parse(id).map(Scope::Aws).map_err(|_| unknown()),
            "user" => UserId::parse(id).map(Scope::User).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }

    fn id(&self, person: &Person) -> String {
        let account = &person.account;
        match self {
            Scope::Account => format!("policy::{account}"),
            Scope::Aws(id) => format!("policy::{account}::aws::{id}"),
            Scope::User(user) => format!("policy::{account}::user::{user}"),
        }
    }

    fn path(&self) -> String {
        match self {
            Scope::Account => "/policy".to_owned(),
            Scope::Aws(id) => format!("/policy/aws/{id}"),
            Scope::User(user) => format!("/policy/user/{user}"),
        }
    }

    fn fresh(&self, person: &Person) -> Value {
        match self {
            Scope::Account => fresh("account_policy", person, json!({ "policy": {} })),
            Scope::Aws(id) => fresh("aws_account_policy", person, json!({ "aws_id": id, "policy": {} })),
            Scope::User(user) => fresh("user_policy", person, json!({ "user": user, "policy": {} })),
        }
    }

    /// Its name for people; `NotFound` when it is of nobody in this Account.
    fn title(&self, directory: &Directory, person: &Person) -> Result<String, WebError> {
        let unknown = || WebError::NotFound("there is no such policy".to_owned());
        match self {
            Scope::Account => Ok("Policy of the Account".to_owned()),
            Scope::Aws(id) => {
                let aws =
                    directory.aws_accounts.get(id).filter(|aws| aws.account == person.account).ok_or_else(unknown)?;
                Ok(format!("Policy of {} ({id})", clean(&aws.name)))
            }
            Scope::User(user) => {
                let user = directory.user(&person.account, user).ok_or_else(unknown)?;
                Ok(format!("Limits of {}", clean(&user.name)))
            }
        }
    }

    fn bears_on(&self, row: &LeaseRow) -> bool {
        match self {
            Scope::Account => true,
            Scope::Aws(id) => row.key.aws_id == *id,
            Scope::User(user) => row.owner == *user,
        }
    }
}

/// `GET /policy`.
pub(super) async fn account_page(desk: Desk) -> Result<Response, WebError> {
    show(&desk, &Scope::Account).await
}

/// `GET /policy/{kind}/{id}`.
pub(super) async fn page(desk: Desk, Path((kind, id)): Path<(String, String)>) -> Result<Response, WebError> {
    show(&desk, &Scope::parse(&kind, &id)?).await
}

/// `POST /policy`.
pub(super) async fn account_save(desk: Desk, state: Is<State>, act: Act) -> Result<Response, WebError> {
    save(&desk, &state, &Scope::Account, &act).await
}

/// `POST /policy/{kind}/{id}`.
pub(super) async fn one_save(
    desk: Desk,
    state: Is<State>,
    Path((kind, id)): Path<(String, String)>,
    act: Act,
) -> Result<Response, WebError> {
    save(&desk, &state, &Scope::parse(&kind, &id)?, &act).await
}

async fn layer(state: &State, person: &Person, scope: &Scope) -> Result<Map<String, Value>, WebError> {
    let doc = super::edit::read(state, person, &scope.id(person)).await?;
    Ok(doc.and_then(|doc| doc.body.get("policy").and_then(Value::as_object).cloned()).unwrap_or_default())
}

async fn show(desk: &Desk, scope: &Scope) -> Result<Response, WebError> {
    desk.person.admin()?;
    let directory = desk.state.index.directory();
    let title = scope.title(&directory, &desk.person)?;
    let own = layer(&desk.state, &desk.person, scope).await?;
    let below = beneath(&directory, &desk.person, scope);
    let fields: Vec<_> = SETTINGS
        .iter()
        .map(|(name, kind, label, hint)| {
            context! {
                name, label, hint, action => *kind == Kind::Action,
                value => own.get(*name).map(|value| text(*kind, value)).unwrap_or_default(),
                usual => below.get(*name).map_or_else(|| "none".to_owned(), |value| text(*kind, value)),
            }
        })
        .collect();
    let aws: Vec<_> = directory
        .aws_accounts
        .values()
        .filter(|aws| aws.account == desk.person.account)
        .map(|aws| context! { id => aws.aws_id.as_str(), name => clean(&aws.name), own => directory.policies.contains_key(&Scope::Aws(aws.aws_id.clone()).id(&desk.person)) })
        .collect();
    let account = matches!(scope, Scope::Account);
    desk.show("policy", &title, "policy.html", context! { fields, path => scope.path(), aws, account })
}

/// What holds where this policy says nothing.
fn beneath(directory: &Directory, person: &Person, scope: &Scope) -> Map<String, Value> {
    let layers = match scope {
        Scope::Account => None,
        _ => directory.policies.get(&Scope::Account.id(person)),
    };
    match serde_json::to_value(Policy::effective(layers)) {
        Ok(Value::Object(all)) => all,
        _ => Map::new(),
    }
}

async fn save(desk: &Desk, state: &State, scope: &Scope, act: &Act) -> Result<Response, WebError> {
    act.person.admin()?;
    let directory = state.index.directory();
    let title = scope.title(&directory, &act.person)?;
    let before = layer(state, &act.person, scope).await?;
    let after = match read(&act.fields, &before) {
        Ok(after) => after,
        Err(why) => return Ok(act.failed(&scope.path(), &why)),
    };
    if after == before {
        return Ok(act.done(&scope.path(), "Nothing was changed."));
    }
    if act.fields.get("sure") == "yes" {
        let change =
            |body: &mut Map<String, Value>| drop(body.insert("policy".to_owned(), Value::Object(after.clone())));
        edit(state, &act.person, &scope.id(&act.person), Some(scope.fresh(&act.person)), change).await?;
        return Ok(act.done(&scope.path(), "Saved; it counts from now on. No running end was moved."));
    }
    let preview = preview(state, &directory, scope, &act.person, &after);
    let sent: Vec<_> = SETTINGS.iter().map(|(name, ..)| (*name, act.fields.get(name))).collect();
    let changes: Vec<_> = SETTINGS.iter().filter_map(|setting| change(setting, &before, &after)).collect();
    let values = context! { title, path => scope.path(), preview, sent, changes };
    desk.show("policy", "What it would change", "policy_preview.html", values)
}

/// One line of what is changed: label, before, after.
fn change(
    (name, kind, label, _): &(&str, Kind, &'static str, &str),
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Option<(&'static str, String, String)> {
    let (was, is) = (before.get(*name), after.get(*name));
    let said = |value: Option<&Value>| value.map_or_else(|| "as usual".to_owned(), |value| text(*kind, value));
    (was != is).then(|| (*label, said(was), said(is)))
}

/// What a policy would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Preview {
    /// Running leases that it bears on.
    live: usize,
    /// What counts differently from then on, with for how many of them.
    effects: Vec<String>,
    /// Who would hold more than allowed, with how many.
    over: Vec<(String, usize)>,
}

/// Computed with the same function that decisions use.
fn preview(
    state: &State,
    directory: &Directory,
    scope: &Scope,
    person: &Person,
    after: &Map<String, Value>,
) -> Preview {
    let mut changed = directory.clone();
    let layer: PolicyLayer = serde_json::from_value(Value::Object(after.clone())).unwrap_or_default();
    changed.policies.insert(scope.id(person), layer);
    let mut rows = state.index.lease_rows();
    rows.retain(|row| row.account == person.account && row.state.is_renewable());
    let mut found = Preview::default();
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    let (mut most, mut held) = (BTreeMap::new(), BTreeMap::<UserId, usize>::new());
    let mut changed_limits = BTreeSet::new();
    for row in &rows {
        *held.entry(row.owner.clone()).or_default() += 1;
        if !scope.bears_on(row) {
            continue;
        }
        found.live += 1;
        let of = |directory: &Directory| directory.policy(&row.account, &row.key.aws_id, Some(&row.owner));
        let (was, is) = (of(directory), of(&changed));
        for effect in differences(&was, &is) {
            *effects.entry(effect).or_default() += 1;
        }
        if was.max_instances != is.max_instances {
            changed_limits.insert(row.owner.clone());
        }
        most.insert(row.owner.clone(), is.max_instances);
    }
    found.effects = effects.into_iter().map(|(what, count)| format!("{what} ({count} of them)")).collect();
    let over = held.into_iter().filter(|(owner, count)| {
        let limit = most.get(owner).copied().flatten();
        changed_limits.contains(owner) && limit.is_some_and(|limit| *count > limit as usize)
    });
    found.over = over
        .map(|(owner, count)| {
            let name = directory.user(&person.account, &owner).map(|user| clean(&user.name));
            (name.unwrap_or_else(|| owner.to_string()), count)
        })
        .collect();
    found
}

fn differences(was: &Policy, is: &Policy) -> Vec<String> {
    let mut all = Vec::new();
    let mut differ = |what: &str, was: String, is: String| {
        if was != is {
            all.push(format!("{what} {is} instead of {was}"));
        }
    };
    differ("A renewal reaches at most", span(was.max_lease), span(is.max_lease));
    differ("All renewals together reach", limit(was.max_total), limit(is.max_total));
    differ("The end is to", was.expiry_action.as_str().to_owned(), is.expiry_action.as_str().to_owned());
    differ("Grace is", span(was.grace), span(is.grace));
    differ("Warnings come", spans(&was.warnings), spans(&is.warnings));
    differ("The least notice is", span(was.min_notice), span(is.min_notice));
    differ("What is stopped is terminated after", span(was.terminate_after), span(is.terminate_after));
    all
}

fn limit(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "without limit".to_owned(), span)
}

fn spans(all: &[i64]) -> String {
    let texts: Vec<String> = all.iter().copied().map(span).collect();
    if texts.is_empty() { "never".to_owned() } else { format!("{} before", texts.join(" and ")) }
}

/// The layer with what the form says put in; an empty field takes the setting out, so that what is beneath holds.
fn read(fields: &Fields, before: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut after = before.clone();
    for (name, kind, label, _) in SETTINGS {
        let text = fields.get(name);
        // What is shown for a value that a person did not touch reads back as the same value.
        if before.get(name).is_some_and(|value| self::text(kind, value) == text) || !fields.has(name) {
            continue;
        }
        match value(kind, text).map_err(|why| format!("{label}: {why}."))? {
            Some(value) => after.insert(name.to_owned(), value),
            None => after.shift_remove(name),
        };
    }
    Ok(after)
}

fn value(kind: Kind, text: &str) -> Result<Option<Value>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text == "none" {
        return Ok(Some(Value::Null));
    }
    let value = match kind {
        Kind::Duration => json!(parse_duration(text)?),
        Kind::Durations => {
            let all = text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(parse_duration);
            json!(all.collect::<Result<Vec<i64>, String>>()?)
        }
        Kind::Count => {
            let count = text.parse::<u32>().ok().filter(|count| *count > 0);
            json!(count.ok_or_else(|| format!("{text:?} is not a whole number from 1"))?)
        }
        Kind::Action if matches!(text, "stop" | "terminate") => json!(text),
        Kind::Action => return Err(format!("{text:?} is neither stop nor terminate")),
        Kind::Text if text.len() <= 200 => json!(text),
        Kind::Text => return Err("it is longer than 200 characters".to_owned()),
    };
    Ok(Some(value))
}

/// As a person writes it.
fn text(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (_, Value::Null) => "none".to_owned(),
        (Kind::Duration, Value::Number(seconds)) => short(seconds.as_i64().unwrap_or_default()),
        (Kind::Durations, Value::Array(all)) => {
            let texts: Vec<String> = all.iter().filter_map(Value::as_i64).map(short).collect();
            texts.join(", ")
        }
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

/// `3d`, `36h`, `90s`: what [`parse_duration`] reads.
fn short(seconds: i64) -> String {
    for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= size && seconds % size == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::{Fields, read};
    use serde_json::{Map, json};

    #[test]
    fn a_form_changes_what_was_touched_and_keeps_the_rest() {
        let before = json!({ "default_lease": 259_200, "max_total": null, "colour": "blue", "warnings": [86_400, 3_600], "grace": 90 });
        let before = before.as_object().unwrap().clone();
        let form = b"default_lease=2d&max_total=none&warnings=24h%2C+1h&grace=&max_instances=5&expiry_action=";
        let after = read(&Fields::read(form), &before).unwrap();
        let wanted = json!({ "default_lease": 172_800, "max_total": null, "colour": "blue", "warnings": [86_400, 3_600], "max_instances": 5 });
        assert_eq!(json!(after), wanted);
        for (form, why) in [
            ("grace=0s", "Grace:"),
            ("max_instances=-1", "whole number"),
            ("expiry_action=explode", "neither"),
            ("warnings=soon", "Warnings:"),
        ] {
            let problem = read(&Fields::read(form.as_bytes()), &Map::new()).unwrap_err();
            assert!(problem.contains(why), "{form}: {problem}");
        }
    }
}
