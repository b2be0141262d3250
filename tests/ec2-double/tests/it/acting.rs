//! Stopping, starting, terminating: states on the way, protections, batches, dry runs.

use ec2_double::{Lifecycle, RootDevice, Settle, Spec, State};

use crate::client::Test;

#[tokio::test]
async fn states_on_the_way_last_as_many_describes_as_set() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    test.aws.set_settle(Settle::Describes(2));
    let stopped = test.ec2_ids("StopInstances", &[&id]).await.fine();
    assert_eq!(stopped.all("name"), ["stopping", "running"]);
    let mut shown = Vec::new();
    for _ in 0..3 {
        shown.push(test.shown(&id).await);
    }
    assert_eq!(shown, ["stopping", "stopping", "stopped"]);
}

#[tokio::test]
async fn a_listing_of_many_pages_is_one_describe() {
    let test = Test::start().await;
    let ids = test.place().seed(12, &Spec::default());
    test.ec2_ids("StopInstances", &[&ids[11]]).await.fine();
    let first = test.ec2("DescribeInstances", &[("MaxResults", "6")]).await.fine();
    let asked = [("MaxResults", "6"), ("NextToken", first.one("nextToken"))];
    assert!(test.ec2("DescribeInstances", &asked).await.fine().body.contains("<name>stopping</name>"));
    assert!(test.ec2("DescribeInstances", &[]).await.fine().body.contains("<name>stopped</name>"));
}

#[tokio::test]
async fn states_wait_for_the_test_when_told_to() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    test.aws.set_settle(Settle::Manually);
    test.ec2_ids("TerminateInstances", &[&id]).await.fine();
    for _ in 0..5 {
        assert_eq!(test.shown(&id).await, "shutting-down");
    }
    test.aws.settle();
    assert_eq!(test.shown(&id).await, "terminated");
}

#[tokio::test]
async fn repeating_a_call_changes_nothing_and_succeeds() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    test.ec2_ids("StartInstances", &[&id]).await.fine();
    for (action, states) in [("StopInstances", "stopped"), ("TerminateInstances", "terminated")] {
        test.ec2_ids(action, &[&id]).await.fine();
        test.aws.settle();
        let again = test.ec2_ids(action, &[&id]).await.fine();
        assert_eq!(again.all("name"), [states, states]);
    }
}

#[tokio::test]
async fn a_stopped_instance_starts_and_runs_with_a_new_launch_time() {
    let test = Test::start().await;
    let launched = "2026-01-02T03:04:05Z".parse().expect("a time");
    let id = test.place().launch(&Spec::default().state(State::Stopped).launched(launched));
    let started = test.ec2_ids("StartInstances", &[&id]).await.fine();
    assert_eq!(started.all("name"), ["pending", "stopped"]);
    assert_eq!(test.shown(&id).await, "pending");
    assert_eq!(test.shown(&id).await, "running");
    assert!(test.aws.instance(&id).expect("is there").launched > launched);
}

#[tokio::test]
async fn a_state_that_does_not_allow_it_refuses_the_whole_call() {
    let test = Test::start().await;
    let place = test.place();
    let gone = place.launch(&Spec::default().state(State::Terminated));
    let stopping = place.launch(&Spec::default().state(State::Stopping));
    let fresh = place.launch(&Spec::default().state(State::Pending));
    let (up, down) = (place.launch(&Spec::default()), place.launch(&Spec::default().state(State::Stopped)));
    for (action, unfit, fit) in [
        ("StartInstances", &gone, &down),
        ("StartInstances", &stopping, &down),
        ("StopInstances", &gone, &up),
        ("StopInstances", &fresh, &up),
    ] {
        test.ec2_ids(action, &[fit, unfit]).await.refused(400, "IncorrectInstanceState");
    }
    assert_eq!((test.shown(&up).await, test.shown(&down).await), ("running".into(), "stopped".into()));
}

#[tokio::test]
async fn what_cannot_be_stopped_says_so_and_can_be_terminated() {
    let test = Test::start().await;
    let place = test.place();
    let spot = place.launch(&Spec::default().lifecycle(Lifecycle::SpotOneTime));
    let store = place.launch(&Spec { root_device: RootDevice::InstanceStore, ..Spec::default() });
    for id in [&spot, &store] {
        test.ec2_ids("StopInstances", &[id]).await.refused(400, "UnsupportedOperation");
        test.ec2_ids("TerminateInstances", &[id]).await.fine();
    }
}

