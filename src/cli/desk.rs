//! What people do from the command line by way of the REST API: tables for them, JSON for scripts.

use super::leases::Outlook;
use super::output;
use super::remote::{self, Remote, Target};
use crate::clock::Clock;
use crate::model::Time;
use crate::words::cut;
use anyhow::{Context as _, bail};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// Signs in: with a token that is given, or by a code that the person types in at GitHub.
pub(super) async fn login(target: &Target, account: Option<&str>) -> anyhow::Result<()> {
    let url = target.url().context("say where: zerocloud login --url https://zerocloud.example.com")?;
    let token = match target.token() {
        Some(token) => token.clone(),
        None => by_device(url, account).await?,
    };
    if !token.expose_secret().starts_with("zcp_") {
        bail!("this is no token; one begins with zcp_");
    }
    let remote = Remote::new(url, token)?;
    let me = remote.get("me").await?;
    let path = remote::note(&remote)?;
    output::say(format!("Signed in as {} ({}). Noted in {}.", text(&me, "email"), text(&me, "role"), path.display()));
    Ok(())
}

async fn by_device(url: &str, account: Option<&str>) -> anyhow::Result<SecretString> {
    let stranger = Remote::new(url, SecretString::from(String::new()))?;
    let (begun, _) = stranger.call(Method::POST, "device", None, &[]).await?;
    output::note(format!("Open {} and type in {}", text(&begun, "verification_uri"), text(&begun, "user_code")));
    let mut code = json!({ "device_code": begun["device_code"], "name": "zerocloud on the command line" });
    if let Some(account) = account {
        code["account"] = account.into();
    }
    // GitHub ends it after a quarter of an hour.
    for _ in 0..900 {
        let (answer, _) = stranger.call(Method::POST, "device/token", Some(code.clone()), &[]).await?;
        if let Some(token) = answer["token"].as_str() {
            return Ok(SecretString::from(token.to_owned()));
        }
    }
    bail!("nobody typed the code in; begin again")
}

/// Ends the token that was noted, and forgets it here.
pub(super) async fn logout() -> anyhow::Result<()> {
    // What was noted and cannot be read is forgotten, too.
    let ended = match remote::noted() {
        Ok(Some(remote)) => Some(remote.call(Method::DELETE, "tokens/current", None, &[]).await.map(drop)),
        Ok(None) => None,
        Err(why) => Some(Err(why)),
    };
    remote::forget()?;
    output::say(match ended {
        None => "Nobody was signed in.".to_owned(),
        Some(Ok(())) => "Signed out: the token is revoked, and forgotten here.".to_owned(),
        Some(Err(why)) => {
            format!(
                "Forgotten here. The token was not revoked ({why}): do that in the browser, on the page of settings."
            )
        }
    });
    Ok(())
}

/// The leases that this person may see.
pub(super) async fn leases(remote: &Remote, clock: &Clock, json: bool, all: bool) -> anyhow::Result<()> {
    let mut leases = remote.all("leases").await?;
    if all {
        for state in ["terminated", "gone"] {
            leases.extend(remote.all(&format!("leases?state={state}")).await?);
        }
    }
    if json {
        return output::json(&leases);
    }
    if leases.is_empty() {
        output::say("No leases.");
        return Ok(());
    }
    let now = clock.now();
    let header = ["INSTANCE", "NAME", "TYPE", "REGION", "OWNER", "STATE", "NEXT", "IN", "AN HOUR", "HELD BY"];
    let row = |lease: &Value| {
        let (next, left) = outlook(lease, now).unwrap_or_default();
        let cost = an_hour(lease).map_or("unknown".to_owned(), crate::web::cost::dollars);
        let [id, name, kind] = ["resource_id", "name", "instance_type"].map(|name| text(lease, name));
        let (name, kind) = (cut(&name, super::leases::NAME), super::leases::kind(&id, &kind));
        let mut row = vec![id, name, kind];
        row.extend(["region", "owner", "state"].map(|name| text(lease, name)));
        row.extend([next, left, cost, text(&lease["hold"], "kind")]);
        row
    };
    output::table(&header, leases.iter().map(row));
    Ok(())
}

/// What happens next by itself, and in what time; `None` when the times cannot be read.
fn outlook(lease: &Value, now: Time) -> Option<(String, String)> {
    let at = |name: &str| Time::parse(lease[name].as_str()?).ok();
    let outlook = Outlook {
        state: lease["state"].as_str()?,
        group: lease["resource_id"].as_str()?.starts_with("asg-"),
        terminates: lease["end_action"] == "terminate",
        ours: lease["stopped_by"] == "zerocloud",
        held: !lease["hold"].is_null(),
        expires_at: at("expires_at")?,
        ends_at: at("ends_at")?,
    };
    Some(outlook.told(now))
}

