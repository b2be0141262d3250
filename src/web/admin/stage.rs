//! The stage of an AWS account: one step up at a time, any number down; shown with what it would do before it is set.

use super::super::WebError;
use super::aws::{STAGES, meaning, word};
use super::desk::{AdminAct, AdminDesk};
use super::ground::Ground;
use super::office::Admin;
use super::preview::Preview;
use crate::model::{AwsAccount, Directory, Stage, StageAccepted, Time};
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use minijinja::context;

/// The documents as they would be once the service took note of `stage`.
fn with_stage(directory: &Directory, account: &AwsAccount, stage: Stage, now: Time) -> Directory {
    let mut then = directory.clone();
    if let Some(aws) = then.aws_accounts.get_mut(&account.aws_id) {
        let since =
            aws.stage_accepted.filter(|accepted| stage <= accepted.stage).map_or(now, |accepted| accepted.since);
        aws.stage = stage;
        aws.stage_accepted = Some(StageAccepted { stage, since });
    }
    then
}

/// What goes on otherwise at that stage, and what the forecast stood on.
pub(in crate::web) async fn forecast(
    admin: &Admin,
    account: &AwsAccount,
    to: Stage,
) -> Result<(Preview, Ground), WebError> {
    let ground = Ground::read(admin, Some(&account.aws_id)).await?;
    let preview = ground.compare(admin, &with_stage(&ground.directory, account, to, ground.now())).await;
    Ok((preview, ground))
}

pub(in crate::web) fn named(text: &str) -> Result<Stage, WebError> {
    let found = STAGES.into_iter().find(|stage| word(*stage) == text);
    found.ok_or_else(|| WebError::Invalid("a stage is observe, notify, stop or terminate".to_owned()))
}

/// `GET /aws-accounts/{aws_id}/stage?to=`: what it would do.
pub(super) async fn page(
    desk: AdminDesk,
    Path(aws_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, WebError> {
    let (_, account) = desk.aws_account(&aws_id).await?;
    let query = super::super::Fields::read(query.unwrap_or_default().as_bytes());
    let to = named(query.get("to"))?;
    let (preview, ground) = forecast(&desk, &account, to).await?;
    let policy = ground.directory.policy(&account.account, &account.aws_id, None);
    let values = context! {
        aws_id => account.aws_id.as_str(),
        name => crate::words::clean(&account.name),
        from => word(account.stage),
        to => word(to),
        meaning => meaning(to),
        up => to > account.stage,
        same => to == account.stage,
        first => first_step(account.stage, to).map(word),
        stage_notice => crate::words::span(policy.stage_notice),
        default_lease => crate::words::span(policy.default_lease),
        preview,
    };
    desk.show("aws", &format!("Stage {}", word(to)), "aws_stage.html", values)
}

/// The stage that comes before `to`, when it is more than one step up.
fn first_step(from: Stage, to: Stage) -> Option<Stage> {
    let next = STAGES.into_iter().find(|stage| *stage > from)?;
    (to > next).then_some(next)
}

/// `POST /aws-accounts/{aws_id}/stage`: field `to`.
pub(super) async fn set(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    let desk = &act.desk;
    let (doc, account) = desk.aws_account(&aws_id).await?;
    let to = named(act.fields.get("to"))?;
    let back = format!("/aws-accounts/{aws_id}");
    if to == account.stage {
        return Ok(desk.done(&back, &format!("It is at stage {} already.", word(to))));
    }
    desk.set(&doc.id, "stage", &word(to).into()).await?;
    Ok(desk.done(&back, &format!("Stage {}: {}", word(to), meaning(to))))
}