#[tokio::test]
async fn one_protected_instance_spares_its_zone_and_only_its_zone() {
    let test = Test::start().await;
    let place = test.place();
    let in_zone = |zone: &str| place.launch(&Spec::default().zone(zone));
    let (elsewhere, beside) = (in_zone("us-east-1a"), in_zone("us-east-1b"));
    let protected = in_zone("us-east-1b");
    test.aws.protect_termination(&protected, true);
    let answer = test.ec2_ids("TerminateInstances", &[&elsewhere, &beside, &protected]).await;
    answer.refused(400, "OperationNotPermitted");
    assert!(answer.one("Message").contains("'disableApiTermination'"));
    let state = |id: &str| test.aws.instance(id).expect("is there").state;
    assert_eq!(
        [state(&elsewhere), state(&beside), state(&protected)],
        [State::ShuttingDown, State::Running, State::Running]
    );
}

#[tokio::test]
async fn stop_protection_stands_in_the_way_of_stopping_and_of_terminating() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    test.aws.protect_stop(&id, true);
    for action in ["StopInstances", "TerminateInstances"] {
        let answer = test.ec2_ids(action, &[&id]).await;
        answer.refused(400, "OperationNotPermitted");
        assert!(answer.one("Message").contains("'disableApiStop'"));
    }
}

#[tokio::test]
async fn protections_are_read_and_set_in_both_forms() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    for (attribute, parameter) in
        [("disableApiTermination", "DisableApiTermination.Value"), ("disableApiStop", "DisableApiStop.Value")]
    {
        let read = async || {
            let asked = [("InstanceId", id.as_str()), ("Attribute", attribute)];
            let answer = test.ec2("DescribeInstanceAttribute", &asked).await.fine();
            answer.one(attribute) == "<value>true</value>"
        };
        assert!(!read().await);
        test.ec2("ModifyInstanceAttribute", &[("InstanceId", &id), (parameter, "true")]).await.fine();
        assert!(read().await);
        let other = [("InstanceId", id.as_str()), ("Attribute", attribute), ("Value", "false")];
        test.ec2("ModifyInstanceAttribute", &other).await.fine();
        assert!(!read().await);
    }
}

#[tokio::test]
async fn an_id_given_twice_is_answered_once() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    assert_eq!(test.ec2_ids("DescribeInstances", &[&id, &id]).await.fine().all("instanceId"), [&id]);
    assert_eq!(test.ec2_ids("StopInstances", &[&id, &id]).await.fine().all("instanceId"), [&id]);
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    for action in ["StopInstances", "TerminateInstances"] {
        test.ec2(action, &[("InstanceId.1", &id), ("DryRun", "true")]).await.refused(412, "DryRunOperation");
    }
    assert_eq!(test.aws.instance(&id).expect("is there").state, State::Running);
}

#[tokio::test]
async fn as_many_as_asked_are_launched_and_the_same_token_launches_no_more() {
    let test = Test::start().await;
    let asked = [
        ("ImageId", "ami-1"),
        ("MinCount", "1"),
        ("MaxCount", "3"),
        ("ClientToken", "once"),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "owner"),
        ("TagSpecification.1.Tag.1.Value", "ada@bigdb.example"),
    ];
    let first = test.ec2("RunInstances", &asked).await.fine();
    assert_eq!(first.all("instanceId").len(), 3);
    let again = test.ec2("RunInstances", &asked).await.fine();
    assert_eq!(again.all("instanceId"), first.all("instanceId"));
    let all = test.place().instances();
    assert_eq!(all.len(), 3);
    assert!(
        all.iter()
            .all(|instance| instance.state == State::Pending && instance.tag("owner") == Some("ada@bigdb.example"))
    );
}

#[tokio::test]
async fn a_volume_that_is_kept_stays_behind() {
    let test = Test::start().await;
    let kept = test.place().launch(&Spec { keep_volume: true, ..Spec::default() });
    let other = test.place().launch(&Spec::default());
    test.ec2_ids("TerminateInstances", &[&kept, &other]).await.fine();
    test.aws.settle();
    assert_eq!(test.place().volumes_left(), [kept.replace("i-", "vol-")]);
    let volumes = test.ec2("DescribeVolumes", &[]).await.fine();
    assert_eq!(volumes.all("status"), ["available"]);
}
