//! Faults: whom they befall, how often, and what still happens.

use std::time::{Duration, Instant};

use ec2_double::{Access, Double, Fault, Rule, Spec, State};

use crate::client::{ACCOUNT, REGION, Test};

#[tokio::test]
async fn a_fault_strikes_what_it_names_as_often_as_it_says() {
    let test = Test::start().await;
    let rule = Rule::new(Fault::Throttle).account(ACCOUNT).region(REGION).action("DescribeInstances").after(1).times(2);
    let rule = test.aws.inject(rule);
    test.aws.set_region(ACCOUNT, "eu-west-1", Access::Enabled);
    test.call_as(&test.keys, "eu-west-1", "ec2", "DescribeInstances", &[]).await.fine();
    test.call_as(&test.home(), REGION, "ec2", "DescribeInstances", &[]).await.fine();
    test.ec2("DescribeRegions", &[]).await.fine();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(test.ec2("DescribeInstances", &[]).await.status);
    }
    assert_eq!((statuses, test.aws.struck(rule)), (vec![200, 503, 503, 200], 2));
}

#[tokio::test]
async fn a_page_fails_and_its_repetition_does_not() {
    let test = Test::start().await;
    test.place().seed(15, &Spec::default());
    test.aws.inject(Rule::new(Fault::Server(500)).page(2).times(1));
    let first = test.ec2("DescribeInstances", &[("MaxResults", "5")]).await.fine();
    let asked = [("MaxResults", "5"), ("NextToken", first.one("nextToken"))];
    test.ec2("DescribeInstances", &asked).await.refused(500, "InternalError");
    assert_eq!(test.ec2("DescribeInstances", &asked).await.fine().all("instanceId").len(), 5);
}

#[tokio::test]
async fn a_share_of_a_listing_is_left_out_and_found_by_id() {
    let test = Test::start().await;
    let ids = test.place().seed(50, &Spec::default());
    test.aws.inject(Rule::new(Fault::Drop(40)).listings());
    let listed = test.ec2("DescribeInstances", &[]).await.fine();
    assert_eq!(listed.all("instanceId").len(), 30);
    let missing = ids.iter().find(|id| !listed.all("instanceId").contains(&id.as_str())).expect("some are missing");
    assert_eq!(test.shown(missing).await, "running");
}

#[tokio::test]
async fn tags_and_pages_are_empty_when_told_to() {
    let test = Test::start().await;
    let ids = test.place().seed(6, &Spec::default().tag("owner", "ada"));
    test.aws.inject(Rule::new(Fault::NoTags).times(1));
    assert_eq!(test.ec2("DescribeInstances", &[]).await.fine().all("tagSet").len(), 0);
    assert_eq!(test.ec2("DescribeInstances", &[]).await.fine().all("tagSet").len(), 6);
    test.aws.inject(Rule::new(Fault::EmptyPage).page(1).times(1));
    let empty = test.ec2("DescribeInstances", &[]).await.fine();
    assert_eq!(empty.all("instanceId").len(), 0);
    let rest = test.ec2("DescribeInstances", &[("NextToken", empty.one("nextToken"))]).await.fine();
    assert_eq!(rest.all("instanceId"), ids);
}

#[tokio::test]
async fn an_answer_that_is_cut_or_lost_belongs_to_a_call_that_took_effect() {
    let test = Test::start().await;
    for fault in [Fault::Cut, Fault::Lost] {
        let id = test.place().launch(&Spec::default());
        test.aws.inject(Rule::new(fault.clone()).action("StopInstances").times(1));
        let request = test.request(&test.keys, REGION, "ec2", "StopInstances", &[("InstanceId.1", &id)]);
        let arrived = match request.send().await {
            Ok(response) => response.text().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        assert!(arrived.is_err(), "{fault:?}: {arrived:?}");
        assert_eq!(test.aws.instance(&id).expect("is there").state, State::Stopping, "{fault:?}");
    }
}

#[tokio::test]
async fn half_of_a_cut_answer_arrives() {
    let test = Test::start().await;
    test.place().seed(5, &Spec::default());
    test.aws.inject(Rule::new(Fault::Cut));
    let request = test.request(&test.keys, REGION, "ec2", "DescribeInstances", &[]);
    let mut response = request.send().await.expect("a head");
    assert_eq!(response.status(), 200);
    let chunk = response.chunk().await.expect("a beginning").expect("not the end");
    assert!(chunk.starts_with(b"<?xml"));
    while let Ok(chunk) = response.chunk().await {
        assert!(chunk.is_some(), "the answer came to a good end");
    }
}

#[tokio::test]
async fn a_call_that_hangs_does_not_take_effect_and_ends_with_the_double() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    let rule = test.aws.inject(Rule::new(Fault::Hang).action("TerminateInstances"));
    let request = test.request(&test.keys, REGION, "ec2", "TerminateInstances", &[("InstanceId.1", &id)]);
    let impatient = request.try_clone().expect("a plain body").timeout(Duration::from_millis(100));
    assert!(impatient.send().await.expect_err("no answer").is_timeout());
    assert_eq!(test.aws.instance(&id).expect("is there").state, State::Running);
    let Test { double, aws, .. } = test;
    let stop = async {
        let deadline = Instant::now() + Duration::from_secs(10);
        while aws.struck(rule) < 2 {
            assert!(Instant::now() < deadline, "the call never arrived");
            tokio::task::yield_now().await;
        }
        double.stop().await;
    };
    let began = Instant::now();
    let (hung, ()) = tokio::join!(async { request.send().await?.text().await }, stop);
    assert!(hung.is_err() && began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_delay_is_kept() {
    let test = Test::start().await;
    test.aws.inject(Rule::new(Fault::Delay(150)).times(1));
    let began = Instant::now();
    test.ec2("DescribeInstances", &[]).await.fine();
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_dropped_double_answers_no_more() {
    let test = Test::start().await;
    let Test { double, client, .. } = test;
    let url: String = Double::url(&double);
    drop(double);
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.get(&url).send().await.is_ok() {
        assert!(Instant::now() < deadline, "still answers");
    }
}
