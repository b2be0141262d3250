//! Auto Scaling groups: one lease for all members, put to sleep in one call, woken by others or revived; and what is respected.

use crate::app::{DEV, EAST, Setup, TestApp, after, key, owned_by, tagged};
use ec2_double::{Access, Fault, GroupSpec, Handle, Rule, State as Ec2};
use serde_json::{Value, json};
use zerocloud::model::{HoldKind, Lease, ResourceId, Sizes, State, StoppedBy};

const DAY: i64 = 86_400;
const UPDATE: &str = "UpdateAutoScalingGroup";
const DESCRIBE: &str = "DescribeAutoScalingGroups";

fn add(aws: &Handle, name: &str, desired: u32) -> String {
    aws.at(DEV, EAST).add_group(GroupSpec::new(name, desired).between(1, 5).tag("owner", "lin"));
    id(aws, name)
}

fn id(aws: &Handle, name: &str) -> String {
    ResourceId::of_group(&aws.at(DEV, EAST).group(name).arn).unwrap().to_string()
}

fn sizes(aws: &Handle, name: &str) -> (u32, u32, u32) {
    let group = aws.at(DEV, EAST).group(name);
    (group.min, group.desired, group.max)
}

/// Its members that run.
fn up(aws: &Handle, name: &str) -> Vec<String> {
    let members = aws.at(DEV, EAST).members(name).into_iter();
    members.filter(|member| matches!(member.state, Ec2::Pending | Ec2::Running)).map(|member| member.id).collect()
}

fn updates(app: &TestApp) -> usize {
    app.aws.calls().action(UPDATE).len()
}

/// Lets the lease run out, each notice in its time, until the group is asleep.
async fn asleep(app: &TestApp, group: &str) -> Lease {
    let lease = app.lease(group).await.unwrap();
    app.clock.set(lease.expires_at);
    app.state(group, State::Expired).await;
    let told = |lease: &Lease| lease.notified.as_ref().is_some_and(|told| told.kind.to_string() == "expired");
    let lease = app.lease_where(group, "told that it is over", told).await;
    app.clock.set(after(lease.ends_at.max(app.clock.now().plus(3_600)), 1));
    app.state(group, State::Stopped).await
}

