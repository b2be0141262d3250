//! Exemption rules as admins make and end them, on pages and over the API alike: one check, one place in the settings of the
//! Account, one forecast. The access rules judge each write.

use super::WebError;
use super::admin::ground::Ground;
use super::admin::office::Admin;
use super::admin::preview::Preview;
use super::edit::edit;
use crate::model::{AccountId, Directory, Doc, ExemptionRule, Lease, RuleKind, Time};
use serde_json::{Map, Value, json};

/// Rules of one Account, so that its document stays small.
const MOST: usize = 100;

/// What ids begin with: a rule by any other would pick out nothing.
const ID_OF: [(RuleKind, &str); 2] = [(RuleKind::Vpc, "vpc-"), (RuleKind::Image, "ami-")];

/// What an admin wants a rule to be, unchecked.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// `tag`, `vpc`, `image` or `name`.
    pub(super) by: &'a str,
    /// The tag, for a tag.
    pub(super) key: &'a str,
    pub(super) value: &'a str,
    pub(super) reason: &'a str,
    /// `None` when it cannot be read.
    pub(super) until: Option<Time>,
}

impl Wanted<'_> {
    /// The rule, or everything that is wrong with it, in sentences.
    pub(super) fn check(&self, admin: &Admin) -> Result<ExemptionRule, Vec<String>> {
        let now = admin.now();
        let mut mistakes = Vec::new();
        let mut say = |text: &str| mistakes.push(text.to_owned());
        let by = match self.by {
            "tag" => Some(RuleKind::Tag),
            "vpc" => Some(RuleKind::Vpc),
            "image" => Some(RuleKind::Image),
            "name" => Some(RuleKind::Name),
            _ => None,
        };
        if by.is_none() {
            say("Choose what the rule looks at: tag, vpc, image or name.");
        }
        let key = if by == Some(RuleKind::Tag) { self.key.trim() } else { "" };
        if by == Some(RuleKind::Tag) && key.is_empty() {
            say("Name the tag.");
        }
        let (value, reason) = (self.value.trim(), self.reason.trim());
        if value.is_empty() || [key, value].iter().any(|text| text.chars().count() > 255) {
            say("Say which value it must have; * is any text.");
        }
        if let Some(begins) = ID_OF.iter().find(|(kind, _)| by == Some(*kind)).map(|(_, begins)| *begins)
            && !value.starts_with(begins)
            && !value.contains('*')
        {
            say(&format!("That is the id of none: one begins with {begins}."));
        }
        if reason.is_empty() || reason.chars().count() > 400 {
            say("Say why, in 1 to 400 characters.");
        }
        let until = self.until.filter(|until| *until > now);
        if until.is_none() {
            say("Say until which day, from today on.");
        }
        match (by, until) {
            (Some(by), Some(until)) if mistakes.is_empty() => Ok(ExemptionRule {
                id: hex::encode(rand::random::<[u8; 6]>()),
                by,
                key: key.to_owned(),
                value: value.to_owned(),
                reason: reason.to_owned(),
                until,
                made_by: admin.person.gateway_name(),
                made_at: now,
            }),
            _ => Err(mistakes),
        }
    }
}

/// What is to become of the rules.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A further one.
    Add(ExemptionRule),
    /// This one in the place of the one of that id, which it keeps.
    Replace(String, ExemptionRule),
    /// The one of that id no longer.
    End(String),
}

impl Change {
    /// The rules as they are then. What this version cannot read stays.
    fn of(&self, mut rules: Vec<Value>) -> Result<Vec<Value>, WebError> {
        let gone = || WebError::NotFound("there is no such rule any more".to_owned());
        let is = |rule: &Value, id: &str| rule.get("id").and_then(Value::as_str) == Some(id);
        let write = |rule: &ExemptionRule| serde_json::to_value(rule).map_err(|why| WebError::Internal(why.into()));
        match self {
            Change::Add(_) if rules.len() >= MOST => {
                let text = format!("There are {MOST} rules; end one that is not needed any more first.");
                return Err(WebError::Invalid(text));
            }
            Change::Add(rule) => rules.push(write(rule)?),
            Change::Replace(id, rule) => {
                let place = rules.iter().position(|rule| is(rule, id)).ok_or_else(gone)?;
                rules[place] = write(&ExemptionRule { id: id.clone(), ..rule.clone() })?;
            }
            Change::End(id) => {
                let place = rules.iter().position(|rule| is(rule, id)).ok_or_else(gone)?;
                rules.remove(place);
            }
        }
        Ok(rules)
    }

