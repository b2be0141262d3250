//! Signing in from a device without a browser (GitHub docs, "Device flow"): a device that waits is answered 200 with an `error`.

use crate::handle::{Device, Handle, Person};
use crate::page::{escape, hidden, page};
use crate::token::{error, grant, reply};
use axum::Form;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::{Html, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Seconds between two tries; GitHub asks for five.
const INTERVAL: u64 = 1;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    scope: String,
}

/// `POST /login/device/code`.
pub(crate) async fn begin(State(handle): State<Handle>, headers: HeaderMap, Form(wanted): Form<Wanted>) -> Response {
    if wanted.client_id != handle.app().client_id {
        return reply(&headers, &json!({ "error": "Not Found" }));
    }
    let device_code = format!("{:040x}", rand::random::<u128>());
    let number = rand::random::<u32>();
    let user_code = format!("{:04X}-{:04X}", number >> 16, number & 0xffff);
    let device = Device { user_code: user_code.clone(), scope: wanted.scope, answer: None, asked: None };
    handle.world().devices.insert(device_code.clone(), device);
    reply(
        &headers,
        &json!({
            "device_code": device_code, "user_code": user_code, "verification_uri": format!("{}/login/device", handle.url),
            "expires_in": 899, "interval": INTERVAL,
        }),
    )
}

/// What a device that asks gets.
pub(crate) fn token(handle: &Handle, client_id: &str, device_code: &str) -> Result<Value, Value> {
    if client_id != handle.app().client_id {
        return Err(error("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."));
    }
    let (person, scope) = {
        let mut world = handle.world();
        let unknown = || error("incorrect_device_code", "The device_code provided is not valid.");
        let device = world.devices.get_mut(device_code).ok_or_else(unknown)?;
        let early = device.asked.is_some_and(|at| at.elapsed() < Duration::from_millis(INTERVAL * 900));
        device.asked = Some(Instant::now());
        match device.answer {
            None if early => {
                let mut slow = error("slow_down", "Too many requests have been made in the same timeframe.");
                slow["interval"] = (INTERVAL + 5).into();
                return Err(slow);
            }
            None => return Err(error("authorization_pending", "The authorization request is still pending.")),
            Some(Err(())) => return Err(error("access_denied", "The authorization request was denied.")),
            Some(Ok(person)) => {
                let scope = device.scope.clone();
                world.devices.remove(device_code);
                (person, scope)
            }
        }
    };
    Ok(grant(handle, person, &scope))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    user_code: String,
    #[serde(default)]
    person: String,
}

/// `GET /login/device`: who are you, and which code does the device show.
pub(crate) async fn ask(State(handle): State<Handle>, Query(said): Query<Said>) -> Html<String> {
    if said.user_code.is_empty() {
        let form = "<h1>Which code does your device show?</h1><form><input name=\"user_code\" required><button>Continue</button></form>";
        return page("Your device", form);
    }
    let button =
        |person: &Person| format!("<button name=\"person\" value=\"{}\">{}</button>", person.id, escape(&person.name));
    let people: Vec<String> = handle.world().people.values().map(button).collect();
    let people = people.concat();
    let code = hidden("user_code", &said.user_code);
    page(
        "Your device",
        &format!(
            "<h1>Who are you?</h1><form method=\"post\" action=\"/login/device\">{code}{people}\
         <button name=\"person\" value=\"deny\">Cancel</button></form>"
        ),
    )
}

/// `POST /login/device`.
pub(crate) async fn answer(State(handle): State<Handle>, Form(said): Form<Said>) -> Html<String> {
    let mut world = handle.world();
    let person = said.person.parse::<u64>().ok().filter(|id| world.people.contains_key(id));
    let wanted = said.user_code.trim().to_uppercase();
    match world.devices.values_mut().find(|device| device.user_code == wanted && device.answer.is_none()) {
        Some(device) => {
            device.answer = Some(person.ok_or(()));
            page("Your device", "<h1>Done</h1><p>Your device goes on by itself.</p>")
        }
        None => page("Your device", "<h1>No device shows this code</h1>"),
    }
}
