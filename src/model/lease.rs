//! Leases: a resource, its owner and its end. The document that everything else is about.

use super::resource::LeaseKeyFields;
use super::{AccountId, Action, Extra, Facts, LeaseKey, NoticeKind, Outcome, Sizes, Stage, Time, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Where a lease is in its life (DESIGN.md, "A lease's life").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Runs.
    Active,
    /// Past its end; grace runs.
    Expired,
    /// Claimed by the reaper.
    Reaping,
    /// Stopped.
    Stopped,
    /// Terminated.
    Terminated,
    /// The resource vanished.
    Gone,
}

impl State {
    /// Active or expired: it can be renewed.
    pub fn is_renewable(self) -> bool {
        matches!(self, State::Active | State::Expired)
    }
    /// Terminated or gone: nothing follows.
    pub fn is_over(self) -> bool {
        matches!(self, State::Terminated | State::Gone)
    }
    /// The word in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Expired => "expired",
            State::Reaping => "reaping",
            State::Stopped => "stopped",
            State::Terminated => "terminated",
            State::Gone => "gone",
        }
    }
}

/// Where the knowledge of an owner comes from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceSource {
    /// A person's wish that was accepted.
    Request,
    /// The owner tag.
    Tag,
    /// Who launched it, by CloudTrail.
    Launcher,
    /// The SSH key.
    KeyName,
    /// Nobody known: an admin.
    Admin,
    /// Not judged yet.
    None,
}

/// Why the owner is the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What kind.
    pub source: EvidenceSource,
    /// The tag's value, the key's name …
    #[serde(default)]
    pub value: String,
    /// Since when.
    pub at: Time,
}

/// Evidence that a person said is wrong; it never counts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind.
    pub source: EvidenceSource,
    /// Its value.
    pub value: String,
    /// Who said so.
    pub user: UserId,
}

/// Why an end that is due does not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// The AWS account's stage does not allow it.
    Stage,
    /// `zerocloud pause`.
    Pause,
    /// An admin exempted it.
    Exemption,
    /// More ends than `max_reaps_per_hour`.
    Pace,
    /// The region is paused or denied.
    Region,
    /// Termination or stop protection.
    Protection,
    /// Nobody was told.
    NoNotice,
    /// A group, cluster or fleet decides about it.
    ManagedElsewhere,
    /// What an admin or a person decided cannot be read.
    Unreadable,
}

impl HoldKind {
    /// The word in documents and mails.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldKind::Stage => "stage",
            HoldKind::Pause => "pause",
            HoldKind::Exemption => "exemption",
            HoldKind::Pace => "pace",
            HoldKind::Region => "region",
            HoldKind::Protection => "protection",
            HoldKind::NoNotice => "no_notice",
            HoldKind::ManagedElsewhere => "managed_elsewhere",
            HoldKind::Unreadable => "unreadable",
        }
    }
}

/// A hold (SAFETY.md, invariant 3: kind, reason, since, review date, who was told).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// What kind.
    pub kind: HoldKind,
    /// For people.
    pub reason: String,
    /// Since when.
    pub since: Time,
    /// When it is looked at again.
    pub review_at: Time,
    /// Who was told.
    #[serde(default)]
    pub told: Vec<UserId>,
}

/// An admin's word that this lease does not end for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: Time,
}

/// The last notice that the mail service accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// Of which term.
    pub term: u32,
    /// What about.
    pub kind: NoticeKind,
    /// When.
    pub at: Time,
}

/// A claimed end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reap {
    /// What is being done.
    pub action: Action,
    /// Since when.
    pub claimed_at: Time,
    /// How often it failed.
    #[serde(default)]
    pub attempts: u32,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Who stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// We did, so we may terminate it.
    Zerocloud,
    /// Somebody else: no end runs.
    Other,
}

/// What people want to read beside the ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The Name tag.
    #[serde(default)]
    pub name: String,
    /// Such as `t3.large`.
    #[serde(default)]
    pub instance_type: String,
    /// EC2's word.
    #[serde(default)]
    pub state: String,
}

/// A request that was answered, so that a second look gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The request's document id.
    pub request: String,
    /// Done or refused.
    pub outcome: Outcome,
    /// For people.
    #[serde(default)]
    pub reason: String,
    /// The end after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// When.
    pub at: Time,
}

/// One line of the lease's story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Time,
    /// What happened, for people.
    pub what: String,
}

/// A lease document. `docs/documents.md` says who may write which field. Read, its times make sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
#[expect(missing_docs, reason = "the fields are described in docs/documents.md, once")]
pub struct Lease {
    pub account: AccountId,
    #[serde(flatten)]
    pub key: LeaseKeyFields,
    pub kind: String,
    pub state: State,
    pub owner: UserId,
    pub owner_evidence: Evidence,
    #[serde(default)]
    pub refused: Vec<Refusal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_to: Option<UserId>,
    pub first_seen: Time,
    pub settle_at: Time,
    pub term: u32,
    pub expires_at: Time,
    pub granted_until: Time,
    pub max_expires_at: Time,
    pub ends_at: Time,
    pub end_action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notified: Option<Notified>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reap: Option<Reap>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exemption>,
    #[serde(default)]
    pub trigger: Value,
    #[serde(default)]
    pub summary: Summary,
    #[serde(default)]
    pub answered: Vec<Answered>,
    #[serde(default)]
    pub events: Vec<LogLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge_at: Option<Time>,
    #[serde(flatten)]
    pub extra: Extra,
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Lease::serialize(self, to)
    }
}

