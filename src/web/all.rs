//! Every lease of the Account, for admins: filtered, sorted, page by page or as CSV, and what is done to many at once. Each act is
//! the admin's own request or edit, lease by lease, so one that is refused stops no other.

use super::card::{Card, stack_of};
use super::estimate::Estimate;
use super::form::{Act, Fields};
use super::group::rate;
use super::html::Desk;
use super::leases::{cards, visible};
use super::orders::Order;
use super::prices::{Micros, Prices};
use super::wishes::answers;
use super::{State, WebError};
use crate::follower::Index;
use crate::model::{AwsId, Directory, EvidenceSource, Lease, LeaseKey, Outcome, Time};
use crate::words::{clean, with_instants};
use axum::extract::RawQuery;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use minijinja::{Value, context};
use std::collections::BTreeSet;
use std::fmt::Write as _;

type Is<T> = axum::extract::State<T>;

/// Leases on one page.
const PAGE: usize = 100;
/// Leases that one act may name.
const MOST: usize = 500;

/// What a list can be narrowed to; without any it shows what is not over.
const STATES: [&str; 8] = ["active", "expired", "reaping", "stopped", "terminated", "gone", "held", "any"];

/// What is asked for in the address.
#[derive(Debug)]
struct Wanted {
    text: String,
    state: String,
    owner: String,
    aws: String,
    region: String,
    stack: String,
    sort: String,
    page: usize,
    unowned: bool,
}

impl Wanted {
    fn read(query: Option<String>, unowned: bool) -> Wanted {
        let fields = Fields::read(query.unwrap_or_default().as_bytes());
        let text = |name: &str| fields.get(name).chars().take(100).collect::<String>();
        Wanted {
            text: text("q").to_lowercase(),
            // An address that was mistyped shows the usual list and not an empty one.
            state: Some(text("state")).filter(|state| STATES.contains(&state.as_str())).unwrap_or_default(),
            owner: text("owner"),
            aws: text("aws"),
            region: text("region"),
            stack: text("stack"),
            sort: text("sort"),
            page: fields.get("page").parse().unwrap_or(1).max(1),
            unowned,
        }
    }

    fn fits(&self, lease: &Lease, index: &Index) -> bool {
        let is = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        let state = match self.state.as_str() {
            "" => !lease.state.is_over(),
            "any" => true,
            "held" => lease.hold.is_some(),
            state => lease.state.as_str() == state,
        };
        let words = || {
            let all = [
                &lease.summary.name,
                lease.key.resource_id.as_str(),
                &lease.summary.instance_type,
                lease.owner.as_str(),
            ];
            all.iter().any(|word| word.to_lowercase().contains(&self.text)) || has_member(lease, index, &self.text)
        };
        // Instances of a stack keep their own leases, and are found together.
        let stack = || {
            let facts = index.resource(&lease.key()).map(|resource| resource.facts);
            facts.and_then(|facts| stack_of(&facts)).is_some_and(|stack| stack == self.stack)
        };
        let ownerless = || lease.owner.is_pending() || lease.owner_evidence.source == EvidenceSource::Admin;
        state
            && is(&self.owner, lease.owner.as_str())
            && is(&self.aws, lease.key.aws_id.as_str())
            && is(&self.region, lease.key.region.as_str())
            && (self.text.is_empty() || words())
            && (!self.unowned || ownerless())
            && (self.stack.is_empty() || stack())
    }

