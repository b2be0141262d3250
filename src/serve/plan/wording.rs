//! A decision in words for people: what would happen to a lease, when, and why. Pure.

use crate::model::{Action, Lease, Notice, NoticeKind, State, Time, Wish};
use crate::reactor::{Decision, Effect, View};
use crate::words::{clean, short_utc, span};

/// What would happen, when if not at once, and why.
pub(super) type Said = (String, Option<Time>, String);

/// Everything but ends, whose checks the reaper makes.
pub(super) fn say(view: &View, decision: &Decision, now: Time) -> Vec<Said> {
    let old = view.lease.as_ref();
    let mut said: Vec<Said> = decision.lease.iter().filter_map(|new| save(old, new)).collect();
    if decision.lease.is_none() {
        said.extend(old.and_then(|lease| kept(lease, now)));
    }
    for effect in &decision.effects {
        match effect {
            Effect::Queue(notice) => said.push(told(notice)),
            Effect::Answer(request) => {
                let (what, user) = (wish(request.body.action), &request.body.user);
                let why = request.body.answer.as_ref().map(|answer| clean(&answer.reason)).unwrap_or_default();
                said.push((format!("answer {user}, who asked to {what}"), None, why));
            }
            Effect::Start(_) => said.push(("start it again".to_owned(), None, "somebody asked for it back".to_owned())),
            Effect::Due(_) | Effect::SaveResource(_) => {}
        }
    }
    said
}

/// What the change of a lease means. Nothing for what no person notices.
fn save(old: Option<&Lease>, new: &Lease) -> Option<Said> {
    let why = new.events.last().map(|line| clean(&line.what)).unwrap_or_default();
    let Some(old) = old else {
        return Some((
            format!("give it a lease until {}", short_utc(new.expires_at)),
            None,
            "it has none yet".to_owned(),
        ));
    };
    if let Some(hold) = new.hold.as_ref().filter(|hold| old.hold.as_ref().is_none_or(|it| it.reason != hold.reason)) {
        return Some(("keep it for now".to_owned(), None, held(hold)));
    }
    if old.owner != new.owner {
        return Some((format!("make {} its owner", new.owner), None, why));
    }
    if old.state != new.state {
        return Some(match new.state {
            State::Expired => (format!("{} it when its grace is over", verb(new.end_action)), Some(new.ends_at), why),
            State::Active => (format!("lease it until {}", short_utc(new.expires_at)), None, why),
            State::Reaping => (format!("go on to {} it", verb(new.end_action)), None, why),
            State::Stopped => ("note that it is stopped".to_owned(), None, why),
            State::Terminated | State::Gone => ("note that it is gone".to_owned(), None, why),
        });
    }
    if old.expires_at != new.expires_at {
        let word = if new.expires_at > old.expires_at { "renew it" } else { "lease it shorter," };
        return Some((format!("{word} until {}", short_utc(new.expires_at)), Some(new.expires_at), why));
    }
    if old.hold.is_some() && new.hold.is_none() {
        let text = "no longer keep it from ending";
        return Some((text.to_owned(), Some(new.ends_at), "what held it is over".to_owned()));
    }
    (old.ends_at != new.ends_at).then(|| (format!("{} it later", verb(new.end_action)), Some(new.ends_at), why))
}

/// An end that is due and does not happen: a pause, an exemption, a stage.
fn kept(lease: &Lease, now: Time) -> Option<Said> {
    let hold = lease.hold.as_ref().filter(|_| lease.ends_at <= now && !lease.state.is_over())?;
    Some((format!("keep it, though it is due to be {}", past(lease.end_action)), None, held(hold)))
}

fn held(hold: &crate::model::Hold) -> String {
    format!("held ({}): {}", hold.kind.as_str().replace('_', " "), clean(&hold.reason))
}

