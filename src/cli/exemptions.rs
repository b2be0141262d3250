//! `exemptions`: rules by which what a tag, a VPC, an image or a name picks out does not end until a day.

use super::desk::{list, text};
use super::remote::Remote;
use super::{output, policies};
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::model::Time;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

/// What to do with exemption rules.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, with how many leases each picks out.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make one.
    Add {
        #[command(flatten)]
        rule: Rule,
        #[command(flatten)]
        how: How,
    },
    /// Change one as a whole; it keeps its id.
    Change {
        /// As `list` shows it.
        id: String,
        #[command(flatten)]
        rule: Rule,
        #[command(flatten)]
        how: How,
    },
    /// End one; what it held ends only after its owner had notice again.
    Remove {
        /// As `list` shows it.
        id: String,
        #[command(flatten)]
        how: How,
    },
}

/// What a rule says.
#[derive(Debug, Args)]
pub(super) struct Rule {
    #[command(flatten)]
    by: By,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Until when: a day, a time, or for how long, such as 2026-12-31 or 30d.
    #[arg(long, value_name = "WHEN")]
    until: String,
}

/// What a rule looks at.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct By {
    /// A tag of that key and value; `*` is any text.
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Option<String>,
    /// A VPC.
    #[arg(long, value_name = "ID")]
    vpc: Option<String>,
    /// An image.
    #[arg(long, value_name = "ID")]
    image: Option<String>,
    /// A name; `*` is any text.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// How it is done.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Show what it would change, and change nothing.
    #[arg(long, visible_alias = "dry-run")]
    preview: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Rule {
    fn body(&self, now: Time) -> anyhow::Result<Value> {
        let by = &self.by;
        let (kind, key, value) = match (&by.tag, &by.vpc, &by.image, &by.name) {
            (Some(tag), ..) => {
                let (key, value) = tag.split_once('=').context("--tag is KEY=VALUE, such as env=prod")?;
                ("tag", key, value)
            }
            (_, Some(vpc), ..) => ("vpc", "", vpc.as_str()),
            (_, _, Some(image), _) => ("image", "", image.as_str()),
            (.., name) => ("name", "", name.as_deref().unwrap_or_default()),
        };
        let until = until(&self.until, now)?;
        Ok(json!({ "by": kind, "key": key, "value": value, "reason": self.reason, "until": until }))
    }
}

/// A day ends with its last second, UTC.
fn until(text: &str, now: Time) -> anyhow::Result<Time> {
    let tried = [text.to_owned(), format!("{text}T23:59:59Z")];
    let read = tried.iter().find_map(|text| Time::parse(text).ok());
    let read = read.or_else(|| parse_duration(text).ok().map(|seconds| now.plus(seconds)));
    read.with_context(|| format!("--until {text:?} is neither a day such as 2026-12-31 nor a duration such as 30d"))
}

/// Does it.
pub(super) async fn run(remote: &Remote, clock: &Clock, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List { json } => {
            let mut all = remote.get("exemptions").await?.as_array().cloned().unwrap_or_default();
            if !json {
                for rule in &mut all {
                    rule["made_by"] = maker(rule).into();
                }
            }
            list(&all, *json, &["id", "by", "key", "value", "until", "holds", "made_by", "reason"])
        }
        Command::Add { rule, how } => {
            let body = rule.body(clock.now())?;
            if how.preview {
                return preview(remote, &json!({ "rule": body }), how.json).await;
            }
            let (made, _) = remote.call(Method::POST, "exemptions", Some(body), &[]).await?;
            tell(&made, how.json)
        }
        Command::Change { id, rule, how } => {
            let body = rule.body(clock.now())?;
            if how.preview {
                return preview(remote, &json!({ "rule": body, "replaces": id }), how.json).await;
            }
            let path = format!("exemptions/{id}");
            let (_, etag) = remote.call(Method::GET, &path, None, &[]).await?;
            tell(&remote.call(Method::PUT, &path, Some(body), &[("if-match", &etag)]).await?.0, how.json)
        }
        Command::Remove { id, how } => {
            if how.preview {
                return preview(remote, &json!({ "replaces": id }), how.json).await;
            }
            remote.call(Method::DELETE, &format!("exemptions/{id}"), None, &[]).await?;
            output::say("The rule is ended; what it held ends only after its owner had notice again");
            Ok(())
        }
    }
}

/// The user's id, of a name such as `bigdb.max`.
fn maker(rule: &Value) -> String {
    let name = text(rule, "made_by");
    name.split_once('.').map_or_else(|| name.clone(), |(_, user)| user.to_owned())
}

async fn preview(remote: &Remote, trial: &Value, json: bool) -> anyhow::Result<()> {
    let (said, _) = remote.call(Method::POST, "exemptions/preview", Some(trial.clone()), &[]).await?;
    if json {
        return output::json(&said);
    }
    let picks = said["picks"].as_array().map_or(0, Vec::len);
    if trial.get("rule").is_some() {
        output::say(format!("It would pick out {picks} of the leases."));
    }
    policies::forecast(&said["preview"]);
    Ok(())
}

fn tell(made: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(made);
    }
    let leases = if made["holds"] == 1 { "lease" } else { "leases" };
    output::say(format!("{} until {}: picks out {} {leases}", text(made, "id"), text(made, "until"), made["holds"]));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::until;
    use crate::model::Time;

    #[test]
    fn an_end_is_a_day_a_time_or_a_duration() {
        let now = Time::parse("2026-11-24T12:00:00Z").unwrap();
        let told = ["2026-12-31", "2026-12-31T08:00:00Z", "2d"].map(|text| until(text, now).unwrap().to_string());
        assert_eq!(told, ["2026-12-31T23:59:59Z", "2026-12-31T08:00:00Z", "2026-11-26T12:00:00Z"]);
        assert!(until("soon", now).is_err());
    }
}
