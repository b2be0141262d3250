//! Roles and users: names, channels, roles, mail address, whether disabled. Passwords do not leave a gateway, so new users
//! get one that nobody knows; users who exist already keep theirs.

use super::side::{Side, SideError};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Roles or users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Role,
    User,
}

/// What came of them.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) names: Vec<String>,
    /// Name and why it is not on the target, or not the same there.
    pub(super) failed: Vec<(String, String)>,
}

/// The guest, in addresses.
const GUEST: &str = "GUEST";

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Kind::Role => "_role",
            Kind::User => "_user",
        }
    }

    /// Lists as sets; what the gateway works out by itself is left out.
    fn essence(self, principal: &Map<String, Value>) -> Value {
        let set = |name: &str| {
            let items = principal.get(name).and_then(Value::as_array).into_iter().flatten();
            let set: BTreeSet<&str> = items.filter_map(Value::as_str).collect();
            json!(set)
        };
        let mut kept = json!({ "admin_channels": set("admin_channels") });
        if self == Kind::User {
            kept["admin_roles"] = set("admin_roles");
            kept["email"] = principal.get("email").cloned().filter(|email| !email.is_null()).unwrap_or(json!(""));
            kept["disabled"] = principal.get("disabled").cloned().filter(Value::is_boolean).unwrap_or(json!(false));
        }
        kept
    }
}

/// Names on a side, in order.
pub(super) async fn names(side: &Side, kind: Kind) -> Result<Vec<String>, SideError> {
    let names: Option<Vec<String>> = side.read(&[kind.path(), ""]).await?;
    let mut names = names.unwrap_or_default();
    if kind == Kind::User {
        names.retain(|name| name != GUEST && !name.is_empty());
        names.push(GUEST.to_owned());
    }
    Ok(names)
}

/// Makes each of the source's stand on the target as it does there, and reads it back.
///
/// # Errors
/// Only when a side does not answer; a single failure is in the result.
pub(super) async fn carry(source: &Side, target: &Side, kind: Kind, step: impl Fn()) -> Result<Carried, SideError> {
    let mut carried = Carried::default();
    for name in names(source, kind).await? {
        match one(source, target, kind, &name).await {
            Ok(true) => carried.names.push(name),
            Ok(false) => {}
            Err(why @ SideError::Unavailable { .. }) => return Err(why),
            Err(why) => carried.failed.push((name, why.to_string())),
        }
        step();
    }
    Ok(carried)
}

async fn one(source: &Side, target: &Side, kind: Kind, name: &str) -> Result<bool, SideError> {
    let path = [kind.path(), name];
    let Some(wanted) = source.read::<Map<String, Value>>(&path).await? else {
        // The guest of a gateway that has none, or a user deleted a moment ago.
        return Ok(false);
    };
    let wanted = kind.essence(&wanted);
    let current = target.read::<Map<String, Value>>(&path).await?;
    if current.as_ref().is_some_and(|current| kind.essence(current) == wanted) {
        return Ok(true);
    }
    let mut body = wanted.clone();
    if name != GUEST {
        body["name"] = name.into();
        if kind == Kind::User && current.is_none() {
            body["password"] = hex::encode(rand::random::<[u8; 32]>()).into();
        }
    }
    let what = format!("writing {}", path.join("/"));
    target.call(target.send_json(Method::PUT, &path, body.to_string()), &what).await?;
    let stands = target.read::<Map<String, Value>>(&path).await?.unwrap_or_default();
    if kind.essence(&stands) == wanted { Ok(true) } else { Err(target.malformed(&what, "it stands there differently")) }
}
