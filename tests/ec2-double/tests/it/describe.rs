//! DescribeInstances: pages, ids, filters.

use ec2_double::{Spec, State};
use jiff::SignedDuration;

use crate::client::{Answer, Test};

/// Every id that a listing shows, and the sizes of its pages.
async fn listing(test: &Test, parameters: &[(&str, &str)]) -> (Vec<String>, Vec<usize>) {
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    let mut token: Option<String> = None;
    loop {
        let mut asked = parameters.to_vec();
        asked.extend(token.as_deref().map(|token| ("NextToken", token)));
        let page = test.ec2("DescribeInstances", &asked).await.fine();
        ids.extend(page.all("instanceId").into_iter().map(str::to_owned));
        sizes.push(page.all("instanceId").len());
        token = page.all("nextToken").first().map(|&token| token.to_owned());
        if token.is_none() {
            return (ids, sizes);
        }
    }
}

fn reservations(answer: &Answer) -> usize {
    answer.all("reservationId").len()
}

#[tokio::test]
async fn pages_count_instances_and_cut_through_reservations() {
    let test = Test::start().await;
    let seeded = test.place().seed(23, &Spec::default());
    let (ids, sizes) = listing(&test, &[("MaxResults", "10")]).await;
    assert_eq!((ids, sizes), (seeded, vec![10, 10, 3]));
    let first = test.ec2("DescribeInstances", &[("MaxResults", "10")]).await.fine();
    assert_eq!(reservations(&first), 2, "seven in the first, three of seven in the second");
}

#[tokio::test]
async fn a_listing_without_a_size_has_a_thousand_a_page() {
    let test = Test::start().await;
    test.place().seed(1001, &Spec::default());
    assert_eq!(listing(&test, &[]).await.1, [1000, 1]);
}

#[tokio::test]
async fn a_full_last_page_has_no_token() {
    let test = Test::start().await;
    test.place().seed(20, &Spec::default());
    assert_eq!(listing(&test, &[("MaxResults", "10")]).await.1, [10, 10]);
}

#[tokio::test]
async fn instances_that_come_and_go_between_pages_neither_repeat_nor_hide_others() {
    let test = Test::start().await;
    let seeded = test.place().seed(15, &Spec::default());
    let first = test.ec2("DescribeInstances", &[("MaxResults", "5")]).await.fine();
    test.aws.vanish(&seeded[0]);
    test.aws.vanish(&seeded[7]);
    let asked = [("MaxResults", "1000"), ("NextToken", first.one("nextToken"))];
    let rest = test.ec2("DescribeInstances", &asked).await.fine();
    let expected: Vec<&str> = seeded[5..].iter().filter(|id| **id != seeded[7]).map(String::as_str).collect();
    assert_eq!(rest.all("instanceId"), expected);
}

#[tokio::test]
async fn what_aws_refuses_of_a_page_is_refused() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    let ask = async |asked: &[(&str, &str)]| test.ec2("DescribeInstances", asked).await;
    for size in ["0", "4", "1001", "many"] {
        ask(&[("MaxResults", size)]).await.refused(400, "InvalidParameterValue");
    }
    ask(&[("MaxResults", "5"), ("InstanceId.1", &id)]).await.refused(400, "InvalidParameterCombination");
    ask(&[("NextToken", "bogus")]).await.refused(400, "InvalidNextToken");
    ask(&[("NextToken", "")]).await.refused(400, "InvalidParameterValue");
}

#[tokio::test]
async fn one_unknown_id_refuses_the_whole_call() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    let unknown = test.ec2_ids("DescribeInstances", &[&id, "i-00000000000000000"]).await;
    unknown.refused(400, "InvalidInstanceID.NotFound");
    assert_eq!(unknown.one("Message"), "The instance ID 'i-00000000000000000' does not exist");
    test.ec2_ids("DescribeInstances", &[&id, "i-nonsense"]).await.refused(400, "InvalidInstanceID.Malformed");
}

#[tokio::test]
async fn filters_choose_and_an_unknown_one_is_refused() {
    let test = Test::start().await;
    let place = test.place();
    let spec = Spec::default().tag("owner", "ada@bigdb.example").zone("us-east-1b").key_name("ada");
    let ada = place.launch(&Spec { instance_type: "m5.large".into(), vpc: "vpc-1".into(), ..spec });
    let lin = place.launch(&Spec::default().tag("Owner", "lin@bigdb.example").state(State::Stopped));
    let cases = [
        ("instance-id", ada.as_str(), &ada),
        ("instance-state-name", "stopped", &lin),
        ("tag:owner", "ada@bigdb.example", &ada),
        ("tag:owner", "ada@*", &ada),
        ("tag-key", "Owner", &lin),
        ("availability-zone", "us-east-1b", &ada),
        ("instance-type", "m5.*", &ada),
        ("vpc-id", "vpc-1", &ada),
        ("key-name", "ada", &ada),
    ];
    for (name, value, expected) in cases {
        let asked = [("Filter.1.Name", name), ("Filter.1.Value.1", value), ("Filter.1.Value.2", "no-such")];
        assert_eq!(test.ec2("DescribeInstances", &asked).await.fine().all("instanceId"), [expected], "{name}");
    }
    let both = [
        ("Filter.1.Name", "vpc-id"),
        ("Filter.1.Value.1", "vpc-1"),
        ("Filter.2.Name", "instance-state-name"),
        ("Filter.2.Value.1", "stopped"),
    ];
    assert_eq!(test.ec2("DescribeInstances", &both).await.fine().all("instanceId").len(), 0);
    let unknown = [("Filter.1.Name", "colour"), ("Filter.1.Value.1", "blue")];
    test.ec2("DescribeInstances", &unknown).await.refused(400, "InvalidParameterValue");
}

#[tokio::test]
async fn filtered_pages_are_as_full_as_others() {
    let test = Test::start().await;
    let spec = |index: usize| Spec::default().tag("third", (index % 3).to_string());
    test.place().seed_with(60, spec);
    let asked = [("MaxResults", "8"), ("Filter.1.Name", "tag:third"), ("Filter.1.Value.1", "0")];
    assert_eq!(listing(&test, &asked).await.1, [8, 8, 4]);
}

#[tokio::test]
async fn more_than_two_hundred_filter_values_are_refused() {
    let test = Test::start().await;
    let names: Vec<String> = (1..=201).map(|number| format!("Filter.1.Value.{number}")).collect();
    let mut asked = vec![("Filter.1.Name", "instance-id")];
    asked.extend(names.iter().map(|name| (name.as_str(), "i-00000000000000000")));
    test.ec2("DescribeInstances", &asked).await.refused(400, "FilterLimitExceeded");
    asked.pop();
    assert_eq!(test.ec2("DescribeInstances", &asked).await.fine().all("instanceId").len(), 0);
}

#[tokio::test]
async fn terminated_instances_stay_an_hour_and_vanish() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    test.ec2_ids("TerminateInstances", &[&id]).await.fine();
    test.aws.settle();
    test.aws.advance(SignedDuration::from_mins(50));
    assert_eq!(test.shown(&id).await, "terminated");
    test.aws.advance(SignedDuration::from_mins(11));
    let fresh = test.assume("ext-1").await;
    let asked = [("InstanceId.1", id.as_str())];
    let gone = test.call_as(&fresh, crate::client::REGION, "ec2", "DescribeInstances", &asked).await;
    gone.refused(400, "InvalidInstanceID.NotFound");
    assert_eq!(test.place().count(), 0);
}
