//! `/_double/…`: what a [`crate::Handle`] does, in JSON, for callers that are not Rust.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::faults::Rule;
use crate::handle::Handle;
use crate::route::Shared;
use crate::world::{Access, GroupSpec, Role, Settle, Spec};

type Answer = Result<serde_json::Value, String>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let change = |path: &str, work: fn(&Handle, &[u8]) -> Answer| {
        let handler = move |State(shared): State<Arc<Shared>>, body: Bytes| {
            let answer = work(&Handle::new(shared), &body);
            std::future::ready(answered(answer))
        };
        (format!("/_double/{path}"), post(handler))
    };
    let changes = [
        change("roles", add_role),
        change("regions", set_region),
        change("instances", seed),
        change("groups", add_group),
        change("scale", scale),
        change("faults", inject),
        change("heal", heal),
        change("settle", settle),
        change("clock", set_clock),
        change("refuse-mail", refuse_mail),
    ];
    let router = changes.into_iter().fold(Router::new(), |router, (path, route)| router.route(&path, route));
    router.route("/_double/calls", get(calls)).route("/_double/mails", get(mails))
}

fn answered(answer: Answer) -> Response {
    match answer {
        Ok(value) => Shared::plain(200, value.to_string()),
        Err(error) => Shared::plain(400, json!({"error": error}).to_string()),
    }
}

async fn calls(State(shared): State<Arc<Shared>>) -> Response {
    let calls = Handle::new(shared).calls();
    answered(serde_json::to_value(&*calls).map_err(|error| error.to_string()))
}

async fn mails(State(shared): State<Arc<Shared>>) -> Response {
    let mails = Handle::new(shared).mails();
    answered(serde_json::to_value(mails).map_err(|error| error.to_string()))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// A [`Role`] by its parts.
fn add_role(handle: &Handle, body: &[u8]) -> Answer {
    let role: Role = read(body)?;
    Ok(json!({"arn": handle.add_role(role)}))
}

fn set_region(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        account: String,
        region: String,
        access: Access,
    }
    let Asked { account, region, access } = read(body)?;
    handle.set_region(&account, &region, access);
    Ok(json!({}))
}

fn seed(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        account: String,
        region: String,
        #[serde(default = "one")]
        count: usize,
        #[serde(default)]
        spec: Spec,
    }
    fn one() -> usize {
        1
    }
    let Asked { account, region, count, spec } = read(body)?;
    Ok(json!({"ids": handle.at(&account, &region).seed(count, &spec)}))
}

fn add_group(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        account: String,
        region: String,
        group: GroupSpec,
    }
    let Asked { account, region, group } = read(body)?;
    handle.at(&account, &region).add_group(group);
    Ok(json!({}))
}

/// What a scheduled action does.
fn scale(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        account: String,
        region: String,
        name: String,
        min: u32,
        desired: u32,
        max: u32,
    }
    let Asked { account, region, name, min, desired, max } = read(body)?;
    handle.at(&account, &region).scale(&name, min, desired, max);
    Ok(json!({}))
}

fn inject(handle: &Handle, body: &[u8]) -> Answer {
    let rule: Rule = read(body)?;
    Ok(json!({"rule": handle.inject(rule)}))
}

/// Takes away the rule whose id is the body, or all when there is no body.
fn heal(handle: &Handle, body: &[u8]) -> Answer {
    if body.is_empty() {
        handle.heal_all();
    } else {
        handle.heal(read(body)?);
    }
    Ok(json!({}))
}

/// Sets how long intermediate states last when the body says so; otherwise they end now.
fn settle(handle: &Handle, body: &[u8]) -> Answer {
    if body.is_empty() {
        handle.settle();
    } else {
        handle.set_settle(read::<Settle>(body)?);
    }
    Ok(json!({}))
}

fn set_clock(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Asked {
        Set { now: Timestamp },
        Advance { seconds: i64 },
    }
    match read(body)? {
        Asked::Set { now } => handle.set_now(now),
        Asked::Advance { seconds } => handle.advance(jiff::SignedDuration::from_secs(seconds)),
    }
    Ok(json!({"now": handle.now()}))
}

fn refuse_mail(handle: &Handle, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Asked {
        address: String,
    }
    handle.refuse_mail(&read::<Asked>(body)?.address);
    Ok(json!({}))
}