    fn order(&self, leases: &mut [Lease], index: &Index, prices: &Prices, now: Time) {
        leases.sort_by_key(Lease::key);
        match self.sort.trim_start_matches('-') {
            "name" => leases.sort_by_key(|lease| lease.summary.name.to_lowercase()),
            "owner" => leases.sort_by_key(|lease| lease.owner.clone()),
            "type" => leases.sort_by_key(|lease| lease.summary.instance_type.clone()),
            "region" => leases.sort_by_key(|lease| (lease.key.aws_id.clone(), lease.key.region.clone())),
            "seen" => leases.sort_by_key(|lease| lease.first_seen),
            "state" => leases.sort_by_key(|lease| lease.state),
            "cost" => leases.sort_by_cached_key(|lease| hourly(lease, index, prices, now)),
            _ => leases.sort_by_key(|lease| lease.ends_at),
        }
        if self.sort.starts_with('-') {
            leases.reverse();
        }
        if self.sort.trim_start_matches('-') == "cost" {
            // Unknown is neither cheap nor dear: it stands apart, last both ways.
            leases.sort_by_cached_key(|lease| hourly(lease, index, prices, now).is_none());
        }
    }

    /// The address of the same list, with one thing changed.
    fn with(&self, name: &str, value: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let page = self.page.to_string();
        let all = [
            ("q", self.text.as_str()),
            ("state", &self.state),
            ("owner", &self.owner),
            ("aws", &self.aws),
            ("region", &self.region),
            ("stack", &self.stack),
            ("sort", &self.sort),
            ("page", if self.page > 1 { &page } else { "" }),
        ];
        for (key, was) in all {
            let now = if key == name { value } else { was };
            if !now.is_empty() {
                query.append_pair(key, now);
            }
        }
        format!("{}?{}", self.path(), query.finish())
    }

    fn path(&self) -> &'static str {
        if self.unowned { "/unowned" } else { "/all" }
    }
}

/// Whether a machine of this id ends with a group: it has no lease of its own.
fn has_member(lease: &Lease, index: &Index, text: &str) -> bool {
    let group = index.resource(&lease.key()).and_then(|resource| resource.facts.group);
    group.is_some_and(|group| group.members.iter().any(|member| member.id.as_str().contains(text)))
}

/// What an hour of it costs now, in millionths of a dollar.
fn hourly(lease: &Lease, index: &Index, prices: &Prices, now: Time) -> Option<Micros> {
    let resource = index.resource(&lease.key());
    let rate = resource.map(|resource| rate(index, prices, &resource));
    Estimate::of(lease, rate, None, now)?.hourly()
}

/// `GET /all`.
pub(super) async fn page(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    list(&desk, &Wanted::read(query, false), None).await
}

/// `GET /unowned`.
pub(super) async fn unowned(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    list(&desk, &Wanted::read(query, true), None).await
}

/// An act that was sent and is wrong: what was ticked and typed stands there again.
#[derive(Debug)]
struct Again<'a> {
    fields: &'a Fields,
    mistake: String,
}

async fn list(desk: &Desk, wanted: &Wanted, again: Option<Again<'_>>) -> Result<Response, WebError> {
    desk.person.admin()?;
    let all = visible(&desk.state, &desk.person).await?;
    let directory = desk.state.index.directory();
    let (aws, regions) = places(&all, &directory);
    let nothing = all.is_empty();
    let mut found: Vec<Lease> = all.into_iter().filter(|lease| wanted.fits(lease, &desk.state.index)).collect();
    let prices = desk.state.prices().await?;
    wanted.order(&mut found, &desk.state.index, &prices, desk.state.clock.now());
    let total = found.len();
    let pages = total.div_ceil(PAGE).max(1);
    let page = wanted.page.min(pages);
    let shown: Vec<Card> = cards(desk, &prices, found.iter().skip((page - 1) * PAGE).take(PAGE));
    let sorts = sorts(wanted);
    let people: Vec<_> = directory
        .of(&desk.person.account)
        .map(|user| context! { id => user.user.as_str(), name => clean(&user.name) })
        .collect();
    let typed = |name: &str, usual: &str| again.as_ref().map_or(usual, |again| again.fields.get(name)).to_owned();
    let ticked: Vec<&str> = again.iter().flat_map(|again| again.fields.all("key")).collect();
    let only = if wanted.unowned { "&unowned=1" } else { "" };
    let csv = format!("{}{only}", wanted.with("page", "").replacen(wanted.path(), "/all.csv", 1));
    let values = context! {
        nothing, unconnected => !directory.aws_accounts.values().any(|aws| aws.account == desk.person.account), ticked,
        mistake => again.as_ref().map(|again| &again.mistake),
        typed => context! {
            to => typed("to", ""), length => typed("for", "3d"), until => typed("until", "14d"),
            reason => typed("reason", ""),
        },
        leases => shown, total, page, pages, sorts, people, aws, regions, csv,
        q => wanted.text, state => wanted.state, owner => wanted.owner, aws_id => wanted.aws, region => wanted.region,
        stack => wanted.stack, sort => wanted.sort, path => wanted.path(), unowned => wanted.unowned, here => wanted.with("", ""),
        before => (page > 1).then(|| wanted.with("page", &(page - 1).to_string())),
        after => (page < pages).then(|| wanted.with("page", &(page + 1).to_string())),
    };
    let (here, title) = if wanted.unowned { ("unowned", "Without an owner") } else { ("all", "All leases") };
    desk.show(here, title, "all.html", values)
}