#[tokio::test]
async fn a_group_has_one_lease_is_put_to_sleep_in_one_call_and_revived_with_its_old_sizes() {
    let app = TestApp::start(Setup::default().policy("expiry_action", "terminate")).await;
    let group = add(&app.aws, "web", 2);
    let lease = app.settled(&group, "lin").await;
    assert_eq!((lease.kind.as_str(), lease.summary.name.as_str()), ("auto_scaling_group", "web"));
    assert_eq!(app.leases().await.len(), 1, "its members have leases of their own");
    let stopped = asleep(&app, &group).await;
    assert_eq!(stopped.stopped_by, Some(StoppedBy::Zerocloud));
    assert_eq!(stopped.sizes, Some(Sizes { min: 1, desired: 2, max: 5 }));
    assert_eq!((sizes(&app.aws, "web"), updates(&app)), ((0, 0, 0), 1));
    app.aws.settle();
    assert!(up(&app.aws, "web").is_empty());
    app.lease_where(&group, "its members are gone", |lease| lease.summary.state == "stopped").await;
    let mail = app
        .until("told that it sleeps", || async {
            app.mails("lin@bigdb.example", &group).into_iter().find(|mail| mail.subject.starts_with("Put to sleep"))
        })
        .await;
    assert!(mail.text.contains("Auto Scaling terminates its members") && !mail.text.contains("to be terminated"));
    // There is no second end, however long it sleeps.
    app.advance(60 * DAY);
    app.polled(DEV, EAST, 3).await;
    assert_eq!((app.lease(&group).await.unwrap().state, updates(&app)), (State::Stopped, 1));
    let refused = app.ask("lin", &stopped, "terminate", json!({})).await;
    assert_eq!(app.answer(&refused).await, ("refused".to_owned(), "a group is put to sleep, never deleted".to_owned()));
    let revive = app.ask("lin", &stopped, "revive", json!({})).await;
    assert_eq!(app.answer(&revive).await.0, "done");
    app.lease_where(&group, "runs again", |lease| lease.state == State::Active && lease.sizes.is_none()).await;
    assert_eq!((sizes(&app.aws, "web"), updates(&app)), ((1, 2, 5), 2));
    assert_eq!(up(&app.aws, "web").len(), 2);
    assert!(app.aws.calls().acting().iter().all(|call| call.action == UPDATE), "something else was acted on");
    assert_eq!(app.leases().await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_group_that_a_scheduled_action_wakes_has_a_default_lease_from_then_and_a_first_notice() {
    let app = TestApp::start(Setup::default()).await;
    let group = add(&app.aws, "nightly", 1);
    app.settled(&group, "lin").await;
    asleep(&app, &group).await;
    app.aws.settle();
    app.lease_where(&group, "its members are gone", |lease| lease.summary.state == "stopped").await;
    app.advance(DAY);
    // A look under way goes by the time that it began at.
    app.polled(DEV, EAST, 2).await;
    let before = app.mails("lin@bigdb.example", &group).len();
    app.aws.at(DEV, EAST).scale("nightly", 1, 3, 4);
    let woken = app.state(&group, State::Active).await;
    assert_eq!(woken.expires_at, app.clock.now().plus(3 * DAY));
    assert_eq!(woken.sizes, None, "sizes of before it was woken would be given back");
    app.until("a first notice", || async {
        let mails = app.mails("lin@bigdb.example", &group);
        mails[before..].iter().any(|mail| mail.subject.starts_with("Yours until")).then_some(())
    })
    .await;
    assert_eq!((sizes(&app.aws, "nightly"), updates(&app)), ((1, 3, 4), 1));
    // What it has now is what the next revival gives back.
    assert_eq!(asleep(&app, &group).await.sizes, Some(Sizes { min: 1, desired: 3, max: 4 }));
    app.stop().await;
}

#[tokio::test]
async fn what_keeps_members_from_being_terminated_is_respected_and_told() {
    let app = TestApp::start(Setup::default()).await;
    let (kept, free) = (add(&app.aws, "kept", 2), add(&app.aws, "free", 1));
    let place = app.aws.at(DEV, EAST);
    place.edit_group("kept", |group| group.protected = true);
    app.settled(&kept, "lin").await;
    app.settled(&free, "lin").await;
    asleep(&app, &free).await;
    let protection = |lease: &Lease| lease.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Protection);
    let held = app.lease_where(&kept, "held", protection).await;
    assert!(held.hold.unwrap().reason.contains("2 of its 2 members are protected from scale-in"));
    place.edit_group("kept", |group| {
        group.protected = false;
        group.suspended.insert("Terminate".to_owned());
    });
    app.advance(7 * 3_600);
    let suspended = |lease: &Lease| lease.hold.as_ref().is_some_and(|hold| hold.reason.contains("suspended"));
    app.lease_where(&kept, "held for the process", suspended).await;
    assert_eq!(sizes(&app.aws, "kept"), (1, 2, 5));
    app.until("admins are told", || async {
        app.mails("ada@bigdb.example", &kept).iter().any(|mail| mail.text.contains("Held: kept")).then_some(())
    })
    .await;
    place.edit_group("kept", |group| group.suspended.clear());
    // Auto Scaling terminates one that is protected from termination all the same.
    let member = up(&app.aws, "kept").swap_remove(1);
    app.aws.protect_termination(&member, true);
    app.advance(7 * 3_600);
    let one =
        |lease: &Lease| lease.hold.as_ref().is_some_and(|hold| hold.reason.contains("protected from termination"));
    let held = app.lease_where(&kept, "held for one of its members", one).await;
    assert!(held.hold.unwrap().reason.contains(&member));
    assert_eq!(sizes(&app.aws, "kept"), (1, 2, 5));
    app.aws.protect_termination(&member, false);
    app.advance(7 * 3_600);
    app.state(&kept, State::Stopped).await;
    assert_eq!((sizes(&app.aws, "kept"), updates(&app)), ((0, 0, 0), 2));
    app.stop().await;
}

#[tokio::test]
async fn members_had_leases_of_their_own_while_groups_could_not_be_read_and_lose_them_to_the_groups_when_they_end() {
    let role = format!("arn:aws:iam::{DEV}:role/zerocloud");
    let lacks = format!("autoscaling:{DESCRIBE}");
    let app =
        TestApp::with(Setup::default(), |aws| aws.edit_role(&role, |role| _ = role.lacks.insert(lacks.clone()))).await;
    let group = add(&app.aws, "web", 2);
    let members = up(&app.aws, "web");
    for member in &members {
        app.settled(member, "lin").await;
    }
    assert!(app.lease(&group).await.is_none());
    app.aws.edit_role(&role, |role| _ = role.lacks.remove(&lacks));
    app.state(&group, State::Active).await;
    // What its owner was told is kept: nothing ends the group before, not even its own owner's wish.
    let own = app.lease(&members[0]).await.unwrap();
    assert_eq!(own.state, State::Active);
    let lease = app.settled(&group, "lin").await;
    let asked = app.ask("lin", &lease, "end", json!({})).await;
    let (outcome, why) = app.answer(&asked).await;
    assert!(outcome == "refused" && why.contains("has a lease of its own"), "{outcome}: {why}");
    let lin = app.sign_in("lin").await;
    let page = lin.get(&format!("/leases/{}", own.key())).await;
    let words = page.words();
    assert!(words.contains("This one keeps the group from its end until") && words.contains("Let it go"), "{words}");
    assert!(!page.text.contains("/renew\""), "what is refused is offered");
    let other = app.lease(&members[1]).await.unwrap();
    let freed = lin.act(&format!("/leases/{}/end", other.key()), &[]).await.words();
    assert!(freed.contains("Its own lease is closed; that of its group stands for it."), "{freed}");
    assert!(app.aws.calls().acting().is_empty(), "the machine was ended");
    app.clock.set(after(own.ends_at, 1));
    for member in &members[..1] {
        let closed = app.state(member, State::Gone).await;
        assert!(
            closed.events.iter().any(|line| line.what.contains("whose lease stands for it")),
            "{:?}",
            closed.events
        );
    }
    // Denied again, nothing is concluded: no lease of the group ends, no member gets one.
    app.aws.edit_role(&role, |role| _ = role.lacks.insert(lacks.clone()));
    app.advance(1_000);
    app.polled(DEV, EAST, 3).await;
    app.advance(1_000);
    app.polled(DEV, EAST, 3).await;
    assert!(!app.lease(&group).await.unwrap().state.is_over());
    assert_eq!(app.lease(&members[0]).await.unwrap().state, State::Gone);
    app.stop().await;
}

#[tokio::test]
async fn a_group_whose_machines_alone_belong_to_a_cluster_is_left_to_it() {
    let app = TestApp::start(Setup::default()).await;
    let group = add(&app.aws, "made-by-hand", 2);
    for member in up(&app.aws, "made-by-hand") {
        app.aws.tag(&member, "kubernetes.io/cluster/ci", "owned");
    }
    let cluster = ResourceId::of_cluster("eks", "ci").unwrap().to_string();
    let lease = app.settled(&cluster, "lin").await;
    assert_eq!(lease.hold.unwrap().kind, HoldKind::ManagedElsewhere);
    app.advance(90 * DAY);
    app.polled(DEV, EAST, 3).await;
    let overdue = |lease: &Lease| lease.state == State::Expired && lease.hold.is_some();
    app.lease_where(&cluster, "held beyond its end", overdue).await;
    assert_eq!((sizes(&app.aws, "made-by-hand"), updates(&app)), ((1, 2, 5), 0));
    assert!(
        app.lease(&group).await.is_none_or(|lease| lease.state == State::Gone),
        "it has a lease beside the cluster's"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_group_whose_end_is_denied_is_tried_again_and_told() {
    let app = TestApp::with(Setup::default(), |aws| {
        aws.edit_role(&format!("arn:aws:iam::{DEV}:role/zerocloud"), |role| {
            role.lacks.insert(format!("autoscaling:{UPDATE}"));
        });
    })
    .await;
    let group = add(&app.aws, "web", 1);
    let lease = app.settled(&group, "lin").await;
    app.clock.set(lease.expires_at);
    let told = |lease: &Lease| lease.notified.as_ref().is_some_and(|told| told.kind.to_string() == "expired");
    let lease = app.lease_where(&group, "told that it is over", told).await;
    app.clock.set(after(lease.ends_at.max(app.clock.now().plus(3_600)), 1));
    let failed = |lease: &Lease| lease.reap.as_ref().is_some_and(|reap| reap.error.is_some());
    let lease = app.lease_where(&group, "failed", failed).await;
    assert!(lease.reap.unwrap().error.unwrap().contains("autoscaling:UpdateAutoScalingGroup"));
    assert_eq!((lease.state, sizes(&app.aws, "web")), (State::Expired, (1, 1, 5)));
    app.stop().await;
}

#[tokio::test]
async fn groups_are_read_from_every_page_and_a_failure_on_page_two_changes_nothing() {
    let setup = Setup { page_size: 5, ..Setup::default() };
    let app = TestApp::start(setup).await;
    let groups: Vec<String> = (0..12).map(|number| add(&app.aws, &format!("g{number:02}"), 1)).collect();
    for group in &groups {
        app.state(group, State::Active).await;
    }
    assert_eq!(app.leases().await.len(), groups.len());
    app.aws.inject(Rule::new(Fault::Throttle).action(DESCRIBE).page(2));
    app.aws.at(DEV, EAST).delete_group("g00");
    let new = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.state(&new, State::Active).await;
    for _ in 0..4 {
        app.advance(400);
        app.polled(DEV, EAST, 2).await;
    }
    for group in &groups {
        assert_eq!(app.lease(group).await.unwrap().state, State::Active, "{group}");
    }
    app.aws.heal_all();
    for _ in 0..4 {
        app.polled(DEV, EAST, 2).await;
        app.advance(400);
    }
    app.state(&groups[0], State::Gone).await;
    app.stop().await;
}

#[tokio::test]
async fn a_group_counts_by_its_wished_size() {
    let app = TestApp::start(Setup::default().policy("max_instances", "3")).await;
    let group = add(&app.aws, "web", 3);
    app.settled(&group, "lin").await;
    app.advance(1);
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin"));
    app.lease_where(&id, "leased", |_| true).await;
    app.advance(130);
    let over = |lease: &Lease| lease.extra["marks"]["over_quota"].is_object();
    app.lease_where(&id, "over the limit", |lease| lease.owner.as_str() == "lin" && over(lease)).await;
    app.aws.at(DEV, EAST).scale("web", 1, 1, 5);
    app.lease_where(&id, "within the limit again", |lease| !over(lease)).await;
    app.stop().await;
}

#[tokio::test]
async fn a_member_that_leaves_its_group_has_a_lease_at_once() {
    let app = TestApp::start(Setup::default()).await;
    let group = add(&app.aws, "web", 2);
    app.settled(&group, "lin").await;
    let id = up(&app.aws, "web").swap_remove(0);
    let seen = key(DEV, EAST, &id).resource_doc_id();
    let owned = |doc: &zerocloud::model::Doc<Value>| doc.body["owner"] == "lin";
    app.until("its group's owner sees it", || async { app.store.get::<Value>(&seen).await.unwrap().filter(owned) })
        .await;
    assert!(app.lease(&id).await.is_none());
    // The whole region denied says nothing of anybody.
    app.aws.set_region(DEV, EAST, Access::Denied);
    app.advance(1_000);
    app.aws.set_region(DEV, EAST, Access::Enabled);
    app.aws.at(DEV, EAST).leave("web", &id);
    let own = app.state(&id, State::Active).await;
    assert_eq!(own.kind, "instance");
    app.stop().await;
}

#[tokio::test]
async fn a_group_of_the_same_name_made_later_is_another_one() {
    let app = TestApp::start(Setup::default()).await;
    let first = add(&app.aws, "web", 1);
    let lease = app.settled(&first, "lin").await;
    app.clock.set(lease.expires_at);
    let told = |lease: &Lease| lease.notified.as_ref().is_some_and(|told| told.kind.to_string() == "expired");
    let lease = app.lease_where(&first, "told that it is over", told).await;
    app.aws.at(DEV, EAST).delete_group("web");
    let second = add(&app.aws, "web", 2);
    assert_ne!(first, second);
    app.clock.set(after(lease.ends_at.max(app.clock.now().plus(3_600)), 1));
    let own = app.state(&second, State::Active).await;
    assert_eq!(own.owner.as_str(), "pending", "it inherited an owner");
    app.polled(DEV, EAST, 3).await;
    assert_eq!((sizes(&app.aws, "web"), updates(&app)), ((1, 2, 5), 0), "the name was acted on");
    for _ in 0..3 {
        app.advance(400);
        app.polled(DEV, EAST, 2).await;
    }
    app.state(&first, State::Gone).await;
    app.stop().await;
}

#[tokio::test]
async fn what_a_cluster_runs_has_one_lease_that_is_held_with_its_owner_and_review() {
    let app = TestApp::start(Setup::default()).await;
    let node = tagged(&[("eks:cluster-name", "ci"), ("owner", "lin")]);
    let nodes = app.aws.at(DEV, EAST).seed(2, &node);
    let workers = GroupSpec::new("nodes", 1).tag("eks:cluster-name", "ci").tag("owner", "lin");
    app.aws.at(DEV, EAST).add_group(workers);
    let cluster = ResourceId::of_cluster("eks", "ci").unwrap().to_string();
    let lease = app.settled(&cluster, "lin").await;
    assert_eq!((lease.kind.as_str(), lease.summary.name.as_str()), ("cluster", "ci"));
    assert_eq!(app.leases().await.len(), 1, "a node or its group has a lease of its own");
    assert_eq!(lease.hold.unwrap().kind, HoldKind::ManagedElsewhere);
    let request = app.ask("lin", &app.lease(&cluster).await.unwrap(), "end", json!({})).await;
    assert_eq!(app.answer(&request).await.0, "refused");
    app.advance(90 * DAY);
    let overdue = |lease: &Lease| lease.state == State::Expired && lease.hold.is_some();
    app.lease_where(&cluster, "held beyond its end", overdue).await;
    app.polled(DEV, EAST, 2).await;
    assert!(app.aws.calls().acting().is_empty());
    // What leaves the cluster has a lease of its own.
    app.aws.untag(&nodes[0], "eks:cluster-name");
    app.state(&nodes[0], State::Active).await;
    app.stop().await;
}

#[tokio::test]
async fn the_page_of_a_group_shows_sizes_and_members_and_those_of_a_stack_are_found_together() {
    let app = TestApp::start(Setup::default()).await;
    let group = add(&app.aws, "web", 2);
    app.aws.at(DEV, EAST).edit_group("web", |group| group.warm_pool = Some(4));
    let stacked = app.aws.at(DEV, EAST).launch(&tagged(&[("aws:cloudformation:stack-name", "shop"), ("owner", "lin")]));
    let lease = app.settled(&group, "lin").await;
    app.settled(&stacked, "lin").await;
    let (lin, ada) = (app.sign_in("lin").await, app.sign_in("ada").await);
    let path = format!("/leases/{}", lease.key());
    let page = lin.get(&path).await.words();
    let member = up(&app.aws, "web").swap_remove(0);
    for word in [
        "Auto Scaling group of 2 × t3.micro",
        "2 wished, 1 to 5",
        "a warm pool with 4 instances, which zerocloud leaves alone",
        &member,
        "it is put to sleep at",
        "Members have no lease of their own",
    ] {
        assert!(page.contains(word), "{word} in {page}");
    }
    let all = ada.get("/all?stack=shop").await.text;
    assert!(all.contains(&stacked) && !all.contains(&group), "{all}");
    // The id that EC2's console shows leads to the lease that stands for it, and whoever may not see that to nothing.
    let found = ada.get(&format!("/all?q={member}")).await.text;
    assert!(found.contains(&group) && !found.contains(&stacked), "{found}");
    let there = format!("/leases/{DEV}::{EAST}::{member}");
    for who in [&ada, &lin] {
        assert_eq!(who.get(&there).await.location(), path);
    }
    assert_eq!(app.sign_in("max").await.get(&there).await.status, reqwest::StatusCode::NOT_FOUND);
    let status = ada.get("/status").await.words();
    assert!(status.contains("3 running = 3 leased + 0 held"), "members count as not leased: {status}");
    app.advance(2);
    let page = lin.act(&format!("{path}/end"), &[]).await;
    assert!(page.words().contains("It will be put to sleep now."), "{}", page.words());
    app.state(&group, State::Stopped).await;
    app.aws.settle();
    let page = lin.get("/leases").await.words();
    assert!(page.contains("Asleep") && page.contains("Wake it"), "{page}");
    app.stop().await;
}
