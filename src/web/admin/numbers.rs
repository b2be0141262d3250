//! How an Account stands, in numbers, from the index: what runs and by which lease, what is overdue, what waits to be sent, what
//! cannot be read. Every number is of one Account.

use super::polls::{Place, Polls};
use crate::follower::{Index, LeaseRow};
use crate::model::{AccountId, AwsId, Directory, LeaseKey, Region, State, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What runs in one place. `running` = `leased` + `held` + `without`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Count {
    /// Instances that run; members of groups too, by the lease of their group.
    pub running: usize,
    /// Of them with a live lease that nothing holds.
    pub leased: usize,
    /// Of them whose end is held.
    pub held: usize,
    /// Of them without a live lease; for a moment after their launch, and never for long.
    pub without: usize,
    /// Instances that stand still.
    pub stopped: usize,
    /// Of them whose end is held.
    pub stopped_held: usize,
}

/// One region of one AWS account.
#[derive(Debug, Clone, Serialize)]
pub(in crate::web) struct Row {
    pub aws_id: AwsId,
    pub aws_name: String,
    pub region: Option<Region>,
    #[serde(flatten)]
    pub count: Count,
    /// How the last poll went there.
    pub polled: Option<Place>,
    /// `ok`, `paused` or `denied`, by its document.
    pub state: String,
}

impl Row {
    /// How reading goes there: `read`, `paused`, `denied`, `failed` or `not polled`.
    pub(in crate::web) fn standing(&self) -> &'static str {
        match (self.state.as_str(), self.polled.as_ref().map(|polled| polled.state)) {
            ("paused", _) | (_, Some("paused")) => "paused",
            (_, Some("failed")) => "failed",
            ("denied", _) | (_, Some("denied")) => "denied",
            (_, Some(_)) => "read",
            (_, None) => "not polled",
        }
    }
}

/// An end that should have happened.
#[derive(Debug, Clone, Serialize)]
pub(in crate::web) struct Overdue {
    pub lease: LeaseKey,
    pub since: Time,
    pub count: usize,
}

