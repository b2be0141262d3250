//! From AWS to leases: accounts, regions, pages, failures, and what must not change anything.

use crate::app::{DEV, EAST, Setup, TEST, TestApp, WEST, owned_by, tagged};
use ec2_double::{Access, Fault, Rule, Spec, State as Ec2State};
use serde_json::Value;
use zerocloud::model::{HoldKind, State};

#[tokio::test]
async fn every_instance_gets_a_lease_over_accounts_regions_and_pages() {
    let setup = Setup { page_size: 5, ..Setup::default() };
    let app = TestApp::with(setup, |aws| {
        for (account, region) in [(DEV, EAST), (DEV, WEST), (TEST, EAST), (TEST, WEST)] {
            aws.at(account, region).seed(17, &owned_by("lin@bigdb.example"));
        }
    })
    .await;
    app.until("68 leases", || async { (app.leases().await.len() == 68).then_some(()) }).await;
    let pages = app.aws.calls().account(TEST).region(WEST).action("DescribeInstances");
    assert!(pages.iter().any(|call| call.page == 4), "17 instances on pages of 5 are four pages");
    app.advance(130);
    app.until("all are Lin's", || async {
        app.leases().await.iter().all(|lease| lease.owner.as_str() == "lin").then_some(())
    })
    .await;
    // Told together: one mail for each moment in which notices were due, not one each.
    app.until("told", || async { app.leases().await.iter().all(|lease| lease.notified.is_some()).then_some(()) }).await;
    assert!(app.aws.mails().len() < 40, "{} mails for 68 notices to one address", app.aws.mails().len());
    app.stop().await;
}

#[tokio::test]
async fn polling_again_writes_nothing_and_makes_no_second_lease() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.at(DEV, EAST).seed(30, &Spec::default());
    })
    .await;
    app.until("30 leases", || async { (app.leases().await.len() == 30).then_some(()) }).await;
    let revs = async || -> Vec<_> {
        let docs = app.store.prefix("lease::").await.unwrap();
        let resources = app.store.prefix("resource::").await.unwrap();
        docs.into_iter().chain(resources).map(|doc| (doc.id, doc.rev)).collect()
    };
    let before = revs().await;
    assert_eq!(before.len(), 60);
    app.polled(DEV, EAST, 3).await;
    assert_eq!(revs().await, before);
    app.stop().await;
}

#[tokio::test]
async fn a_failure_on_page_two_changes_nothing() {
    let setup = Setup { page_size: 5, ..Setup::default() };
    let app = TestApp::with(setup, |aws| {
        aws.at(DEV, EAST).seed(12, &owned_by("lin"));
    })
    .await;
    app.until("12 leases", || async { (app.leases().await.len() == 12).then_some(()) }).await;
    let resources = async || app.store.prefix("resource::").await.unwrap();
    app.polled(DEV, EAST, 1).await;
    let before = resources().await;
    for fault in [Fault::Server(500), Fault::Cut, Fault::Throttle] {
        let rule = app.aws.inject(Rule::new(fault).account(DEV).region(EAST).action("DescribeInstances").page(2));
        app.until("struck", || async { (app.aws.struck(rule) >= 3).then_some(()) }).await;
        assert_eq!(resources().await, before);
        app.aws.heal(rule);
    }
    // The others were read meanwhile, and this one is again.
    let new = app.aws.at(TEST, EAST).launch(&owned_by("max"));
    app.state(&new, State::Active).await;
    let new = app.aws.at(DEV, EAST).launch(&owned_by("max"));
    app.state(&new, State::Active).await;
    app.stop().await;
}

#[tokio::test]
async fn what_is_due_in_a_region_that_cannot_be_read_for_long_is_held_until_it_is_read_again() {
    let app = TestApp::start(Setup::default()).await;
    let instance = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.settled(&instance, "lin").await;
    let rule = app.aws.inject(Rule::new(Fault::Server(500)).account(DEV).region(EAST).action("DescribeInstances"));
    app.until("struck", || async { (app.aws.struck(rule) >= 2).then_some(()) }).await;
    let end = app.lease(&instance).await.unwrap().expires_at;
    app.advance(end.seconds_since(app.clock.now()) + 30 * 86_400);
    let reason = app
        .until("held", || async {
            // The owner is still told, and given time, before the end is due.
            app.advance(60);
            let hold = app.lease(&instance).await.unwrap().hold.filter(|hold| hold.kind == HoldKind::Region);
            hold.map(|hold| hold.reason)
        })
        .await;
    assert!(reason.contains("unreadable") && reason.contains("no poll could read it since"), "{reason}");
    let region = async || app.store.get::<Value>(&format!("region::{DEV}::{EAST}")).await.unwrap().unwrap();
    let marked = region().await.rev;
    let before = app.aws.struck(rule);
    app.until("polled again", || async { (app.aws.struck(rule) > before + 1).then_some(()) }).await;
    assert_eq!(region().await.rev, marked, "each failing poll writes");
    app.aws.heal(rule);
    app.lease_where(&instance, "let go", |lease| lease.hold.is_none()).await;
    assert_eq!(region().await.body["state"], "ok");
    app.stop().await;
}

