//! The configuration, for what works on the documents themselves. Who names none and is not signed in hears how to sign in, never
//! of a mistake in a file that they did not ask for.

use super::{Arguments, Command, output};
use crate::config::Config;
use anyhow::{anyhow, bail};
use std::path::Path;
use std::process::ExitCode;

/// What stands here when `--config` is left out.
const USUAL: &str = "config.yml";

/// Reads it; an exit code when it has mistakes, which are told.
///
/// # Errors
/// Without `--config` and without such a file here: what to do instead.
pub(super) fn configuration(arguments: &Arguments) -> anyhow::Result<Result<Config, ExitCode>> {
    let named = arguments.config.is_some();
    let path = arguments.config.as_deref().unwrap_or(Path::new(USUAL));
    let (way, target) = (Way::of(&arguments.command), &arguments.target);
    if !named && (!path.exists() || (way == Way::Either && target.url().is_some())) {
        let why = match way {
            Way::Either => bail!("{}; or name a configuration with --config FILE", target.missing()),
            Way::Mail => anyhow!(
                "a token from a mail is for whoever has the configuration: name it with --config FILE. Everybody else opens the \
                 link in the mail, or signs in and names the lease: zerocloud login --url https://…"
            ),
            Way::Operator(what) => anyhow!(
                "`zerocloud {what}` is for whoever runs zerocloud and works on its configuration: name it with --config FILE. There \
                 is no {USUAL} here; to begin one, copy config.example.yml"
            ),
        };
        output::error(&why);
        return Ok(Err(ExitCode::from(2)));
    }
    Ok(Config::load(path).map_err(|bad| {
        if !named && way == Way::Either {
            output::note(format!("Nobody is signed in, so {USUAL} is read. Over the API: {}", target.missing()));
        }
        output::error(&anyhow::Error::new(bad));
        ExitCode::from(2)
    }))
}

/// How a command can be done that was not done over the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Over the API too, for who is signed in.
    Either,
    /// With a token from a mail.
    Mail,
    /// With the configuration alone; what it is called.
    Operator(&'static str),
}

impl Way {
    fn of(command: &Command) -> Way {
        match command {
            Command::Serve => Way::Operator("serve"),
            Command::Doctor { .. } => Way::Operator("doctor"),
            Command::Health => Way::Operator("health"),
            Command::Prices(_) => Way::Operator("prices"),
            Command::Pause { scope, .. } if scope.all => Way::Operator("pause --all"),
            Command::Resume { scope } if scope.all => Way::Operator("resume --all"),
            Command::Renew { .. } | Command::End { .. } | Command::NotMine { .. } => Way::Mail,
            _ => Way::Either,
        }
    }
}
