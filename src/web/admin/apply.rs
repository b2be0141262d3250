//! Applying the policy to running leases: a policy change moves no running end, this does, for a reason, after it was shown.
//! Each lease gets a request of the admin's, judged as every request is; never nearer than the longest warning and the least
//! notice from then.

use super::super::WebError;
use super::super::form::Fields;
use super::desk::{AdminAct, AdminDesk};
use super::ground::Ground;
use super::preview::Preview;
use crate::model::{AwsId, Doc, Extra, LeaseKey, Request, State, Wish};
use crate::reactor::View;
use crate::store::{Session, StoreError};
use crate::words::clean;
use axum::extract::RawQuery;
use axum::response::Response;
use futures_util::StreamExt as _;
use minijinja::context;
use serde_json::{Value, json};

/// Requests written at a time.
const AT_ONCE: usize = 8;

/// `GET /policy/apply`: what it would do; query `aws` for one AWS account alone.
pub(super) async fn page(desk: AdminDesk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    show(&desk, &query, None).await
}

async fn show(desk: &AdminDesk, fields: &Fields, mistake: Option<&str>) -> Result<Response, WebError> {
    let (ground, aws_id) = ground(desk, fields).await?;
    let preview = compare(desk, &ground).await;
    let own = ground.directory.aws_accounts.values().filter(|aws| aws.account == desk.person.account);
    let places: Vec<minijinja::Value> = own
        .map(|aws| {
            let name = if aws.name.trim().is_empty() { aws.aws_id.to_string() } else { clean(&aws.name) };
            context! { aws_id => aws.aws_id.as_str(), name }
        })
        .collect();
    let values = context! {
        places, mistake, preview,
        aws => aws_id.as_ref().map(AwsId::as_str).unwrap_or_default(),
        reason => fields.get("reason"),
        count => changing(&ground, desk).len(),
    };
    desk.show("policy", "Apply to running leases", "policy_apply.html", values)
}

async fn ground(desk: &AdminDesk, fields: &Fields) -> Result<(Ground, Option<AwsId>), WebError> {
    let aws_id = match fields.get("aws") {
        "" => None,
        aws_id => Some(desk.aws_account(aws_id).await?.1.aws_id),
    };
    Ok((Ground::read(desk, aws_id.as_ref()).await?, aws_id))
}

async fn compare(desk: &AdminDesk, ground: &Ground) -> Preview {
    let directory = ground.directory.clone();
    ground.compare_views(desk, &directory, |view| asked(desk, view)).await
}

/// The view with the admin's request in it; `None` where it would be refused.
fn asked(desk: &AdminDesk, view: &View) -> Option<View> {
    let lease = view.lease.as_ref().filter(|lease| lease.state == State::Active)?;
    let body = Request {
        account: lease.account.clone(),
        user: desk.person.user.clone(),
        lease: lease.key(),
        action: Wish::ApplyPolicy,
        until: None,
        to: None,
        at: Some(desk.now()),
        reason: Some(String::new()),
        answer: None,
        purge_at: None,
        extra: Extra::new(),
    };
    let mut view = view.clone();
    // Behind those that wait already.
    view.requests.push(Doc { id: "request::~".to_owned(), rev: None, body });
    Some(view)
}

/// The leases that would change.
fn changing(ground: &Ground, desk: &AdminDesk) -> Vec<LeaseKey> {
    let changes = |view: View| {
        let lease = crate::reactor::forecast(&view, ground.now(), ground.now()).lease;
        lease.zip(view.lease).is_some_and(|(then, now)| {
            (then.expires_at, then.ends_at, then.end_action) != (now.expires_at, now.ends_at, now.end_action)
        })
    };
    let all = ground.leases.iter().map(|lease| ground.view(&ground.directory, lease));
    let all = all.filter_map(|view| asked(desk, &view)).filter(|view| changes(view.clone()));
    all.filter_map(|view| view.lease.map(|lease| lease.key())).collect()
}

/// `POST /policy/apply`: fields `reason`, and `aws` for one AWS account alone.
pub(super) async fn act(act: AdminAct) -> Result<Response, WebError> {
    let (desk, fields) = (&act.desk, &act.fields);
    let reason = fields.get("reason");
    if reason.is_empty() || reason.chars().count() > 400 {
        return show(desk, fields, Some("Say why, in 1 to 400 characters: it stands on every lease that changes."))
            .await;
    }
    let (ground, _) = ground(desk, fields).await?;
    let keys = changing(&ground, desk);
    let session = desk.person.session(&desk.state).await?;
    let session = &session;
    let sent = futures_util::stream::iter(keys.clone()).map(async |key| send(desk, session, &key, reason).await);
    let sent: Vec<Result<(), StoreError>> = sent.buffer_unordered(AT_ONCE).collect().await;
    let count = sent.iter().filter(|sent| sent.is_ok()).count();
    if let Some(Err(why)) = sent.into_iter().find(Result::is_err) {
        tracing::warn!(error = %why, "not every lease was asked for");
        let text = format!("{count} of {} leases were asked for; do it again for the rest.", keys.len());
        return Ok(desk.failed("/policy/apply", &text));
    }
    let text = match count {
        0 => "Every running lease is as the policy says already.".to_owned(),
        1 => "Asked for 1 lease; Events shows what came of it.".to_owned(),
        _ => format!("Asked for {count} leases; Events shows what came of them."),
    };
    Ok(desk.done("/policy", &text))
}

async fn send(desk: &AdminDesk, session: &Session, key: &LeaseKey, reason: &str) -> Result<(), StoreError> {
    let person = &desk.person;
    let id = format!("request::{}::{}::{:032x}", person.account, person.user, rand::random::<u128>());
    let body: Value = json!({
        "type": "request", "schema": 1, "account": person.account, "user": person.user,
        "updated_by": person.gateway_name(), "lease": key.lease_id(), "action": Wish::ApplyPolicy,
        "at": desk.now(), "reason": reason,
    });
    desk.state.store.put_as(session, &id, &body, None).await.map(|_| ())
}