/// The heads of the table, and where each leads.
fn sorts(wanted: &Wanted) -> Vec<Value> {
    [
        ("name", "Instance"),
        ("owner", "Owner"),
        ("region", "Where"),
        ("type", "Type"),
        ("cost", "Estimated cost"),
        ("state", "State"),
        ("ends", "Ends"),
    ]
    .map(|(name, label)| {
        let up = wanted.sort == name || (name == "ends" && wanted.sort.is_empty());
        let down = wanted.sort == format!("-{name}");
        let to = wanted.with("sort", &if up { format!("-{name}") } else { name.to_owned() });
        context! { label, to, now => if up { "ascending" } else if down { "descending" } else { "none" } }
    })
    .into()
}

/// What may be chosen in the filter: AWS accounts by name, and regions.
fn places(all: &[Lease], directory: &Directory) -> (Vec<Value>, BTreeSet<String>) {
    let ids: BTreeSet<&AwsId> = all.iter().map(|lease| &lease.key.aws_id).collect();
    let name = |id: &AwsId| directory.aws_accounts.get(id).map(|aws| clean(&aws.name)).unwrap_or_default();
    let aws = ids.into_iter().map(|id| context! { id => id.as_str(), name => name(id) }).collect();
    (aws, all.iter().map(|lease| lease.key.region.to_string()).collect())
}

/// `GET /all.csv`: the same list, whole.
pub(super) async fn csv(desk: Desk, RawQuery(query): RawQuery) -> Result<Response, WebError> {
    desk.person.admin()?;
    let unowned = query.as_deref().is_some_and(|query| Fields::read(query.as_bytes()).has("unowned"));
    let wanted = Wanted::read(query, unowned);
    let mut found = visible(&desk.state, &desk.person).await?;
    found.retain(|lease| wanted.fits(lease, &desk.state.index));
    let (prices, now, index) = (desk.state.prices().await?, desk.state.clock.now(), &desk.state.index);
    wanted.order(&mut found, index, &prices, now);
    let directory = index.directory();
    let mut text = "aws_account,region,instance,name,type,owner,state,first_seen,expires_at,ends_at,end_action,hold,\
        owner_email,dollars_a_day\r\n"
        .to_owned();
    for lease in &found {
        let hold = lease.hold.as_ref().map(|hold| hold.kind.as_str()).unwrap_or_default();
        let (first, expires, ends) =
            (lease.first_seen.to_string(), lease.expires_at.to_string(), lease.ends_at.to_string());
        let cells = [
            lease.key.aws_id.as_str(),
            lease.key.region.as_str(),
            lease.key.resource_id.as_str(),
            &lease.summary.name,
            &lease.summary.instance_type,
            lease.owner.as_str(),
            lease.state.as_str(),
            &first,
            &expires,
            &ends,
            lease.end_action.as_str(),
            hold,
            directory.user(&lease.account, &lease.owner).map(|user| user.email.as_str()).unwrap_or_default(),
            &a_day(hourly(lease, index, &prices, now)),
        ];
        let line: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        let _ = write!(text, "{}\r\n", line.join(","));
    }
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"leases.csv\""),
    ];
    Ok((headers, text).into_response())
}

