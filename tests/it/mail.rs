//! Mail: refused, throttled, down, repeated; and what may not end while nobody was told.

use crate::app::{DEV, EAST, Setup, TestApp, after, key, owned_by, tagged};
use crate::reaping::{Bench, put};
use ec2_double::{Fault, Rule, Service, State as Ec2};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use zerocloud::model::{HoldKind, Notice, State, Time};
use zerocloud::notifier::{Mailer, Notifier, NotifierConfig};
use zerocloud::tokens::Tokens;

const HOUR: i64 = 3_600;

#[tokio::test]
async fn an_owner_whose_mail_is_refused_is_told_of_to_admins_and_the_end_counts_from_there() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.refuse_mail("lin@bigdb.example");
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    app.owned(&id, "lin").await;
    app.mailed("ada@bigdb.example", &id, 1).await;
    let lease = app.lease(&id).await.unwrap();
    app.clock.set(after(lease.ends_at, 5));
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn nothing_ends_while_the_mail_service_takes_nothing_and_the_end_moves_afterwards() {
    let app = TestApp::start(Setup::default()).await;
    app.aws.pause_mail(true);
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    let lease = app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    app.owned(&id, "lin").await;
    app.clock.set(after(lease.ends_at, 10 * HOUR));
    app.lease_where(&id, "held: nobody was told", |lease| {
        lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::NoNotice)
    })
    .await;
    assert!(app.aws.calls().acting().is_empty());
    app.aws.pause_mail(false);
    app.advance(HOUR);
    let told = app.lease_where(&id, "told", |lease| lease.notified.is_some()).await.notified.unwrap().at;
    app.clock.set(after(told, HOUR - 2));
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.aws.instance(&id).unwrap().state, Ec2::Running, "ended less than min_notice after the first word");
    app.advance(10);
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn a_throttled_or_broken_mail_service_is_asked_again_and_nothing_is_told_twice() {
    let app = TestApp::start(Setup::default()).await;
    let rules = [Fault::Throttle, Fault::Server(500)]
        .map(|fault| app.aws.inject(Rule::new(fault).service(Service::Ses).action("SendEmail").times(2)));
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    app.owned(&id, "lin").await;
    app.until("told after all", || async {
        app.advance(1);
        app.lease(&id).await.filter(|lease| lease.notified.is_some())
    })
    .await;
    assert!(rules.iter().any(|rule| app.aws.struck(*rule) >= 2));
    app.polled(DEV, EAST, 2).await;
    assert_eq!(app.mails("lin@bigdb.example", &id).len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn what_is_not_urgent_comes_at_the_digest_hour_as_one_mail_and_what_is_comes_at_once() {
    let app = TestApp::start(Setup::default().policy("default_lease", "7d")).await;
    let seeded = async || app.store.get::<serde_json::Value>("user::bigdb::lin").await.unwrap().map(drop);
    app.until("lin is here", seeded).await;
    app.edit("user::bigdb::lin", |user| {
        user["digest_hour"] = json!(9);
        user["time_zone"] = json!("Europe/Berlin");
    })
    .await;
    let ids = [(); 2].map(|()| app.aws.at(DEV, EAST).launch(&owned_by("lin")));
    for id in &ids {
        app.lease_where(id, "leased", |_| true).await;
    }
    app.advance(130);
    for id in &ids {
        app.owned(id, "lin").await;
    }
    let outbox = async || app.store.prefix("notice::").await.unwrap().len();
    app.until("both wait in the outbox", || async { (outbox().await == 2).then_some(()) }).await;
    // The one that ends within a day goes at once, and proves that the round went past those that wait.
    let short = app.aws.at(DEV, EAST).launch(&tagged(&[("owner", "lin"), ("lease", "10h")]));
    app.lease_where(&short, "leased", |_| true).await;
    app.advance(130);
    app.owned(&short, "lin").await;
    app.until("told of what ends today", || async {
        (!app.mails("lin@bigdb.example", &short).is_empty()).then_some(())
    })
    .await;
    assert!(ids.iter().all(|id| app.mails("lin@bigdb.example", id).is_empty()), "the digest came before its hour");
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let now = app.clock.now();
    let here = now.timestamp().to_zoned_datetime(zone.clone());
    let hours = [0, 1].map(|days| here.date().checked_add(jiff::Span::new().days(days)).unwrap().at(9, 0, 0, 0));
    let hours =
        hours.map(|hour| Time::from_unix(hour.to_zoned_datetime(zone.clone()).unwrap().timestamp().as_second()));
    let hour = *hours.iter().find(|hour| **hour > now).unwrap();
    app.clock.set(after(hour, 1));
    app.until("the digest", || async {
        ids.iter().all(|id| !app.mails("lin@bigdb.example", id).is_empty()).then_some(())
    })
    .await;
    let [one, other] = [0, 1].map(|n| app.mails("lin@bigdb.example", &ids[n])[0].message_id.clone());
    assert_eq!(one, other, "one mail for both");
    app.stop().await;
}

#[tokio::test]
async fn notices_due_together_are_one_mail() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.at(DEV, EAST).seed(12, &owned_by("lin"));
    })
    .await;
    app.until("12 leases", || async { (app.leases().await.len() == 12).then_some(()) }).await;
    app.advance(130);
    app.until("told", || async { app.leases().await.iter().all(|lease| lease.notified.is_some()).then_some(()) }).await;
    let end = app.leases().await.iter().map(|lease| lease.expires_at).max().unwrap();
    app.aws.forget_mails();
    app.clock.set(after(end, -HOUR));
    app.until("every instance is warned of", || async {
        let mails = app.aws.mails();
        let warned = |id: &str| mails.iter().any(|mail| mail.text.contains(id));
        app.leases().await.iter().all(|lease| warned(lease.key.resource_id.as_str())).then_some(())
    })
    .await;
    assert!(app.aws.mails().len() <= 4, "{} mails", app.aws.mails().len());
    app.stop().await;
}

#[tokio::test]
async fn mail_is_sent_only_while_this_copy_leads_and_only_to_who_is_still_here() {
    let bench = Bench::start(|_, _| ()).await;
    let (store, reaper) = (bench.store.clone(), bench.reaper.clone());
    for user in ["lin", "gone"] {
        let notice: Notice = serde_json::from_value(json!({
            "account": "bigdb", "lease": key(DEV, EAST, &bench.id).lease_id(), "term": 2, "kind": "expired",
            "address": format!("{user}@bigdb.example"), "user": user, "status": "queued", "due_at": bench.now,
        }))
        .unwrap();
        put(&store, "notice", &notice.id(), json!(notice)).await;
    }
    let begun = Instant::now();
    while reaper.index.notices_due().len() < 2 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the feed brings nothing");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let leads = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&leads);
    let config = NotifierConfig { from: "zerocloud@bigdb.example".to_owned(), public_url: None, per_second: 500.0 };
    let mailer = Mailer::Ses(reaper.aws.clone());
    let notifier = Notifier::new(store, reaper.index, mailer, reaper.clock, Tokens::fixed(1), config, reaper.fail);
    let mut notifier = notifier.only_while(move || asked.load(Ordering::SeqCst));
    let stop = CancellationToken::new();
    assert_eq!(
        (notifier.round(&stop).await.sent, bench.double.handle().mails().len()),
        (0, 0),
        "two copies would send"
    );
    leads.store(true, Ordering::SeqCst);
    let report = notifier.round(&stop).await;
    assert_eq!((report.sent, report.waiting), (1, 1), "{report:?}");
    assert!(bench.double.handle().mails().iter().all(|mail| mail.is_to("lin@bigdb.example")));
    bench.stop().await;
}
