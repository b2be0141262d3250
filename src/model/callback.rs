//! What a scheduler outside is told: one call for each deadline, under a token that stands in a document only as its hash; and
//! how that service does. Knows neither the service nor what a lease does when it is called.

use super::{Extra, LeaseKey, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A call that is expected: document `callback::{SHA-256 of the token}`, which no channel shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Callback {
    /// The lease to look at.
    pub lease: LeaseKey,
    /// When it should come.
    pub at: Time,
    /// Since when it is expected.
    pub made: Time,
    /// When it came. A second one does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Time>,
    /// What the service calls the job, when it chose a name of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When the document goes.
    pub purge_at: Time,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Callback {
    /// What their ids begin with.
    pub const PREFIX: &str = "callback::";
    /// Their type.
    pub const KIND: &str = "callback";
    /// How long after its time a call is still known, seconds: a scheduler that was down may make up for it.
    const KEPT: i64 = 86_400;

    /// The id of a token's document.
    pub fn id(token: &str) -> String {
        format!("{}{}", Callback::PREFIX, hex::encode(Sha256::digest(token.as_bytes())))
    }

    /// One that is expected from `now` on.
    pub fn new(lease: LeaseKey, at: Time, now: Time) -> Callback {
        let purge_at = at.max(now).plus(Callback::KEPT);
        Callback { lease, at, made: now, used: None, job: None, purge_at, extra: Extra::new() }
    }
}

/// How the scheduler outside does: document `scheduler`, written by the copy that leads, shown to no channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutsideState {
    /// The kind of service, such as `dkron`.
    pub service: String,
    /// When this was so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// When it took something last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// When it called last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Time>,
    /// Since when it takes nothing, when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Time>,
    /// Failures in a row.
    pub failures: u32,
    /// The last one, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Deadlines that it knows.
    pub told: usize,
    /// Deadlines that it is still to be told.
    pub waiting: usize,
    /// Deadlines in a row that passed without its call; the sweep saw to them.
    pub missed: u32,
}

impl OutsideState {
    /// The document.
    pub const ID: &str = "scheduler";
    /// Deadlines in a row after which its calls do not seem to arrive.
    const MANY: u32 = 3;

    /// What is wrong, for a person; nothing when all is well.
    pub fn fault(&self) -> Option<String> {
        if let Some(since) = self.failing_since {
            let why = self.error.as_deref().unwrap_or("it does not answer");
            return Some(format!("it takes no deadline since {since} ({} tries): {why}", self.failures));
        }
        (self.missed >= OutsideState::MANY).then(|| {
            let last = self.called_at.map_or_else(|| "it never called".to_owned(), |at| format!("its last call: {at}"));
            format!("the last {} deadlines passed without its call; {last}", self.missed)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Callback, OutsideState};
    use crate::model::{LeaseKey, Time};

    #[test]
    fn a_token_is_not_in_its_document() {
        let key = LeaseKey::parse("111122223333::us-east-1::i-1").unwrap();
        let now = Time::from_unix(1_000);
        let body = serde_json::to_string(&Callback::new(key, now.plus(60), now)).unwrap();
        let id = Callback::id("a-token");
        assert_eq!(id.len(), Callback::PREFIX.len() + 64);
        assert!(!id.contains("a-token") && !body.contains("a-token"), "{id} {body}");
    }

    #[test]
    fn what_fails_or_never_calls_is_a_fault() {
        let fine = OutsideState { missed: 2, ..OutsideState::default() };
        assert_eq!(fine.fault(), None);
        let silent = OutsideState { missed: 3, ..OutsideState::default() };
        assert!(silent.fault().unwrap().contains("it never called"));
        let failing = OutsideState {
            failing_since: Some(Time::from_unix(0)),
            failures: 4,
            error: Some("it answered 503".to_owned()),
            ..OutsideState::default()
        };
        assert_eq!(
            failing.fault().unwrap(),
            "it takes no deadline since 1970-01-01T00:00:00Z (4 tries): it answered 503"
        );
    }
}
