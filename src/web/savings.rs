//! What machines cost and what their ends saved, as pictures, for admins. An estimate: price × run time.

use super::WebError;
use super::form::Fields;
use super::html::Desk;
use axum::extract::RawQuery;
use axum::response::Response;
use minijinja::context;

/// The lengths that can be chosen, days.
const LENGTHS: [u32; 3] = [7, 30, 90];

/// `GET /savings`.
pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    desk.person.admin()?;
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let wanted = query.get("days").parse::<u32>().ok().filter(|days| LENGTHS.contains(days));
    desk.show("savings", "Savings", "savings.html", context! { days => wanted.unwrap_or(30), lengths => LENGTHS })
}
