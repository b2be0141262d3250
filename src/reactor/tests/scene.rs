//! One lease and what bears on it at one moment, for tables: how it stands, and in a line what a decision changes and does.

use super::world::group_key;
use crate::model::{
    Doc, Lease, Notice, Outcome, Policy, Request, Resource, ResourceState, Sizes, State, StoppedBy, Time, Wish,
};
use crate::reactor::{Decision, Effect, View, decide};
use serde_json::{Value, json};
use std::fmt;

pub(super) const HOUR: i64 = 3_600;
pub(super) const DAY: i64 = 24 * HOUR;

/// A view and the moment it is decided at.
#[derive(Clone)]
pub(super) struct Scene {
    pub view: View,
    pub now: Time,
}

/// As documents, one a line: a failing property shows many.
impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = &self.view;
        let requests: Vec<_> = view.requests.iter().map(|doc| &doc.body).collect();
        let documents = [
            ("lease", json!(view.lease)),
            ("resource", json!(view.resource)),
            ("aws account", json!(view.aws_account)),
            ("region", json!(view.region)),
            ("policy", json!(view.policy)),
            ("users", json!(view.users.iter().map(|user| &user.user).collect::<Vec<_>>())),
            ("pauses", json!(view.pauses)),
            ("requests", json!(requests)),
            ("notices", json!(view.notices)),
        ];
        writeln!(f, "at {} with rank {}", self.now, view.usage)?;
        documents.into_iter().try_for_each(|(name, document)| writeln!(f, "{name}: {document}"))
    }
}

/// The moment of every scene.
pub(super) fn noon() -> Time {
    Time::parse("2026-11-24T12:00:00Z").unwrap()
}

