//! A read is whole or an error.

use super::wire::{BREAKS, HOME, OTHER, Wire, error, id, is_failure_of, own, page, region, with_role, xml};
use crate::aws::{AwsError, Protection};
use crate::model::ResourceId;

#[tokio::test]
async fn a_scan_reads_every_page() {
    let wire = Wire::ec2(|asked| match asked.with.get("NextToken").map(String::as_str) {
        None => Some(page(&["i-1", "i-2"], Some("two"))),
        Some("two") => Some(page(&[], Some("three"))),
        Some("three") => Some(page(&["i-3"], None)),
        Some(_) => None,
    });
    let wire = wire.await;
    let found = wire.aws.scan(&with_role(OTHER), &region()).await.unwrap();
    assert_eq!(found.keys().map(ResourceId::as_str).collect::<Vec<_>>(), ["i-1", "i-2", "i-3"]);
    let pages = wire.calls("DescribeInstances");
    assert_eq!(pages.len(), 3);
    assert!(pages.iter().all(|asked| asked.with["MaxResults"] == "7" && asked.region == "eu-central-1"));
}

#[tokio::test]
async fn a_page_that_fails_fails_the_scan() {
    let wire = Wire::ec2(|asked| match asked.with.get("NextToken") {
        None => Some(page(&["i-1"], Some("two"))),
        Some(_) => Some(error(400, "InvalidNextToken", "The token is not valid")),
    });
    let result = wire.await.aws.scan(&with_role(OTHER), &region()).await;
    assert!(is_failure_of("ec2:DescribeInstances", &result), "{result:?}");
}

#[tokio::test]
async fn a_token_that_comes_again_is_an_error_and_no_end() {
    for tokens in [["two", "two"], ["three", "two"]] {
        let wire = Wire::ec2(move |asked| match asked.with.get("NextToken").map(String::as_str) {
            None => Some(page(&["i-1"], Some("two"))),
            Some("two") => Some(page(&["i-2"], Some(tokens[0]))),
            Some(_) => Some(page(&["i-3"], Some(tokens[1]))),
        });
        let wire = wire.await;
        let result = wire.aws.scan(&with_role(OTHER), &region()).await;
        assert!(is_failure_of("ec2:DescribeInstances", &result), "{result:?}");
        assert!((2..=3).contains(&wire.calls("DescribeInstances").len()));
    }
}

