//! Exemption rules: what a tag, a VPC, an image or a name picks out does not end until a day, for a reason. They stand in the
//! settings of the Account; a new one is shown with what it would hold before it is made.

use super::super::WebError;
use super::super::form::Fields;
use super::desk::{AdminAct, AdminDesk};
use super::ground::Ground;
use super::preview::{Preview, name};
use crate::model::{Doc, ExemptionRule, Lease, RuleKind, Time};
use crate::words::clean;
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;
use serde_json::{Value, json};

/// Rules of one Account, so that its document stays small.
const MOST: usize = 100;
/// Leases that are named for a rule.
const NAMED: usize = 20;

#[derive(Default)]
struct Shown<'a> {
    typed: Option<&'a Fields>,
    mistakes: Vec<String>,
    preview: Option<Preview>,
    held: Vec<minijinja::Value>,
    held_count: usize,
}

async fn account(desk: &AdminDesk) -> Result<Doc<Value>, WebError> {
    let found = desk.find(&format!("account::{}", desk.person.account)).await?;
    found.ok_or_else(|| WebError::NotFound("this Account has no document".to_owned()))
}

fn rules(doc: &Doc<Value>) -> Vec<Value> {
    doc.body.pointer("/settings/exemptions").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// `GET /exemptions`.
pub(super) async fn page(desk: AdminDesk) -> Result<Response, WebError> {
    show(&desk, Shown::default()).await
}

async fn show(desk: &AdminDesk, shown: Shown<'_>) -> Result<Response, WebError> {
    let doc = account(desk).await?;
    let now = desk.now();
    let mut rows = Vec::new();
    for value in rules(&doc) {
        let Ok(rule) = serde_json::from_value::<ExemptionRule>(value) else { continue };
        let holds = picked(desk, &rule);
        rows.push(context! {
            id => &rule.id,
            what => clean(&rule.to_string()),
            reason => clean(&rule.reason),
            until => desk.when(rule.until),
            over => rule.until <= now,
            by => clean(&rule.made_by),
            holds,
        });
    }
    let fields = shown.typed.cloned().unwrap_or_default();
    let typed = |name: &str| fields.get(name).to_owned();
    let values = context! {
        rows,
        by => typed("by"), key => typed("key"), value => typed("value"), reason => typed("reason"),
        until => typed("until"),
        tomorrow => day(now.plus(86_400)),
        mistakes => shown.mistakes,
        preview => shown.preview,
        held => shown.held,
        held_count => shown.held_count,
        rev => doc.rev,
    };
    desk.show("policy", "Exemptions", "exemptions.html", values)
}

/// How many live leases a rule picks out now.
fn picked(desk: &AdminDesk, rule: &ExemptionRule) -> usize {
    let index = &desk.state.index;
    let rows = index.lease_rows();
    let own = rows.iter().filter(|row| row.account == desk.person.account && !row.state.is_over());
    own.filter(|row| index.resource(&row.key).is_some_and(|resource| rule.picks(&resource.facts))).count()
}

/// The rule that a form describes; a day ends with its last second, UTC.
fn read(desk: &AdminDesk, fields: &Fields) -> Result<ExemptionRule, Vec<String>> {
    let now = desk.now();
    let mut mistakes = Vec::new();
    let mut say = |text: &str| mistakes.push(text.to_owned());
    let by = match fields.get("by") {
        "tag" => Some(RuleKind::Tag),
        "vpc" => Some(RuleKind::Vpc),
        "image" => Some(RuleKind::Image),
        "name" => Some(RuleKind::Name),
        _ => None,
    };
    if by.is_none() {
        say("Choose what the rule looks at.");
    }
    let key = if by == Some(RuleKind::Tag) { fields.get("key") } else { "" };
    if by == Some(RuleKind::Tag) && key.is_empty() {
        say("Name the tag.");
    }
    let (value, reason) = (fields.get("value"), fields.get("reason"));
    if value.is_empty() || [key, value].iter().any(|text| text.chars().count() > 255) {
        say("Say what must stand there; * is any text.");
    }
    if reason.is_empty() || reason.chars().count() > 400 {
        say("Say why, in 1 to 400 characters.");
    }
    let until = Time::parse(&format!("{}T23:59:59Z", fields.get("until"))).ok().filter(|until| *until > now);
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
            made_by: desk.person.gateway_name(),
            made_at: now,
        }),
        _ => Err(mistakes),
    }
}

/// `POST /exemptions`: `do=preview` shows what it would hold, `do=save` makes it.
pub(super) async fn add(act: AdminAct) -> Result<Response, WebError> {
    let (desk, fields) = (&act.desk, &act.fields);
    let rule = match read(desk, fields) {
        Ok(rule) => rule,
        Err(mistakes) => {
            return show(desk, Shown { typed: Some(fields), mistakes, ..Shown::default() }).await;
        }
    };
    if fields.get("do") != "save" {
        return preview(desk, fields, rule).await;
    }
    let mut doc = account(desk).await?;
    let mut all = rules(&doc);
    if all.len() >= MOST {
        return Ok(desk.failed("/exemptions", "There are 100 rules; end one that is not needed any more first."));
    }
    all.push(serde_json::to_value(&rule).map_err(|why| WebError::Internal(why.into()))?);
    put(&mut doc, all);
    desk.write(doc).await?;
    Ok(desk.done("/exemptions", &format!("Made: {}.", clean(&rule.to_string()))))
}

async fn preview(desk: &AdminDesk, fields: &Fields, rule: ExemptionRule) -> Result<Response, WebError> {
    let ground = Ground::read(desk, None).await?;
    let picks = |lease: &&Lease| {
        let resource = desk.state.index.resource(&lease.key());
        resource.is_some_and(|resource| rule.picks(&resource.facts))
    };
    let leases: Vec<&Lease> = ground.leases.iter().filter(picks).collect();
    let named = leases.iter().take(NAMED);
    let held = named.map(|lease| context! { key => lease.key().to_string(), name => name(lease) }).collect();
    let held_count = leases.len();
    let mut then = (*ground.directory).clone();
    if let Some(account) = then.accounts.get_mut(&desk.person.account) {
        let mut doc = Doc { id: String::new(), rev: None, body: json!({ "settings": account.extra.get("settings") }) };
        let mut all = rules(&doc);
        all.extend(serde_json::to_value(&rule));
        put(&mut doc, all);
        account.extra.insert("settings".to_owned(), doc.body["settings"].take());
    }
    let preview = Some(ground.compare(desk, &then).await);
    show(desk, Shown { typed: Some(fields), preview, held, held_count, ..Shown::default() }).await
}

/// `POST /exemptions/{id}/end`: what it held may end again, after its owner had notice.
pub(super) async fn end(Path(id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let mut doc = account(desk).await?;
    let mut all = rules(&doc);
    let before = all.len();
    all.retain(|rule| rule.get("id").and_then(Value::as_str) != Some(id.as_str()));
    if all.len() == before {
        return Err(WebError::NotFound("there is no such rule any more".to_owned()));
    }
    put(&mut doc, all);
    desk.write(doc).await?;
    Ok(desk.done("/exemptions", "The rule is ended. What it held ends only after its owner had notice again."))
}

fn put(doc: &mut Doc<Value>, rules: Vec<Value>) {
    if !doc.body.get("settings").is_some_and(Value::is_object) {
        doc.body["settings"] = json!({});
    }
    doc.body["settings"]["exemptions"] = rules.into();
}

fn day(at: Time) -> String {
    at.to_string().chars().take(10).collect()
}
