//! Pauses as admins begin and lift them, on pages and over the API alike: no end starts meanwhile, all else goes on (SAFETY.md,
//! invariant 5). The access rules judge each write.

use super::edit::{edit, fresh, read};
use super::{Person, State, WebError};
use crate::model::{AccountId, Pause, Time};
use serde_json::json;

/// The id of the pause of an AWS account, or of the whole Account.
pub(super) fn id(account: &AccountId, aws_id: Option<&str>) -> String {
    aws_id.map_or_else(|| format!("pause::{account}"), |aws_id| format!("pause::{account}::{aws_id}"))
}

/// Whether it says why, in what fits a document.
pub(super) fn is_reason(text: &str) -> bool {
    (1..=500).contains(&text.trim().chars().count())
}

/// Whether a pause still keeps ends from starting. One that is to be lifted later does until then.
pub(super) fn is_in_force(pause: &Pause, now: Time) -> bool {
    pause.resumed_at.is_none_or(|at| at > now)
}

/// Begins a pause until somebody lifts it; gives since when it is. One that is in force keeps its beginning and takes the new
/// reason.
///
/// # Errors
/// `Invalid` without a reason; `Forbidden` for who is no admin.
pub(super) async fn begin(
    state: &State,
    person: &Person,
    aws_id: Option<&str>,
    reason: &str,
) -> Result<Time, WebError> {
    if !is_reason(reason) {
        return Err(WebError::Invalid("a pause needs a reason of at most 500 characters".to_owned()));
    }
    let (id, now) = (id(&person.account, aws_id), state.clock.now());
    let since =
        found(state, person, &id).await?.filter(|pause| is_in_force(pause, now)).map_or(now, |pause| pause.since);
    let scope = aws_id.map_or_else(|| json!({}), |aws_id| json!({ "aws_id": aws_id }));
    edit(state, person, &id, Some(fresh("pause", person, scope)), |body| {
        body.insert("reason".to_owned(), reason.trim().into());
        body.insert("by".to_owned(), person.gateway_name().into());
        body.insert("since".to_owned(), json!(since));
        body.remove("resumed_at");
    })
    .await?;
    Ok(since)
}

/// Lifts it; `false` when there was nothing to lift.
pub(super) async fn lift(state: &State, person: &Person, aws_id: Option<&str>) -> Result<bool, WebError> {
    let (id, now) = (id(&person.account, aws_id), state.clock.now());
    if !found(state, person, &id).await?.is_some_and(|pause| is_in_force(&pause, now)) {
        return Ok(false);
    }
    edit(state, person, &id, None, |body| {
        body.insert("resumed_at".to_owned(), json!(now));
        body.insert("by".to_owned(), person.gateway_name().into());
    })
    .await?;
    Ok(true)
}

async fn found(state: &State, person: &Person, id: &str) -> Result<Option<Pause>, WebError> {
    let doc = read(state, person, id).await?;
    Ok(doc.and_then(|doc| serde_json::from_value(doc.body).ok()))
}