impl Scene {
    /// Lin's instance at stage `terminate`, seen a day ago, told of at once, with two days to go.
    pub(super) fn active() -> Scene {
        let seen = noon().plus(-DAY);
        let lease = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc",
            "kind": "instance", "state": "active", "owner": "lin", "first_seen": seen, "settle_at": seen.plus(120),
            "owner_evidence": {"source": "tag", "value": "lin@bigdb.com", "at": seen.plus(120)}, "term": 2,
            "expires_at": noon().plus(2 * DAY), "granted_until": noon().plus(2 * DAY), "end_action": "stop",
            "max_expires_at": noon().plus(6 * DAY), "ends_at": noon().plus(2 * DAY + HOUR),
            "notified": {"term": 2, "kind": "first", "at": seen.plus(130)},
            "summary": {"name": "", "instance_type": "t3.large", "state": "running"},
            "marks": {"granted_owner": "lin", "launched": seen.plus(-60)},
        });
        let resource = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-0abc",
            "kind": "instance", "owner": "lin", "first_seen": seen, "facts": {
                "state": "running", "instance_type": "t3.large", "root_device": "ebs", "launch_time": seen.plus(-60),
                "tags": {"owner": "lin@bigdb.com"},
            },
        });
        let aws = json!({
            "account": "bigdb", "aws_id": "111122223333", "stage": "terminate", "connected_at": seen.plus(-30 * DAY),
            "stage_accepted": {"stage": "terminate", "since": seen.plus(-30 * DAY)},
        });
        let users = json!([
            {"account": "bigdb", "user": "ada", "role": "admin", "email": "ada@bigdb.com"},
            {"account": "bigdb", "user": "lin", "role": "dev", "email": "lin@bigdb.com"},
            {"account": "bigdb", "user": "max", "role": "dev", "email": "max@bigdb.com", "key_names": ["max-key"]},
        ]);
        let view = View {
            rules: Vec::new(),
            lease: Some(serde_json::from_value(lease).unwrap()),
            resource: Some(serde_json::from_value(resource).unwrap()),
            trigger: Value::Null,
            aws_account: Some(serde_json::from_value(aws).unwrap()),
            region: None,
            policy: Policy::default(),
            account_policy: Policy::default(),
            unreadable: Vec::new(),
            users: serde_json::from_value(users).unwrap(),
            pauses: Vec::new(),
            requests: Vec::new(),
            notices: Vec::new(),
            usage: 1,
            cover: None,
            members: Vec::new(),
        };
        let mut scene = Scene { view, now: noon() };
        scene.told("first", "lin", -DAY + 130);
        scene
    }

    /// The same an hour after grace, with every notice accepted in time.
    pub(super) fn overdue() -> Scene {
        let mut scene = Scene::active();
        let lease = scene.lease();
        lease.state = State::Expired;
        lease.expires_at = noon().plus(-2 * HOUR);
        lease.granted_until = lease.expires_at;
        lease.ends_at = noon().plus(-HOUR);
        lease.max_expires_at = noon().plus(5 * DAY);
        scene.told("warning-3600", "lin", -3 * HOUR);
        scene.told("expired", "lin", -2 * HOUR);
        scene.noted("expired", -2 * HOUR);
        scene
    }

    /// The same stopped by zerocloud a week ago, told at once, to be terminated since an hour.
    pub(super) fn stopped() -> Scene {
        let mut scene = Scene::overdue();
        scene.view.notices.clear();
        let lease = scene.lease();
        lease.state = State::Stopped;
        lease.stopped_at = Some(noon().plus(-7 * DAY - HOUR));
        lease.stopped_by = Some(StoppedBy::Zerocloud);
        lease.end_action = crate::model::Action::Terminate;
        lease.summary.state = "stopped".to_owned();
        lease.first_seen = noon().plus(-11 * DAY);
        lease.expires_at = noon().plus(-7 * DAY - 2 * HOUR);
        lease.granted_until = lease.expires_at;
        lease.max_expires_at = lease.expires_at;
        lease.extra.insert("marks".into(), json!({"granted_owner": "lin", "launched": noon().plus(-11 * DAY)}));
        let facts = &mut scene.resource().facts;
        facts.state = ResourceState::Stopped;
        facts.launch_time = Some(noon().plus(-11 * DAY));
        scene.told("stopped", "lin", -7 * DAY - HOUR);
        scene.noted("stopped", -7 * DAY - HOUR);
        scene
    }

    /// An instance that nobody knows yet.
    pub(super) fn unknown() -> Scene {
        let mut scene = Scene::active();
        scene.view.lease = None;
        scene.view.notices.clear();
        scene.view.usage = 0;
        let resource = scene.resource();
        resource.owner = crate::model::UserId::pending();
        resource.first_seen = noon();
        scene
    }

    /// The same as a group of three that runs.
    pub(super) fn grouped(mut self) -> Scene {
        let id = group_key(1).resource_id;
        let resource = self.resource();
        resource.key.resource_id = id.clone();
        resource.kind = "auto_scaling_group".into();
        resource.facts.launch_time = None;
        resource.facts.group = serde_json::from_value(json!({"sizes": {"min": 1, "desired": 3, "max": 5}})).unwrap();
        for notice in &mut self.view.notices {
            notice.lease = group_key(1);
        }
        if let Some(lease) = &mut self.view.lease {
            lease.key.resource_id = id;
            lease.kind = "auto_scaling_group".into();
            lease.extra.insert("marks".into(), json!({"granted_owner": "lin"}));
        }
        self
    }

    /// A group that zerocloud put to sleep a week ago.
    pub(super) fn asleep() -> Scene {
        let mut scene = Scene::stopped().grouped();
        let lease = scene.lease();
        lease.end_action = crate::model::Action::Stop;
        lease.sizes = Some(Sizes { min: 1, desired: 3, max: 5 });
        scene.scaled(Sizes::ASLEEP, ResourceState::Stopped);
        scene
    }

    /// A scan sees the group so.
    pub(super) fn scaled(&mut self, sizes: Sizes, state: ResourceState) {
        let facts = &mut self.resource().facts;
        facts.state = state;
        facts.group.as_mut().unwrap().sizes = sizes;
    }

    pub(super) fn lease(&mut self) -> &mut Lease {
        self.view.lease.as_mut().unwrap()
    }

    pub(super) fn resource(&mut self) -> &mut Resource {
        self.view.resource.as_mut().unwrap()
    }

    /// Makes it a spot instance of such a request.
    pub(super) fn spot(&mut self, kind: &str) {
        let facts = &mut self.resource().facts;
        facts.lifecycle = Some("spot".into());
        facts.spot_type = Some(kind.into());
    }

    pub(super) fn marks(&mut self) -> &mut Value {
        self.lease().extra.get_mut("marks").unwrap()
    }

    fn noted(&mut self, kind: &str, at: i64) {
        let noted = json!({"term": 2, "kind": kind, "at": noon().plus(at)});
        self.lease().notified = Some(serde_json::from_value(noted).unwrap());
    }

    /// A notice of the present term that the mail service took `at` seconds from noon.
    pub(super) fn told(&mut self, kind: &str, user: &str, at: i64) -> &mut Notice {
        let at = noon().plus(at);
        self.notice(kind, user, &json!({"status": "accepted", "due_at": at, "accepted_at": at}))
    }

    /// A notice of the present term.
    pub(super) fn notice(&mut self, kind: &str, user: &str, more: &Value) -> &mut Notice {
        let lease = self.lease();
        let mut notice = json!({
            "account": "bigdb", "lease": lease.key().lease_id(), "term": lease.term, "kind": kind, "user": user,
            "address": format!("{user}@bigdb.com"),
        });
        notice.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.view.notices.push(serde_json::from_value(notice).unwrap());
        self.view.notices.last_mut().unwrap()
    }

    /// A request that `user` made at noon; its id is made of the user and how many there are.
    pub(super) fn ask(&mut self, user: &str, action: Wish, more: &Value) {
        let of_resource = || self.view.resource.as_ref().map(|resource| resource.key.key());
        let key = self.view.lease.as_ref().map(Lease::key).or_else(of_resource);
        let lease = key.map_or("lease::111122223333::us-east-1::i-0abc".to_owned(), |key| key.lease_id());
        let mut body = json!({
            "account": "bigdb", "user": user, "lease": lease, "action": action,
            "at": noon(),
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id = format!("request::bigdb::{user}::{}", self.view.requests.len() + 1);
        let body: Request = serde_json::from_value(body).unwrap();
        self.view.requests.push(Doc { id, rev: None, body });
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.view, self.now)
    }

    /// What a decision changes and does, in a line.
    pub(super) fn outcome(&self) -> String {
        let decision = self.decide();
        let changes =
            decision.lease.as_ref().map_or_else(String::new, |lease| changes(self.view.lease.as_ref(), lease));
        let effects: Vec<String> = decision.effects.iter().map(effect).collect();
        format!("{changes} | {}", effects.join(", ")).trim().to_owned()
    }

    /// Takes a decision's result into the view, as the driver and the store do; `true` when anything changed.
    pub(super) fn apply(&mut self, decision: Decision) -> bool {
        let mut changed = decision.lease.is_some();
        let term = |view: &View| view.lease.as_ref().map_or(0, |lease| lease.term);
        let before = term(&self.view);
        if let Some(lease) = decision.lease {
            self.view.lease = Some(lease);
        }
        if term(&self.view) != before {
            self.view.notices.clear();
        }
        for effect in decision.effects {
            match effect {
                Effect::Queue(notice) => self.view.notices.push(notice),
                Effect::Answer(doc) => self.view.requests.retain(|open| open.id != doc.id),
                Effect::SaveResource(resource) => self.view.resource = Some(resource),
                Effect::Due(_) | Effect::Start(_) => continue,
            }
            changed = true;
        }
        changed
    }
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Queue(notice) => format!("{} {}", notice.user, notice.kind),
        Effect::Answer(doc) => {
            let answer = doc.body.answer.as_ref().unwrap();
            let word = if answer.outcome == Outcome::Done { "done" } else { "refused" };
            let until = answer.until.map(|until| format!(" until {}", span(until))).unwrap_or_default();
            format!("{word}: {}{until}", answer.reason)
        }
        Effect::SaveResource(resource) => format!("resource of {}", resource.owner),
        Effect::Due(due) => format!("{} is due{}", due.action.as_str(), if due.resumes { " again" } else { "" }),
        Effect::Start(_) => "start".to_owned(),
    }
}

