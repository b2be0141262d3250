//! Estimates of simple lives, reckoned by hand.

use super::{Daily, Life, Rate, Step, dollars};
use crate::model::{Facts, State, Time};
use crate::web::prices::Prices;
use serde_json::json;

fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

fn step(when: &str, owner: &str, state: State) -> Step {
    Step { at: at(when), owner: owner.to_owned(), state }
}

/// A dollar an hour, and ten cents for its volumes.
const DOLLAR: Rate = Rate { running: Some(1_000_000), volumes: Some(100_000) };

fn life(rate: Rate, ended_by_us: bool, steps: Vec<Step>) -> Life {
    Life { rate, first_seen: at("2026-11-20T00:00:00Z"), steps, ended_by_us }
}

fn facts(more: &serde_json::Value) -> Facts {
    let mut all = json!({ "state": "running", "instance_type": "t3.large" });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

#[test]
fn an_hour_is_the_machine_and_its_volumes_and_unknown_when_a_part_is() {
    let prices = Prices::built_in();
    let rate = |more| Rate::of(&prices, "us-east-1", &facts(&more));
    let volumes = json!({ "volumes": [{ "id": "vol-1", "gib": 730, "kind": "gp3" }] });
    assert_eq!(rate(volumes.clone()), Rate { running: Some(83_200), volumes: Some(80_000) });
    assert_eq!((rate(volumes.clone()).now(true), rate(volumes).now(false)), (Some(163_200), Some(80_000)));
    assert_eq!(rate(json!({})), Rate { running: Some(83_200), volumes: Some(0) });
    let unsized_volume = rate(json!({ "volumes": [{ "id": "vol-1" }] }));
    assert_eq!((unsized_volume.running, unsized_volume.volumes, unsized_volume.now(true)), (Some(83_200), None, None));
    assert_eq!(rate(json!({ "instance_type": "z9.huge" })).now(true), None);
}

#[test]
fn a_day_costs_its_hours_and_what_zerocloud_stopped_is_saved_but_for_its_volumes() {
    let steps = vec![
        step("2026-11-20T00:00:00Z", "lin", State::Active),
        step("2026-11-21T06:00:00Z", "lin", State::Stopped),
        step("2026-11-22T12:00:00Z", "lin", State::Terminated),
    ];
    let now = at("2026-11-23T00:00:00Z");
    let days = Daily::of(&[life(DOLLAR, true, steps.clone())], now, 4).days();
    let sums: Vec<_> = days.iter().map(|(_, sum)| (sum.cost, sum.saved)).collect();
    let volumes = 100_000;
    assert_eq!(
        sums,
        [
            (24 * 1_100_000, 0),
            (6 * 1_100_000 + 18 * volumes, 18_000_000),
            (12 * volumes, 12_000_000 + 12 * 1_100_000),
            (0, 0),
        ]
    );
    let other = Daily::of(&[life(DOLLAR, false, steps)], now, 4);
    assert!(other.days().iter().all(|(_, sum)| sum.saved == 0), "what its owner stopped is not our saving");
}

#[test]
fn each_owner_pays_for_their_own_time_and_unknown_prices_are_told_as_hours() {
    let steps =
        vec![step("2026-11-20T00:00:00Z", "lin", State::Active), step("2026-11-20T12:00:00Z", "max", State::Active)];
    let unknown = Rate { running: None, volumes: Some(0) };
    let now = at("2026-11-20T18:00:00Z");
    let lives =
        [life(DOLLAR, false, steps), life(unknown, false, vec![step("2026-11-20T10:00:00Z", "ada", State::Active)])];
    let owners = Daily::of(&lives, now, 1).owners();
    let told: Vec<_> = owners.iter().map(|(owner, sum)| (owner.as_str(), sum.cost, sum.unknown_seconds)).collect();
    assert_eq!(told, [("lin", 13_200_000, 0), ("max", 6_600_000, 0), ("ada", 0, 18 * 3_600)]);
}

#[test]
fn savings_end_after_thirty_days_and_with_a_restart() {
    let steps = vec![step("2026-11-20T00:00:00Z", "lin", State::Terminated)];
    let now = at("2027-01-10T00:00:00Z");
    let saved: u64 = Daily::of(&[life(DOLLAR, true, steps)], now, 60).days().iter().map(|(_, sum)| sum.saved).sum();
    assert_eq!(saved, 30 * 24 * 1_100_000);
    let steps =
        vec![step("2026-11-20T00:00:00Z", "lin", State::Stopped), step("2026-11-20T02:00:00Z", "lin", State::Active)];
    let restarted = Daily::of(&[life(DOLLAR, true, steps)], at("2026-11-20T03:00:00Z"), 1).owners();
    assert_eq!((restarted[0].1.saved, restarted[0].1.cost), (0, 200_000 + 1_100_000));
}

#[test]
fn small_amounts_do_not_look_like_nothing() {
    let told: Vec<_> = [0, 10_400, 83_200, 500_000, 1_234_567, 1_234_500_000, 999_999].map(dollars).into();
    assert_eq!(told, ["$0.00", "$0.0104", "$0.0832", "$0.50", "$1.23", "$1,234.50", "$1.0000"]);
}
