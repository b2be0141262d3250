//! What people set for themselves by programs.

use super::{Program, hour};
use crate::app::{DEV, EAST, TestApp, owned_by};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_person_names_a_digest_hour_and_who_stands_in_and_takes_both_off_again() {
    let app = TestApp::start(hour()).await;
    let lin = Program::all(&app, "lin").await;
    let edit = async |changes: Value| {
        let read = lin.send(Method::GET, "users/lin", &[], None).await;
        lin.send(Method::PATCH, "users/lin", &[("if-match", read.etag.as_str())], Some(changes)).await
    };
    for wrong in [
        json!({ "digest_hour": 24 }),
        json!({ "digest_hour": "9" }),
        json!({ "delegate": "Max!" }),
        json!({ "delegate_until": "Friday" }),
    ] {
        assert_eq!(edit(wrong.clone()).await.status, 422, "{wrong}");
    }
    let until = "2099-01-01T00:00:00Z";
    let set = edit(json!({ "digest_hour": 9, "delegate": "max", "delegate_until": until })).await;
    assert_eq!(
        (set.status, &set.body["digest_hour"], &set.body["delegate"], &set.body["delegate_until"]),
        (200, &json!(9), &json!("max"), &json!(until)),
        "{}",
        set.body
    );
    let zone = edit(json!({ "time_zone": "Asia/Tokyo" })).await;
    assert_eq!(zone.body["digest_hour"], 9, "what is left out stays");
    let off = edit(json!({ "digest_hour": null, "delegate": null, "delegate_until": null })).await;
    assert_eq!(off.status, 200, "{}", off.body);
    for name in ["digest_hour", "delegate", "delegate_until"] {
        assert_eq!(off.body.get(name), None, "{name}");
    }
    app.stop().await;
}

#[tokio::test]
async fn a_token_goes_on_working_when_its_person_signs_out_here_or_at_another_copy() {
    let app = TestApp::start(hour()).await;
    let lin = Program::all(&app, "lin").await;
    lin.get("leases").await;
    let browser = app.sign_in("lin").await;
    assert!(browser.act("/logout", &[]).await.words().contains("signed out, on every device"));
    assert_eq!(lin.get("me").await["id"], "lin");
    lin.get("leases").await;
    // Another copy of zerocloud ends the sessions at the gateway, and this one is not told.
    app.store.end_sessions("bigdb.lin").await.unwrap();
    app.advance(11);
    lin.get("leases").await;
    lin.get("requests").await;
    app.stop().await;
}

#[tokio::test]
async fn a_token_ends_itself_and_no_other() {
    let app = TestApp::start(hour()).await;
    let (one, other) = (Program::of(&app, "lin", &["read"]).await, Program::of(&app, "lin", &["read", "write"]).await);
    let tokens = one.get("tokens").await;
    let other_id = tokens.as_array().unwrap().iter().find(|token| token["scopes"] == json!(["read", "write"])).unwrap();
    let path = format!("tokens/{}", other_id["id"].as_str().unwrap());
    assert_eq!(one.send(Method::DELETE, &path, &[], None).await.status, 403);
    assert_eq!(one.send(Method::DELETE, "tokens/current", &[], None).await.status, 204);
    assert_eq!(one.send(Method::GET, "me", &[], None).await.status, 401);
    assert_eq!(other.send(Method::DELETE, &path, &[], None).await.status, 204, "by its id, too");
    assert_eq!(other.send(Method::GET, "me", &[], None).await.status, 401);
    app.stop().await;
}

#[tokio::test]
async fn what_others_offer_is_listed_for_whom_it_is_offered_to_alone() {
    let app = TestApp::start(hour()).await;
    let id = app.aws.at(DEV, EAST).launch(&owned_by("lin@bigdb.example"));
    let lease = app.settled(&id, "lin").await.key().to_string();
    let (lin, max) = (Program::all(&app, "lin").await, Program::all(&app, "max").await);
    assert_eq!(max.get("leases?offered=true").await["total"], 0);
    let wish = json!({ "action": "hand_over", "to": "max" });
    lin.post(&format!("leases/{lease}/requests?wait=20"), wish).await;
    let offer = app
        .until("the offer", || async {
            let page = max.get("leases?offered=true").await;
            (page["total"] == 1).then(|| page["items"][0].clone())
        })
        .await;
    assert_eq!((&offer["id"], &offer["offered_to"]), (&json!(lease), &json!("max")));
    for (program, path) in [(&max, "leases"), (&lin, "leases?offered=true")] {
        assert_eq!(program.get(path).await["total"], 0, "{path}");
    }
    // One lease tells what it began with and what was mailed to whom, and no address.
    let story = lin.get(&format!("leases/{lease}")).await;
    let first = story["notices"].as_array().unwrap().iter().find(|notice| notice["kind"] == "first").unwrap();
    assert_eq!((&first["to"], &first["status"]), (&json!("lin"), &json!("accepted")), "{story}");
    assert!(first["accepted_at"].is_string() && story.get("trigger").is_some(), "{story}");
    assert!(!story["notices"].to_string().contains('@'), "{story}");
    assert_eq!(max.send(Method::GET, &format!("leases/{lease}"), &[], None).await.status, 404);
    app.stop().await;
}
