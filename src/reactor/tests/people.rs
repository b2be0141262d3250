//! What the people of the year do: launch, answer mails or not, use the console, administer, leave and return.

use super::scene::{DAY, HOUR};
use super::world::key;
use super::year::{Event, Year};
use crate::model::{Doc, LeaseKey, NoticeKind, ResourceState, Stage, User, Wish};
use serde_json::{Value, json};

const DEVS: [&str; 6] = ["lin", "max", "eve", "kim", "joe", "zoe"];

/// Two admins and six devs; some want what is not urgent at an hour of theirs, and one is away for months.
pub(super) fn team() -> Vec<User> {
    let admins = ["ada", "art"].into_iter().map(|id| person(id, "admin"));
    admins.chain(DEVS.into_iter().map(|id| person(id, "dev"))).collect()
}

fn person(id: &str, role: &str) -> User {
    let (hour, zone) = match id {
        "max" => (json!(9), "Europe/Berlin"),
        "eve" => (json!(2), "America/New_York"),
        "art" => (json!(23), "Asia/Tokyo"),
        _ => (Value::Null, "UTC"),
    };
    let user = json!({
        "account": "bigdb", "user": id, "role": role, "email": format!("{id}@bigdb.com"), "github_login": format!("gh-{id}"),
        "key_names": [format!("{id}-laptop")], "digest_hour": hour, "time_zone": zone,
        "delegate": if id == "kim" { json!("joe") } else { Value::Null }, "delegate_until": "2027-03-01T00:00:00Z",
    });
    serde_json::from_value(user).unwrap()
}

/// Somebody launches an instance, tagged well, badly or not at all.
pub(super) fn launch(year: &mut Year) {
    year.launched += 1;
    let who = DEVS[year.dice.below(DEVS.len())];
    let name = key(year.launched);
    let facts = match year.dice.below(20) {
        0 => json!({}),
        1 => json!({"tags": {"owner": "the web team"}}),
        2 => json!({"tags": {"Owner": format!("gh-{who}"), "lease": "2d"}}),
        3 => json!({"tags": {"owner": who}, "lifecycle": "spot", "spot_type": "one-time"}),
        4 => json!({"tags": {"owner": who}, "managed_by": {"kind": "eks", "name": "ci"}}),
        5 | 6 => json!({"key_name": format!("{who}-laptop")}),
        7 => json!({"tags": {"owner": format!("{who}@bigdb.com")}, "state": "stopped"}),
        _ => json!({"tags": {"owner": format!("{who}@bigdb.com")}}),
    };
    if year.dice.percent(5) {
        year.world.found(year.launched, who);
    } else {
        year.world.launch(&name, &facts);
    }
    let wait = year.dice.span(year.launches.0, year.launches.1);
    year.after(wait, Event::Launch);
}

/// A person has read a mail.
pub(super) fn read(year: &mut Year, who: &str, key: &LeaseKey, kind: &NoticeKind) {
    let luck = year.dice.below(100);
    match (kind, luck) {
        (NoticeKind::First, 0..=3) => ask(year, who, key, Wish::NotMine, &json!({})),
        (NoticeKind::First, 4..=8) => {
            let to = DEVS[year.dice.below(DEVS.len())];
            ask(year, who, key, Wish::HandOver, &json!({"to": to}));
        }
        (NoticeKind::Offered(_), 0..=70) => ask(year, who, key, Wish::Accept, &json!({})),
        (NoticeKind::First | NoticeKind::Warning(_) | NoticeKind::Expired, 9..=12) => {
            ask(year, who, key, Wish::End, &json!({}));
        }
        (NoticeKind::Warning(_) | NoticeKind::Expired, 13..=50) => renew(year, who, key),
        (NoticeKind::Warning(_), 51..=60) => edit(year, key),
        (NoticeKind::Stopped, 0..=14) => ask(year, who, key, Wish::Revive, &json!({})),
        (NoticeKind::Stopped, 15..=19) => ask(year, who, key, Wish::Terminate, &json!({})),
        (NoticeKind::Stopped, 20..=26) => start(year, key),
        _ => {}
    }
}

fn renew(year: &mut Year, who: &str, key: &LeaseKey) {
    let until = year.world.now.plus(year.dice.span(-HOUR, 12 * DAY));
    let more = if year.dice.percent(50) { json!({}) } else { json!({"until": until}) };
    ask(year, who, key, Wish::Renew, &more);
    if year.dice.percent(10) {
        ask(year, who, key, Wish::Renew, &more);
    }
}

/// Most requests arrive at once; some were made offline.
fn ask(year: &mut Year, who: &str, key: &LeaseKey, action: Wish, more: &Value) {
    let id = format!("request::bigdb::{who}::{}-{}", year.letters.len(), year.dice.span(0, i64::MAX / 2));
    let mut body =
        json!({"account": "bigdb", "user": who, "lease": key.lease_id(), "action": action, "at": year.world.now});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    year.letters.insert(id.clone(), Doc { id: id.clone(), rev: None, body: serde_json::from_value(body).unwrap() });
    let wait = if year.dice.percent(10) { year.dice.span(HOUR, 3 * DAY) } else { 1 };
    year.after(wait, Event::Arrives(id));
}