fn told(notice: &Notice) -> Said {
    let what = match &notice.kind {
        NoticeKind::First => "that this is theirs and when it ends".to_owned(),
        NoticeKind::Warning(seconds) => format!("that it ends within {}", span(*seconds)),
        NoticeKind::Expired => "that its lease is over and when it ends".to_owned(),
        NoticeKind::Stopped => "that it is stopped, and when it will be terminated".to_owned(),
        NoticeKind::Ended => "that it ended".to_owned(),
        NoticeKind::Offered(_) => "that it is offered to them".to_owned(),
        NoticeKind::Admin(what) => format!("as an admin: {}", clean(what).replace('_', " ")),
    };
    (format!("tell {} {what}", notice.user), Some(notice.due_at), "they are to know before anything happens".to_owned())
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Stop => "stop",
        Action::Terminate => "terminate",
    }
}

fn past(action: Action) -> &'static str {
    match action {
        Action::Stop => "stopped",
        Action::Terminate => "terminated",
    }
}

fn wish(wish: Wish) -> &'static str {
    match wish {
        Wish::Renew => "renew it",
        Wish::End => "end it",
        Wish::Terminate => "terminate it",
        Wish::NotMine => "be rid of it",
        Wish::HandOver => "hand it over",
        Wish::Accept => "take it over",
        Wish::Revive => "have it back",
        Wish::ApplyPolicy => "apply the policy to it",
    }
}

#[cfg(test)]
mod tests {
    use super::{kept, save};
    use crate::model::{Lease, Time};
    use serde_json::{Value, json};

    fn lease(more: &Value) -> Lease {
        let mut body = json!({
            "account": "bigdb", "aws_id": "111122223333", "region": "us-east-1", "resource_id": "i-1", "kind": "instance",
            "state": "active", "owner": "lin", "owner_evidence": { "source": "tag", "value": "lin", "at": "2026-11-24T00:00:00Z" },
            "refused": [], "first_seen": "2026-11-24T00:00:00Z", "settle_at": "2026-11-24T00:02:00Z", "term": 1,
            "expires_at": "2026-11-27T00:00:00Z", "granted_until": "2026-11-27T00:00:00Z",
            "max_expires_at": "2026-12-01T00:00:00Z", "ends_at": "2026-11-27T01:00:00Z", "end_action": "stop",
            "summary": { "name": "web-1", "instance_type": "t3.micro", "state": "running" }, "answered": [],
            "events": [{ "at": "2026-11-24T00:00:00Z", "what": "found; a lease until 2026-11-27T00:00:00Z" }], "trigger": null,
        });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_plan_says_what_would_happen_when_and_why() {
        let old = lease(&json!({}));
        let said = |why: &str| json!([{ "at": "2026-11-24T00:00:00Z", "what": why }]);
        let pause = json!({ "kind": "pause", "reason": "a demo", "since": "2026-11-27T01:00:00Z",
            "review_at": "2026-11-28T01:00:00Z", "told": [] });
        let paused = lease(&json!({ "state": "expired", "hold": pause }));
        let now = Time::parse("2026-11-27T02:00:00Z").unwrap();
        let all = [
            save(None, &old),
            save(Some(&old), &lease(&json!({ "state": "expired", "events": said("expired; it ends at 01:00") }))),
            save(Some(&old), &lease(&json!({ "owner": "max", "events": said("owner: max (owner tag)") }))),
            save(
                Some(&old),
                &lease(&json!({ "expires_at": "2026-11-29T00:00:00Z", "events": said("renewed by lin") })),
            ),
            save(Some(&old), &paused),
            save(Some(&paused), &old).map(|(what, ..)| (what, None, "its end was moved".to_owned())),
            kept(&paused, now),
            kept(&old, now),
        ];
        let lines: Vec<String> = all
            .into_iter()
            .map(|said| {
                said.map_or_else(
                    || "(nothing)".to_owned(),
                    |(what, at, why)| {
                        format!("{what} | {} | {why}", at.map_or_else(|| "at once".to_owned(), |at| at.to_string()))
                    },
                )
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        give it a lease until 27 Nov 00:00 UTC | at once | it has none yet
        stop it when its grace is over | 2026-11-27T01:00:00Z | expired; it ends at 01:00
        make max its owner | at once | owner: max (owner tag)
        renew it until 29 Nov 00:00 UTC | 2026-11-29T00:00:00Z | renewed by lin
        keep it for now | at once | held (pause): a demo
        lease it until 27 Nov 00:00 UTC | at once | its end was moved
        keep it, though it is due to be stopped | at once | held (pause): a demo
        (nothing)
        ");
    }
}
