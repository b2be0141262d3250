//! The other services: that of easycron.com, as any HTTP API by templates, and EventBridge Scheduler through AWS's own SDK.

use super::{NO_SWEEP, leased, post};
use crate::app::{Setup, TestApp};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{delete, post as posted};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use zerocloud::model::Time;

/// Jobs by the service's name for them.
type World = Arc<Mutex<BTreeMap<String, Value>>>;

async fn serve(routes: Router) -> (String, JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the test owns the task and aborts it")]
    let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (url, task)
}

/// As easycron.com describes its API v1: `POST /v1/cron-jobs` answers 201 with the id of the new job, `DELETE /v1/cron-jobs/{id}` deletes it.
async fn easycron() -> (String, World, JoinHandle<()>) {
    let world = World::default();
    let add = async |State(world): State<World>, headers: HeaderMap, body: String| {
        if headers.get("x-api-key").is_none_or(|key| key != "hush") {
            return (StatusCode::UNAUTHORIZED, json!({ "message": body }).to_string());
        }
        let Ok(job) = serde_json::from_str::<Value>(&body) else { return (StatusCode::BAD_REQUEST, body) };
        let cron = job["cron_expression"].as_str().unwrap_or_default();
        if !job["url"].is_string() || cron.split(' ').count() != 6 || job["http_method"] != "POST" {
            return (StatusCode::BAD_REQUEST, body);
        }
        let id = rand::random::<u32>();
        world.lock().unwrap().insert(id.to_string(), job);
        (StatusCode::CREATED, json!({ "cron_job_id": id }).to_string())
    };
    let remove = async |State(world): State<World>, Path(id): Path<String>| match world.lock().unwrap().remove(&id) {
        Some(_) => StatusCode::OK,
        None => StatusCode::NOT_FOUND,
    };
    let routes = Router::new().route("/v1/cron-jobs", posted(add)).route("/v1/cron-jobs/{id}", delete(remove));
    let (url, task) = serve(routes.with_state(Arc::clone(&world))).await;
    (url, world, task)
}

fn by_templates(url: &str, secret: &str) -> Setup {
    let scheduler = format!(
        "{{http: {{preset: template, callback_url: 'https://zc.example', per_second: 500, secret: {secret}, job: /cron_job_id, \
         register: {{method: POST, url: '{url}/v1/cron-jobs', \
         headers: {{X-API-Key: '{{{{ secret }}}}', Content-Type: application/json}}, \
         body: '{{\"url\": {{{{ callback|json }}}}, \"cron_expression\": \"{{{{ at.cron }}}} {{{{ at.year }}}}\", \
         \"http_method\": \"POST\"}}'}}, \
         remove: {{method: DELETE, url: '{url}/v1/cron-jobs/{{{{ job }}}}', headers: {{X-API-Key: '{{{{ secret }}}}'}}}}}}}}"
    );
    Setup { scheduler, ..Setup::default() }
}

fn cron(at: Time) -> String {
    let minute = Time::from_unix((at.unix() + 59).div_euclid(60) * 60).to_string();
    let number = |from: usize, to: usize| minute[from..to].parse::<u32>().unwrap();
    let [year, month, day] = [number(0, 4), number(5, 7), number(8, 10)];
    format!("{} {} {day} {month} * {year}", number(14, 16), number(11, 13))
}

/// Waits until the one job is for that time; gives its name and the token of its call.
async fn told(app: &TestApp, world: &World, field: &str, at: &str) -> (String, String) {
    app.until(&format!("one job at {at}"), || async {
        let jobs = world.lock().unwrap().clone();
        let (name, job) = jobs.iter().next().filter(|(_, job)| jobs.len() == 1 && job[field] == at)?;
        Some((name.clone(), token(job)))
    })
    .await
}

fn token(job: &Value) -> String {
    if let Some(url) = job["url"].as_str() {
        return url.strip_prefix("https://zc.example/hooks/scheduler/").unwrap().to_owned();
    }
    let detail: Value = serde_json::from_str(job["Target"]["Input"].as_str().unwrap()).unwrap();
    detail["token"].as_str().unwrap().to_owned()
}

/// A deadline, its call, and a renewal, whose job takes the place of the one before. Gives the last job's name.
async fn a_life(app: &TestApp, world: &World, field: &str, written: impl Fn(Time) -> String) -> [String; 2] {
    let (id, lease) = leased(app).await;
    let (_, first) = told(app, world, field, &written(lease.settle_at)).await;
    app.clock.set(lease.settle_at.plus(1));
    assert_eq!(post(app, &first).await, 200);
    app.owned(&id, "lin").await;
    let lease = app.lease_where(&id, "told", |lease| lease.notified.is_some()).await;
    let (before, old) = told(app, world, field, &written(lease.expires_at.plus(-3_600))).await;
    let until = lease.expires_at.plus(86_400);
    let wish = app.ask("lin", &lease, "renew", json!({ "until": until })).await;
    assert_eq!(app.answer(&wish).await.0, "done");
    let (after, _) = told(app, world, field, &written(until.plus(-3_600))).await;
    app.until("the token of before goes", || async { (post(app, &old).await == 404).then_some(()) }).await;
    [before, after]
}

#[tokio::test]
async fn any_http_api_is_told_by_templates_and_the_job_of_before_is_taken_away_by_its_own_name() {
    let (url, world, task) = easycron().await;
    let app = TestApp::start(Setup { sweep: NO_SWEEP, ..by_templates(&url, "hush").policy("warnings", "[1h]") }).await;
    let [before, after] = a_life(&app, &world, "cron_expression", cron).await;
    assert_ne!(before, after, "it names jobs itself");
    app.stop().await;
    task.abort();
}

