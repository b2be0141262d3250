//! `leases` and `plan`: tables, or JSON for scripts.

use super::{output, store};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Action, Lease, StoppedBy, Time};
use crate::reaper::PlanLine;
use crate::words::{cut, short_utc};

/// Characters of a name in a table.
pub(super) const NAME: usize = 28;

/// Every lease that the store holds, soonest end first.
pub(super) async fn list(config: &Config, clock: &Clock, json: bool, all: bool) -> anyhow::Result<()> {
    let docs = store(config)?.prefix("lease::").await?;
    let mut leases = Vec::new();
    for doc in docs {
        match serde_json::from_value::<Lease>(doc.body) {
            Ok(lease) => leases.push(lease),
            Err(why) => tracing::warn!(doc.id, %why, "this lease cannot be read; `zerocloud doctor` says more"),
        }
    }
    leases.retain(|lease| all || !lease.state.is_over());
    leases.sort_by_key(|lease| (lease.expires_at, lease.key()));
    if json {
        return output::json(&leases);
    }
    if leases.is_empty() {
        output::say("No leases. An instance gets one within a poll after it was seen; `zerocloud doctor` checks AWS.");
        return Ok(());
    }
    let now = clock.now();
    let header = ["INSTANCE", "NAME", "TYPE", "AWS ACCOUNT", "REGION", "OWNER", "STATE", "NEXT", "IN", "HELD BY"];
    output::table(&header, leases.iter().map(|lease| row(lease, now)));
    Ok(())
}

fn row(lease: &Lease, now: Time) -> Vec<String> {
    let (next, left) = Outlook::of(lease).told(now);
    vec![
        lease.key.resource_id.to_string(),
        cut(&lease.summary.name, NAME),
        kind(lease.key.resource_id.as_str(), &lease.summary.instance_type),
        lease.key.aws_id.to_string(),
        lease.key.region.to_string(),
        lease.owner.to_string(),
        lease.state.as_str().to_owned(),
        next,
        left,
        lease.hold.as_ref().map_or(String::new(), |hold| hold.kind.as_str().to_owned()),
    ]
}

/// The type of an instance or, for what runs none just now, what it is.
pub(super) fn kind(id: &str, instance_type: &str) -> String {
    let what = match id.split('-').next() {
        Some("asg") => "group",
        Some("cluster") => "cluster",
        _ => return instance_type.to_owned(),
    };
    if instance_type.is_empty() { what.to_owned() } else { format!("{what} of {instance_type}") }
}

/// What the columns NEXT and IN are told by, of a document or of what the API says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook<'a> {
    pub(super) state: &'a str,
    pub(super) group: bool,
    pub(super) terminates: bool,
    /// zerocloud stopped it: what somebody else stopped stays as it is.
    pub(super) ours: bool,
    pub(super) held: bool,
    pub(super) expires_at: Time,
    pub(super) ends_at: Time,
}

impl Outlook<'_> {
    fn of(lease: &Lease) -> Outlook<'_> {
        Outlook {
            state: lease.state.as_str(),
            group: lease.is_group(),
            terminates: lease.end_action == Action::Terminate,
            ours: lease.stopped_by == Some(StoppedBy::Zerocloud),
            held: lease.hold.is_some(),
            expires_at: lease.expires_at,
            ends_at: lease.ends_at,
        }
    }

    /// Nothing happens by itself while a hold stands; a deadline that passed meanwhile says so.
    pub(super) fn told(&self, now: Time) -> (String, String) {
        match self.next() {
            None => (String::new(), String::new()),
            Some(_) if self.held && self.ends_at <= now => {
                (format!("was due {}", short_utc(self.ends_at)), "held".to_owned())
            }
            Some(_) if self.held => (String::new(), "held".to_owned()),
            Some((what, at)) => (format!("{what} {}", short_utc(at)), left(at.seconds_since(now))),
        }
    }

    /// What happens next by itself, and when.
    fn next(&self) -> Option<(&'static str, Time)> {
        let end = match self.terminates {
            true => "terminates",
            false if self.group => "sleeps",
            false => "stops",
        };
        match self.state {
            "active" => Some(("expires", self.expires_at)),
            "expired" | "reaping" => Some((end, self.ends_at)),
            "stopped" if self.ours && !self.group => Some(("terminates", self.ends_at)),
            _ => None,
        }
    }
}

/// `2d 3h`, `5m`, `40s`; `-` when nothing is left.
pub(super) fn left(seconds: i64) -> String {
    match seconds {
        ..=0 => "-".to_owned(),
        1..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// What would be ended now, and why; touches nothing.
pub(super) async fn plan(config: &Config, clock: &Clock, json: bool) -> anyhow::Result<()> {
    let lines = output::spinning("reading documents and AWS", Box::pin(crate::serve::plan(config, clock))).await?;
    if json {
        return output::json(&lines);
    }
    if lines.is_empty() {
        output::say("Nothing would be done now.");
        return Ok(());
    }
    let row = |line: &PlanLine| {
        let key = &line.lease;
        let when = line.at.map_or_else(|| "at once".to_owned(), short_utc);
        let (id, name) = (key.resource_id.to_string(), cut(&line.name, NAME));
        let place = [&id, &name, key.aws_id.as_str(), key.region.as_str(), &line.what, &when, &line.why];
        place.map(str::to_owned).to_vec()
    };
    output::table(&["INSTANCE", "NAME", "AWS ACCOUNT", "REGION", "WOULD", "WHEN", "WHY"], lines.iter().map(row));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::model::{Lease, Time};
    use serde_json::json;

    #[test]
    fn what_runs_nothing_just_now_has_a_type_all_the_same() {
        let told = [("asg-1", ""), ("cluster-ecs-1", ""), ("asg-1", "t3.nano"), ("i-1", "m5.large"), ("i-1", "")];
        assert_eq!(told.map(|(id, of)| super::kind(id, of)), ["group", "cluster", "group of t3.nano", "m5.large", ""]);
    }

    #[test]
    fn time_left_is_short_and_never_negative() {
        let told: Vec<_> = [-5, 0, 59, 61, 3_661, 90_000].map(super::left).into();
        assert_eq!(told, ["-", "-", "59s", "1m", "1h 1m", "1d 1h"]);
    }

    #[test]
    fn no_row_says_that_it_ends_while_a_hold_stands() {
        let noon = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let mut lease: Lease = serde_json::from_value(json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc", "kind": "instance",
            "state": "stopped", "stopped_by": "zerocloud", "owner": "lin", "first_seen": noon, "settle_at": noon, "term": 2,
            "owner_evidence": { "source": "tag", "value": "lin@bigdb.example", "at": noon }, "end_action": "terminate",
            "expires_at": noon, "granted_until": noon, "max_expires_at": noon, "ends_at": noon,
        }))
        .unwrap();
        let told = |lease: &Lease| super::Outlook::of(lease).told(noon);
        assert_eq!(told(&lease), ("terminates 24 Nov 12:00 UTC".to_owned(), "-".to_owned()));
        let hold = json!({ "kind": "protection", "reason": "x", "since": noon, "review_at": noon.plus(60) });
        lease.hold = serde_json::from_value(hold).unwrap();
        assert_eq!(told(&lease), ("was due 24 Nov 12:00 UTC".to_owned(), "held".to_owned()));
        lease.ends_at = noon.plus(60);
        assert_eq!(told(&lease), (String::new(), "held".to_owned()));
    }
}