/// What differs, in words; times as spans from noon. The grant and the limit for edits follow from the rest and are left
/// to tests of their own.
fn changes(before: Option<&Lease>, after: &Lease) -> String {
    let old = before.map(fields).unwrap_or_default();
    let news = fields(after).into_iter().filter(|field| !old.contains(field) && !field.ends_with('-'));
    news.collect::<Vec<_>>().join(", ")
}

fn fields(lease: &Lease) -> Vec<String> {
    let word = |value: Value| value.as_str().unwrap_or("-").to_owned();
    let hold = lease.hold.as_ref().map_or("no hold".to_owned(), |hold| format!("hold {}", hold.kind.as_str()));
    vec![
        lease.state.as_str().to_owned(),
        format!("owner {}", lease.owner),
        format!("by {}", word(json!(lease.owner_evidence.source))),
        format!("offered to {}", word(json!(lease.offered_to))),
        format!("term {}", lease.term),
        format!("until {}", span(lease.expires_at)),
        format!("ends {}", span(lease.ends_at)),
        format!("to {}", lease.end_action.as_str()),
        format!("stopped by {}", word(json!(lease.stopped_by))),
        hold,
        format!("attempts {}", lease.reap.as_ref().map_or("-".to_owned(), |reap| reap.attempts.to_string())),
        format!("purge {}", lease.purge_at.map_or("-".to_owned(), span)),
    ]
}

/// A time as a span from noon: `+2d`, `-1h30m`, `+0`.
pub(super) fn span(at: Time) -> String {
    let seconds = at.seconds_since(noon());
    let mut rest = seconds.unsigned_abs();
    let mut text = String::from(if seconds < 0 { "-" } else { "+" });
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length {
            text.push_str(&(rest / length).to_string());
            text.push_str(unit);
            rest %= length;
        }
    }
    if text.len() == 1 { format!("{text}0") } else { text }
}
