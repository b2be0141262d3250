//! Connecting AWS accounts from the command line, by way of the REST API.

use super::output;
use super::remote::Remote;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List those that are connected, and those that were begun.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keys with which EventBridge posts events.
    #[command(subcommand)]
    EventKey(super::event_key::Command),
    /// Begin to connect one: makes its external id.
    Add {
        /// Its 12 digits.
        aws_id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Regions with commas between; every enabled one when left out.
        #[arg(long, value_delimiter = ',')]
        regions: Vec<String>,
    },
    /// Print the role to apply there.
    Template {
        /// Its 12 digits.
        aws_id: String,
        /// cloudformation, terraform or cli.
        #[arg(long, default_value = "cloudformation")]
        kind: String,
        /// What zerocloud may do: none, stop or terminate; what the stage needs when left out.
        #[arg(long)]
        ends: Option<String>,
        /// Whether zerocloud may write tags.
        #[arg(long)]
        tags: Option<bool>,
    },
    /// Verify that the role works, and what it may do; the first time that it works and instances can be seen, it is connected,
    /// at stage observe, also where other permissions are missing. Exit code 3: something is to be mended.
    Verify {
        /// Its 12 digits.
        aws_id: String,
        /// The role's ARN, when it is not the one that the template makes.
        #[arg(long, value_name = "ARN")]
        role: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make another external id beside the one in use.
    Rotate {
        /// Its 12 digits.
        aws_id: String,
    },
    /// Let it be neither polled nor acted on.
    Disable {
        /// Its 12 digits.
        aws_id: String,
    },
    /// Go on with it.
    Enable {
        /// Its 12 digits.
        aws_id: String,
    },
    /// Remove one that is disabled, or drop one that was begun. Nothing is ended in AWS.
    Remove {
        /// Its 12 digits.
        aws_id: String,
    },
}

/// Does it. Exit code 3: something is to be mended.
pub(super) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { json } => list(remote, *json).await?,
        Command::EventKey(what) => super::event_key::run(remote, what).await?,
        Command::Add { aws_id, name, regions } => add(remote, aws_id, name.as_deref(), regions).await?,
        Command::Template { aws_id, kind, ends, tags } => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("kind", kind).extend_pairs(ends.iter().map(|ends| ("ends", ends)));
            query.extend_pairs(tags.iter().map(|tags| ("tags", tags.to_string())));
            let path = format!("aws-accounts/{aws_id}/template?{}", query.finish());
            output::say(remote.text(&path).await?.trim_end());
            let command = remote.text(&format!("{path}&command=true")).await?;
            if !command.is_empty() {
                output::note(format!("# Saved under the name that stands here, it is applied with:\n{command}"));
            }
        }
        Command::Verify { aws_id, role, json } => return verify(remote, aws_id, role.as_deref(), *json).await,
        Command::Rotate { aws_id } => {
            remote.call(Method::POST, &format!("aws-accounts/{aws_id}/rotate"), None, &[]).await?;
            output::say(format!(
                "There is a new external id. Apply the template, which names both:\n{}\nThen: zerocloud aws verify {aws_id}",
                applied(remote, aws_id).await?
            ));
        }
        Command::Disable { aws_id } => set_disabled(remote, aws_id, true).await?,
        Command::Enable { aws_id } => set_disabled(remote, aws_id, false).await?,
        Command::Remove { aws_id } => {
            remote.call(Method::DELETE, &format!("aws-accounts/{aws_id}"), None, &[]).await?;
            output::say(format!("{aws_id} is removed. Nothing was ended there; its role stays until you delete it."));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let (connected, begun) = (remote.get("aws-accounts").await?, remote.get("aws-accounts/begun").await?);
    if json {
        return output::json(&json!({ "connected": connected, "begun": begun }));
    }
    let row = |it: &Value, stage: &str| vec![text(it, "id"), text(it, "name"), stage.to_owned()];
    let mut rows = Vec::new();
    for it in connected.as_array().into_iter().flatten() {
        rows.push(row(it, if it["disabled"] == true { "disabled" } else { it["stage"].as_str().unwrap_or_default() }));
    }
    rows.extend(begun.as_array().into_iter().flatten().map(|it| row(it, "not verified yet")));
    output::table(&["ID", "NAME", "STAGE"], rows);
    Ok(())
}