/// Runs with a service that takes nothing, and what zerocloud says of it then.
async fn failing(setup: Setup) -> (TestApp, String) {
    let app = TestApp::start(setup).await;
    let (id, _) = leased(&app).await;
    app.settled(&id, "lin").await;
    let state = app
        .until("the failure", || async {
            let state = app.store.get::<Value>("scheduler").await.unwrap()?.body;
            state["error"].is_string().then_some(state)
        })
        .await;
    (app, state.to_string())
}

#[tokio::test]
async fn a_service_that_refuses_is_told_of_without_what_it_was_sent() {
    let (url, world, task) = easycron().await;
    let (app, state) = failing(by_templates(&url, "wrong-one")).await;
    assert!(state.contains("it answered 401") && world.lock().unwrap().is_empty(), "{state}");
    assert!(!state.contains("hooks/scheduler") && !state.contains("wrong-one"), "{state}");
    app.stop().await;
    task.abort();
}

/// What EventBridge Scheduler would refuse (its API reference, `CreateSchedule`).
fn fault(body: &Value) -> Option<&'static str> {
    let expression = body["ScheduleExpression"].as_str().unwrap_or_default();
    let at = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')'));
    let target = &body["Target"];
    let event = &target["EventBridgeParameters"];
    let detail = target["Input"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    match () {
        () if at.is_none_or(|at| at.parse::<jiff::civil::DateTime>().is_err()) => Some("ScheduleExpression"),
        () if body["ScheduleExpressionTimezone"] != "UTC" => Some("ScheduleExpressionTimezone"),
        () if body["FlexibleTimeWindow"]["Mode"] != "OFF" => Some("FlexibleTimeWindow"),
        () if body["ActionAfterCompletion"] != "DELETE" => Some("ActionAfterCompletion"),
        () if !target["Arn"].is_string() || !target["RoleArn"].is_string() => Some("Target"),
        () if event["Source"] != "zerocloud.scheduler" || !event["DetailType"].is_string() => {
            Some("EventBridgeParameters")
        }
        () if detail.is_none_or(|detail| !detail.is_object()) => Some("Input"),
        () => None,
    }
}

fn refused(status: StatusCode, kind: &'static str, body: &str) -> axum::response::Response {
    (status, [("x-amzn-errortype", kind)], json!({ "Message": body }).to_string()).into_response()
}

/// EventBridge Scheduler's `CreateSchedule`, `UpdateSchedule` and `DeleteSchedule`.
async fn eventbridge() -> (String, World, JoinHandle<()>) {
    let world = World::default();
    let put = |exists: bool| {
        async move |State(world): State<World>, headers: HeaderMap, Path(name): Path<String>, body: String| {
            if headers.get("authorization").is_none_or(|it| !it.to_str().unwrap().contains("/eu-west-1/scheduler/")) {
                return refused(StatusCode::FORBIDDEN, "AccessDeniedException", &body);
            }
            let Ok(schedule) = serde_json::from_str::<Value>(&body) else {
                return refused(StatusCode::BAD_REQUEST, "ValidationException", &body);
            };
            if let Some(why) = fault(&schedule) {
                return refused(StatusCode::BAD_REQUEST, "ValidationException", why);
            }
            let mut world = world.lock().unwrap();
            match (world.contains_key(&name), exists) {
                (true, false) => refused(StatusCode::CONFLICT, "ConflictException", "it exists"),
                (false, true) => refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", "it does not exist"),
                _ => {
                    world.insert(name.clone(), schedule);
                    let arn = format!("arn:aws:scheduler:eu-west-1:111122223333:schedule/default/{name}");
                    json!({ "ScheduleArn": arn }).to_string().into_response()
                }
            }
        }
    };
    let remove = async |State(world): State<World>, Path(name): Path<String>| match world.lock().unwrap().remove(&name)
    {
        Some(_) => "{}".into_response(),
        None => refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", "it does not exist"),
    };
    let routes = Router::new().route("/schedules/{name}", posted(put(false)).put(put(true)).delete(remove));
    let (url, task) = serve(routes.with_state(Arc::clone(&world))).await;
    (url, world, task)
}

fn by_events(url: &str, region: &str) -> Setup {
    let scheduler = format!(
        "{{http: {{preset: eventbridge, url: '{url}', callback_url: 'https://zc.example', per_second: 500, \
         bus: 'arn:aws:events:{region}:111122223333:event-bus/zerocloud', \
         role_arn: 'arn:aws:iam::111122223333:role/zerocloud-scheduler'}}}}"
    );
    Setup { scheduler, ..Setup::default() }
}

#[tokio::test]
async fn eventbridge_puts_an_event_once_at_each_deadline_and_a_renewal_replaces_the_schedule() {
    let (url, world, task) = eventbridge().await;
    let setup = by_events(&url, "eu-west-1").policy("warnings", "[1h]");
    let app = TestApp::start(Setup { sweep: NO_SWEEP, ..setup }).await;
    let written = |at: Time| format!("at({})", at.to_string().trim_end_matches('Z'));
    let [before, after] = a_life(&app, &world, "ScheduleExpression", written).await;
    assert_eq!(before, after, "one schedule a lease");
    app.stop().await;
    task.abort();
}

#[tokio::test]
async fn what_eventbridge_does_not_allow_is_named_without_the_token() {
    let (url, world, task) = eventbridge().await;
    let (app, state) = failing(by_events(&url, "us-west-2")).await;
    assert!(state.contains("scheduler:CreateSchedule") && world.lock().unwrap().is_empty(), "{state}");
    assert!(!state.contains("token"), "{state}");
    app.stop().await;
    task.abort();
}
