//! Logging in and out.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::app::{PASSWORD, TestApp, header, raw, send, text};

fn with_cookie(app: &TestApp, id: &str) -> RequestBuilder {
    let request = app.client.get(format!("{}/", app.public));
    request.header("cookie", format!("SyncGatewaySession={id}"))
}

async fn session(app: &TestApp, body: serde_json::Value) -> String {
    let (status, answer) = send(app.admin(Method::POST, "/_session").json(&body)).await;
    assert_eq!(status, 200, "{answer}");
    text(&answer["session_id"])
}

#[tokio::test]
async fn a_login_gives_a_cookie_that_ends_with_logout() {
    let app = TestApp::start().await;
    app.user("alice", &["A"]).await;
    let login = app.client.post(format!("{}/_session", app.public));
    let response = login.json(&json!({"name": "alice", "password": PASSWORD})).send().await.expect("an answer");
    let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
    let id = cookie.trim_start_matches("SyncGatewaySession=").split(';').next().expect("an id");
    assert_eq!(id.len(), 40);
    assert_eq!(send(with_cookie(&app, id)).await.0, 200);
    let logout = app.client.delete(format!("{}/_session", app.public));
    assert_eq!(send(logout.header("cookie", format!("SyncGatewaySession={id}"))).await.0, 200);
    let (status, answer) = send(with_cookie(&app, id)).await;
    assert_eq!((status, text(&answer["reason"])), (401, "Session Invalid".to_owned()));
}

#[tokio::test]
async fn sessions_end_with_the_password_and_with_the_user() {
    let app = TestApp::start().await;
    app.user("alice", &[]).await;
    let old = session(&app, json!({"name": "alice", "ttl": 60})).await;
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&json!({"email": "a@x.io"}))).await.0, 200);
    assert_eq!(send(with_cookie(&app, &old)).await.0, 200);
    assert_eq!(send(app.admin(Method::PUT, "/_user/alice").json(&json!({"password": "other"}))).await.0, 200);
    assert_eq!(send(with_cookie(&app, &old)).await.0, 401);
    assert_eq!(send(app.public("alice", Method::GET, "/")).await.0, 401, "the old password");
    let new = session(&app, json!({"name": "alice"})).await;
    assert_eq!(send(app.admin(Method::DELETE, "/_user/alice")).await.0, 200);
    app.user("alice", &[]).await;
    assert_eq!(send(with_cookie(&app, &new)).await.0, 401);
}

#[tokio::test]
async fn the_guest_is_a_user_with_channels() {
    let app = TestApp::start().await;
    let get = |path: &str| app.client.get(format!("{}{path}", app.public));
    app.put("d", json!({"channels": ["pub"]})).await;
    assert_eq!(send(get("/d")).await.0, 401);
    let guest = json!({"disabled": false, "admin_channels": ["pub"]});
    assert_eq!(send(app.admin(Method::PUT, "/_user/GUEST").json(&guest)).await.0, 200);
    assert_eq!(send(get("/d")).await.0, 200);
    let wrong = get("/d").basic_auth("nobody", Some("wrong"));
    assert_eq!(send(wrong).await.0, 401, "a wrong login is not the guest");
}

#[tokio::test]
async fn only_basic_counts_as_a_login_of_the_request_itself() {
    let app = TestApp::start().await;
    let bearer = || app.client.get(format!("{}/", app.public)).header("authorization", "Bearer x");
    assert_eq!(text(&send(bearer()).await.1["reason"]), "Invalid login");
    let guest = json!({"disabled": false, "admin_channels": ["pub"]});
    assert_eq!(send(app.admin(Method::PUT, "/_user/GUEST").json(&guest)).await.0, 200);
    assert_eq!(send(bearer()).await.0, 200, "other schemes are not looked at");
    assert_eq!(send(app.public("ada", Method::GET, "/")).await.0, 401, "a wrong login is not the guest");
}