/// An edit of the end, within what the rules let a person write.
fn edit(year: &mut Year, key: &LeaseKey) {
    let now = year.world.now;
    let ahead = year.dice.span(HOUR, 8 * DAY);
    let Some(lease) = year.world.leases.get_mut(key) else { return };
    let end = now.plus(ahead).min(lease.max_expires_at);
    if lease.state.is_renewable() && end > lease.expires_at {
        lease.expires_at = end;
        year.look(key);
    }
}

fn start(year: &mut Year, key: &LeaseKey) {
    if year.world.machines.get(key).is_some_and(|machine| machine.state == ResourceState::Stopped) {
        year.world.turn(key, ResourceState::Running);
    }
}

/// Somebody stops, starts or terminates something in the AWS console.
pub(super) fn use_console(year: &mut Year) {
    let keys: Vec<LeaseKey> = year.world.machines.keys().cloned().collect();
    if let Some(key) = year.dice.pick(&keys).cloned() {
        let state = year.world.machines[&key].state;
        match (state, year.dice.below(4)) {
            (ResourceState::Running, 0 | 1) => year.world.turn(&key, ResourceState::Stopped),
            (ResourceState::Running | ResourceState::Stopped, 2) => year.world.turn(&key, ResourceState::Terminated),
            (ResourceState::Stopped, 0 | 1) => year.world.turn(&key, ResourceState::Running),
            (ResourceState::Stopped, _) => {
                // Started and stopped again before anybody looks.
                year.world.turn(&key, ResourceState::Running);
                year.world.turn(&key, ResourceState::Stopped);
            }
            _ => {}
        }
    }
    let wait = year.dice.span(HOUR, 30 * HOUR);
    year.after(wait, Event::Console);
}

/// An admin pauses, exempts, lowers and raises the stage, changes the policy, gives leases away; people leave; addresses
/// break.
pub(super) fn administer(year: &mut Year) {
    let now = year.world.now;
    let wait = year.dice.span(HOUR, 4 * DAY);
    match year.dice.below(9) {
        0 => {
            let pause = json!({"reason": "release week", "by": "bigdb.ada", "since": now});
            year.world.pauses = vec![serde_json::from_value(pause).unwrap()];
            year.after(wait, Event::Resumes);
        }
        1 => exempt(year),
        2 => {
            year.world.aws.stage = *year.dice.pick(&[Stage::Observe, Stage::Notify, Stage::Stop]).unwrap();
            year.after(wait, Event::StageRises(Stage::Terminate));
        }
        3 => year.world.layer.max_instances = Some(Some(u32::try_from(year.dice.below(30)).unwrap())),
        4 => give_away(year),
        5 | 6 => leave(year, wait),
        7 => {
            let address = format!("{}@bigdb.com", DEVS[year.dice.below(DEVS.len())]);
            let broken = year.dice.percent(60);
            year.world.refuses = if broken { vec![address] } else { Vec::new() };
        }
        _ => {
            let lease = *year.dice.pick(&[2 * HOUR, DAY, 3 * DAY, 5 * DAY]).unwrap();
            year.world.layer.default_lease = Some(lease);
            year.world.layer.grace = Some(year.dice.span(60, 5 * HOUR));
        }
    }
    year.stir();
    let wait = year.dice.span(6 * HOUR, 4 * DAY);
    year.after(wait, Event::Admin);
}

fn live(year: &mut Year) -> Option<LeaseKey> {
    let keys: Vec<LeaseKey> =
        year.world.leases.values().filter(|lease| lease.state.is_renewable()).map(crate::model::Lease::key).collect();
    year.dice.pick(&keys).cloned()
}

fn exempt(year: &mut Year) {
    let until = year.world.now.plus(year.dice.span(HOUR, 9 * DAY));
    if let Some(key) = live(year) {
        let exemption = json!({"reason": "benchmark", "until": until});
        year.world.leases.get_mut(&key).unwrap().exemption = serde_json::from_value(exemption).unwrap();
    }
}

fn give_away(year: &mut Year) {
    let to = DEVS[year.dice.below(DEVS.len())];
    if let Some(key) = live(year) {
        let mut lease = year.world.leases[&key].clone();
        lease.owner = crate::model::UserId::parse(to).unwrap();
        year.world.save(lease);
    }
}

fn leave(year: &mut Year, wait: i64) {
    let who = DEVS[year.dice.below(DEVS.len())];
    year.world.users.retain(|user| user.user.as_str() != who);
    year.after(wait, Event::Returns(who.to_owned()));
}

pub(super) fn come_back(year: &mut Year, who: &str) {
    if !year.world.users.iter().any(|user| user.user.as_str() == who) {
        year.world.users.push(person(who, "dev"));
        year.world.users.sort_by(|a, b| a.user.cmp(&b.user));
    }
}
