//! Keys for EventBridge's posts, over the REST API: `zerocloud aws event-key`.

use super::output;
use super::remote::Remote;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

/// What to do with the keys of an AWS account.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them.
    List {
        /// The AWS account, by its 12 digits.
        aws_id: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make one; it is shown this one time.
    Make {
        /// The AWS account that EventBridge posts from.
        aws_id: String,
        /// What it is for.
        #[arg(long)]
        name: Option<String>,
        /// An AWS account that forwards its events to that one's bus; once for each. Only that one when left out.
        #[arg(long = "for", value_name = "AWS_ID")]
        accounts: Vec<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make one in place of another, which stays good for a while.
    Rotate {
        /// The AWS account.
        aws_id: String,
        /// The key's id, as `list` shows it.
        id: String,
        /// How long the old one stays good, a week at most.
        #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = crate::config::parse_duration)]
        overlap: i64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End one at once.
    Revoke {
        /// The AWS account.
        aws_id: String,
        /// The key's id.
        id: String,
    },
}

/// Does it.
pub(super) async fn run(remote: &Remote, what: &Command) -> anyhow::Result<()> {
    let path = |aws_id: &str| format!("aws-accounts/{aws_id}/event-keys");
    match what {
        Command::List { aws_id, json } => {
            let keys = remote.get(&path(aws_id)).await?;
            list(&keys, *json)
        }
        Command::Make { aws_id, name, accounts, json } => {
            let mut body = json!({ "accounts": accounts });
            if let Some(name) = name {
                body["name"] = name.as_str().into();
            }
            shown(&remote.call(Method::POST, &path(aws_id), Some(body), &[]).await?.0, *json)
        }
        Command::Rotate { aws_id, id, overlap, json } => {
            let path = format!("{}/{id}/rotate", path(aws_id));
            shown(&remote.call(Method::POST, &path, Some(json!({ "overlap": overlap })), &[]).await?.0, *json)
        }
        Command::Revoke { aws_id, id } => {
            remote.call(Method::DELETE, &format!("{}/{id}", path(aws_id)), None, &[]).await?;
            output::say("Revoked: events that come with it are refused.");
            Ok(())
        }
    }
}

fn list(keys: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(keys);
    }
    let all = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    if all.is_empty() {
        output::say("No keys: no events are taken from this AWS account.");
        return Ok(());
    }
    let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
    let accounts = |key: &Value| {
        let ids = key["accounts"].as_array().into_iter().flatten().filter_map(Value::as_str);
        ids.collect::<Vec<_>>().join(" ")
    };
    let row = |key: &Value| {
        vec![
            text(key, "id"),
            text(key, "name"),
            accounts(key),
            text(key, "created"),
            text(key, "expires"),
            text(key, "used"),
        ]
    };
    output::table(&["ID", "NAME", "ACCOUNTS", "CREATED", "EXPIRES", "USED"], all.iter().map(row));
    Ok(())
}

/// The key stands alone on standard output, so that a script can take it.
fn shown(made: &Value, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json(made);
    }
    output::note("EventBridge's connection sends it in the header x-zerocloud-key. It is not shown again:");
    output::say(made["key"].as_str().unwrap_or_default());
    Ok(())
}
