//! `POST /hooks/aws/events`: what EventBridge tells, through an API destination. A key says whose events a sender may bring; the
//! envelope's `account` says whose this one is. It is queued for the copy that leads and answered at once: AWS is never asked
//! here, and EventBridge waits 5 seconds at most.

use super::super::limits::Try;
use super::super::{Site, State, WebError};
use crate::model::{AwsId, Directory, EventKey, Time, Told, What};
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use subtle::ConstantTimeEq as _;
use tokio::sync::{mpsc, watch};

/// Where an API destination's connection puts its key (EventBridge: authorization type API key).
const HEADER: &str = "x-zerocloud-key";
/// The largest event of EventBridge, with its envelope.
pub(in crate::web) const MOST_BYTES: usize = 1_100_000;

/// Where events go: to the copy that leads, when this is it. `None`, or a channel that is closed: it is not.
pub type Leader = watch::Receiver<Option<mpsc::Sender<Told>>>;

/// The way of events from the hook to the stage that looks at what they name.
#[derive(Debug, Default)]
pub struct Inbox {
    leader: OnceLock<Leader>,
    /// When a key was last used at this copy.
    used: Mutex<BTreeMap<String, Time>>,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Queued,
    Full,
    NotLeading,
}

impl Inbox {
    /// Says where events go.
    pub fn lead_to(&self, leader: Leader) {
        let _ = self.leader.set(leader);
    }

    /// When events came with that key since this copy started.
    pub fn used(&self, key: &str) -> Option<Time> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn note(&self, key: &str, now: Time) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), now);
    }

    fn put(&self, told: Told) -> Taken {
        let to = self.leader.get().and_then(|leader| leader.borrow().clone());
        match to.map(|to| to.try_send(told)) {
            Some(Ok(())) => Taken::Queued,
            Some(Err(mpsc::error::TrySendError::Full(_))) => Taken::Full,
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => Taken::NotLeading,
        }
    }
}

/// `POST /hooks/aws/events`. The key is judged before anything of the body is read.
pub(in crate::web) async fn post(
    axum::extract::State(state): axum::extract::State<State>,
    site: Site,
    request: Request,
) -> Result<StatusCode, WebError> {
    // Which keys there are is not known yet, and EventBridge gives up where one is refused.
    if !state.index.is_caught_up() {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "this copy is starting; try again"));
    }
    let directory = state.index.directory();
    let Some((name, key)) = bearer(&directory, request.headers(), state.clock.now()) else {
        // Only wrong keys count: EventBridge posts from few addresses as often as there are events.
        state.limits.check(Try::Hook, site.client)?;
        return Err(refused(StatusCode::UNAUTHORIZED, "this key is not good here: make one on the AWS account's page"));
    };
    let body = Bytes::from_request(request, &state).await.map_err(|why| refused(why.status(), &why.body_text()))?;
    let event = serde_json::from_slice(&body).map_err(|_| refused(StatusCode::BAD_REQUEST, "this is not JSON"))?;
    let told = Told::parse(&event).map_err(|why| refused(StatusCode::BAD_REQUEST, &why.to_string()))?;
    if !may_speak_for(&directory, key, &told.account) {
        return Err(WebError::Forbidden(format!("this key does not speak for AWS account {}", told.account)));
    }
    state.inbox.note(name, state.clock.now());
    match &told.what {
        What::Nothing => return Ok(StatusCode::ACCEPTED),
        What::Region => state.limits.told(&told.account, 1)?,
        What::Instances(change) => state.limits.told(&told.account, change.keys().len())?,
    }
    match state.inbox.put(told) {
        Taken::Queued => Ok(StatusCode::ACCEPTED),
        Taken::Full => Err(WebError::TooMany { after: 1 }),
        // EventBridge tries again for a day, and meets the copy that leads, or this one when it does.
        Taken::NotLeading => Err(refused(StatusCode::SERVICE_UNAVAILABLE, "this copy does not lead; try again")),
    }
}

/// The key that the sender brought, when it is one of ours.
fn bearer<'a>(directory: &'a Directory, headers: &HeaderMap, now: Time) -> Option<(&'a str, &'a EventKey)> {
    let brought = headers.get(HEADER)?.to_str().ok()?;
    let (name, key) = directory.event_keys.get_key_value(EventKey::name_in(brought)?)?;
    let same = EventKey::hash_of(brought).as_bytes().ct_eq(key.hash.as_bytes());
    (bool::from(same) && key.is_good(now)).then_some((name, key))
}

/// It names the AWS account, and that belongs to the key's own Account.
fn may_speak_for(directory: &Directory, key: &EventKey, aws_id: &AwsId) -> bool {
    let owned = directory.aws_accounts.get(aws_id).is_some_and(|aws| aws.account == key.account);
    owned && key.speaks_for.contains(aws_id)
}

fn refused(status: StatusCode, what: &str) -> WebError {
    WebError::Refused { status, heading: "Not taken".to_owned(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Inbox, Taken};
    use crate::model::Told;
    use serde_json::json;
    use tokio::sync::{mpsc, watch};

    fn told() -> Told {
        Told::parse(&json!({
            "detail-type": "EC2 Instance State-change Notification", "account": "111122223333", "region": "us-east-1",
            "time": "2026-11-24T12:00:00Z", "detail": { "instance-id": "i-1", "state": "running" },
        }))
        .unwrap()
    }

    #[test]
    fn only_the_copy_that_leads_takes_events_and_no_more_than_its_queue_holds() {
        let inbox = Inbox::default();
        assert_eq!(inbox.put(told()), Taken::NotLeading);
        let leads = watch::Sender::new(None);
        inbox.lead_to(leads.subscribe());
        assert_eq!(inbox.put(told()), Taken::NotLeading);
        let (to, mut queue) = mpsc::channel(2);
        leads.send_replace(Some(to));
        assert_eq!(
            [inbox.put(told()), inbox.put(told()), inbox.put(told())],
            [Taken::Queued, Taken::Queued, Taken::Full]
        );
        assert!(queue.try_recv().is_ok());
        assert_eq!(inbox.put(told()), Taken::Queued);
        drop(queue);
        assert_eq!(inbox.put(told()), Taken::NotLeading, "it does not lead any more");
    }
}
