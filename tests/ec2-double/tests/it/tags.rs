//! Tags.

use ec2_double::Spec;

use crate::client::Test;

#[tokio::test]
async fn tags_are_set_overwritten_and_deleted_by_key_or_by_value() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    let tag = |key: &'static str, value: &'static str| [("Tag.1.Key", key), ("Tag.1.Value", value)];
    let now = |key: &str| test.aws.instance(&id).and_then(|instance| instance.tag(key).map(str::to_owned));
    let run = async |action: &str, tags: &[(&str, &str)]| {
        let asked: Vec<(&str, &str)> =
            std::iter::once(("ResourceId.1", id.as_str())).chain(tags.iter().copied()).collect();
        test.ec2(action, &asked).await
    };
    run("CreateTags", &tag("owner", "ada@bigdb.example")).await.fine();
    run("CreateTags", &tag("owner", "lin <&> max")).await.fine();
    assert_eq!(now("owner").as_deref(), Some("lin <&> max"));
    assert!(test.ec2("DescribeInstances", &[]).await.body.contains("<value>lin &lt;&amp;&gt; max</value>"));
    run("DeleteTags", &tag("owner", "another")).await.fine();
    assert!(now("owner").is_some());
    run("DeleteTags", &[("Tag.1.Key", "owner")]).await.fine();
    assert_eq!(now("owner"), None);
}

#[tokio::test]
async fn tags_of_aws_are_refused_and_kept() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default().tag("aws:autoscaling:groupName", "web").tag("owner", "ada"));
    let asked = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "aws:autoscaling:groupName"), ("Tag.1.Value", "x")];
    test.ec2("CreateTags", &asked).await.refused(400, "InvalidParameterValue");
    test.ec2("DeleteTags", &asked[..2]).await.refused(400, "InvalidParameterValue");
    test.ec2("DeleteTags", &asked[..1]).await.fine();
    let left = test.aws.instance(&id).expect("is there");
    assert_eq!(left.spec.tags.keys().collect::<Vec<_>>(), ["aws:autoscaling:groupName"]);
}

#[tokio::test]
async fn one_unknown_resource_leaves_all_untagged() {
    let test = Test::start().await;
    let id = test.place().launch(&Spec::default());
    let asked = [("ResourceId.1", id.as_str()), ("ResourceId.2", "i-00000000000000000"), ("Tag.1.Key", "owner")];
    test.ec2("CreateTags", &asked).await.refused(400, "InvalidInstanceID.NotFound");
    assert_eq!(test.aws.instance(&id).expect("is there").tag("owner"), None);
}

#[tokio::test]
async fn changing_one_of_many_seeded_alike_changes_that_one() {
    let test = Test::start().await;
    let ids = test.place().seed(3, &Spec::default().tag("owner", "ada"));
    test.aws.tag(&ids[1], "owner", "lin");
    let owner = |id: &str| test.aws.instance(id).and_then(|instance| instance.tag("owner").map(str::to_owned));
    assert_eq!([owner(&ids[0]), owner(&ids[1]), owner(&ids[2])].map(Option::unwrap), ["ada", "lin", "ada"]);
}

#[tokio::test]
async fn tags_are_described_in_pages_that_cut_through_instances() {
    let test = Test::start().await;
    test.place().seed(4, &Spec::default().tag("a", "1").tag("b", "2").tag("c", "3"));
    let (mut keys, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut asked = vec![("MaxResults", "5")];
        asked.extend(token.as_deref().map(|token| ("NextToken", token)));
        let page = test.ec2("DescribeTags", &asked).await.fine();
        keys.extend(page.all("key").into_iter().map(str::to_owned));
        match page.all("nextToken").first() {
            Some(&next) => token = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(keys.join(""), "abcabcabcabc");
    let filtered = [("Filter.1.Name", "key"), ("Filter.1.Value.1", "b")];
    assert_eq!(test.ec2("DescribeTags", &filtered).await.fine().all("value"), ["2"; 4]);
}
