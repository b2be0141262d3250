//! `hooks`: other systems that are told what happens, and how telling them goes.

use super::desk::text;
use super::output;
use super::remote::Remote;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

/// What to do with hooks.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them, with what the last delivery said.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell another system of everything that happens from now on; what signatures are made with is shown this one time.
    Add {
        /// http or https; not inside a private network, unless the configuration allows it.
        url: String,
        /// What it is called.
        #[arg(long)]
        name: String,
        /// In Slack's form, and not signed.
        #[arg(long)]
        slack: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tell one nothing any more.
    Remove {
        /// As `list` shows it.
        id: String,
    },
}

/// Does it.
pub(super) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List { json } => {
            let hooks = remote.get("hooks").await?.as_array().cloned().unwrap_or_default();
            if *json {
                return output::json(&hooks);
            }
            output::table(&["ID", "NAME", "TARGET", "SHAPE", "TOLD UNTIL", "THE LAST SAID"], hooks.iter().map(row));
        }
        Command::Add { url, name, slack, json } => {
            let shape = if *slack { "slack" } else { "signed" };
            let new = json!({ "name": name, "url": url, "shape": shape });
            let (made, _) = remote.call(Method::POST, "hooks", Some(new), &[]).await?;
            if *json {
                return output::json(&made);
            }
            output::say(format!(
                "{} is told what happens from now on, as {}",
                text(&made, "target"),
                text(&made, "id")
            ));
            if !slack {
                output::say(format!("Signed with {}, which is not shown again", text(&made, "secret")));
            }
        }
        Command::Remove { id } => {
            remote.call(Method::DELETE, &format!("hooks/{id}"), None, &[]).await?;
            output::say("It is told nothing any more");
        }
    }
    Ok(())
}

fn row(hook: &Value) -> Vec<String> {
    let said = match hook["error"].as_str() {
        Some(error) => format!("{error}; since {}, again at {}", text(hook, "failing_since"), text(hook, "retry_at")),
        None => "all is well".to_owned(),
    };
    let mut row: Vec<String> = ["id", "name", "target", "shape", "told_until"].map(|name| text(hook, name)).into();
    row.push(said);
    row
}
