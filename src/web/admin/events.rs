//! The audit of the Account, newest first: each change of a lease with its cause, the decision, the reason and the outcome, and
//! what admins did.

use super::super::WebError;
use super::super::audit::Audit;
use super::super::form::Fields;
use super::super::story::named;
use super::desk::AdminDesk;
use crate::model::{Doc, LeaseKey, Time, UserId};
use crate::words::{clean, cut, hold_words, with_instants};
use axum::extract::RawQuery;
use axum::response::Response;
use minijinja::{Value, context};

/// Events on a page.
const PAGE: usize = 50;

/// In the place of a state: what admins did.
const ACTS: &str = "by admins";

/// What is asked for.
struct Wanted {
    text: String,
    state: String,
    aws_id: String,
}

impl Wanted {
    fn fits(&self, doc: &Doc<serde_json::Value>) -> bool {
        let at = |pointer: &str| doc.body.pointer(pointer).and_then(|it| it.as_str()).unwrap_or_default();
        let says = |text: &str| text.to_lowercase().contains(&self.text);
        let text = self.text.is_empty()
            || [at("/lease"), at("/reason"), at("/outcome"), at("/decision/owner"), at("/by")].into_iter().any(says);
        let acts = self.state == ACTS && !(at("/act").is_empty() && at("/by").is_empty());
        let state = self.state.is_empty() || at("/decision/state") == self.state || acts;
        let place = self.aws_id.is_empty()
            || [at("/lease"), at("/about")].iter().any(|id| id.split("::").any(|part| part == self.aws_id));
        text && state && place
    }
}

/// `GET /events`: query `q`, `state`, `aws`, and `before`, the id of the last one seen.
pub(super) async fn page(desk: AdminDesk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    let query = Fields::read(query.unwrap_or_default().as_bytes());
    let wanted = Wanted {
        text: query.get("q").to_lowercase(),
        state: query.get("state").to_owned(),
        aws_id: query.get("aws").to_owned(),
    };
    let audit = Audit::of(&desk.state, &desk.person).await?;
    let (found, more) = audit.newest(query.get("before"), PAGE, |doc| wanted.fits(doc)).await?;
    let rows: Vec<Value> = found.iter().map(|doc| row(&desk, doc)).collect();
    let directory = desk.state.index.directory();
    let own = directory.aws_accounts.values().filter(|aws| aws.account == desk.person.account);
    let places: Vec<Value> = own
        .map(|aws| {
            let name = if aws.name.trim().is_empty() { aws.aws_id.to_string() } else { clean(&aws.name) };
            context! { aws_id => aws.aws_id.as_str(), name }
        })
        .collect();
    let next = more.map(|before| {
        let mut next = form_urlencoded::Serializer::new(String::new());
        for name in ["q", "state", "aws"] {
            if !query.get(name).is_empty() {
                next.append_pair(name, query.get(name));
            }
        }
        next.append_pair("before", &before).finish()
    });
    let values = context! {
        rows, places, next, q => query.get("q"), state => query.get("state"), aws => query.get("aws"),
        states => ["active", "expired", "reaping", "stopped", "terminated", "gone", ACTS],
        filtered => !(wanted.text.is_empty() && wanted.state.is_empty() && wanted.aws_id.is_empty()),
        older => !query.get("before").is_empty(),
    };
    desk.show("events", "Events", "events.html", values)
}

fn row(desk: &AdminDesk, doc: &Doc<serde_json::Value>) -> Value {
    let at = |pointer: &str| doc.body.pointer(pointer).and_then(|it| it.as_str()).unwrap_or_default();
    let key = LeaseKey::parse(at("/lease")).ok();
    let cause = [at("/cause/detail/eventName"), at("/cause/detail-type"), at("/cause/source")];
    let cause = cause.into_iter().find(|text| !text.is_empty() && at("/act").is_empty()).unwrap_or_default();
    let ours = at("/cause/source").starts_with("zerocloud.");
    let by = at("/by").split_once('.').map(|(_, user)| owner(desk, user));
    let by = by.or_else(|| (!at("/act").is_empty()).then(|| "the service or an operator".to_owned()));
    context! {
        when => Time::parse(at("/at")).ok().map(|time| desk.when(time)),
        key => key.as_ref().map(ToString::to_string),
        lease => key.as_ref().map(|key| called(desk, key)),
        place => key.as_ref().map(|key| format!("{} · {} · {}", key.resource_id, place(desk, key), key.region)),
        // The state has a place of its own.
        reason => {
            let said = at("/reason").trim_start_matches(&format!("{}: ", at("/decision/state")));
            named(&reason(said), &desk.state.index.directory(), &desk.person.account)
        },
        // What the state says already is not said twice.
        outcome => outcome(at("/outcome"), at("/decision/state")),
        state => clean(at("/decision/state")),
        owner => owner(desk, at("/decision/owner")),
        hold => hold_words(&clean(at("/decision/hold"))),
        cause => if ours { spaced(cause) } else { clean(cause) },
        act => clean(at("/act")).replace('_', " "),
        by,
    }
}

/// One of zerocloud's own words, such as `LeaseExpired`, as people write it.
fn spaced(word: &str) -> String {
    let mut told = String::with_capacity(word.len() + 4);
    for c in clean(word).chars() {
        if c.is_ascii_uppercase() && !told.is_empty() {
            told.push(' ');
        }
        told.push(c.to_ascii_lowercase());
    }
    told
}

/// What came of it, as people write it; empty for a change that was only written down.
fn outcome(outcome: &str, state: &str) -> String {
    match outcome {
        "saved" => String::new(),
        "claimed" => "begun".to_owned(),
        same if same == state => String::new(),
        other => clean(other),
    }
}

fn reason(text: &str) -> String {
    let text = match text {
        "stop what was claimed" => "the stop that was begun",
        "terminate what was claimed" => "the termination that was begun",
        other => other,
    };
    cut(&with_instants(&clean(text)), 300)
}

/// The AWS account, by name if it has one.
fn place(desk: &AdminDesk, key: &LeaseKey) -> String {
    let directory = desk.state.index.directory();
    let name = directory.aws_accounts.get(&key.aws_id).map(|aws| clean(&aws.name));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| key.aws_id.to_string())
}

/// By its Name tag, while anything is known of it.
fn called(desk: &AdminDesk, key: &LeaseKey) -> String {
    let name = desk.state.index.resource(key).map(|resource| clean(&resource.facts.name));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| key.resource_id.to_string())
}

fn owner(desk: &AdminDesk, id: &str) -> String {
    let directory = desk.state.index.directory();
    let user = UserId::parse(id).ok().and_then(|id| directory.user(&desk.person.account, &id).cloned());
    let name = user.map(|user| clean(&user.name)).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| clean(id))
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_end_reads_as_what_came_of_it_once() {
        let told =
            [("saved", "active"), ("claimed", "reaping"), ("terminated", "terminated"), ("throttled", "reaping")];
        assert_eq!(told.map(|(said, state)| super::outcome(said, state)), ["", "begun", "", "throttled"]);
        assert_eq!(super::reason("terminate what was claimed"), "the termination that was begun");
    }

    #[test]
    fn causes_of_our_own_are_words() {
        assert_eq!(
            ["LeaseExpired", "InstanceSeen", "", "zerocloud"].map(super::spaced),
            ["lease expired", "instance seen", "", "zerocloud"]
        );
    }
}
