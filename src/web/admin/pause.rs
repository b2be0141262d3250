//! Pause and resume, of an AWS account or of the whole Account: no end starts meanwhile, all else goes on.

use super::super::{WebError, pauses};
use super::desk::{AdminAct, AdminDesk};
use crate::model::Pause;
use axum::response::Response;

/// The pause of this scope that is in force, and how it is called.
pub(super) fn in_force(desk: &AdminDesk, id: &str) -> Option<Pause> {
    let directory = desk.state.index.directory();
    let pause = directory.pauses.get(id)?;
    pauses::is_in_force(pause, desk.now()).then(|| pause.clone())
}

/// The scope that the form names, checked, and the page to go back to.
async fn scope(act: &AdminAct) -> Result<(Option<&str>, String), WebError> {
    let aws_id = Some(act.fields.get("aws_id")).filter(|aws_id| !aws_id.is_empty());
    if let Some(aws_id) = aws_id {
        act.desk.aws_account(aws_id).await?;
    }
    let back = aws_id.map_or_else(|| "/aws-accounts".to_owned(), |aws_id| format!("/aws-accounts/{aws_id}"));
    Ok((aws_id, back))
}

/// `POST /pause`: fields `reason` and, for one AWS account, `aws_id`.
pub(super) async fn begin(act: AdminAct) -> Result<Response, WebError> {
    let (aws_id, back) = scope(&act).await?;
    let (desk, reason) = (&act.desk, act.fields.get("reason"));
    if !pauses::is_reason(reason) {
        return Ok(desk.failed(
            &back,
            "Say why, in 1 to 500 characters: everybody whose lease is held reads it. Nothing is paused yet.",
        ));
    }
    pauses::begin(&desk.state, &desk.person, aws_id, reason).await?;
    Ok(desk.done(&back, "Paused: no end starts until you resume. Everything else goes on."))
}

/// `POST /resume`.
pub(super) async fn lift(act: AdminAct) -> Result<Response, WebError> {
    let (aws_id, back) = scope(&act).await?;
    let desk = &act.desk;
    Ok(if pauses::lift(&desk.state, &desk.person, aws_id).await? {
        desk.done(&back, "Resumed. What is overdue ends only after its owner had the minimum notice again.")
    } else {
        desk.done(&back, "It is not paused.")
    })
}