/// A plain number for a spreadsheet; what is not known is empty, and not nothing.
fn a_day(hourly: Option<Micros>) -> String {
    let day = hourly.map(|hourly| u128::from(hourly) * 24);
    day.map(|micros| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)).unwrap_or_default()
}

/// A cell (RFC 4180); one that a spreadsheet would take for a formula is made a text.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

/// `POST /all`: renews, exempts or reassigns what is ticked.
pub(super) async fn act(axum::extract::State(state): Is<State>, act: Act) -> Result<Response, WebError> {
    act.person.admin()?;
    let back = super::html::local(act.fields.get("back")).to_owned();
    let keys: Vec<LeaseKey> =
        act.fields.all("key").filter_map(|key| LeaseKey::parse(key).ok()).take(MOST + 1).collect();
    if keys.is_empty() || keys.len() > MOST {
        return show_again(act, &state, &back, format!("Tick the leases that you mean, at most {MOST}.")).await;
    }
    let order = match Order::read(&state, &act, act.fields.get("act")) {
        Ok(order) => order,
        Err(why) => return show_again(act, &state, &back, why).await,
    };
    let (mut done, mut failed, mut asked) = (0_usize, Vec::new(), Vec::new());
    for key in &keys {
        match order.carry_out(&state, &act, key).await {
            Ok(None) => done += 1,
            Ok(Some(request)) => asked.push((key, request)),
            Err(why @ (WebError::Unavailable(_) | WebError::Internal(_))) => return Err(why),
            Err(why) => failed.push(format!("{}: {why}", key.resource_id)),
        }
    }
    let open = answered(&state, &act, &asked, &mut done, &mut failed).await?;
    let waits = if open == 0 { String::new() } else { format!(" Asked for {open} more, not answered yet.") };
    let not = if failed.is_empty() { String::new() } else { format!(" Not: {}", failed.join("; ")) };
    let text = format!("{} {done} of {}.{waits}{not}", order.word(), keys.len());
    Ok(if failed.is_empty() { act.done(&back, &text) } else { act.failed(&back, &text) })
}

/// Waits a little for what was asked, and counts it among what is done or not; gives how many are still open.
async fn answered(
    state: &State,
    act: &Act,
    asked: &[(&LeaseKey, String)],
    done: &mut usize,
    failed: &mut Vec<String>,
) -> Result<usize, WebError> {
    if asked.is_empty() {
        return Ok(0);
    }
    let session = act.person.session(state).await?;
    let ids = asked.iter().map(|(_, id)| id.clone()).collect();
    let mut found = answers(&state.store, &session, ids).await?;
    let mut open = 0;
    for (key, id) in asked {
        match found.remove(id) {
            Some((Outcome::Done, _)) => *done += 1,
            Some((Outcome::Refused, why)) => failed.push(format!("{}: {}", key.resource_id, with_instants(&why))),
            None => open += 1,
        }
    }
    Ok(open)
}

/// The list as it was, with what was ticked and typed, and what is wrong with it.
async fn show_again(act: Act, state: &State, back: &str, mistake: String) -> Result<Response, WebError> {
    let (desk, fields) = act.at_desk(state);
    let (path, query) = back.split_once('?').unwrap_or((back, ""));
    let wanted = Wanted::read(Some(query.to_owned()), path == "/unowned");
    list(&desk, &wanted, Some(Again { fields: &fields, mistake })).await
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        assert_eq!(quoted("web-1"), "web-1");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quoted("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
    }
}
