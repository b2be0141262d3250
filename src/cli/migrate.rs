//! `migrate`: says what will be done and what cannot be, asks, and shows how it went.

use super::output;
use crate::config::migrate_passwords;
use crate::migrate::{CANNOT_MOVE, Options, Place, Plan, Progress, Report};
use clap::Args;
use secrecy::SecretString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

/// Both sides; a password comes from the environment.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Admin port and database to read, such as <http://127.0.0.1:4985/zerocloud>.
    #[arg(long, value_name = "URL")]
    from: String,
    /// Admin port and database to fill; it is made when it does not exist.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Admin of the source; the password is taken from `ZEROCLOUD_MIGRATE_FROM_PASSWORD`.
    #[arg(long, value_name = "NAME")]
    from_user: Option<String>,
    /// Admin of the target; the password is taken from `ZEROCLOUD_MIGRATE_TO_PASSWORD`.
    #[arg(long, value_name = "NAME")]
    to_user: Option<String>,
    /// Design documents to carry; a Sync Gateway does not list them.
    #[arg(long, value_name = "NAME", default_value = "leases")]
    design: Vec<String>,
    /// How long a gateway may be silent before the run stops; started again, it goes on.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = crate::config::parse_duration)]
    patience: i64,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The most lines of one kind that a report for people shows.
const SHOWN: usize = 50;

/// Exit code 0 when both sides are equal, 1 when anything differs, 2 when nobody agreed.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let [from_password, to_password] = migrate_passwords();
    let options = Options {
        from: place(arguments.from, arguments.from_user, from_password)?,
        to: place(arguments.to, arguments.to_user, to_password)?,
        designs: arguments.design,
        patience: Duration::from_secs(arguments.patience.unsigned_abs()),
    };
    let plan = Plan::look(&options).await?;
    output::note("This will:");
    for step in plan.steps() {
        output::note(format!("  - {step}"));
    }
    output::note("Cannot move:");
    for what in CANNOT_MOVE {
        output::note(format!("  - {what}"));
    }
    output::note("Stop `zerocloud serve` on both sides and keep people away from the source while this runs.");
    if !arguments.yes {
        if !std::io::stdin().is_terminal() {
            output::note("Nothing was changed: give --yes where nobody can be asked.");
            return Ok(ExitCode::from(2));
        }
        if !output::ask("Begin?")? {
            output::note("Nothing was changed.");
            return Ok(ExitCode::from(2));
        }
    }
    let progress = Mutex::new(None);
    let told = plan.run(&|news| show(&progress, news)).await;
    if let Some(progress) = progress.into_inner().ok().flatten() {
        output::Progress::done(progress);
    }
    let report = told.map_err(|why| why.context("the run stopped; start it again and it goes on where it was"))?;
    if arguments.json {
        output::json(&report)?;
    } else {
        tell(&report);
    }
    Ok(if report.complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn place(url: String, user: Option<String>, password: Option<SecretString>) -> anyhow::Result<Place> {
    let login = match (user, password) {
        (None, _) => None,
        (Some(user), Some(password)) => Some((user, password)),
        (Some(user), None) => anyhow::bail!(
            "no password for {user}: set ZEROCLOUD_MIGRATE_FROM_PASSWORD or ZEROCLOUD_MIGRATE_TO_PASSWORD"
        ),
    };
    Ok(Place { url, login })
}

fn show(progress: &Mutex<Option<output::Progress>>, news: Progress) {
    let Ok(mut progress) = progress.lock() else { return };
    match news {
        Progress::Began(what, steps) => {
            if let Some(old) = progress.take() {
                old.done();
            }
            *progress =
                Some(output::Progress::count(what, steps.map(|steps| u64::try_from(steps).unwrap_or(u64::MAX))));
        }
        Progress::At(step) => {
            if let Some(progress) = &mut *progress {
                progress.at(u64::try_from(step).unwrap_or(u64::MAX));
            }
        }
    }
}

fn tell(report: &Report) {
    let (from, to) = (report.from_documents, report.to_documents);
    output::table(
        &["", "SOURCE", "TARGET"],
        [
            ["documents".to_owned(), from.live.to_string(), to.live.to_string()],
            ["tombstones".to_owned(), from.tombstones.to_string(), to.tombstones.to_string()],
            ["SHA-256".to_owned(), report.from_digest.clone(), report.to_digest.clone()],
        ]
        .map(Vec::from),
    );
    output::say(format!(
        "{} documents with {} attachments copied now; {} roles and {} users stand there; design documents: {}.",
        report.copied,
        report.attachments,
        report.roles,
        report.users,
        if report.design_documents.is_empty() { "none".to_owned() } else { report.design_documents.join(", ") }
    ));
    list("Not carried", report.principals_refused.iter().cloned());
    list(
        "Documents not carried",
        report.refused.iter().map(|refusal| {
            let status = refusal.status.map(|status| format!("{status} ")).unwrap_or_default();
            format!("{} at {}: {status}{}", refusal.id, refusal.rev, refusal.reason)
        }),
    );
    list("Ranges that differ", report.unequal_ranges.iter().map(|range| format!("{} to {}", range.first, range.last)));
    list("Documents that differ", report.differences.iter().map(|one| format!("{} {}", one.id, one.what)));
    list("Notes", report.notes.iter().cloned());
    if report.source_still_written {
        output::say("Somebody writes to the source: stop `zerocloud serve` and people there, and run this again.");
    }
    output::say(if report.complete {
        "Complete: both sides are equal."
    } else {
        "NOT complete. Run it again after mending what is named above."
    });
}

fn list(title: &str, lines: impl ExactSizeIterator<Item = String>) {
    let count = lines.len();
    if count == 0 {
        return;
    }
    output::say(format!("{title} ({count}):"));
    lines.take(SHOWN).for_each(|line| output::say(format!("  {line}")));
    if count > SHOWN {
        output::say(format!("  … and {} more; --json lists all", count - SHOWN));
    }
}
