//! The sync function: decides where a document goes, whom it grants what, and whether it may be written.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::engine::RunError;
use super::runner::{Runner, Texts};
use super::{CompileError, Limits};
use crate::channels;
use crate::clock;

const PRELUDE: &str = include_str!("prelude.js");
const THIRTY_DAYS: i64 = 30 * 24 * 3600;

/// Who writes.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The admin port: `requireUser` and its like do nothing.
    Admin,
    /// A user; the guest has the empty name.
    User {
        /// User name.
        name: String,
        /// Every channel the user has, through roles and grants too.
        channels: Vec<String>,
        /// Every role the user has, without prefix.
        roles: Vec<String>,
    },
}

/// When a document expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never, said explicitly (0).
    Never,
    /// Seconds from the write.
    After(i64),
    /// Seconds since 1970.
    At(i64),
}

impl Expiry {
    /// Reads a number (below 30 days: from now; else since 1970) or a date; `None` when it is neither.
    pub fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => Self::from_number(number.as_f64()?),
            Value::String(text) => match text.parse::<f64>() {
                Ok(number) => Self::from_number(number),
                Err(_) => clock::parse_time(text).map(Self::At),
            },
            _ => None,
        }
    }

    fn from_number(number: f64) -> Option<Self> {
        if !(0.0..=f64::from(u32::MAX)).contains(&number) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        let seconds = number as i64;
        Some(match seconds {
            0 => Self::Never,
            1..=THIRTY_DAYS => Self::After(seconds),
            _ => Self::At(seconds),
        })
    }

    /// Seconds since 1970, counted from `now`.
    pub fn at(self, now: i64) -> Option<i64> {
        match self {
            Self::Never => None,
            Self::After(seconds) => Some(now + seconds),
            Self::At(time) => Some(time),
        }
    }
}

/// What an accepted document means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Channels of the document; exactly `*` when the function named it.
    pub channels: BTreeSet<String>,
    /// Channels granted: by user name, or `role:` and role name.
    pub access: BTreeMap<String, BTreeSet<String>>,
    /// Roles granted, without prefix: by user name.
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// Set by `expiry()`.
    pub expiry: Option<Expiry>,
}

/// Why a document may not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// 403 or 401 when the function said so, 500 when it failed.
    pub status: u16,
    /// Text for the client.
    pub reason: String,
    /// What the engine said when the function failed; for the log.
    pub detail: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    channels: Vec<String>,
    access: Vec<(String, Vec<String>)>,
    roles: Vec<(String, Vec<String>)>,
    expiry: Option<Value>,
    rejection: Option<(f64, String)>,
    log: Vec<String>,
}

/// A compiled sync function, with a thread of its own.
#[derive(Debug)]
pub struct SyncFunction {
    limits: Limits,
    runner: RefCell<Runner>,
}

impl SyncFunction {
    /// Compiles with the default limits.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        Self::with_limits(source, Limits::default())
    }

    /// Compiles with the given limits.
    pub fn with_limits(source: &str, limits: Limits) -> Result<Self, CompileError> {
        Ok(Self { limits, runner: RefCell::new(Runner::new(PRELUDE, source, limits)?) })
    }

    /// Longest run.
    pub(crate) fn time(&self) -> std::time::Duration {
        self.limits.time
    }

    /// Runs the function. `doc` carries `_id`, `_rev` and, for a deletion, `_deleted`.
    pub fn run(&self, doc: &Value, old: Option<&Value>, caller: &Caller) -> Result<Outcome, Refusal> {
        let caller = match caller {
            Caller::Admin => None,
            Caller::User { name, channels, roles } => {
                Some(json!({"name": name, "channels": channels, "roles": roles}).to_string())
            }
        };
        let old = old.filter(|old| !old.is_null()).map(ToString::to_string);
        self.run_text(&doc.to_string(), old.as_deref(), caller.as_deref())
    }

    /// Runs the function on JSON texts.
    pub(crate) fn run_text(&self, doc: &str, old: Option<&str>, caller: Option<&str>) -> Verdict {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let texts = Texts { first: doc.to_owned(), second: own(old), third: own(caller) };
        let verdict = self.run_all(vec![texts]).pop();
        verdict.unwrap_or_else(|| Err(failure("no answer".to_owned())))
    }

    /// The same for many: document, old document, caller.
    pub(crate) fn run_all(&self, batch: Vec<Texts>) -> Vec<Verdict> {
        self.runner.borrow_mut().run(batch).into_iter().map(|said| judge(&said.map_err(failed)?)).collect()
    }
}

/// What the function decided.
pub(crate) type Verdict = Result<Outcome, Refusal>;

fn judge(text: &str) -> Verdict {
    let report: Report = serde_json::from_str(text).map_err(|error| failure(error.to_string()))?;
    for line in &report.log {
        tracing::debug!(line, "the sync function says");
    }
    if let Some((status, reason)) = report.rejection {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range of statuses")]
        let status = status.clamp(400.0, 599.0) as u16;
        return Err(Refusal { status, reason, detail: None });
    }
    compile_report(report)
}

