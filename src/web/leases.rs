//! My leases.

use super::WebError;
use super::html::Desk;
use axum::response::Response;
use minijinja::context;

/// `GET /leases`.
pub(super) async fn mine(desk: Desk) -> Result<Response, WebError> {
    let session = desk.person.session(&desk.state).await?;
    let docs = desk.state.store.prefix_as(&session, "lease::").await?;
    let leases: Vec<&str> = docs.iter().map(|doc| doc.id.as_str()).collect();
    desk.show("leases", "My leases", "leases.html", context! { leases })
}
