//! Whether the file is consistent: its pages, and what the rows say of each other.
//! Reads one snapshot, so it may run beside the gateway; changes nothing.

mod counters;
mod documents;
mod names;
mod views;

use std::fmt;
use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::store::{OpenError, open};

/// Most problems that are told one by one.
const MOST_TOLD: usize = 1000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Databases looked at.
    pub databases: usize,
    /// Documents looked at, tombstones too.
    pub documents: u64,
    /// Sentences, each about one thing that is wrong.
    pub problems: Vec<String>,
    /// Problems beyond those told.
    pub untold: usize,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, problem: String) {
        if self.problems.len() < MOST_TOLD {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        if self.untold > 0 {
            writeln!(f, "... and {} more", self.untold)?;
        }
        let found = match self.problems.len() + self.untold {
            0 => "no problems".to_owned(),
            1 => "1 problem".to_owned(),
            many => format!("{many} problems"),
        };
        let word = if self.databases == 1 { "database" } else { "databases" };
        write!(f, "{} {word}, {} documents: {found}", self.databases, self.documents)
    }
}

/// Checks the gateway's file in `data`; fails when it cannot be read at all.
pub fn check(data: &Path) -> std::result::Result<Report, OpenError> {
    let (connection, path) = open::for_check(data)?;
    let mut report = Report::default();
    match all(&connection, &mut report) {
        Ok(()) => Ok(report),
        Err(Error::Store(cause)) if !report.is_clean() => {
            report.add(format!("reading ended early: {cause}"));
            Ok(report)
        }
        Err(Error::Store(cause)) => Err(OpenError::Corrupt { path, detail: cause.to_string() }),
        Err(error) => Err(OpenError::Corrupt { path, detail: error.to_string() }),
    }
}

fn all(conn: &Connection, report: &mut Report) -> Result<()> {
    conn.execute_batch("BEGIN")?;
    pages(conn, report)?;
    let databases = names::databases(conn, report)?;
    report.databases = databases.len();
    counters::check(conn, &databases, report)?;
    documents::check(conn, &databases, report)?;
    views::check(conn, &databases, report)
}

fn pages(conn: &Connection, report: &mut Report) -> Result<()> {
    let mut select = conn.prepare("PRAGMA integrity_check")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let found: String = row.get(0)?;
        if found != "ok" {
            report.add(format!("the file's pages: {found}"));
        }
    }
    Ok(())
}
