//! Properties of the decision over random views, absurd ones among them.
//! Longer than other files because what makes views and what judges them are read together.

use super::scene::{DAY, HOUR, Scene, noon};
use super::table::{pause, stage};
use super::world::group_key;
use crate::model::{
    Action, Lease, LeaseKeyFields, NoticeStatus, Policy, ResourceState, Sizes, Stage, State, StoppedBy, Time, UserId,
    Wish,
};
use crate::reactor::{Cover, Decision, DueEnd, Effect, ReapOutcome, View, claim, reaped};
use proptest::prelude::*;
use serde_json::json;

/// What a view is changed by: which field, how, and a span of seconds.
type Change = (u8, usize, i64);

const STATES: [State; 6] =
    [State::Active, State::Expired, State::Reaping, State::Stopped, State::Terminated, State::Gone];
const STAGES: [Stage; 4] = [Stage::Observe, Stage::Notify, Stage::Stop, Stage::Terminate];
const PEOPLE: [&str; 5] = ["ada", "lin", "max", "ghost", "pending"];
const WISHES: [Wish; 8] = [
    Wish::Renew,
    Wish::End,
    Wish::Terminate,
    Wish::NotMine,
    Wish::HandOver,
    Wish::Accept,
    Wish::Revive,
    Wish::ApplyPolicy,
];
const HOLDS: [&str; 9] =
    ["stage", "pause", "exemption", "pace", "region", "protection", "no_notice", "managed_elsewhere", "unreadable"];
const KINDS: [&str; 6] = ["first", "warning-3600", "expired", "stopped", "ended", "admin-no_notice"];

fn span() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -10 * DAY..10 * DAY,
        4 => -2 * HOUR..2 * HOUR,
        1 => any::<i64>(),
        1 => prop::sample::select(vec![0, 1, -1, i64::MIN, i64::MAX, 86_400 * 365]),
    ]
}

fn scenes() -> impl Strategy<Value = Scene> {
    let base = prop::sample::select(vec![
        Scene::active as fn() -> Scene,
        Scene::overdue,
        Scene::stopped,
        Scene::unknown,
        || Scene::active().grouped(),
        || Scene::overdue().grouped(),
        Scene::asleep,
        || Scene::unknown().grouped(),
    ]);
    let changes = prop::collection::vec((0_u8..35, 0_usize..64, span()), 0..10);
    (base, changes, span()).prop_map(|(base, changes, ahead)| {
        let mut scene = base();
        for change in changes {
            if scene.view.lease.is_some() {
                change_lease(&mut scene, change);
            }
            change_view(&mut scene, change);
        }
        scene.now = noon().plus(ahead.clamp(-30 * DAY, 400 * DAY));
        scene
    })
}

fn change_lease(scene: &mut Scene, (field, pick, span): Change) {
    let at = noon().plus(span);
    let person = UserId::parse(PEOPLE[pick % 5]).unwrap();
    let lease = scene.lease();
    match field {
        0 => lease.state = STATES[pick % 6],
        1 => lease.owner = person,
        2 => lease.expires_at = at,
        3 => (lease.granted_until, lease.expires_at) = (at, at),
        4 => lease.ends_at = at,
        5 => lease.settle_at = at,
        6 => lease.first_seen = at,
        7 => lease.stopped_at = (pick % 3 > 0).then_some(at),
        8 => {
            lease.stopped_by = [None, Some(StoppedBy::Other), Some(StoppedBy::Zerocloud)][pick % 3];
        }
        9 => {
            let hold = json!({"kind": HOLDS[pick % 9], "reason": "", "since": at, "review_at": at.plus(HOUR)});
            lease.hold = serde_json::from_value(hold).unwrap();
        }
        10 => lease.exemption = serde_json::from_value(json!({"reason": "demo", "until": at})).unwrap(),
        11 => {
            let action = if pick % 2 == 0 { "stop" } else { "terminate" };
            let reap =
                json!({"action": action, "claimed_at": at, "attempts": pick, "error": (pick > 32).then_some("x")});
            lease.reap = serde_json::from_value(reap).unwrap();
        }
        12 => lease.end_action = if pick % 2 == 0 { Action::Stop } else { Action::Terminate },
        13 => lease.offered_to = Some(person),
        14 => lease.notified = None,
        15 => {
            let marks = [
                json!({}),
                json!({"granted_owner": PEOPLE[pick % 5], "quota_due": at, "length_due": true}),
                json!({"granted_owner": "lin", "over_quota": {"was": at}}),
                json!({"granted_owner": "lin", "wish": {"by": "lin", "action": "stop", "at": at}}),
                json!({"granted_owner": "lin", "reviving": {"since": at}, "launched": at, "wished_at": at}),
                json!("broken"),
            ];
            lease.extra.insert("marks".to_owned(), marks[pick % 6].clone());
        }
        16 => {
            let source = ["tag", "launcher", "key_name", "admin", "request", "none"][pick % 6];
            lease.owner_evidence = serde_json::from_value(json!({"source": source, "at": at})).unwrap();
        }
        17 => {
            let status = ["queued", "accepted", "refused", "bounced", "obsolete"][pick % 5];
            let more = json!({"status": status, "due_at": at, "accepted_at": (pick % 5 == 1).then_some(at)});
            scene.notice(KINDS[pick % 6], PEOPLE[pick % 3], &more);
        }
        18 => scene.view.notices.clear(),
        19 => lease.term = if pick == 0 { u32::MAX } else { u32::try_from(pick).unwrap() },
        _ => {}
    }
}

