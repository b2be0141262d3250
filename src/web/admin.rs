//! What admins see and decide: how things stand, AWS accounts, the audit, policies and exemptions. Every change is shown before
//! it is made, by the functions that will judge it.

mod apply;
mod aws;
mod desk;
mod event_keys;
mod events;
mod exemptions;
mod ground;
mod latency;
mod numbers;
mod pause;
mod policy;
mod polls;
mod preview;
mod settings;
mod stage;
mod status;
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
        .route("/aws-accounts/{aws_id}", get(aws::page))
        .route("/aws-accounts/{aws_id}/stage", get(stage::page).post(stage::set))
        .route("/aws-accounts/{aws_id}/regions", post(aws::regions))
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

/// Their templates.
pub(super) fn templates(all: &mut Environment<'static>) -> Result<(), minijinja::Error> {
    all.add_template("admin_parts.html", include_str!("templates/admin_parts.html"))?;
    all.add_template("status.html", include_str!("templates/status.html"))?;
    all.add_template("status_events.html", include_str!("templates/status_events.html"))?;
    all.add_template("aws_accounts.html", include_str!("templates/aws_accounts.html"))?;
    all.add_template("aws_account.html", include_str!("templates/aws_account.html"))?;
    all.add_template("aws_events.html", include_str!("templates/aws_events.html"))?;
    all.add_template("event_key.html", include_str!("templates/event_key.html"))?;
    all.add_template("aws_stage.html", include_str!("templates/aws_stage.html"))?;
    all.add_template("events.html", include_str!("templates/events.html"))?;
    all.add_template("policy.html", include_str!("templates/policy.html"))?;
    all.add_template("policy_apply.html", include_str!("templates/policy_apply.html"))?;
    all.add_template("exemptions.html", include_str!("templates/exemptions.html"))
}