async fn add(remote: &Remote, aws_id: &str, name: Option<&str>, regions: &[String]) -> anyhow::Result<()> {
    let wish = json!({ "id": aws_id, "name": name, "regions": regions });
    let (access, _) = remote.call(Method::POST, "aws-accounts", Some(wish), &[]).await?;
    if access["role_arn"].is_null() {
        output::say(format!("This is zerocloud's own AWS account: no role is needed. zerocloud aws verify {aws_id}"));
        return Ok(());
    }
    output::say(format!(
        "External id: {}\nApply the role there:\n{}\nThen: zerocloud aws verify {aws_id}",
        text(&access, "external_id"),
        applied(remote, aws_id).await?
    ));
    Ok(())
}

/// How the role is applied, as the pages show it: a stack that is there keeps its parameters, so each is named.
async fn applied(remote: &Remote, aws_id: &str) -> anyhow::Result<String> {
    let command = remote.text(&format!("aws-accounts/{aws_id}/template?command=true")).await?;
    Ok(format!("zerocloud aws template {aws_id} > zerocloud-role.yaml\n{command}"))
}

async fn verify(remote: &Remote, aws_id: &str, role: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let wish = json!({ "role_arn": role });
    let (report, _) = remote.call(Method::POST, &format!("aws-accounts/{aws_id}/verify"), Some(wish), &[]).await?;
    let all = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let missing = |it: &Value| it["needed"] == true && (it["allowed"] == "missing" || it["allowed"] == "denied");
    let bad = all("checks").iter().any(|it| it["stands"] == "bad") || all("permissions").iter().any(missing);
    if json {
        output::json(&report)?;
    } else {
        for check in all("checks") {
            output::say(format!("{:5} {}: {}", text(&check, "stands"), text(&check, "what"), text(&check, "said")));
            if let Some(paste) = check["paste"].as_str() {
                output::say(paste);
            }
        }
        let rows = all("permissions").into_iter().map(|it| {
            // As the page says it.
            let allowed = match text(&it, "allowed").as_str() {
                "missing" if !missing(&it) => "not granted".to_owned(),
                "unproven" => "not provable here".to_owned(),
                other => other.to_owned(),
            };
            vec![text(&it, "action"), allowed, text(&it, "why")]
        });
        output::table(&["CALL", "ALLOWED", "HOW IT IS KNOWN"], rows);
        for it in all("permissions").iter().filter(|it| missing(it)) {
            output::say(format!("{} is missing; add:\n{}", text(it, "action"), text(it, "add")));
        }
        let regions = all("regions");
        let rows = regions.iter().map(|it| vec![text(it, "region"), text(it, "state"), text(it, "why")]);
        output::table(&["REGION", "STATE", "WHY"], rows);
        if report["new"] == true {
            let missing = match all("permissions").iter().filter(|it| missing(it)).count() {
                0 => String::new(),
                1 => "; 1 permission is missing".to_owned(),
                many => format!("; {many} permissions are missing"),
            };
            output::say(format!(
                "Connected, at stage observe{missing}: leases are kept, nobody is written to, nothing is ended."
            ));
        }
    }
    Ok(if bad { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

async fn set_disabled(remote: &Remote, aws_id: &str, disabled: bool) -> anyhow::Result<()> {
    remote.change(Method::PATCH, &format!("aws-accounts/{aws_id}"), &json!({ "disabled": disabled })).await?;
    let said = if disabled { "Disabled: it is neither polled nor acted on." } else { "Enabled: it is polled again." };
    output::say(said);
    Ok(())
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
