//! AWS accounts, for admins: what zerocloud may do in each, and pauses. Stages and pauses are the admin's own edits.

use super::edit::{self, edit, fresh};
use super::form::Act;
use super::html::Desk;
use super::{State, WebError};
use crate::model::{AwsAccount, AwsId, Pause, ResourceState, Stage, State as Stands};
use crate::words::{clean, utc};
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;
use serde_json::json;

type Is<T> = axum::extract::State<T>;

/// The stages in their order, with what each allows.
const STAGES: [(Stage, &str, &str); 4] = [
    (Stage::Observe, "observe", "leases, no mail"),
    (Stage::Notify, "notify", "leases and mail"),
    (Stage::Stop, "stop", "stops what nobody renews"),
    (Stage::Terminate, "terminate", "and terminates what stays stopped"),
];

/// `GET /aws-accounts`.
pub(super) async fn page(desk: Desk) -> Result<Response, WebError> {
    desk.person.admin()?;
    let (state, person) = (&desk.state, &desk.person);
    let now = state.clock.now();
    let session = person.session(state).await?;
    let docs = state.store.prefix_as(&session, &format!("aws_account::{}::", person.account)).await?;
    let directory = state.index.directory();
    let rows = state.index.lease_rows();
    let pause = |id: &str| directory.pauses.get(id).filter(|pause| in_force(pause, now)).map(told);
    let mut accounts = Vec::new();
    for aws in docs.into_iter().filter_map(|doc| serde_json::from_value::<AwsAccount>(doc.body).ok()) {
        let leases = rows.iter().filter(|row| row.key.aws_id == aws.aws_id && row.state.is_renewable()).count();
        let accepted = aws.effective_stage();
        let stages: Vec<_> = STAGES
            .iter()
            .map(|(stage, word, what)| {
                let reachable = place(*stage) <= place(aws.stage) + 1;
                context! { word, what, now => *stage == aws.stage, reachable, done => *stage <= aws.stage }
            })
            .collect();
        accounts.push(context! {
            id => aws.aws_id.as_str(), name => clean(&aws.name), stages, leases,
            waits => accepted < aws.stage, disabled => aws.disabled,
            regions => if aws.regions.is_empty() { "every enabled one".to_owned() } else { aws.regions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") },
            connected => aws.connected_at.map(utc), since => aws.stage_accepted.map(|accepted| utc(accepted.since)),
            pause => pause(&format!("pause::{}::{}", person.account, aws.aws_id)),
            own => directory.policies.contains_key(&format!("policy::{}::aws::{}", person.account, aws.aws_id)),
        });
    }
    let values = context! {
        accounts, everything => pause("pause::all"), account_pause => pause(&format!("pause::{}", person.account)),
    };
    desk.show("aws", "AWS accounts", "aws.html", values)
}

fn in_force(pause: &Pause, now: crate::model::Time) -> bool {
    pause.resumed_at.is_none_or(|at| at > now)
}

fn told(pause: &Pause) -> String {
    format!("Paused since {}: {}", utc(pause.since), clean(&pause.reason))
}

fn place(stage: Stage) -> usize {
    STAGES.iter().position(|(other, ..)| *other == stage).unwrap_or_default()
}

/// `GET /aws-accounts/{id}/stage/{stage}`: what it would change.
pub(super) async fn ask_stage(desk: Desk, Path((id, word)): Path<(String, String)>) -> Result<Response, WebError> {
    desk.person.admin()?;
    let (state, person) = (&desk.state, &desk.person);
    let (aws_id, (stage, word, what)) = (parse(&id)?, find(&word)?);
    let doc = edit::read(state, person, &format!("aws_account::{}::{aws_id}", person.account)).await?;
    let aws: AwsAccount = doc.and_then(|doc| serde_json::from_value(doc.body).ok()).ok_or_else(unknown)?;
    let rows: Vec<_> = state.index.lease_rows().into_iter().filter(|row| row.key.aws_id == aws_id).collect();
    let count = |states: &[Stands]| rows.iter().filter(|row| states.contains(&row.state)).count();
    let running = rows
        .iter()
        .filter(|row| state.index.resource(&row.key).is_some_and(|found| found.facts.state == ResourceState::Running));
    let held = rows.iter().filter(|row| row.held && row.state == Stands::Expired).count();
    let values = context! {
        id => aws_id.as_str(), name => clean(&aws.name), word, what, up => stage > aws.stage,
        ends => stage >= Stage::Stop, notifies => stage == Stage::Notify,
        running => running.count(), live => count(&[Stands::Active, Stands::Expired]), held,
        stopped => count(&[Stands::Stopped]),
    };
    desk.show("aws", "What it would change", "stage.html", values)
}

/// `POST /aws-accounts/{id}/stage/{stage}`.
pub(super) async fn stage(
    axum::extract::State(state): Is<State>,
    Path((id, word)): Path<(String, String)>,
    act: Act,
) -> Result<Response, WebError> {
    act.person.admin()?;
    let (_, word, _) = find(&word)?;
    let id = format!("aws_account::{}::{}", act.person.account, parse(&id)?);
    edit(&state, &act.person, &id, None, |body| drop(body.insert("stage".to_owned(), json!(word)))).await?;
    Ok(act.done("/aws-accounts", &format!("The stage is {word}.")))
}

/// `POST /aws-accounts/{id}/watch`: whether it is watched at all.
pub(super) async fn watch(
    axum::extract::State(state): Is<State>,
    Path(id): Path<String>,
    act: Act,
) -> Result<Response, WebError> {
    act.person.admin()?;
    let disabled = act.fields.get("watch") != "on";
    let id = format!("aws_account::{}::{}", act.person.account, parse(&id)?);
    edit(&state, &act.person, &id, None, |body| drop(body.insert("disabled".to_owned(), json!(disabled)))).await?;
    let text = if disabled { "It is not watched any more; nothing there ends." } else { "It is watched again." };
    Ok(act.done("/aws-accounts", text))
}

/// `POST /pause`: the Account, or one AWS account.
pub(super) async fn pause(axum::extract::State(state): Is<State>, act: Act) -> Result<Response, WebError> {
    act.person.admin()?;
    let now = state.clock.now();
    let (id, more) = pause_document(&act)?;
    if act.fields.get("act") == "resume" {
        edit(&state, &act.person, &id, None, |body| drop(body.insert("resumed_at".to_owned(), json!(now)))).await?;
        return Ok(act.done("/aws-accounts", "Resumed. What is overdue is announced again first."));
    }
    let reason: String = act.fields.get("reason").chars().take(400).collect();
    if reason.is_empty() {
        return Ok(act.failed("/aws-accounts", "A pause needs a reason: everybody whose lease is held reads it."));
    }
    let by = act.person.gateway_name();
    let new = fresh("pause", &act.person, more);
    edit(&state, &act.person, &id, Some(new), |body| {
        body.insert("reason".to_owned(), json!(reason));
        body.insert("by".to_owned(), json!(by));
        body.insert("since".to_owned(), json!(now));
        body.shift_remove("resumed_at");
    })
    .await?;
    Ok(act.done("/aws-accounts", "Paused: no end starts until it is resumed; all else goes on."))
}

fn pause_document(act: &Act) -> Result<(String, serde_json::Value), WebError> {
    let account = &act.person.account;
    match act.fields.get("aws") {
        "" => Ok((format!("pause::{account}"), json!({}))),
        aws => {
            let aws = parse(aws)?;
            Ok((format!("pause::{account}::{aws}"), json!({ "aws_id": aws })))
        }
    }
}

fn find(word: &str) -> Result<(Stage, &'static str, &'static str), WebError> {
    STAGES.iter().copied().find(|(_, name, _)| *name == word).ok_or_else(unknown)
}

fn parse(id: &str) -> Result<AwsId, WebError> {
    AwsId::parse(id).map_err(|_| unknown())
}

fn unknown() -> WebError {
    WebError::NotFound("there is no such AWS account here".to_owned())
}