#[tokio::test]
async fn a_login_may_come_from_the_body_or_from_the_request() {
    let app = TestApp::start().await;
    app.user("ada", &[]).await;
    let post = || app.client.post(format!("{}/_session", app.public));
    assert_eq!(send(post().body("{")).await.0, 400);
    assert_eq!(send(post().json(&json!({"name": 5}))).await.0, 400);
    assert_eq!(send(post().json(&json!({"name": "ada", "password": "wrong"}))).await.0, 401);
    for request in [post(), post().json(&json!({}))] {
        let (status, headers, _) = raw(request.basic_auth("ada", Some(PASSWORD))).await;
        assert!(status == 200 && header(&headers, "set-cookie").starts_with("SyncGatewaySession="));
    }
}

#[tokio::test]
async fn leaving_needs_a_session() {
    let app = TestApp::start().await;
    app.user("ada", &[]).await;
    let delete = || app.client.delete(format!("{}/_session", app.public));
    assert_eq!(send(delete()).await.0, 401);
    assert_eq!(send(delete().header("cookie", "SyncGatewaySession=nonsense")).await.0, 401);
    assert_eq!(send(delete().basic_auth("ada", Some(PASSWORD))).await.0, 404);
}

#[tokio::test]
async fn a_session_in_use_is_renewed() {
    let app = TestApp::start().await;
    app.user("ada", &[]).await;
    let id = session(&app, json!({"name": "ada", "ttl": 3})).await;
    let renewed = async {
        loop {
            let (status, headers, _) = raw(with_cookie(&app, &id)).await;
            assert_eq!(status, 200);
            if header(&headers, "set-cookie").contains(&id) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(3), renewed).await.expect("before it has expired");
}

#[tokio::test]
async fn a_session_in_use_ends_at_once_however_it_ends() {
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    app.user("lin", &[]).await;
    let other = session(&app, json!({"name": "lin"})).await;
    let put = |body| app.admin(Method::PUT, "/_user/ada").json(&body);
    for how in ["logout", "by id", "of the user", "all of the user", "time", "password", "user"] {
        let ttl = if how == "time" { 2 } else { 60 };
        let id = session(&app, json!({"name": "ada", "ttl": ttl})).await;
        for _ in 0..3 {
            assert_eq!(send(with_cookie(&app, &id)).await.0, 200, "{how}");
        }
        assert_eq!(send(with_cookie(&app, &other)).await.0, 200);
        let ending = match how {
            "logout" => {
                let logout = app.client.delete(format!("{}/_session", app.public));
                logout.header("cookie", format!("SyncGatewaySession={id}"))
            }
            "by id" => app.admin(Method::DELETE, &format!("/_session/{id}")),
            "of the user" => app.admin(Method::DELETE, &format!("/_user/ada/_session/{id}")),
            "all of the user" => app.admin(Method::DELETE, "/_user/ada/_session"),
            "password" => put(json!({"password": "another"})),
            "user" => app.admin(Method::DELETE, "/_user/ada"),
            _ => put(json!({})),
        };
        assert_eq!(send(ending).await.0, 200, "{how}");
        // An admin's look does not renew it, as using it would.
        let look = async { while send(app.admin(Method::GET, &format!("/_session/{id}"))).await.0 == 200 {} };
        tokio::time::timeout(std::time::Duration::from_secs(10), look).await.expect("it ends");
        assert_eq!(send(with_cookie(&app, &id)).await.0, 401, "{how}");
        assert_eq!(send(with_cookie(&app, &other)).await.0, 200, "{how}: somebody else's");
    }
}

#[tokio::test]
async fn a_session_in_use_sees_a_changed_user_at_once() {
    let app = TestApp::start().await;
    app.user("ada", &["A"]).await;
    app.put("a", json!({"channels": ["A"]})).await;
    let id = session(&app, json!({"name": "ada"})).await;
    let get = || {
        let request = app.client.get(format!("{}/a", app.public));
        request.header("cookie", format!("SyncGatewaySession={id}"))
    };
    assert_eq!((send(get()).await.0, send(get()).await.0), (200, 200));
    assert_eq!(send(app.admin(Method::PUT, "/_user/ada").json(&json!({"admin_channels": []}))).await.0, 200);
    assert_eq!(send(get()).await.0, 403);
    app.put("grant", json!({"grant": {"to": "ada", "channels": ["A"]}})).await;
    assert_eq!(send(get()).await.0, 200);
}