fn change_view(scene: &mut Scene, (field, pick, span): Change) {
    let at = noon().plus(span);
    match field {
        20 => scene.view.resource = None,
        21 if scene.view.resource.is_some() => scene.resource().facts.state = ResourceState::ALL[pick % 6],
        22 if scene.view.resource.is_some() => {
            let missing = json!({"since": at, "last": at.plus(700), "scans": pick % 5});
            scene.resource().missing = serde_json::from_value(missing).unwrap();
        }
        23 if scene.view.resource.is_some() => {
            let facts = &mut scene.resource().facts;
            match pick % 5 {
                0 => facts.tags.clear(),
                1 => drop(facts.tags.insert("owner".into(), PEOPLE[pick % 4].into())),
                2 => {
                    facts.lifecycle = Some("spot".into());
                    facts.spot_type = Some("one-time".into());
                }
                3 => facts.launch_time = Some(at),
                _ => facts.managed_by = serde_json::from_value(json!({"kind": "eks", "name": "ci"})).unwrap(),
            }
        }
        24 => stage(scene, STAGES[pick % 4], span.min(0)),
        25 => pause(scene, &if pick % 2 == 0 { json!({}) } else { json!({"resumed_at": at}) }),
        26 => {
            let state = ["ok", "paused", "denied"][pick % 3];
            let region = json!({"account": "bigdb", "state": state, "since": at});
            scene.view.region = serde_json::from_value(region).unwrap();
        }
        27 => scene.view.users.retain(|user| user.user.as_str() != PEOPLE[pick % 3]),
        28 => {
            let mut policy = Policy { max_total: (pick % 2 == 0).then_some(span), ..Policy::default() };
            let field = [&mut policy.default_lease, &mut policy.max_lease, &mut policy.grace, &mut policy.min_notice];
            *field.into_iter().nth(pick % 4).unwrap() = span;
            policy.warnings = vec![span];
            policy.max_instances = (pick % 3 == 0).then_some(1);
            scene.view.policy = policy;
        }
        29 => scene.view.usage = u32::try_from(pick % 4).unwrap(),
        30 | 31 => {
            let more = json!({"until": (pick % 2 == 0).then_some(at), "to": PEOPLE[pick % 4], "at": (pick % 3 > 0).then_some(at)});
            scene.ask(PEOPLE[pick % 4], WISHES[pick % 7], &more);
        }
        32 if scene.view.resource.is_some() => {
            let group = group_key(2);
            scene.resource().facts.member_of = (pick % 4 > 0).then_some(group.resource_id.clone());
            let owner = UserId::parse(PEOPLE[pick % 5]).unwrap();
            scene.view.cover = (pick % 3 > 0).then_some(Cover { key: group, owner });
        }
        33 => change_group(scene, pick),
        34 => scene.view.unreadable.push(["policy::bigdb", "user::bigdb::lin", "pause::all"][pick % 3].to_owned()),
        _ => {}
    }
}

fn change_group(scene: &mut Scene, pick: usize) {
    let Some(group) = scene.view.resource.as_mut().and_then(|resource| resource.facts.group.as_mut()) else { return };
    match pick % 4 {
        0 => group.sizes = Sizes::ASLEEP,
        1 => group.sizes.desired = u32::try_from(pick).unwrap(),
        2 => group.suspended.push("Terminate".to_owned()),
        _ => {
            let member = json!({"id": "i-1", "state": "InService", "protected": pick % 8 > 3});
            group.members.push(serde_json::from_value(member).unwrap());
        }
    }
    if let Some(lease) = scene.view.lease.as_mut().filter(|_| pick > 32) {
        lease.sizes = None;
    }
}