    /// Makes it. With `based_on` only while that revision of the Account's document stands; without, a lost race is run again.
    pub(super) async fn make(&self, admin: &Admin, based_on: Option<&str>) -> Result<(), WebError> {
        let mut doc = document(admin).await?;
        // What cannot be is said before anything is written.
        if doc.body.pointer("/settings/exemptions").is_some_and(|all| !(all.is_array() || all.is_null())) {
            let text = "settings.exemptions of the Account's document is no list of rules, and holds every end: correct it there first";
            return Err(WebError::Invalid(text.to_owned()));
        }
        let changed = self.of(rules(&doc.body))?;
        if let Some(rev) = based_on {
            if let Value::Object(body) = &mut doc.body {
                put(body, changed);
            }
            doc.rev = Some(rev.to_owned());
            return admin.write(doc).await.map(drop);
        }
        let change = |body: &mut Map<String, Value>| {
            let now = body.get("settings").map(|settings| rules(&json!({ "settings": settings }))).unwrap_or_default();
            if let Ok(changed) = self.of(now) {
                put(body, changed);
            }
        };
        edit(&admin.state, &admin.person, &doc.id, None, change).await
    }

    /// What it would alter, and the leases that a new rule picks out.
    pub(super) async fn preview(&self, admin: &Admin) -> Result<(Preview, Vec<Lease>), WebError> {
        let ground = Ground::read(admin, None).await?;
        let mut then = (*ground.directory).clone();
        self.pretend(&mut then, &admin.person.account)?;
        let preview = ground.compare(admin, &then).await;
        let picked = match self {
            Change::Add(rule) | Change::Replace(_, rule) => picked(admin, &ground, rule),
            Change::End(_) => Vec::new(),
        };
        Ok((preview, picked))
    }

    fn pretend(&self, then: &mut Directory, account: &AccountId) -> Result<(), WebError> {
        let Some(account) = then.accounts.get_mut(account) else { return Ok(()) };
        let settings = account.extra.get("settings").cloned().unwrap_or_default();
        let mut body = Map::from_iter([("settings".to_owned(), settings)]);
        let changed = self.of(rules(&Value::Object(body.clone())))?;
        put(&mut body, changed);
        account.extra.extend(body);
        Ok(())
    }
}

fn picked(admin: &Admin, ground: &Ground, rule: &ExemptionRule) -> Vec<Lease> {
    let picks = |lease: &&Lease| {
        let resource = admin.state.index.resource(&lease.key());
        resource.is_some_and(|resource| rule.picks(&resource.facts))
    };
    ground.leases.iter().filter(picks).cloned().collect()
}

/// The Account's document.
pub(super) async fn document(admin: &Admin) -> Result<Doc<Value>, WebError> {
    let found = admin.find(&format!("account::{}", admin.person.account)).await?;
    found.ok_or_else(|| WebError::NotFound("this Account has no document".to_owned()))
}

/// The rules that it holds, readable or not.
fn rules(body: &Value) -> Vec<Value> {
    body.pointer("/settings/exemptions").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Those that can be read.
pub(super) fn readable(doc: &Doc<Value>) -> impl Iterator<Item = ExemptionRule> {
    rules(&doc.body).into_iter().filter_map(|rule| serde_json::from_value(rule).ok())
}

fn put(body: &mut Map<String, Value>, rules: Vec<Value>) {
    let settings = body.entry("settings").or_insert_with(|| json!({}));
    if !settings.is_object() {
        *settings = json!({});
    }
    settings["exemptions"] = rules.into();
}

/// How many live leases a rule picks out now.
pub(super) fn holds(admin: &Admin, rule: &ExemptionRule) -> usize {
    let index = &admin.state.index;
    let rows = index.lease_rows();
    let own = rows.iter().filter(|row| row.account == admin.person.account && !row.state.is_over());
    own.filter(|row| index.resource(&row.key).is_some_and(|resource| rule.picks(&resource.facts))).count()
}
