//! Exemption rules: what a tag, a VPC, an image or a name picks out does not end until a day, for a reason. They stand in the
//! settings of the Account; a new one is shown with what it would hold before it is made.

use super::super::WebError;
use super::super::exemptions::{Change, Wanted, document, holds, readable};
use super::super::form::Fields;
use super::desk::{AdminAct, AdminDesk};
use super::preview::{Preview, name};
use crate::model::{Account, Time, UserId};
use crate::words::{clean, cut};
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;

/// Leases that are named for a rule.
const NAMED: usize = 20;

#[derive(Default)]
struct Shown<'a> {
    typed: Option<&'a Fields>,
    mistakes: Vec<String>,
    preview: Option<Preview>,
    held: Vec<minijinja::Value>,
    held_count: usize,
    /// What would end: the rule's id, and what it says.
    ending: Option<(String, String)>,
}

/// `GET /exemptions`.
pub(super) async fn page(desk: AdminDesk) -> Result<Response, WebError> {
    show(&desk, Shown::default()).await
}

async fn show(desk: &AdminDesk, shown: Shown<'_>) -> Result<Response, WebError> {
    let doc = document(desk).await?;
    let now = desk.now();
    let row = |rule: crate::model::ExemptionRule| {
        context! {
            id => &rule.id,
            what => clean(&rule.to_string()),
            reason => clean(&rule.reason),
            until => Some(rule.until).filter(|until| *until < Time::MAX).map(|until| desk.when(until)),
            over => rule.until <= now,
            by => maker(desk, &rule.made_by),
            holds => holds(desk, &rule),
        }
    };
    let account = serde_json::from_value::<Account>(doc.body.clone()).ok();
    let rules = account.as_ref().map(Account::rules).unwrap_or_default();
    let rows: Vec<minijinja::Value> = rules.into_iter().map(row).collect();
    let faults: Vec<String> =
        account.iter().flat_map(Account::rule_faults).map(|fault| cut(&clean(&fault), 400)).collect();
    let fields = shown.typed.cloned().unwrap_or_default();
    let typed = |name: &str| fields.get(name).to_owned();
    let values = context! {
        rows,
        faults,
        by => typed("by"), key => typed("key"), value => typed("value"), reason => typed("reason"),
        until => typed("until"),
        tomorrow => day(now.plus(86_400)),
        mistakes => shown.mistakes,
        preview => shown.preview,
        held => shown.held,
        held_count => shown.held_count,
        ending => shown.ending.as_ref().map(|(id, what)| context! { id, what }),
        rev => doc.rev,
    };
    desk.show("policy", "Exemptions", "exemptions.html", values)
}

/// How people call whom documents name as `bigdb.max`.
fn maker(desk: &AdminDesk, gateway_name: &str) -> String {
    let user = gateway_name.split_once('.').map_or(gateway_name, |(_, user)| user);
    let directory = desk.state.index.directory();
    let known = UserId::parse(user).ok().and_then(|id| directory.user(&desk.person.account, &id));
    clean(known.map(|known| known.name.as_str()).filter(|name| !name.is_empty()).unwrap_or(user))
}

/// What a form describes; a day ends with its last second, UTC.
fn wanted(fields: &Fields) -> Wanted<'_> {
    Wanted {
        by: fields.get("by"),
        key: fields.get("key"),
        value: fields.get("value"),
        reason: fields.get("reason"),
        until: Time::parse(&format!("{}T23:59:59Z", fields.get("until"))).ok(),
    }
}

/// `POST /exemptions`: `do=preview` shows what it would hold, `do=save` makes it.
pub(super) async fn add(act: AdminAct) -> Result<Response, WebError> {
    let (desk, fields) = (&act.desk, &act.fields);
    let rule = match wanted(fields).check(desk) {
        Ok(rule) => rule,
        Err(mistakes) => {
            return show(desk, Shown { typed: Some(fields), mistakes, ..Shown::default() }).await;
        }
    };
    let what = clean(&rule.to_string());
    let change = Change::Add(rule);
    if fields.get("do") != "save" {
        return preview(desk, fields, &change).await;
    }
    match change.make(desk, None).await {
        Err(WebError::Invalid(why)) => Ok(desk.failed("/exemptions", &why)),
        made => made.map(|()| desk.done("/exemptions", &format!("Made: {what}."))),
    }
}

async fn preview(desk: &AdminDesk, fields: &Fields, change: &Change) -> Result<Response, WebError> {
    let (preview, leases) = change.preview(desk).await?;
    let named = leases.iter().take(NAMED);
    let held = named.map(|lease| context! { key => lease.key().to_string(), name => name(lease) }).collect();
    let shown =
        Shown { typed: Some(fields), preview: Some(preview), held, held_count: leases.len(), ..Shown::default() };
    show(desk, shown).await
}

/// `POST /exemptions/{id}/end`: shows what would end otherwise, `do=save` ends the rule. What it held may end again, after its
/// owner had notice.
pub(super) async fn end(Path(id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let change = Change::End(id.clone());
    if act.fields.get("do") == "save" {
        change.make(desk, None).await?;
        return Ok(
            desk.done("/exemptions", "The rule is ended. What it held ends only after its owner had notice again.")
        );
    }
    let rule = readable(&document(desk).await?).find(|rule| rule.id == id);
    let rule = rule.ok_or_else(|| WebError::NotFound("there is no such rule any more".to_owned()))?;
    let (preview, _) = change.preview(desk).await?;
    let ending = Some((id, clean(&rule.to_string())));
    show(desk, Shown { preview: Some(preview), ending, ..Shown::default() }).await
}

fn day(at: Time) -> String {
    at.to_string().chars().take(10).collect()
}