#[tokio::test]
async fn what_is_not_a_whole_answer_of_ec2_is_an_error() {
    let running = "<instanceState><name>running</name></instanceState>";
    let with = |item: &str| {
        let items = format!("<item><instancesSet><item>{item}</item></instancesSet></item>");
        xml("DescribeInstances", &format!("<reservationSet>{items}</reservationSet>"))
    };
    let good = with(&format!("<instanceId>i-1</instanceId>{running}"));
    let broken = [
        String::new(),
        "<html><body>Sign in to the network</body></html>".to_owned(),
        xml("DescribeInstances", ""),
        xml("DescribeInstances", "<reservationSet><item></item></reservationSet>"),
        xml("DescribeRegions", ""),
        with(running),
        with("<instanceId>i-1</instanceId>"),
        with("<instanceId>i-1</instanceId><instanceState><name>melting</name></instanceState>"),
        with(&format!("<instanceId>i/1</instanceId>{running}")),
    ];
    for body in broken {
        let answer = body.clone();
        let wire = Wire::ec2(move |_| Some((200, answer.clone()))).await;
        let result = wire.aws.scan(&with_role(OTHER), &region()).await;
        assert!(is_failure_of("ec2:DescribeInstances", &result), "{body}: {result:?}");
    }
    let wire = Wire::ec2(move |_| Some((200, good.clone()))).await;
    assert_eq!(wire.aws.scan(&with_role(OTHER), &region()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let (_, whole) = page(&["i-1", "i-2"], Some("two"));
    let half = whole[..whole.find("</item>").unwrap()].to_owned();
    // A proxy may cut an answer and close it properly; the SDK alone would take it for the last page.
    for (status, tries) in [(200, 1), (BREAKS, 3)] {
        let body = half.clone();
        let wire = Wire::ec2(move |_| Some((status, body.clone()))).await;
        let result = wire.aws.scan(&with_role(OTHER), &region()).await;
        assert!(matches!(result, Err(AwsError::Unreachable { .. })), "{result:?}");
        assert_eq!(wire.calls("DescribeInstances").len(), tries);
    }
}

#[tokio::test]
async fn an_empty_region_is_empty() {
    let empty = xml("DescribeInstances", "<reservationSet/>");
    let wire = Wire::ec2(move |_| Some((200, empty.clone()))).await;
    assert!(wire.aws.scan(&own(HOME), &region()).await.unwrap().is_empty());
}

#[tokio::test]
async fn describe_asks_for_two_hundred_at_a_time_and_gives_only_what_was_asked_for() {
    let wire = Wire::ec2(|asked| {
        let first = asked.with.get("Filter.1.Value.1")?;
        Some(page(&[first.as_str(), "i-stranger"], None))
    });
    let wire = wire.await;
    let ids: Vec<ResourceId> = (0..450).map(|number| id(&format!("i-{number}"))).collect();
    let found = wire.aws.describe(&with_role(OTHER), &region(), &ids).await.unwrap();
    assert_eq!(found.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["i-0", "i-200", "i-400"]);
    let values = |number: usize| {
        let with = &wire.calls("DescribeInstances")[number].with;
        assert_eq!(with["Filter.1.Name"], "instance-id");
        with.keys().filter(|key| key.starts_with("Filter.1.Value")).count()
    };
    assert_eq!([values(0), values(1), values(2)], [200, 200, 50]);
    // No ids is no filter, and no filter would be every instance.
    assert!(wire.aws.describe(&with_role(OTHER), &region(), &[]).await.unwrap().is_empty());
    assert_eq!(wire.calls("DescribeInstances").len(), 3);
}

#[tokio::test]
async fn only_enabled_regions_are_listed_and_none_at_all_is_an_error() {
    let item = |name: &str, status: &str| {
        format!("<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>")
    };
    let items = [
        item("us-east-1", "opt-in-not-required"),
        item("me-south-1", "not-opted-in"),
        item("af-south-1", "opted-in"),
        "<item><regionName>eu-west-1</regionName></item>".to_owned(),
    ];
    let full = xml("DescribeRegions", &format!("<regionInfo>{}</regionInfo>", items.concat()));
    let wire = Wire::ec2(move |_| Some((200, full.clone()))).await;
    let regions = wire.aws.regions(&with_role(OTHER)).await.unwrap();
    assert_eq!(regions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["af-south-1", "eu-west-1", "us-east-1"]);
    let none = xml("DescribeRegions", "<regionInfo/>");
    let wire = Wire::ec2(move |_| Some((200, none.clone()))).await;
    assert!(is_failure_of("ec2:DescribeRegions", &wire.aws.regions(&with_role(OTHER)).await));
}

#[tokio::test]
async fn protection_is_what_both_attributes_say_and_silence_is_an_error() {
    let wire = Wire::ec2(|asked| {
        let value = match asked.with.get("Attribute")?.as_str() {
            "disableApiStop" => "<disableApiStop><value>true</value></disableApiStop>",
            _ => "<disableApiTermination><value>false</value></disableApiTermination>",
        };
        let of = asked.with["InstanceId"].replace("i-swapped", "i-9");
        let value = if of == "i-silent" { "" } else { value };
        Some((200, xml("DescribeInstanceAttribute", &format!("<instanceId>{of}</instanceId>{value}"))))
    });
    let wire = wire.await;
    let protection = async |of: &str| wire.aws.protection(&with_role(OTHER), &region(), &id(of)).await;
    assert_eq!(protection("i-1").await.unwrap(), Protection { stop: true, terminate: false });
    assert!(is_failure_of("ec2:DescribeInstanceAttribute", &protection("i-silent").await));
    assert!(is_failure_of("ec2:DescribeInstanceAttribute", &protection("i-swapped").await));
}

#[tokio::test]
async fn a_spot_request_has_a_type_until_ec2_forgets_it() {
    let wire = Wire::ec2(|asked| {
        let of = asked.with.get("SpotInstanceRequestId.1")?.as_str();
        let kind = match of {
            "sir-1" => "persistent",
            "sir-2" => "one-time",
            "sir-3" => "eternal",
            _ => return Some(error(400, "InvalidSpotInstanceRequestID.NotFound", "does not exist")),
        };
        let item = format!("<item><spotInstanceRequestId>{of}</spotInstanceRequestId><type>{kind}</type></item>");
        let set = format!("<spotInstanceRequestSet>{item}</spotInstanceRequestSet>");
        Some((200, xml("DescribeSpotInstanceRequests", &set)))
    });
    let wire = wire.await;
    let kind = async |of: &str| wire.aws.spot_type(&with_role(OTHER), &region(), of).await;
    assert_eq!(kind("sir-1").await.unwrap().as_deref(), Some("persistent"));
    assert_eq!(kind("sir-2").await.unwrap().as_deref(), Some("one-time"));
    assert_eq!(kind("sir-4").await.unwrap(), None);
    assert!(is_failure_of("ec2:DescribeSpotInstanceRequests", &kind("sir-3").await));
}
