//! What admins see and decide: how things stand, AWS accounts, the audit, policies and exemptions. Every change is shown before
//! it is made, by the functions that will judge it.

mod apply;
mod aws;
mod connect;
mod desk;
mod event_keys;
mod events;
mod exemptions;
pub(super) mod ground;
mod latency;
pub(super) mod numbers;
pub(super) mod office;
mod pause;
mod places;
pub(super) mod policy;
mod polls;
pub(super) mod preview;
mod settings;
pub(super) mod stage;
pub(super) mod status;
mod when;

pub use polls::{Place, Polls};

use super::State;
use axum::Router;
use axum::routing::{get, post};
use minijinja::Environment;

/// The admins' routes.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/status", get(status::page))
        .route("/status.json", get(status::json))
        .route("/aws-accounts", get(aws::list))
        .merge(connecting())
        .route("/aws-accounts/{aws_id}", get(aws::page))
        .route("/aws-accounts/{aws_id}/stage", get(stage::page).post(stage::set))
        .route("/aws-accounts/{aws_id}/regions", post(aws::regions))
        .route("/aws-accounts/{aws_id}/tags", post(aws::tags))
        .route("/aws-accounts/{aws_id}/enabled", get(aws::ask_enabled).post(aws::enabled))
        .route("/aws-accounts/{aws_id}/regions/{region}/resume", post(aws::resume_region))
        .route("/aws-accounts/{aws_id}/event-keys", post(event_keys::make))
        .route("/aws-accounts/{aws_id}/event-keys/{id}/rotate", post(event_keys::rotate))
        .route("/aws-accounts/{aws_id}/event-keys/{id}/revoke", post(event_keys::revoke))
        .route("/pause", post(pause::begin))
        .route("/resume", post(pause::lift))
        .route("/events", get(events::page))
        .route("/policy", get(policy::account_page).post(policy::account))
        .route("/policy/aws/{aws_id}", get(policy::aws_page).post(policy::aws))
        .route("/policy/user/{user}", get(policy::user_page).post(policy::user))
        .route("/policy/apply", get(apply::page).post(apply::act))
        .route("/exemptions", get(exemptions::page).post(exemptions::add))
        .route("/exemptions/{id}/end", post(exemptions::end))
}

/// Those by which AWS accounts come and go.
fn connecting() -> Router<State> {
    Router::new()
        .route("/aws-accounts/new", get(connect::new).post(connect::begin))
        .route("/aws-accounts/{aws_id}/setup", get(connect::setup))
        .route("/aws-accounts/{aws_id}/template", get(connect::template))
        .route("/aws-accounts/{aws_id}/verify", post(connect::verify))
        .route("/aws-accounts/{aws_id}/rotate", post(connect::rotate))
        .route("/aws-accounts/{aws_id}/remove", get(connect::ask_remove).post(connect::remove))
}

/// Their templates.
pub(super) fn templates(all: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    all.add_template("admin_parts.html", include_str!("templates/admin_parts.html"))?;
    all.add_template("status.html", include_str!("templates/status.html"))?;
    all.add_template("status_events.html", include_str!("templates/status_events.html"))?;
    all.add_template("aws_accounts.html", include_str!("templates/aws_accounts.html"))?;
    all.add_template("aws_account.html", include_str!("templates/aws_account.html"))?;
    all.add_template("aws_events.html", include_str!("templates/aws_events.html"))?;
    all.add_template("event_key.html", include_str!("templates/event_key.html"))?;
    all.add_template("aws_new.html", include_str!("templates/aws_new.html"))?;
    all.add_template("aws_setup.html", include_str!("templates/aws_setup.html"))?;
    all.add_template("aws_remove.html", include_str!("templates/aws_remove.html"))?;
    all.add_template("aws_stage.html", include_str!("templates/aws_stage.html"))?;
    all.add_template("events.html", include_str!("templates/events.html"))?;
    all.add_template("policy.html", include_str!("templates/policy.html"))?;
    all.add_template("policy_apply.html", include_str!("templates/policy_apply.html"))?;
    all.add_template("exemptions.html", include_str!("templates/exemptions.html"))
}