/// For whoever decides or acts as for whoever shows: one whose times make no sense cannot be read, and so ends nothing and is
/// named. Whoever wrote it did not mean it.
impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Lease, D::Error> {
        let lease = Lease::deserialize(from)?;
        lease.absurd().map_or(Ok(lease), |why| Err(serde::de::Error::custom(why)))
    }
}

impl Lease {
    fn absurd(&self) -> Option<String> {
        let sane = Time::from_unix(946_684_800)..Time::from_unix(32_503_680_000);
        let times = [
            ("first_seen", self.first_seen),
            ("expires_at", self.expires_at),
            ("granted_until", self.granted_until),
            ("ends_at", self.ends_at),
        ];
        let (name, at) = times.iter().find(|(_, at)| !sane.contains(at))?;
        Some(format!("{name} is {at}, which is not between the years 2000 and 3000"))
    }

    /// What is leased.
    pub fn key(&self) -> LeaseKey {
        self.key.key()
    }

    /// Whether it is of an Auto Scaling group: its end puts the group to sleep, and there is no second one.
    pub fn is_group(&self) -> bool {
        self.key.resource_id.is_group()
    }

    /// What its end does, as its mails and pages say it: a policy changed since counts once it is applied (DESIGN.md). What cannot
    /// be stopped, by its `facts`, is terminated.
    pub fn agreed_end(&self, facts: Option<&Facts>) -> Action {
        match self.end_action {
            _ if self.is_group() => Action::Stop,
            Action::Stop if facts.is_none_or(Facts::can_stop) => Action::Stop,
            Action::Stop | Action::Terminate => Action::Terminate,
        }
    }

    /// The stage that an end of this kind needs. Asleep, a group has its members terminated by Auto Scaling.
    pub fn needed_stage(&self, action: Action) -> Stage {
        match action {
            Action::Stop if !self.is_group() => Stage::Stop,
            Action::Stop | Action::Terminate => Stage::Terminate,
        }
    }

    /// What an end does to it, as people say it: it is `stopped`, `terminated` or `put to sleep`.
    pub fn past(&self, action: Action) -> &'static str {
        match action {
            Action::Stop if self.is_group() => "put to sleep",
            Action::Stop => "stopped",
            Action::Terminate => "terminated",
        }
    }

    /// Who said last that it is not theirs, when it then went to an admin for want of anybody else.
    pub fn disowned_by(&self) -> Option<&UserId> {
        let by_default = self.owner_evidence.source == EvidenceSource::Admin;
        self.refused.last().map(|refusal| &refusal.user).filter(|user| by_default && **user != self.owner)
    }

    /// Adds a line to the story; the last 20 stay.
    pub fn log(&mut self, at: Time, what: impl Into<String>) {
        self.events.push(LogLine { at, what: what.into() });
        let surplus = self.events.len().saturating_sub(20);
        self.events.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::Lease;
    use serde_json::{Value, json};

    /// Whoever decides and whoever acts reads leases so: what cannot be read is left alone.
    #[test]
    fn a_lease_whose_times_make_no_sense_cannot_be_read_by_anybody() {
        let lease = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-1", "kind": "instance",
            "state": "expired", "owner": "lin", "owner_evidence": { "source": "tag", "at": "2026-11-24T08:00:00Z" },
            "first_seen": "2026-11-24T08:00:00Z", "settle_at": "2026-11-24T08:02:00Z", "term": 1, "end_action": "stop",
            "expires_at": "2026-11-27T08:00:00Z", "granted_until": "2026-11-27T08:00:00Z", "ends_at": "2026-11-27T09:00:00Z",
            "max_expires_at": "2026-12-01T08:00:00Z", "colour": "blue",
        });
        let read = serde_json::from_value::<Lease>(lease.clone()).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["colour"], "blue", "unknown fields survive");
        assert_eq!(serde_json::from_value::<Lease>(written).unwrap(), read);
        for (field, absurd) in [
            ("first_seen", "1970-01-01T00:00:00Z"),
            ("expires_at", "1999-12-31T23:59:59Z"),
            ("granted_until", "3000-01-01T00:00:00Z"),
            ("ends_at", "0001-01-01T00:00:00Z"),
        ] {
            let mut odd = lease.clone();
            odd[field] = Value::from(absurd);
            let why = serde_json::from_value::<Lease>(odd).unwrap_err().to_string();
            assert!(why.starts_with(&format!("{field} is {absurd}, which is not between")), "{why}");
        }
    }
}
