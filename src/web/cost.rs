//! What machines cost, as an estimate: price × run time, from what zerocloud saw. No end depends on it. Pure.
//!
//! A machine counts as running while its lease is active, expired or being ended. Saved is what one would have cost since
//! zerocloud stopped or terminated it, for at most [`SAVED_FOR`]; its volumes cost on while it is stopped.

use super::prices::{Micros, Prices};
use crate::model::{Facts, State, Time};
use serde::Serialize;
use std::collections::BTreeMap;

const HOUR: u64 = 3_600;
const DAY: i64 = 86_400;
/// AWS counts a month of storage as 730 hours.
const MONTH: u64 = 730 * HOUR;
/// For so long the end of a machine counts as saving, seconds: longer would be a guess about what its owner had done.
pub const SAVED_FOR: i64 = 30 * DAY;

/// What an hour costs. `None` is unknown, never nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Of the machine while it runs, in millionths of a dollar.
    pub running: Option<Micros>,
    /// Of its volumes, running or not.
    pub volumes: Option<Micros>,
}

impl Rate {
    /// By the table of prices.
    pub fn of(prices: &Prices, region: &str, facts: &Facts) -> Rate {
        let volume = |volume: &crate::model::Volume| {
            let month = prices.gigabyte_month(region, volume.kind.as_deref()?)?;
            Some(month.saturating_mul(u64::from(volume.gib?)) * HOUR / MONTH)
        };
        // One that is not known makes the sum unknown.
        let volumes = facts.volumes.iter().map(volume).sum::<Option<Micros>>();
        Rate { running: prices.hour(region, facts), volumes }
    }

    /// An hour as it stands now; `None` when any part of it is unknown.
    pub fn now(self, running: bool) -> Option<Micros> {
        if running { Some(self.running? + self.volumes?) } else { self.volumes }
    }
}

/// What so many seconds at this rate come to.
pub fn amount(hourly: Micros, seconds: i64) -> Micros {
    let total = u128::from(hourly) * u128::from(seconds.max(0).unsigned_abs()) / u128::from(HOUR);
    Micros::try_from(total).unwrap_or(Micros::MAX)
}

/// `$1,234.50`, `$0.0104`: four digits below a dollar, so that small ones do not look like nothing.
pub fn dollars(micros: Micros) -> String {
    let digits = if micros < 1_000_000 && !micros.is_multiple_of(10_000) { 4 } else { 2 };
    let unit = 10_u64.pow(6 - digits);
    let rounded = micros.saturating_add(unit / 2) / unit;
    let (whole, part) = (rounded / 10_u64.pow(digits), rounded % 10_u64.pow(digits));
    let mut grouped = String::new();
    let text = whole.to_string();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("${grouped}.{part:0width$}", width = digits as usize)
}

/// One step of a lease's life: since then it is so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Time,
    /// Whose.
    pub owner: String,
    /// How.
    pub state: State,
}

/// A machine, what it costs and how it lived.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// What an hour costs.
    pub rate: Rate,
    /// When zerocloud saw it first.
    pub first_seen: Time,
    /// In the order of time. Before the first one it ran, and had that one's owner.
    pub steps: Vec<Step>,
    /// The last stop or end was zerocloud's doing, so that what it would have cost since counts as saved.
    pub ended_by_us: bool,
}

/// Of one day or one owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Spent, as far as prices are known.
    pub cost: Micros,
    /// Not spent.
    pub saved: Micros,
    /// Seconds that machines ran whose price is unknown.
    pub unknown_seconds: i64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.cost = self.cost.saturating_add(other.cost);
        self.saved = self.saved.saturating_add(other.saved);
        self.unknown_seconds += other.unknown_seconds;
    }
}

/// Per day (its beginning, UTC) and owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Daily(pub BTreeMap<Time, BTreeMap<String, Sum>>);

impl Daily {
    /// The `days` days that end with the day of `now`.
    pub fn of(lives: &[Life], now: Time, days: u32) -> Daily {
        let (today, first) = (day(now), first_day(now, days));
        let mut daily = Daily::default();
        for back in 0..i64::from(days.max(1)) {
            daily.0.insert(today.plus(-DAY * back), BTreeMap::new());
        }
        for life in lives {
            for span in spans(life, now) {
                daily.add(life.rate, &span, first);
            }
        }
        daily
    }

