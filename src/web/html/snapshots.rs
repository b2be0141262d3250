//! Pages as they are sent, kept beside the code: whoever changes one sees all that changes with it.

use super::{Named, Said, Shell, TEMPLATES};
use crate::model::{Directory, Facts, Lease, Time};
use crate::web::card::{Around, Card};
use crate::web::cost::Rate;
use crate::words::Zone;
use minijinja::{Value, context};
use serde_json::json;

fn directory() -> Directory {
    let mut directory = Directory::default();
    let aws = json!({
        "account": "bigdb", "aws_id": "111122223333", "name": "Development", "stage": "stop",
        "stage_accepted": { "stage": "stop", "since": "2026-11-01T00:00:00Z" },
    });
    let aws: crate::model::AwsAccount = serde_json::from_value(aws).unwrap();
    directory.aws_accounts.insert(aws.aws_id.clone(), aws);
    for (user, name) in [("lin", "Lin Wu"), ("max", "Max <b>Mayer</b>")] {
        let user = json!({ "account": "bigdb", "user": user, "role": "dev", "name": name });
        let user: crate::model::User = serde_json::from_value(user).unwrap();
        directory.users.insert((user.account.clone(), user.user.clone()), user);
    }
    directory
}

fn lease(instance: &str, name: &str, changes: &serde_json::Value) -> Lease {
    let mut lease = json!({
        "account": "bigdb", "aws_id": "111122223333", "region": "eu-west-1", "resource_id": instance, "kind": "instance",
        "state": "active", "owner": "lin", "term": 2, "end_action": "stop",
        "owner_evidence": { "source": "tag", "value": "lin@bigdb.example", "at": "2026-11-21T08:02:00Z" },
        "first_seen": "2026-11-21T08:00:00Z", "settle_at": "2026-11-21T08:02:00Z",
        "expires_at": "2026-11-24T08:00:00Z", "granted_until": "2026-11-24T08:00:00Z",
        "max_expires_at": "2026-11-28T08:00:00Z", "ends_at": "2026-11-24T09:00:00Z",
        "summary": { "name": name, "instance_type": "t3.large", "state": "running" },
    });
    for (field, value) in changes.as_object().unwrap() {
        lease[field] = value.clone();
    }
    serde_json::from_value(lease).unwrap()
}

const RATE: Rate = Rate { running: Some(91_200), volumes: Some(2_200) };

fn card(lease: &Lease) -> Card {
    let facts = json!({ "state": "running", "instance_type": "t3.large", "root_device": "ebs" });
    let facts: Facts = serde_json::from_value(facts).unwrap();
    let (zone, now) = (Zone::named(Some("Europe/Berlin")), Time::parse("2026-11-22T20:00:00Z").unwrap());
    Card::of(
        lease,
        Around {
            directory: &directory(),
            facts: Some(&facts),
            members: &[],
            covered: false,
            zone: &zone,
            rank: 1,
            rate: Some(RATE),
            now,
        },
    )
}

/// With nothing in it that another commit, day or person would change.
fn page(template: &str, title: &str, signed_in: bool, said: Option<Said>, values: Value) -> String {
    let person = Named { name: "Lin Wu".into(), account: "BigDB".into(), admin: false, csrf: "the-csrf-token".into() };
    let shell = Shell {
        title: title.to_owned(),
        here: if signed_in { "leases" } else { "" },
        plain: false,
        person: signed_in.then_some(person),
        said,
        css: "/static/zerocloud.css".to_owned(),
        js: "/static/zerocloud.js".to_owned(),
        mark: "/static/mark.svg".to_owned(),
    };
    let templates = TEMPLATES.as_ref().unwrap();
    templates.get_template(template).unwrap().render(context! { shell, ..values }).unwrap()
}

#[test]
fn my_leases() {
    let hold = json!({
        "kind": "pause", "reason": "the fair, until 2026-11-30T08:00:00Z", "since": "2026-11-22T10:00:00Z",
        "review_at": "2026-11-30T08:00:00Z",
    });
    let live = [
        card(&lease("i-0aaa", "web-1", &json!({}))),
        card(&lease("i-0bbb", "<script>alert(1)</script>", &json!({ "hold": hold }))),
    ];
    let protected = json!({
        "kind": "protection", "reason": "EC2 protects it: stopping by API is switched off for it",
        "since": "2026-11-22T10:00:00Z", "review_at": "2026-11-22T22:00:00Z",
    });
    let past = json!({ "state": "expired", "ends_at": "2026-11-22T10:00:00Z", "hold": protected });
    let held = [card(&lease("i-0eee", "vault", &past))];
    let stopped = json!({
        "state": "stopped", "stopped_at": "2026-11-22T09:00:00Z", "stopped_by": "zerocloud", "end_action": "terminate",
        "ends_at": "2026-11-29T09:00:00Z",
    });
    let stopped = [card(&lease("i-0ccc", "batch", &stopped))];
    let offered = [card(&lease("i-0ddd", "theirs", &json!({ "owner": "max", "offered_to": "lin" })))];
    let over: [Card; 0] = [];
    let said = Said { good: true, text: "Renewed until Tue 24 Nov 2026, 08:00:00 UTC.".to_owned() };
    insta::assert_snapshot!(page(
        "leases.html",
        "My leases",
        true,
        Some(said),
        context! { live, held, stopped, over, offered, first_steps => false, paused => ["Paused since noon: the fair."] }
    ));
}

#[test]
fn nothing_of_mine() {
    let none: [Card; 0] = [];
    for (first_steps, name) in [(false, "nothing_of_mine"), (true, "nothing_connected_yet")] {
        let values = context! { live => none, held => none, stopped => none, over => none, offered => none, first_steps, paused => none };
        insta::assert_snapshot!(name, page("leases.html", "My leases", true, None, values));
    }
}

#[test]
fn a_mails_link() {
    let values = context! {
        lease => card(&lease("i-0aaa", "web-1", &json!({}))), token => "zc1.token", action => "renew", able => true,
        terminates => false, bearer => "Lin Wu",
    };
    insta::assert_snapshot!(page("link.html", "Renew it", false, None, values));
}

/// What others wrote reaches no page as HTML.
#[test]
fn names_of_others_are_escaped_everywhere() {
    let lease = card(&lease("i-0aaa", "<img src=x onerror=alert(1)>", &json!({ "owner": "max" })));
    let none: [Card; 0] = [];
    let mine = context! { live => [&lease], held => [&lease], stopped => none, over => none, offered => [&lease], first_steps => false, paused => none };
    let link = context! { lease, token => "t", action => "end", able => true, terminates => false, bearer => "<i>x</i>", stands_in_for => "<b>y</b>" };
    for html in [page("leases.html", "<b>", true, None, mine), page("link.html", "<b>", false, None, link)] {
        for markup in ["<img src=x", "<b>", "<i>"] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
        assert!(html.contains("&lt;img"), "{html}");
    }
}