#[tokio::test]
async fn a_tag_added_before_it_settled_names_the_owner_and_a_late_one_takes_it_from_an_admin() {
    let app = TestApp::start(Setup::default()).await;
    let early = app.aws.at(DEV, EAST).launch(&Spec::default());
    let late = app.aws.at(DEV, EAST).launch(&Spec::default());
    app.lease_where(&early, "leased", |_| true).await;
    app.lease_where(&late, "leased", |_| true).await;
    app.aws.tag(&early, "OWNER", "ada-l");
    app.advance(130);
    assert_eq!(app.owned(&early, "ada").await.owner_evidence.value, "ada-l");
    app.owned(&late, "ada").await;
    app.aws.tag(&late, "Owner", "lin@bigdb.example");
    app.owned(&late, "lin").await;
    app.aws.tag(&late, "Owner", "max@bigdb.example");
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.lease(&late).await.unwrap().owner.as_str(), "lin", "a tag took a lease from a person");
    app.stop().await;
}

#[tokio::test]
async fn malformed_tags_lead_to_an_admin_and_never_to_a_crash() {
    let long = "x".repeat(256);
    let app = TestApp::start(Setup::default()).await;
    let odd =
        ["", " ", "lin@", "@@@", "lin@bigdb.example, max@bigdb.example", "\u{202e}nil", "<script>", &long, "null"];
    let mut ids = Vec::new();
    for value in odd {
        ids.push(app.aws.at(DEV, EAST).launch(&tagged(&[("owner", value), ("lease", value), ("Name", value)])));
    }
    for id in &ids {
        app.lease_where(id, "leased", |_| true).await;
    }
    app.advance(130);
    for id in &ids {
        app.owned(id, "ada").await;
    }
    app.stop().await;
}

#[tokio::test]
async fn what_vanishes_is_gone_only_after_three_scans_and_ten_minutes() {
    let app = TestApp::start(Setup::default()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.settled(&id, "lin").await;
    app.aws.vanish(&id);
    app.polled(DEV, EAST, 4).await;
    assert_eq!(app.lease(&id).await.unwrap().state, State::Active, "gone after four scans in no time");
    app.advance(601);
    app.state(&id, State::Gone).await;
    app.stop().await;
}

#[tokio::test]
async fn a_sudden_drop_pauses_the_region_until_two_scans_agree() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.at(DEV, EAST).seed(40, &owned_by("lin"));
    })
    .await;
    app.until("40 leases", || async { (app.leases().await.len() == 40).then_some(()) }).await;
    let region = format!("region::{DEV}::{EAST}");
    let state = async || {
        let doc = app.store.get::<serde_json::Value>(&region).await.unwrap();
        doc.and_then(|doc| doc.body["state"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    // Whoever asks by id gets an answer, so what the scan lacks is found again and nothing is missing.
    let rule = app.aws.inject(Rule::new(Fault::Drop(60)).account(DEV).region(EAST).listings());
    app.until("struck", || async { (app.aws.struck(rule) >= 2).then_some(()) }).await;
    app.aws.heal(rule);
    app.polled(DEV, EAST, 1).await;
    assert_eq!(state().await, "");
    let missing = app.store.prefix("resource::").await.unwrap();
    assert!(missing.iter().all(|doc| doc.body.get("missing").is_none()), "instances that EC2 listed by id are missing");
    // Tags gone from all at once are a fault, whatever is asked; the region pauses and owners stay.
    let rule = app.aws.inject(Rule::new(Fault::NoTags).account(DEV).region(EAST).times(1));
    app.until("struck", || async { (app.aws.struck(rule) >= 1).then_some(()) }).await;
    app.polled(DEV, EAST, 2).await;
    app.until("read as usual again", || async { ["", "ok"].contains(&state().await.as_str()).then_some(()) }).await;
    let tags = app.store.prefix("resource::").await.unwrap();
    assert!(tags.iter().all(|doc| doc.body["facts"]["tags"]["owner"] == "lin"), "tags were taken for gone");
    app.stop().await;
}

#[tokio::test]
async fn a_region_that_the_organisation_denies_is_shown_as_denied_and_the_others_go_on() {
    let app = TestApp::with(Setup::default(), |aws| aws.set_region(DEV, WEST, Access::Denied)).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.state(&id, State::Active).await;
    let region = format!("region::{DEV}::{WEST}");
    app.until("denied", || async {
        let doc = app.store.get::<serde_json::Value>(&region).await.unwrap()?;
        (doc.body["state"] == "denied").then_some(())
    })
    .await;
    app.aws.set_region(DEV, WEST, Access::Enabled);
    let id = app.aws.at(DEV, WEST).launch(&owned_by("lin"));
    app.state(&id, State::Active).await;
    app.stop().await;
}

#[tokio::test]
async fn members_of_groups_are_leased_and_held() {
    let app = TestApp::start(Setup::default().policy("default_lease", "1h")).await;
    let spec = tagged(&[("aws:autoscaling:groupName", "workers"), ("owner", "lin")]);
    let id = app.aws.at(DEV, EAST).launch(&spec);
    app.settled(&id, "lin").await;
    app.advance(100_000);
    app.lease_where(&id, "held", |lease| {
        lease.hold.as_ref().is_some_and(|hold| hold.kind == zerocloud::model::HoldKind::ManagedElsewhere)
    })
    .await;
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.aws.instance(&id).unwrap().state, Ec2State::Running);
    app.stop().await;
}

#[tokio::test]
async fn a_role_that_answers_without_its_external_id_is_refused() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.edit_role(&format!("arn:aws:iam::{DEV}:role/zerocloud"), |role| role.external_id = None);
    })
    .await;
    let id = app.aws.at(TEST, EAST).launch(&owned_by("lin"));
    app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.state(&id, State::Active).await;
    assert!(app.store.get::<serde_json::Value>(&format!("aws_account::bigdb::{DEV}")).await.unwrap().is_none());
    assert!(app.aws.calls().account(DEV).action("DescribeInstances").is_empty(), "the refused account was read");
    app.stop().await;
}
