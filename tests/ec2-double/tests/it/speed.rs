//! Speed enough for benches: a hundred thousand instances. The bounds are generous, for an unoptimised build on a busy machine.

use std::time::{Duration, Instant};

use ec2_double::Spec;

use crate::client::Test;

const MANY: usize = 100_000;

#[tokio::test]
async fn a_hundred_thousand_instances_are_seeded_and_listed_in_seconds() {
    let test = Test::start().await;
    let began = Instant::now();
    let spec = Spec::default().tag("owner", "ada@bigdb.example").tag("Name", "worker").tag("env", "test");
    test.place().seed(MANY, &spec);
    let seeded = began.elapsed();
    let began = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    let mut token: Option<String> = None;
    loop {
        let mut asked = vec![("MaxResults", "1000")];
        asked.extend(token.as_deref().map(|token| ("NextToken", token)));
        let page = test.ec2("DescribeInstances", &asked).await.fine();
        count += page.body.matches("<instanceId>").count();
        bytes += page.body.len();
        token = page.all("nextToken").first().map(|&token| token.to_owned());
        if token.is_none() {
            break;
        }
    }
    let listed = began.elapsed();
    assert_eq!(count, MANY);
    let report = format!("seeded in {seeded:?}, listed in {listed:?} ({bytes} bytes)");
    assert!(seeded < Duration::from_secs(5) && listed < Duration::from_secs(30), "{report}");
}