/// Every reason against an end, written down once more and apart from the code that decides.
fn against(view: &View, lease: &Lease, due: &DueEnd, now: Time) -> Option<&'static str> {
    let wish = lease.extra.get("marks").is_some_and(|marks| marks.get("wish").is_some());
    let aws = view.aws_account.as_ref();
    let mild = due.action == Action::Stop && !lease.is_group();
    let needed = if mild { Stage::Stop } else { Stage::Terminate };
    let resource = view.resource.as_ref().filter(|resource| resource.key == LeaseKeyFields::from(due.key.clone()));
    let second = lease.state == State::Stopped || (lease.state == State::Reaping && lease.stopped_at.is_some());
    let least = if second { view.policy.terminate_notice } else { view.policy.min_notice };
    let told = view.notices.iter().any(|notice| {
        let counts = if second { notice.kind.to_string() == "stopped" } else { notice.kind.announces_end() };
        let reader = notice.user == lease.owner || notice.user.as_str() == "ada";
        let in_time = notice.accepted_at.is_some_and(|at| at <= now && now.seconds_since(at) >= least);
        counts && reader && in_time && notice.status == NoticeStatus::Accepted && notice.term == lease.term
    });
    let fits = |state: ResourceState| if second { state == ResourceState::Stopped } else { state.is_up() };
    let stage_rests = aws.and_then(|aws| aws.stage_accepted).is_some_and(|stage| now < stage.since.plus(DAY));
    let reasons = [
        (due.term != lease.term, "it is for another term"),
        (lease.is_group() && due.action == Action::Terminate, "a group is never deleted"),
        (lease.is_group() && lease.state == State::Stopped, "it is asleep"),
        (covered(view) && !due.resumes, "the lease of its group stands for it"),
        (aws.is_none_or(|aws| aws.disabled || aws.account != lease.account), "its AWS account is not there"),
        (aws.is_some_and(|aws| aws.effective_stage() < needed), "the stage forbids it"),
        (view.pauses.iter().any(|pause| pause.resumed_at.is_none_or(|at| at > now)), "a pause forbids it"),
        (view.region.as_ref().is_some_and(|region| region.state != "ok"), "its region is paused"),
        (resource.is_none_or(|resource| resource.missing.is_some()), "it was not seen"),
        (resource.is_some_and(|resource| resource.facts.managed_by.is_some()), "another decides about it"),
        (view.unreadable.iter().any(|id| !wish || !id.starts_with("user::")), "what bears on it cannot be read"),
        (!wish && lease.exemption.as_ref().is_some_and(|exemption| exemption.until > now), "it is exempted"),
        (!due.resumes && resource.is_some_and(|resource| !fits(resource.facts.state)), "its state does not fit"),
        (!due.resumes && now < lease.ends_at, "it is early"),
        (!due.resumes && !second && now < lease.expires_at, "the lease is valid"),
        (!due.resumes && !wish && !told, "nobody was told in time"),
        (!due.resumes && !wish && stage_rests, "the stage was raised within a day"),
        (second && !wish && lease.stopped_by == Some(StoppedBy::Other), "somebody else stopped it"),
        (second && due.action == Action::Stop && !due.resumes, "it is stopped already"),
    ];
    reasons.into_iter().find(|(against, _)| *against).map(|(_, reason)| reason)
}

fn covered(view: &View) -> bool {
    let group = view.resource.as_ref().and_then(crate::model::Resource::group_key);
    group.is_some() && view.cover.as_ref().map(|cover| cover.key.clone()) == group
}

fn check_notices(before: &Scene, decision: &Decision) {
    let lease = decision.lease.as_ref().or(before.view.lease.as_ref());
    for effect in &decision.effects {
        let Effect::Queue(notice) = effect else { continue };
        let lease = lease.unwrap();
        assert!(!before.view.notices.iter().any(|known| known.id() == notice.id()), "{} twice", notice.id());
        assert!(notice.term == lease.term && notice.lease == lease.key());
        assert!(notice.address.contains('@') && !lease.owner.is_pending());
        let stage = before.view.aws_account.as_ref().unwrap().effective_stage();
        assert!(stage >= Stage::Notify, "mail while observing");
    }
}

/// A lease never gets shorter but by a wish for its end, and while its first length and rank are judged.
fn check_length(before: &Scene, after: &Lease) {
    let Some(lease) = &before.view.lease else { return };
    let asked = before.view.requests.iter().any(|doc| matches!(doc.body.action, Wish::End | Wish::Terminate));
    let new = lease.extra.get("marks").is_some_and(|marks| marks.get("quota_due").is_some());
    if !asked && !new && lease.state.is_renewable() && after.state.is_renewable() {
        assert!(after.granted_until >= lease.granted_until, "shorter: {lease:?} {after:?}");
    }
}

