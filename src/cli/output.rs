//! The only place that writes to the terminal.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "output of the command line")]

use tracing_subscriber::EnvFilter;

/// Log lines go to standard error; `RUST_LOG` chooses more or less.
pub(super) fn logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second subscriber in one process (tests) is not a fault.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// An error with its causes, one a line.
pub(super) fn error(why: &anyhow::Error) {
    eprintln!("zerocloud: {why}");
    for cause in why.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// A progress bar on a terminal; nothing elsewhere.
pub(super) struct Progress(indicatif::ProgressBar);

impl Progress {
    /// Of so many steps.
    pub(super) fn start(what: &'static str, steps: u64) -> Progress {
        let bar = indicatif::ProgressBar::new(steps).with_prefix(what);
        if let Ok(style) = indicatif::ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Progress(bar)
    }

    /// One more is done.
    pub(super) fn step(&self, done: &str) {
        self.0.set_message(done.to_owned());
        self.0.inc(1);
    }

    /// Clears the line.
    pub(super) fn done(self) {
        self.0.finish_and_clear();
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

/// A line for the person who called.
pub(super) fn say(text: impl std::fmt::Display) {
    println!("{text}");
}

/// JSON, indented.
pub(super) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// A table without borders, as wide as the terminal.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(header.to_vec());
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    for row in rows {
        table.add_row(row);
    }
    println!("{table}");
}