/// What waits to be sent.
#[derive(Debug, Clone, Serialize)]
pub(in crate::web) struct Outbox {
    pub waiting: usize,
    pub oldest: Option<Time>,
    /// Tried in vain so far.
    pub failing: usize,
    pub error: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub(in crate::web) struct Numbers {
    pub at: Time,
    pub total: Count,
    /// By what holds it.
    pub holds: BTreeMap<&'static str, usize>,
    pub regions: Vec<Row>,
    pub polled_at: Option<Time>,
    pub overdue: Option<Overdue>,
    pub outbox: Outbox,
    pub unreadable: Vec<Unreadable>,
}

/// A document that cannot be read.
#[derive(Debug, Clone, Serialize)]
pub(in crate::web) struct Unreadable {
    pub id: String,
    pub why: String,
}

impl Numbers {
    pub(in crate::web) fn of(index: &Index, polls: &Polls, account: &AccountId, now: Time) -> Numbers {
        let directory = index.directory();
        let rows: HashMap<LeaseKey, LeaseRow> = index
            .lease_rows()
            .into_iter()
            .filter(|row| row.account == *account)
            .map(|row| (row.key.clone(), row))
            .collect();
        let mut places = places(index, &directory, polls, account);
        let (mut total, mut holds) = (Count::default(), BTreeMap::new());
        for row in rows.values().filter(|row| !row.state.is_over()) {
            holds.extend(row.hold.map(|hold| (hold.as_str(), 0)));
        }
        for row in rows.values().filter(|row| !row.state.is_over()) {
            if let Some(count) = row.hold.and_then(|hold| holds.get_mut(hold.as_str())) {
                *count += 1;
            }
        }
        for place in places.values_mut() {
            let Some(region) = &place.region else { continue };
            place.count = count(index, &rows, account, &place.aws_id, region);
            total.add(&place.count);
        }
        Numbers {
            at: now,
            total,
            holds,
            regions: places.into_values().collect(),
            polled_at: polls.at,
            overdue: overdue(index, &rows, now),
            outbox: outbox(index, account),
            unreadable: unreadable(index, &directory, account),
        }
    }
}

impl Count {
    fn add(&mut self, other: &Count) {
        self.running += other.running;
        self.leased += other.leased;
        self.held += other.held;
        self.without += other.without;
        self.stopped += other.stopped;
        self.stopped_held += other.stopped_held;
    }
}

/// Every place of the Account where anything is known, or that was polled.
fn places(
    index: &Index,
    directory: &Directory,
    polls: &Polls,
    account: &AccountId,
) -> BTreeMap<(AwsId, Option<Region>), Row> {
    let own = |aws_id: &AwsId| directory.aws_accounts.get(aws_id).filter(|aws| aws.account == *account);
    let known = index.regions().into_iter().map(|(aws_id, region)| (aws_id, Some(region)));
    let marked = directory.regions.keys().map(|(aws_id, region)| (aws_id.clone(), Some(region.clone())));
    let keys: BTreeSet<_> = known.chain(marked).chain(polls.places.keys().cloned()).collect();
    let rows = keys.into_iter().filter_map(|key| {
        let aws = own(&key.0)?;
        let state = key.1.as_ref().and_then(|region| directory.regions.get(&(key.0.clone(), region.clone())));
        let row = Row {
            aws_id: key.0.clone(),
            aws_name: aws.name.clone(),
            region: key.1.clone(),
            count: Count::default(),
            polled: polls.places.get(&key).cloned(),
            state: state.map_or_else(|| "ok".to_owned(), |state| state.state.clone()),
        };
        Some((key, row))
    });
    rows.collect()
}

fn count(
    index: &Index,
    rows: &HashMap<LeaseKey, LeaseRow>,
    account: &AccountId,
    aws_id: &AwsId,
    region: &Region,
) -> Count {
    let mut count = Count::default();
    for doc in index.resources(aws_id, region) {
        let resource = &doc.body;
        if resource.account != *account || resource.is_gone() || !resource.key.resource_id.is_instance() {
            continue;
        }
        let own = rows.get(&resource.key.key()).filter(|row| !row.state.is_over());
        if !resource.facts.state.is_up() {
            let stands = !resource.facts.state.is_ended();
            count.stopped += usize::from(stands);
            count.stopped_held += usize::from(stands && own.is_some_and(|row| row.hold.is_some()));
            continue;
        }
        count.running += 1;
        let own = own.filter(|row| row.is_live());
        let group = || rows.get(&resource.group_key()?).filter(|row| !row.state.is_over());
        match own.or_else(group) {
            Some(row) if row.hold.is_some() => count.held += 1,
            Some(_) => count.leased += 1,
            None => count.without += 1,
        }
    }
    count
}

/// Held ends are not overdue: their hold says why they wait.
fn overdue(index: &Index, rows: &HashMap<LeaseKey, LeaseRow>, now: Time) -> Option<Overdue> {
    let late = index.overdue(now).into_iter().filter_map(|key| rows.get(&key));
    let late: Vec<&LeaseRow> = late
        .filter(|row| row.hold.is_none() && row.ends_at <= now && matches!(row.state, State::Expired | State::Stopped))
        .collect();
    let oldest = late.iter().min_by_key(|row| row.ends_at)?;
    Some(Overdue { lease: oldest.key.clone(), since: oldest.ends_at, count: late.len() })
}

fn outbox(index: &Index, account: &AccountId) -> Outbox {
    let waiting: Vec<_> = index.notices_due().into_iter().filter(|doc| doc.body.account == *account).collect();
    let failing: Vec<_> = waiting.iter().filter(|doc| doc.body.attempts > 0).collect();
    Outbox {
        waiting: waiting.len(),
        oldest: waiting.iter().map(|doc| doc.body.due_at).min(),
        failing: failing.len(),
        error: failing.iter().find_map(|doc| doc.body.error.clone()),
    }
}

/// Those whose id says that they are of this Account; of the others no admin is told.
fn unreadable(index: &Index, directory: &Directory, account: &AccountId) -> Vec<Unreadable> {
    let ours = |id: &str| {
        let place = id.split("::").nth(1).unwrap_or_default();
        let aws = AwsId::parse(place).ok().and_then(|aws_id| directory.aws_accounts.get(&aws_id));
        place == account.as_str() || aws.is_some_and(|aws| aws.account == *account)
    };
    let all = index.unreadable().into_iter().filter(|(id, _)| ours(id));
    all.map(|(id, why)| Unreadable { id, why }).collect()
}