/// What is overdue is due, held, or waits for what passes soon.
fn check_not_forgotten(scene: &Scene, decision: &Decision) {
    let Some(lease) = &scene.view.lease else { return };
    let idle = (lease.stopped_by != Some(StoppedBy::Zerocloud) || lease.is_group()) && lease.state == State::Stopped;
    if lease.state.is_over() || idle {
        return;
    }
    let next = decision.next.unwrap_or_else(|| panic!("nobody looks again at {lease:?}"));
    assert!(next > scene.now);
    let overdue = match lease.state {
        State::Expired => scene.now >= lease.ends_at.max(lease.expires_at),
        State::Stopped => scene.now >= lease.ends_at,
        _ => false,
    };
    let due = decision.effects.iter().any(|effect| matches!(effect, Effect::Due(_)));
    let soon = next <= scene.now.plus(600);
    assert!(!overdue || due || lease.hold.is_some() || soon, "forgotten: {lease:?}");
    assert!(lease.hold.is_none() || next <= scene.now.plus(DAY), "a hold that nobody reviews: {lease:?}");
}

/// Decides until nothing changes, checking each step.
fn settle(scene: &mut Scene) -> Decision {
    let most = 12 + scene.view.requests.len();
    for _ in 0..most {
        let decision = scene.decide();
        check_notices(scene, &decision);
        let after = decision.lease.clone().or_else(|| scene.view.lease.clone());
        if let Some(after) = &after {
            check_length(scene, after);
        }
        for effect in &decision.effects {
            if let (Effect::Due(due), Some(after)) = (effect, &after) {
                assert_eq!(against(&scene.view, after, due, scene.now), None, "{after:?}");
                assert!(claim(after, due, scene.now).is_some(), "due, and cannot be claimed: {after:?}");
            }
        }
        if !scene.apply(decision.clone()) {
            return decision;
        }
    }
    panic!("it never comes to rest: {:?}", scene.view.lease);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a view says: deciding comes to rest, ends nothing that anything speaks against, sends nothing twice,
    /// shortens nothing and forgets nothing. At rest, deciding again changes nothing.
    #[test]
    fn decisions_keep_every_invariant_whatever_the_documents_say(mut scene in scenes()) {
        let decision = settle(&mut scene);
        check_not_forgotten(&scene, &decision);
        let again = scene.decide();
        prop_assert_eq!(again.lease, None);
        prop_assert_eq!(again.effects, decision.effects);
    }

    /// The same through a claim, whatever comes of it, and some time later.
    #[test]
    fn every_outcome_of_an_end_leads_on(mut scene in scenes(), outcome in 0_usize..7, later in 0_i64..3 * DAY) {
        let decision = settle(&mut scene);
        for effect in decision.effects {
            let Effect::Due(due) = effect else { continue };
            let now = scene.now;
            let claimed = claim(scene.lease(), &due, now).unwrap();
            let outcomes = [
                None,
                Some(ReapOutcome::Stopped),
                Some(ReapOutcome::Terminated),
                Some(ReapOutcome::Protected("protected".into())),
                Some(ReapOutcome::Changed("another tag".into())),
                Some(ReapOutcome::Failed("throttled".into())),
                Some(ReapOutcome::Failed(String::new())),
            ];
            let policy = scene.view.policy.clone();
            let after = outcomes[outcome].as_ref().map_or(claimed.clone(), |it| reaped(&claimed, it, scene.now, &policy));
            scene.view.lease = Some(after);
        }
        scene.now = scene.now.plus(later);
        let decision = settle(&mut scene);
        check_not_forgotten(&scene, &decision);
    }

    /// However the same facts are listed, the decision is the same.
    #[test]
    fn the_order_of_documents_does_not_matter(scene in scenes(), turn in 0_usize..7) {
        let mut other = scene.clone();
        let turned = |length: usize| if length == 0 { 0 } else { turn % length };
        let by = turned(other.view.notices.len());
        other.view.notices.rotate_left(by);
        let by = turned(other.view.requests.len());
        other.view.requests.rotate_left(by);
        other.view.pauses.reverse();
        let (one, two) = (scene.decide(), other.decide());
        prop_assert_eq!(one.lease.map(hold_without_reason), two.lease.map(hold_without_reason));
        prop_assert_eq!(one.effects.len(), two.effects.len());
        prop_assert_eq!(one.next, two.next);
    }
}

/// Of several pauses in force either one's reason may be told.
fn hold_without_reason(mut lease: Lease) -> Lease {
    lease.events.clear();
    lease.answered.iter_mut().for_each(|said| said.reason.clear());
    if let Some(hold) = &mut lease.hold {
        hold.reason.clear();
        hold.review_at = Time::MIN;
    }
    lease
}
