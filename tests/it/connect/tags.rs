//! Tags that zerocloud writes where an admin asked for it: on instances and on groups, and no evidence of anything.

use super::role;
use crate::app::{DEV, EAST, Setup, TEST, TestApp, owned_by};
use ec2_double::{GroupSpec, Spec};
use serde_json::json;
use zerocloud::model::{ResourceId, State};

#[tokio::test]
async fn tags_are_written_where_an_admin_asked_and_are_no_evidence_against_a_no() {
    let app = TestApp::start(Setup::default().policy("default_lease", "2h")).await;
    let keyed = Spec { key_name: Some("lin-laptop".to_owned()), ..Spec::default() };
    let (id, other) = (app.aws.at(DEV, EAST).launch(&keyed), app.aws.at(TEST, EAST).launch(&keyed));
    let lease = app.settled(&id, "lin").await;
    app.owned(&other, "lin").await;
    let ada = app.sign_in("ada").await;
    let words = ada.act(&format!("/aws-accounts/{DEV}/tags"), &[("write", "yes")]).await.words();
    assert!(words.contains("zerocloud writes its tags there"), "{words}");
    let tags = |id: &str| app.aws.instance(id).unwrap().spec.tags.clone();
    let written =
        app.until("tags", || async { Some(tags(&id)).filter(|tags| tags.contains_key("zerocloud:lease")) }).await;
    assert_eq!(written["zerocloud:lease"], lease.key().lease_id());
    assert_eq!(written["zerocloud:expires"], lease.expires_at.to_string());
    assert_eq!(
        (written["owner"].as_str(), written["zerocloud:owner"].as_str()),
        ("lin@bigdb.example", "lin@bigdb.example")
    );
    app.polled(DEV, EAST, 2).await;
    let calls = || app.aws.calls().account(DEV).action("CreateTags").only(|call| call.status == 200).len();
    assert_eq!(calls(), 1, "what stands there is not written again");
    assert!(tags(&other).is_empty() && app.aws.calls().account(TEST).action("CreateTags").is_empty());
    // Lin says that it is not hers: what zerocloud wrote itself does not give it back.
    let request = app.ask("lin", &lease, "not_mine", json!({})).await;
    assert_eq!(app.answer(&request).await.0, "done");
    app.polled(DEV, EAST, 3).await;
    app.advance(200);
    app.polled(DEV, EAST, 3).await;
    let lease = app.lease_where(&id, "with an admin", |lease| lease.owner.as_str() == "ada").await;
    // Given to Max by hand, the tag follows, and its end still comes.
    ada.act("/all", &[("key", &lease.key().to_string()), ("act", "reassign"), ("to", "max")]).await;
    app.owned(&id, "max").await;
    app.until("Max's tag", || async { (tags(&id)["owner"] == "max@bigdb.example").then_some(()) }).await;
    let lease =
        app.lease_where(&id, "told", |lease| lease.notified.as_ref().is_some_and(|it| it.term == lease.term)).await;
    app.ask("max", &lease, "end", json!({})).await;
    app.state(&id, State::Stopped).await;
    app.stop().await;
}

#[tokio::test]
async fn no_tags_are_written_at_stage_observe_and_a_refusal_keeps_nothing_else_from_happening() {
    let app = TestApp::start(Setup::default().stage("observe")).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    app.lease_where(&id, "leased", |_| true).await;
    let ada = app.sign_in("ada").await;
    ada.act(&format!("/aws-accounts/{DEV}/tags"), &[("write", "yes")]).await;
    app.polled(DEV, EAST, 3).await;
    assert!(app.aws.calls().action("CreateTags").is_empty());
    app.aws.edit_role(&role(DEV), |role| role.lacks = ["ec2:CreateTags".to_owned()].into());
    ada.act(&format!("/aws-accounts/{DEV}/stage"), &[("to", "notify")]).await;
    app.until("it was tried", || async { (!app.aws.calls().action("CreateTags").is_empty()).then_some(()) }).await;
    app.settled(&id, "lin").await;
    app.polled(DEV, EAST, 3).await;
    assert_eq!(app.aws.calls().action("CreateTags").len(), 1, "once an hour, when AWS refuses");
    app.stop().await;
}

#[tokio::test]
async fn a_group_is_tagged_alone_and_keeps_the_owners_tag_that_its_machines_get() {
    let app = TestApp::start(Setup::default()).await;
    let place = app.aws.at(DEV, EAST);
    place.add_group(GroupSpec::new("plain", 1));
    place.add_group(GroupSpec::new("named", 1).tag("owner", "lin"));
    let group = |name: &str| app.aws.at(DEV, EAST).group(name);
    let id = |name: &str| ResourceId::of_group(&group(name).arn).unwrap().to_string();
    let plain = app.settled(&id("plain"), "ada").await;
    app.settled(&id("named"), "lin").await;
    // A role from before zerocloud tagged groups keeps instances from nothing.
    app.aws.edit_role(&role(DEV), |role| role.lacks = ["autoscaling:CreateOrUpdateTags".to_owned()].into());
    let single = place.launch(&owned_by("lin@bigdb.example"));
    let ada = app.sign_in("ada").await;
    ada.act(&format!("/aws-accounts/{DEV}/tags"), &[("write", "yes")]).await;
    let tagged = || async { app.aws.instance(&single).unwrap().spec.tags.get("zerocloud:lease").map(|_| ()) };
    app.until("the instance's tags", tagged).await;
    let calls = || app.aws.calls().account(DEV).action("CreateOrUpdateTags");
    assert_eq!(calls().len(), 1, "once an hour, when AWS refuses");
    app.aws.edit_role(&role(DEV), |role| role.lacks.clear());
    ada.act("/all", &[("key", &plain.key().to_string()), ("act", "reassign"), ("to", "max")]).await;
    app.owned(&id("plain"), "max").await;
    app.advance(3_601);
    app.until("the groups' tags", || async { (calls().only(|call| call.status == 200).len() == 2).then_some(()) })
        .await;
    let (plain, named) = (group("plain").tags, group("named").tags);
    assert_eq!(
        (plain["owner"].as_str(), plain["zerocloud:owner"].as_str()),
        ("max@bigdb.example", "max@bigdb.example")
    );
    assert!(plain["zerocloud:lease"].ends_with(&id("plain")) && plain.contains_key("zerocloud:expires"), "{plain:?}");
    assert_eq!((named["owner"].as_str(), named.get("zerocloud:owner")), ("lin", None), "its machines would lose it");
    place.scale("plain", 1, 2, 4);
    let members = app.until("another machine", || async {
        let all = app.aws.at(DEV, EAST).instances();
        Some(all)
            .filter(|all| all.iter().filter(|it| it.tag("aws:autoscaling:groupName") == Some("plain")).count() == 2)
    });
    assert!(members.await.iter().all(|it| it.tag("owner") != Some("max@bigdb.example")), "its machines got its tags");
    app.stop().await;
}
