//! Forecasts, and the policy applied to a lease that runs.

use super::scene::{DAY, HOUR, Scene, noon};
use crate::model::{Action, ExemptionRule, HoldKind, Policy, RuleKind, Stage, Wish};
use crate::reactor::{Forecast, forecast};
use serde_json::json;

fn ahead(scene: &Scene) -> Forecast {
    forecast(&scene.view, noon(), noon().plus(30 * DAY))
}

fn ends(scene: &Scene) -> Vec<(i64, Action)> {
    ahead(scene).ends.iter().map(|end| (end.at.seconds_since(noon()), end.action)).collect()
}

#[test]
fn what_nobody_renews_is_told_stopped_told_and_terminated() {
    let scene = Scene::active();
    let stop = 2 * DAY + HOUR;
    assert_eq!(ends(&scene), [(stop, Action::Stop), (stop + 7 * DAY, Action::Terminate)]);
    let told: Vec<_> = ahead(&scene).told.iter().map(|told| told.kind.to_string()).collect();
    assert_eq!(told, ["warning-86400", "warning-3600", "expired", "stopped", "ended"]);
    assert_eq!(ahead(&scene).reach, Some(noon().plus(7 * DAY)));
}

#[test]
fn a_forecast_says_what_holds_an_end() {
    let mut scene = Scene::active();
    scene.view.aws_account.as_mut().unwrap().stage = Stage::Notify;
    assert_eq!(ends(&scene), []);
    assert_eq!(ahead(&scene).hold.map(|hold| hold.kind), Some(HoldKind::Stage));
}

#[test]
fn a_rule_holds_what_it_picks_until_its_day_and_a_wish_for_the_end_overrides_it() {
    let mut scene = Scene::active();
    scene.view.rules.push(ExemptionRule {
        id: "1".into(),
        by: RuleKind::Tag,
        key: "OWNER".into(),
        value: "lin@*".into(),
        reason: "release".into(),
        until: noon().plus(10 * DAY),
        made_by: "bigdb.ada".into(),
        made_at: noon(),
    });
    let first = ends(&scene)[0];
    assert!(first.0 >= 10 * DAY + HOUR, "announced again once the rule is over: {first:?}");
    scene.ask("lin", Wish::End, &json!({}));
    assert_eq!(ends(&scene)[0], (0, Action::Stop));
}

fn with(change: impl Fn(&mut Policy)) -> Scene {
    let mut scene = Scene::active();
    for policy in [&mut scene.view.policy, &mut scene.view.account_policy] {
        change(policy);
    }
    scene
}

/// The lease after an admin applied the policy: its end, whether its owner is told anew, and the answer.
fn applied(mut scene: Scene, by: &str) -> (i64, bool, String) {
    scene.ask(by, Wish::ApplyPolicy, &json!({"reason": "less"}));
    let lease = ahead(&scene).lease.unwrap();
    let told = ahead(&scene).told.iter().any(|told| told.at == noon() && told.kind.to_string() == "first");
    (lease.expires_at.seconds_since(noon()), told, lease.answered.last().unwrap().reason.clone())
}

#[test]
fn the_policy_applied_shortens_what_nobody_renewed_to_its_length_and_tells_at_once() {
    let (end, told, _) = applied(with(|policy| policy.default_lease = 2 * DAY + 2 * HOUR), "ada");
    // First seen a day before; longest warning and least notice are 25 hours.
    assert_eq!((end, told), (DAY + 2 * HOUR, true));
}

#[test]
fn the_policy_applied_is_never_nearer_than_the_longest_warning_and_the_least_notice() {
    let (end, told, _) = applied(with(|policy| policy.default_lease = HOUR), "ada");
    assert_eq!((end, told), (DAY + HOUR, true));
    let far = with(|policy| {
        policy.default_lease = HOUR;
        policy.min_notice = 5 * DAY;
    });
    assert_eq!(applied(far, "ada").0, 2 * DAY, "the floor makes no lease longer");
}

#[test]
fn the_policy_applied_lengthens_and_cuts_renewals_to_what_one_reaches_today() {
    let (end, told, _) = applied(with(|policy| policy.default_lease = 5 * DAY), "ada");
    assert_eq!((end, told), (4 * DAY, false));
    let mut renewed = with(|policy| policy.max_lease = DAY + 12 * HOUR);
    renewed.marks()["wished_at"] = json!(noon().plus(-HOUR));
    assert_eq!(applied(renewed, "ada").0, DAY + 12 * HOUR);
}

#[test]
fn only_an_admin_applies_the_policy_and_only_to_what_runs_and_differs() {
    let (end, _, why) = applied(with(|policy| policy.default_lease = HOUR), "lin");
    assert_eq!((end, why.as_str()), (2 * DAY, "only an admin may ask that"));
    let (end, _, why) = applied(Scene::active(), "ada");
    assert_eq!((end, why.as_str()), (2 * DAY, "it is as the policy says already"));
}
