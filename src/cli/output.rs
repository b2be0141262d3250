//! The only place that writes to the terminal.
#![expect(clippy::print_stderr, reason = "output of the command line")]

use std::io::{IsTerminal as _, Write as _};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise: libraries only where something is wrong. What the SDK says of missing keys is
/// said better by whoever asked for them, and so is what `watch` lost.
const USUAL: &str = "info,tokio_cron_scheduler=warn,aws_config=error,aws_smithy_runtime=error,hyper=warn,\
    eventsource_client=off";

/// Log lines go to standard error; `RUST_LOG` chooses more or less.
pub(super) fn logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Colours are for terminals. A second subscriber in one process (tests) is not a fault.
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}

/// An error with its causes, one a line.
pub(super) fn error(why: &anyhow::Error) {
    eprintln!("zerocloud: {why}");
    for cause in why.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// A line beside the result: it goes to standard error.
pub(super) fn note(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Asks a person; only `y` and `yes` are a yes.
pub(super) fn ask(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A progress bar on a terminal; elsewhere nothing, or for long work a line now and then.
pub(super) struct Progress {
    bar: indicatif::ProgressBar,
    lines: Option<Lines>,
}

/// Plain lines: at the beginning and every tenth.
struct Lines {
    what: &'static str,
    steps: u64,
    next: u64,
}

impl Progress {
    /// Of so many steps.
    pub(super) fn start(what: &'static str, steps: u64) -> Progress {
        let bar = indicatif::ProgressBar::new(steps).with_prefix(what);
        if let Ok(style) = indicatif::ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Progress { bar, lines: None }
    }

    /// Long work that tells how far it is; of unknown length when `steps` is `None`.
    pub(super) fn count(what: &'static str, steps: Option<u64>) -> Progress {
        let mut progress = Progress::start(what, steps.unwrap_or(0));
        if steps.is_none() {
            progress.bar.set_length(u64::MAX);
            progress.bar.set_style(indicatif::ProgressStyle::default_spinner());
            progress.bar.set_message(what);
        }
        if !std::io::stderr().is_terminal() {
            let steps = steps.unwrap_or(u64::MAX);
            note(if steps == u64::MAX { format!("{what} ...") } else { format!("{what}: {steps}") });
            progress.lines = Some(Lines { what, steps, next: steps / 10 });
        }
        progress
    }

    /// So many steps are done.
    pub(super) fn at(&mut self, step: u64) {
        self.bar.set_position(step);
        if let Some(lines) = &mut self.lines
            && lines.steps >= 1_000
            && step >= lines.next
        {
            note(format!("{}: {step} of {}", lines.what, lines.steps));
            lines.next = step.saturating_add(lines.steps / 10);
        }
    }

    /// One more is done.
    pub(super) fn step(&self, done: &str) {
        self.bar.set_message(done.to_owned());
        self.bar.inc(1);
    }

    /// Clears the line.
    pub(super) fn done(self) {
        self.bar.finish_and_clear();
    }
}

/// Waits for `work` with a spinner on a terminal.
pub(super) async fn spinning<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let spinner = indicatif::ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A line for the person who called. A reader that went away, such as `head`, has what it wanted.
pub(super) fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// JSON, indented.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table without borders, as wide as the terminal. What stands in the first column names the row, so it is never broken.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(header.to_vec());
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(row);
    }
    if let Some(first) = table.column_mut(0) {
        first.set_constraint(comfy_table::ColumnConstraint::ContentWidth);
    }
    say(table.trim_fmt());
}
