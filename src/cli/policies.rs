//! `policy`: what is in force, layers of it, and what a change would alter.

use super::desk::text;
use super::leases::NAME;
use super::output;
use super::remote::Remote;
use crate::config::parse_duration;
use crate::model::PolicyLayer;
use crate::words::{cut, span};
use anyhow::Context as _;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show a layer, or what is in force for you.
    Get {
        /// account, aws:ID or user:ID
        layer: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change settings of a layer; running ends do not move.
    Set {
        /// account, aws:ID or user:ID
        layer: String,
        /// `name=value`, such as `default_lease=2d`; `name=none` lifts a limit, `name=` takes the setting out of this layer.
        #[arg(required = true)]
        settings: Vec<String>,
        /// Show what it would change, and change nothing.
        #[arg(long, visible_alias = "dry-run")]
        preview: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Does it.
pub(super) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Get { layer: None, json } => show(&remote.get("policies/effective").await?, *json),
        Command::Get { layer: Some(name), json } => {
            let path = format!("policies/{name}");
            // A layer that nobody wrote yet says as little as an empty one.
            let layer = if name.contains(':') { remote.find(&path).await? } else { Some(remote.get(&path).await?) };
            show(layer.as_ref().map_or(&json!({}), |layer| &layer["policy"]), *json)
        }
        Command::Set { layer, settings, preview, json } => {
            let body = json!({ "policy": changed(remote, layer, settings).await? });
            let path = format!("policies/{layer}");
            if *preview {
                let (said, _) = remote.call(Method::POST, &format!("{path}/preview"), Some(body), &[]).await?;
                if *json {
                    return output::json(&said);
                }
                forecast(&said);
                return Ok(());
            }
            show(&remote.change(Method::PUT, &path, &body).await?["policy"], *json)
        }
    }
}

/// The layer with these settings in it, `name=value`; an empty value takes one out. Durations may be written as `3d`.
async fn changed(remote: &Remote, name: &str, settings: &[String]) -> anyhow::Result<Map<String, Value>> {
    let layer = remote.find(&format!("policies/{name}")).await?;
    let mut policy = layer.and_then(|layer| layer["policy"].as_object().cloned()).unwrap_or_default();
    for setting in settings {
        let (key, value) = setting.split_once('=').with_context(|| format!("{setting:?} is not name=value"))?;
        if value.is_empty() {
            policy.shift_remove(key);
        } else {
            policy.insert(key.to_owned(), read_setting(key, value));
        }
    }
    Ok(policy)
}

fn show(policy: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(policy);
    }
    let settings = policy.as_object().cloned().unwrap_or_default();
    if settings.is_empty() {
        output::say("This layer says nothing of its own.");
        return Ok(());
    }
    output::table(&["SETTING", "VALUE"], settings.iter().map(|(name, value)| vec![name.clone(), words(name, value)]));
    Ok(())
}

/// As people read it: whole numbers are seconds but for those that count something.
pub(super) fn words(name: &str, value: &Value) -> String {
    let one = |value: &Value| match value.as_i64() {
        Some(number) if name.starts_with("max_instances") || name.starts_with("max_reaps") => number.to_string(),
        Some(seconds) => span(seconds),
        None => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(all) if all.is_empty() => "none".to_owned(),
        Value::Array(all) => all.iter().map(one).collect::<Vec<_>>().join(", "),
        other => one(other),
    }
}

/// What a change would alter, for people.
pub(super) fn forecast(preview: &Value) {
    let number = |name: &str| preview[name].as_u64().unwrap_or_default();
    let (leases, changed) = (number("leases"), number("changed"));
    if changed == 0 {
        output::say(format!("Nothing would change for {leases} leases within {}.", text(preview, "horizon")));
        return;
    }
    output::say(format!(
        "Of {leases} leases {changed} would go on otherwise within {}: {} end sooner, {} later or not at all; {} mails to {} people at once.",
        text(preview, "horizon"),
        number("sooner"),
        number("later"),
        number("mails"),
        number("people"),
    ));
    if let Some(what) = preview["first_end"]["what"].as_str() {
        output::say(format!("First: {what} on {}.", text(&preview["first_end"]["when"], "utc")));
    }
    let lines = |row: &Value, name: &str| {
        let lines = row[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.collect::<Vec<_>>().join("; ")
    };
    let rows = preview["rows"].as_array().cloned().unwrap_or_default();
    let row = |row: &Value| {
        vec![cut(&text(row, "name"), NAME), text(row, "owner"), lines(row, "before"), lines(row, "after")]
    };
    output::table(&["LEASE", "OWNER", "NOW", "THEN"], rows.iter().map(row));
    if number("more") > 0 {
        output::say(format!("And {} more.", number("more")));
    }
}

/// JSON as it is, `none` as no limit, a duration as seconds, anything else as a text; by what the setting takes.
fn read_setting(key: &str, value: &str) -> Value {
    // None at all is a mistake that the service names; it is no text.
    let nothing = |text: &str| text.trim().trim_end_matches(['s', 'm', 'h', 'd']) == "0";
    let seconds = |text: &str| parse_duration(text.trim()).ok().or(nothing(text).then_some(0));
    let several: Option<Vec<i64>> = value.split(',').map(seconds).collect();
    let none = value.trim() == "none";
    let tried = [
        serde_json::from_str(value).ok(),
        none.then_some(Value::Null),
        none.then(|| json!([])),
        seconds(value).map(Value::from),
        several.map(Value::from),
        Some(Value::from(value)),
    ];
    let takes = |value: &Value| {
        let layer: Option<PolicyLayer> = serde_json::from_value(json!({ key: value })).ok();
        layer.is_some_and(|layer| layer.unreadable().is_empty())
    };
    let found = tried.into_iter().flatten().find(takes);
    found.unwrap_or_else(|| Value::from(value))
}

#[cfg(test)]
mod tests {
    use super::read_setting;
    use serde_json::json;

    #[test]
    fn settings_are_read_as_people_write_them() {
        for (key, text, value) in [
            ("default_lease", "2d", json!(172_800)),
            ("grace", "3600", json!(3_600)),
            ("default_lease", "0s", json!(0)),
            ("warnings", "1d,1h", json!([86_400, 3_600])),
            ("expiry_action", "terminate", json!("terminate")),
            ("email_pattern", "*@bigdb.com", json!("*@bigdb.com")),
            ("max_instances", "7", json!(7)),
            ("max_total", "null", json!(null)),
            ("max_instances", "none", json!(null)),
            ("max_total", "none", json!(null)),
            ("grace", "none", json!("none")),
            ("expiry_action", "none", json!("none")),
            ("owner_tag", "owner", json!("owner")),
        ] {
            assert_eq!(read_setting(key, text), value, "{key}={text}");
        }
    }
}