/// What an hour costs as it stands now: what does not run costs its volumes alone.
fn an_hour(lease: &Value) -> Option<u64> {
    let part = |name: &str| lease["cost"][name].as_u64();
    let volumes = part("volumes_hour")?;
    if lease["state"] == "stopped" { Some(volumes) } else { part("running_hour")?.checked_add(volumes) }
}

/// A wish, and its answer.
pub(super) async fn wish(remote: &Remote, lease: &str, wish: Value) -> anyhow::Result<()> {
    let said = output::spinning("waiting for the answer", remote.wish(lease, wish)).await?;
    output::say(said);
    Ok(())
}

/// A longer lease, for so many seconds from now, or as long as the policy allows.
pub(super) async fn renew(remote: &Remote, clock: &Clock, lease: &str, duration: Option<i64>) -> anyhow::Result<()> {
    let mut body = json!({ "action": "renew" });
    if let Some(seconds) = duration {
        body["until"] = clock.now().plus(seconds).to_string().into();
    }
    wish(remote, lease, body).await
}

/// What would be done now.
pub(super) async fn plan(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let plan = output::spinning("reading documents and AWS", remote.get("plan")).await?;
    let lines = plan.as_array().cloned().unwrap_or_default();
    if json {
        return output::json(&lines);
    }
    for pause in remote.get("pauses").await?.as_array().into_iter().flatten() {
        let scope = text(pause, "scope");
        let place = if scope == "account" { "the whole Account".to_owned() } else { format!("AWS account {scope}") };
        let (by, since, reason) = (text(pause, "by"), text(pause, "since"), text(pause, "reason"));
        output::say(format!("No end starts in {place}: paused by {by} since {since}: {reason}"));
    }
    if lines.is_empty() {
        output::say("Nothing would be done now.");
        return Ok(());
    }
    let row = |line: &Value| {
        let lease = text(line, "lease");
        let mut place: Vec<String> = lease.splitn(3, "::").map(str::to_owned).collect();
        place.reverse();
        let when = line["at"].as_str().unwrap_or("at once").to_owned();
        place.extend([cut(&text(line, "name"), super::leases::NAME), text(line, "what"), when, text(line, "why")]);
        place
    };
    output::table(&["INSTANCE", "REGION", "AWS ACCOUNT", "NAME", "WOULD", "WHEN", "WHY"], lines.iter().map(row));
    Ok(())
}

/// The Account's AWS accounts.
pub(super) async fn accounts(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let all = remote.get("aws-accounts").await?.as_array().cloned().unwrap_or_default();
    list(&all, json, &["id", "name", "stage", "effective_stage", "disabled"])
}

/// How things stand.
pub(super) async fn status(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let status = remote.get("status").await?;
    if json {
        return output::json(&status);
    }
    let places = status["places"].as_array().cloned().unwrap_or_default();
    list(&places, false, &["aws_id", "region", "running", "leased", "held", "without", "stopped", "state", "why"])?;
    let word = if status["complete"] == true {
        "every running instance has a lease"
    } else {
        "some running instances have NO lease"
    };
    let overdue =
        status["oldest_overdue"]["since"].as_str().map_or("nothing".to_owned(), |since| format!("since {since}"));
    let leader = status["leader_beat"].as_str().unwrap_or("nobody leads");
    output::say(format!("{word}; overdue: {overdue}; mails waiting: {}; leader: {leader}", status["outbox"]));
    Ok(())
}

/// A table of these fields, or JSON.
pub(super) fn list(all: &[Value], json: bool, names: &[&str]) -> anyhow::Result<()> {
    if json {
        return output::json(&all);
    }
    let header: Vec<String> = names.iter().map(|name| name.replace('_', " ").to_uppercase()).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    output::table(&header, all.iter().map(|item| names.iter().map(|name| text(item, name)).collect()));
    Ok(())
}

/// A field for a table.
pub(super) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{an_hour, outlook};
    use crate::model::Time;
    use serde_json::json;

    #[test]
    fn what_is_stopped_shows_its_second_end_and_costs_its_volumes_alone() {
        let noon = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let mut lease = json!({
            "resource_id": "i-0abc", "state": "stopped", "stopped_by": "zerocloud", "end_action": "terminate",
            "expires_at": noon.plus(-600).to_string(), "ends_at": noon.plus(480).to_string(), "hold": null,
            "cost": { "running_hour": 83_200, "volumes_hour": 1_100 },
        });
        let told = outlook(&lease, noon);
        assert_eq!(told, Some(("terminates 24 Nov 12:08 UTC".to_owned(), "8m".to_owned())));
        assert_eq!(an_hour(&lease), Some(1_100));
        lease["stopped_by"] = "other".into();
        assert_eq!(outlook(&lease, noon), Some((String::new(), String::new())));
        lease["state"] = "active".into();
        assert_eq!(an_hour(&lease), Some(84_300));
    }
}
