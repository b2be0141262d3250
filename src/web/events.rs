//! What happened in the Account, day by day: the audit as its admins read it.

use super::WebError;
use super::form::Fields;
use super::html::Desk;
use crate::model::{LeaseKey, Time};
use crate::words::clean;
use axum::extract::RawQuery;
use axum::response::Response;
use minijinja::context;
use serde_json::Value;

/// Events on one page.
const PAGE: usize = 200;
const DAY: i64 = 86_400;

/// `GET /events`.
pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    desk.person.admin()?;
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let today = desk.state.clock.now();
    let midnight = |day: &str| Time::parse(&format!("{day}T00:00:00Z")).ok();
    let at = midnight(query.get("day")).unwrap_or(today);
    let day = day(at);
    let text = query.get("q").to_lowercase();
    let session = desk.person.session(&desk.state).await?;
    let prefix = format!("event::{}::{day}", desk.person.account);
    let docs = desk.state.store.prefix_as(&session, &prefix).await?;
    let lines = docs.iter().rev().map(|doc| line(&doc.body));
    let mut lines: Vec<Line> = lines.filter(|line| text.is_empty() || line.holds(&text)).collect();
    let total = lines.len();
    lines.truncate(PAGE);
    let shown: Vec<_> = lines
        .iter()
        .map(|line| {
            context! { time => line.time, key => line.key, what => line.what, state => line.state, outcome => line.outcome, cause => line.cause }
        })
        .collect();
    let later = at.plus(DAY);
    let values = context! {
        lines => shown, total, most => PAGE, day, q => query.get("q"),
        before => self::day(at.plus(-DAY)), after => (self::day(later) <= self::day(today)).then(|| self::day(later)),
    };
    desk.show("events", "Events", "events.html", values)
}

fn day(at: Time) -> String {
    at.to_string().chars().take(10).collect()
}

struct Line {
    time: String,
    key: String,
    what: String,
    state: String,
    outcome: String,
    cause: String,
}

impl Line {
    fn holds(&self, text: &str) -> bool {
        [&self.key, &self.what, &self.state, &self.outcome, &self.cause]
            .iter()
            .any(|it| it.to_lowercase().contains(text))
    }
}

fn line(body: &Value) -> Line {
    let text = |at: &str| body.pointer(at).and_then(Value::as_str).map(clean).unwrap_or_default();
    let lease = LeaseKey::parse(&text("/lease")).map(|key| key.to_string()).unwrap_or_default();
    let cause = [text("/cause/detail/eventName"), text("/cause/detail-type")];
    let at = text("/at");
    Line {
        time: at.get(11..19).unwrap_or(&at).to_owned(),
        key: lease,
        what: super::error::sentence(&text("/reason")),
        state: text("/decision/state"),
        outcome: text("/outcome"),
        cause: cause.into_iter().find(|word| !word.is_empty()).unwrap_or_default(),
    }
}