fn failed(error: RunError) -> Refusal {
    let mut refusal = failure(error.message);
    if error.timed_out {
        "JS sync function timed out".clone_into(&mut refusal.reason);
    }
    refusal
}

fn failure(detail: String) -> Refusal {
    Refusal { status: 500, reason: "Exception in JS sync function".to_owned(), detail: Some(detail) }
}

fn compile_report(report: Report) -> Result<Outcome, Refusal> {
    let mut channels = BTreeSet::new();
    for channel in report.channels {
        if !channels::is_valid(&channel) {
            return Err(failure(format!("illegal channel name {channel:?}")));
        }
        channels.insert(channel);
    }
    if channels.contains("*") {
        channels = BTreeSet::from(["*".to_owned()]);
    }
    let mut outcome =
        Outcome { channels, expiry: report.expiry.as_ref().and_then(Expiry::parse), ..Outcome::default() };
    for (name, values) in report.access {
        let plain = name.strip_prefix("role:").unwrap_or(&name);
        if !channels::is_valid_principal(plain) {
            return Err(failure(format!("illegal name {name:?} in access()")));
        }
        for channel in values {
            if !channels::is_valid(&channel) {
                return Err(failure(format!("illegal channel name {channel:?} in access()")));
            }
            if channel != "*" {
                outcome.access.entry(name.clone()).or_default().insert(channel);
            }
        }
    }
    for (name, values) in report.roles {
        if !channels::is_valid_principal(&name) {
            return Err(failure(format!("illegal name {name:?} in role()")));
        }
        for role in values {
            let Some(role) = role.strip_prefix("role:").filter(|role| channels::is_valid_principal(role)) else {
                return Err(failure(format!("illegal role {role:?} in role()")));
            };
            outcome.roles.entry(name.clone()).or_default().insert(role.to_owned());
        }
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Caller, Expiry, SyncFunction};
    use crate::script::Limits;
    use std::time::Duration;

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = SyncFunction::compile("function (doc) {\n  var x = 1;\n  if (\n}").expect_err("bad");
        assert_eq!(error.line, 4, "{error}");
        assert!(SyncFunction::compile("5").is_err());
    }

    #[test]
    fn endless_loops_and_huge_heaps_are_ended_and_the_next_run_works() {
        let limits = Limits { time: Duration::from_millis(200), memory: 8 << 20 };
        let source = "function (doc) { while (doc.loop) {} var a = []; while (doc.fill) { a.push(new Array(1000)); } channel('x'); }";
        let function = SyncFunction::with_limits(source, limits).expect("compiles");
        for bad in [json!({"loop": 1}), json!({"fill": 1})] {
            let refusal = function.run(&bad, None, &Caller::Admin).expect_err("limited");
            assert_eq!(refusal.status, 500);
            let outcome = function.run(&json!({}), None, &Caller::Admin).expect("works");
            assert!(outcome.channels.contains("x"));
        }
    }

    #[test]
    fn a_run_stuck_in_a_built_in_is_left_behind_and_the_next_one_works() {
        let limits = Limits { time: Duration::from_millis(100), memory: 8 << 20 };
        let source = "function (doc) { if (doc.go) { new Array(4294967295).reverse(); } channel('x'); }";
        let function = SyncFunction::with_limits(source, limits).expect("compiles");
        for stuck in 0..4 {
            let refusal = function.run(&json!({"go": 1}), None, &Caller::Admin).expect_err("limited");
            assert_eq!(refusal.status, 500);
            let next = function.run(&json!({}), None, &Caller::Admin);
            assert_eq!(next.is_ok(), stuck < 1, "two are left behind, then it is refused");
        }
    }

    #[test]
    fn a_function_that_does_not_come_to_an_end_is_refused() {
        let limits = Limits { time: Duration::from_millis(100), memory: 8 << 20 };
        for source in ["(function () { while (true) {} })()", "(function () { new Array(4294967295).reverse(); })()"] {
            assert!(SyncFunction::with_limits(source, limits).is_err(), "{source}");
        }
    }

    #[test]
    fn underscore_is_there_and_refusals_carry_their_reason() {
        let source = "function (doc, oldDoc) { channel(_.map(doc.c, function (c) { return 'u' + c; })); expiry(60);
            requireUser('bob'); if (doc.bad) { throw({forbidden: 'no'}); } }";
        let function = SyncFunction::compile(source).expect("compiles");
        let outcome = function.run(&json!({"c": ["1"]}), None, &Caller::Admin).expect("runs");
        assert!(outcome.channels.contains("u1"));
        assert_eq!(outcome.expiry, Some(Expiry::After(60)));
        let alice = Caller::User { name: "alice".to_owned(), channels: Vec::new(), roles: Vec::new() };
        let refusal = function.run(&json!({}), None, &alice).expect_err("wrong user");
        assert_eq!((refusal.status, refusal.reason.as_str()), (403, "sg wrong user"));
        let refusal = function.run(&json!({"bad": 1}), None, &Caller::Admin).expect_err("no");
        assert_eq!((refusal.status, refusal.reason.as_str()), (403, "no"));
    }
}
