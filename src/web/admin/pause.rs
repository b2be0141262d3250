//! Pause and resume, of an AWS account or of the whole Account: no end starts meanwhile, all else goes on.

use super::super::WebError;
use super::super::edit::fresh;
use super::desk::{AdminAct, AdminDesk};
use crate::model::{AccountId, Doc, Pause, Time};
use axum::response::Response;
use serde_json::{Value, json};

/// The pause of this scope that is in force, and how it is called.
pub(super) fn in_force(desk: &AdminDesk, id: &str) -> Option<Pause> {
    let directory = desk.state.index.directory();
    let pause = directory.pauses.get(id)?;
    pause.resumed_at.is_none_or(|at| at > desk.now()).then(|| pause.clone())
}

pub(super) fn id(account: &AccountId, aws_id: Option<&str>) -> String {
    aws_id.map_or_else(|| format!("pause::{account}"), |aws_id| format!("pause::{account}::{aws_id}"))
}

/// The scope that the form names, checked, and the page to go back to.
async fn scope(act: &AdminAct) -> Result<(String, Option<String>, String), WebError> {
    let aws_id = Some(act.fields.get("aws_id")).filter(|aws_id| !aws_id.is_empty());
    if let Some(aws_id) = aws_id {
        act.desk.aws_account(aws_id).await?;
    }
    let back = aws_id.map_or_else(|| "/aws-accounts".to_owned(), |aws_id| format!("/aws-accounts/{aws_id}"));
    Ok((id(&act.desk.person.account, aws_id), aws_id.map(str::to_owned), back))
}

/// `POST /pause`: fields `reason` and, for one AWS account, `aws_id`.
pub(super) async fn begin(act: AdminAct) -> Result<Response, WebError> {
    let (id, aws_id, back) = scope(&act).await?;
    let (desk, reason) = (&act.desk, act.fields.get("reason"));
    if reason.is_empty() || reason.chars().count() > 500 {
        return Ok(desk.failed(&back, "Say why, in 1 to 500 characters: everybody whose lease is held reads it."));
    }
    let old = desk.find(&id).await?;
    let by = desk.person.gateway_name();
    let mut doc = old.unwrap_or_else(|| {
        let scope = aws_id.map_or_else(|| json!({}), |aws_id| json!({ "aws_id": aws_id }));
        Doc { id, rev: None, body: fresh("pause", &desk.person, scope) }
    });
    let running = doc.body.get("since").is_some() && doc.body.get("resumed_at").is_none();
    doc.body["reason"] = reason.into();
    doc.body["by"] = by.into();
    if !running {
        doc.body["since"] = json!(desk.now());
    }
    remove(&mut doc, "resumed_at");
    desk.write(doc).await?;
    Ok(desk.done(&back, "Paused: no end starts until you resume. Everything else goes on."))
}

/// `POST /resume`.
pub(super) async fn lift(act: AdminAct) -> Result<Response, WebError> {
    let (id, _, back) = scope(&act).await?;
    let desk = &act.desk;
    let now: Time = desk.now();
    let lifted = |doc: &Doc<Value>| {
        let at = doc.body.get("resumed_at").and_then(Value::as_str).and_then(|at| Time::parse(at).ok());
        at.is_some_and(|at| at <= now)
    };
    let Some(mut doc) = desk.find(&id).await?.filter(|doc| !lifted(doc)) else {
        return Ok(desk.done(&back, "It is not paused."));
    };
    doc.body["resumed_at"] = json!(now);
    doc.body["by"] = desk.person.gateway_name().into();
    desk.write(doc).await?;
    Ok(desk.done(&back, "Resumed. What is overdue ends only after its owner had the minimum notice again."))
}

fn remove(doc: &mut Doc<Value>, field: &str) {
    if let Some(body) = doc.body.as_object_mut() {
        body.remove(field);
    }
}