    fn add(&mut self, rate: Rate, span: &Span<'_>, first: Time) {
        let mut at = span.from.max(first);
        while at < span.to {
            let next = day(at).plus(DAY).min(span.to);
            let seconds = next.seconds_since(at);
            let sum = span.kind.sum(rate, seconds);
            if let Some(owners) = self.0.get_mut(&day(at)) {
                owners.entry(span.owner.to_owned()).or_default().add(sum);
            }
            at = next;
        }
    }

    /// Each owner's sum, the most expensive first.
    pub fn owners(&self) -> Vec<(String, Sum)> {
        let mut owners: BTreeMap<&str, Sum> = BTreeMap::new();
        for (owner, sum) in self.0.values().flatten() {
            owners.entry(owner).or_default().add(*sum);
        }
        let mut owners: Vec<_> = owners.into_iter().map(|(owner, sum)| (owner.to_owned(), sum)).collect();
        owners.sort_by(|a, b| b.1.cost.cmp(&a.1.cost).then_with(|| a.0.cmp(&b.0)));
        owners
    }

    /// Each day's sum, the oldest first.
    pub fn days(&self) -> Vec<(Time, Sum)> {
        let total = |owners: &BTreeMap<String, Sum>| {
            let mut total = Sum::default();
            for sum in owners.values() {
                total.add(*sum);
            }
            total
        };
        self.0.iter().map(|(day, owners)| (*day, total(owners))).collect()
    }
}

/// The beginning of the `days` days that end with the day of `now`.
pub(super) fn first_day(now: Time, days: u32) -> Time {
    day(now).plus(-DAY * (i64::from(days.max(1)) - 1))
}

fn day(at: Time) -> Time {
    Time::from_unix(at.unix() - at.unix().rem_euclid(DAY))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ran,
    Stood { saved: bool },
    Saved,
}

impl Kind {
    fn sum(self, rate: Rate, seconds: i64) -> Sum {
        let part = |hourly: Option<Micros>| hourly.map_or(0, |hourly| amount(hourly, seconds));
        let unknown = |known: bool| if known { 0 } else { seconds };
        match self {
            Kind::Ran => Sum {
                cost: part(rate.running) + part(rate.volumes),
                saved: 0,
                unknown_seconds: unknown(rate.now(true).is_some()),
            },
            Kind::Stood { saved } => Sum {
                cost: part(rate.volumes),
                saved: if saved { part(rate.running) } else { 0 },
                unknown_seconds: unknown(rate.volumes.is_some()),
            },
            Kind::Saved => Sum { cost: 0, saved: part(rate.running) + part(rate.volumes), unknown_seconds: 0 },
        }
    }
}

struct Span<'a> {
    from: Time,
    to: Time,
    owner: &'a str,
    kind: Kind,
}

fn spans(life: &Life, now: Time) -> Vec<Span<'_>> {
    let Some(first) = life.steps.first() else { return Vec::new() };
    let mut all = vec![Span { from: life.first_seen, to: first.at.min(now), owner: &first.owner, kind: Kind::Ran }];
    for (at, step) in life.steps.iter().enumerate() {
        let next = life.steps.get(at + 1);
        let to = next.map_or(now, |next| next.at.min(now));
        let ours = life.ended_by_us && next.is_none_or(|next| !runs(next.state));
        let saved_to = step.at.plus(SAVED_FOR).min(to);
        let span = |from: Time, to: Time, kind: Kind| Span { from, to, owner: &step.owner, kind };
        match step.state {
            state if runs(state) => all.push(span(step.at, to, Kind::Ran)),
            State::Stopped => {
                all.push(span(step.at, saved_to, Kind::Stood { saved: ours }));
                all.push(span(saved_to, to, Kind::Stood { saved: false }));
            }
            _ if ours => all.push(span(step.at, saved_to, Kind::Saved)),
            _ => {}
        }
    }
    all
}

/// Whether its machine counts as running.
pub(super) fn runs(state: State) -> bool {
    matches!(state, State::Active | State::Expired | State::Reaping)
}

#[cfg(test)]
mod tests;
