//! `users`: who belongs to the Account, and how admins change that.

use super::desk::{list, text};
use super::output;
use super::remote::Remote;
use anyhow::bail;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

/// What to do with people; they are listed when nothing is said.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let somebody come in: they sign in with GitHub by this address.
    Invite {
        /// Their mail address.
        email: String,
        /// What they are called.
        #[arg(long, default_value = "")]
        name: String,
        /// As an admin.
        #[arg(long)]
        admin: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make somebody an admin or a dev.
    Role {
        /// Their id or mail address.
        user: String,
        /// What they are then.
        #[arg(value_parser = ["admin", "dev"])]
        role: String,
    },
    /// Remove somebody who left: their leases pass to an admin, who is told.
    Remove {
        /// Their id or mail address.
        user: String,
    },
}

/// Does it.
pub(super) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::List { json } => table(remote, *json).await,
        Command::Invite { email, name, admin, json } => {
            let new = json!({ "email": email, "name": name, "role": if *admin { "admin" } else { "dev" } });
            let (made, _) = remote.call(Method::POST, "users", Some(new), &[]).await?;
            if *json {
                return output::json(&made);
            }
            let (email, id) = (text(&made, "email"), text(&made, "id"));
            output::say(format!(
                "{email} may come in as {id}: tell them to open {} and sign in with GitHub",
                remote.base
            ));
            Ok(())
        }
        Command::Role { user, role } => {
            let id = find(remote, user).await?;
            remote.change(Method::PATCH, &format!("users/{id}"), &json!({ "role": role })).await?;
            output::say(format!("{id} is {role} now; it counts at once"));
            Ok(())
        }
        Command::Remove { user } => {
            let id = find(remote, user).await?;
            remote.call(Method::DELETE, &format!("users/{id}"), None, &[]).await?;
            output::say(format!("{id} is removed: their sessions ended, their leases pass to an admin, who is told"));
            Ok(())
        }
    }
}

/// The people that this person may see.
pub(super) async fn table(remote: &Remote, json: bool) -> anyhow::Result<()> {
    let names = ["id", "name", "email", "role", "github_login", "time_zone", "mail_problem"];
    list(&remote.all("users").await?, json, &names)
}

/// The id of whom a person means by id or mail address.
async fn find(remote: &Remote, who: &str) -> anyhow::Result<String> {
    let same = |user: &&Value| user["id"] == who || text(user, "email").eq_ignore_ascii_case(who);
    match remote.all("users").await?.iter().find(same) {
        Some(user) => Ok(text(user, "id")),
        None => bail!("there is nobody called {who:?} here; zerocloud users lists them"),
    }
}
