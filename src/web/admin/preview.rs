//! What a change would alter, lease by lease: two forecasts side by side, and only what differs.

use super::super::card::user_name;
use super::super::story::notice_word;
use super::office::Admin;
use super::when::When;
use crate::model::{Directory, Lease, Time, UserId};
use crate::reactor::{Ending, Forecast, Told};
use crate::words::{clean, short_utc, span};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Rows that are shown.
const SHOWN: usize = 100;

/// All leases together.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct Preview {
    /// Looked at.
    leases: usize,
    /// For how long a time.
    horizon: String,
    /// That go on otherwise in any way.
    changed: usize,
    /// Of them those whose first end comes sooner.
    sooner: usize,
    /// Of them those whose first end comes later, or not at all.
    later: usize,
    /// Notices that would go out at once and would not otherwise.
    mails: usize,
    /// To so many people.
    people: usize,
    first_end: Option<First>,
    /// At most 100, those first whose end comes sooner.
    rows: Vec<Row>,
    /// Rows that are not shown.
    more: usize,
    #[serde(skip)]
    addressees: BTreeSet<UserId>,
    #[serde(skip)]
    first: Option<(Time, When, String)>,
}

/// The first end that would not have happened.
#[derive(Debug, Serialize, ToSchema)]
struct First {
    when: When,
    what: String,
}

/// One lease.
#[derive(Debug, Serialize, ToSchema)]
struct Row {
    /// `{aws_id}::{region}::{resource_id}`
    key: String,
    name: String,
    owner: String,
    /// How it goes on now.
    before: Vec<String>,
    /// How it would.
    after: Vec<String>,
    /// Ends that come sooner first.
    #[serde(skip)]
    weight: (u8, Time),
}

impl Preview {
    pub(in crate::web) fn new(leases: usize, horizon: i64) -> Preview {
        Preview {
            leases,
            horizon: span(horizon),
            changed: 0,
            sooner: 0,
            later: 0,
            mails: 0,
            people: 0,
            first_end: None,
            rows: Vec::new(),
            more: 0,
            addressees: BTreeSet::new(),
            first: None,
        }
    }

    /// Takes one lease in: how it goes on now, and how then.
    pub(in crate::web) fn add(
        &mut self,
        desk: &Admin,
        directory: &Directory,
        lease: &Lease,
        (before, after): (&Forecast, &Forecast),
    ) {
        let (old, new) = (lines(lease, before), lines(lease, after));
        let said = |forecast: &Forecast| forecast.told.clone().into_iter().collect::<BTreeSet<Told>>();
        let fresh: Vec<Told> =
            said(after).difference(&said(before)).filter(|told| told.at <= desk.now()).cloned().collect();
        if old == new && fresh.is_empty() {
            return;
        }
        self.mails += fresh.len();
        self.addressees.extend(fresh.iter().map(|told| told.user.clone()));
        let (order, was, will) = moved(&before.ends, &after.ends);
        let weight = match order {
            Ordering::Less => (0, will.map_or(Time::MAX, |end| end.at)),
            Ordering::Greater => (1, was.map_or(Time::MAX, |end| end.at)),
            Ordering::Equal => (2, lease.expires_at),
        };
        self.sooner += usize::from(order == Ordering::Less);
        self.later += usize::from(order == Ordering::Greater);
        self.changed += 1;
        let name = name(lease);
        if let (Ordering::Less, Some(end)) = (order, will)
            && self.first.as_ref().is_none_or(|(at, ..)| end.at < *at)
        {
            let what = format!("{name} would be {}", lease.past(end.action));
            self.first = Some((end.at, desk.when(end.at), what));
        }
        let person = |id: &UserId| user_name(directory, lease, id);
        let mut after_lines: Vec<String> = new.iter().filter(|line| !old.contains(line)).cloned().collect();
        after_lines.extend(fresh.iter().map(|told| {
            let what = notice_word(&told.kind);
            let what = format!("{}{}", what[..1].to_lowercase(), &what[1..]);
            format!("Tells {} at once: {what}", person(&told.user))
        }));
        self.rows.push(Row {
            key: lease.key().to_string(),
            name,
            owner: person(&lease.owner),
            before: old.iter().filter(|line| !new.contains(line)).cloned().collect(),
            after: after_lines,
            weight,
        });
    }

    pub(in crate::web) fn finish(mut self) -> Preview {
        self.rows.sort_by_key(|row| row.weight);
        self.more = self.rows.len().saturating_sub(SHOWN);
        self.rows.truncate(SHOWN);
        self.people = self.addressees.len();
        self.first_end = self.first.take().map(|(_, when, what)| First { when, what });
        self
    }
}

/// How a lease goes on, in sentences that are compared.
fn lines(lease: &Lease, forecast: &Forecast) -> Vec<String> {
    let mut lines = Vec::new();
    for end in &forecast.ends {
        lines.push(format!("{} on {}", capital(lease.past(end.action)), short_utc(end.at)));
    }
    if forecast.ends.is_empty() {
        lines.push(
            forecast
                .hold
                .as_ref()
                .map_or_else(|| "Does not end".to_owned(), |hold| format!("Does not end: {}", clean(&hold.reason))),
        );
    }
    lines.extend(forecast.reach.map(|reach| format!("Can be renewed until {}", short_utc(reach))));
    lines.extend(forecast.lease.as_ref().map(|lease| format!("Leased until {}", short_utc(lease.expires_at))));
    lines
}

/// Which of the ends comes sooner or later, the first that does: also the termination of what is stopped when it always was.
fn moved<'a>(before: &'a [Ending], after: &'a [Ending]) -> (Ordering, Option<&'a Ending>, Option<&'a Ending>) {
    let ends = (0..before.len().max(after.len())).map(|number| (before.get(number), after.get(number)));
    let mut moved = ends.map(|(was, will)| (compare(was, will), was, will));
    moved.find(|(order, ..)| order.is_ne()).unwrap_or((Ordering::Equal, None, None))
}

/// Which end comes first; none is later than any.
fn compare(before: Option<&Ending>, after: Option<&Ending>) -> Ordering {
    match (before, after) {
        (Some(before), Some(after)) => (after.at, before.action).cmp(&(before.at, after.action)),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// What people call it.
pub(in crate::web) fn name(lease: &Lease) -> String {
    let name = clean(&lease.summary.name);
    if name.is_empty() { lease.key.resource_id.to_string() } else { name }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::moved;
    use crate::model::{Action, Time};
    use crate::reactor::Ending;
    use std::cmp::Ordering;

    fn end(at: i64, action: Action) -> Ending {
        Ending { at: Time::from_unix(at), action }
    }

    #[test]
    fn a_termination_that_comes_sooner_after_the_same_stop_counts_as_sooner() {
        let stop = || end(100, Action::Stop);
        let (week, day) = ([stop(), end(700, Action::Terminate)], [stop(), end(200, Action::Terminate)]);
        let (order, was, will) = moved(&week, &day);
        assert_eq!((order, was, will), (Ordering::Less, Some(&week[1]), Some(&day[1])));
        assert_eq!(moved(&day, &week).0, Ordering::Greater);
        assert_eq!(moved(&day, &day), (Ordering::Equal, None, None));
        assert_eq!(moved(&day[..1], &day).0, Ordering::Less, "one that never came");
        assert_eq!(moved(&[end(100, Action::Terminate)], &day[..1]).0, Ordering::Greater, "a stop is milder");
    }
}
