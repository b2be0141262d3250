//! The queries of `views/leases` answered in memory, for a bucket without a view service. Says the same as the map
//! functions for every document, also for malformed ones, so it reads JSON and not typed leases.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A view of the design document `leases`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "views/README.md describes each")]
pub enum View {
    ByExpiry,
    ExpiredUnnotified,
    PastDeadline,
    ByOwner,
    ByAwsAccount,
    CountByOwner,
}

/// All of them.
pub const VIEWS: [View; 6] = [
    View::ByExpiry,
    View::ExpiredUnnotified,
    View::PastDeadline,
    View::ByOwner,
    View::ByAwsAccount,
    View::CountByOwner,
];

/// A row's key; one text for a view that is keyed by time.
pub type Emitted = Vec<String>;

impl View {
    /// The view's name in the design document.
    pub fn name(self) -> &'static str {
        match self {
            View::ByExpiry => "by_expiry",
            View::ExpiredUnnotified => "expired_unnotified",
            View::PastDeadline => "past_deadline",
            View::ByOwner => "by_owner",
            View::ByAwsAccount => "by_aws_account",
            View::CountByOwner => "count_by_owner",
        }
    }
}

/// What a view's map function emits for a document.
pub fn emitted(view: View, id: &str, doc: &Value) -> Option<Emitted> {
    let text = |name: &str| doc.get(name).and_then(Value::as_str);
    let state = text("state").unwrap_or_default();
    if text("type") != Some("lease") {
        return None;
    }
    let time = |name: &str| text(name).filter(|at| is_time(at)).map(|at| vec![at.to_owned()]);
    let all = |names: &[&str]| names.iter().map(|name| text(name).map(str::to_owned)).collect::<Option<Vec<_>>>();
    let live = matches!(state, "active" | "expired" | "reaping");
    match view {
        View::ByExpiry if matches!(state, "active" | "expired") => time("expires_at"),
        View::ExpiredUnnotified if state == "expired" && !told(doc) => time("expires_at"),
        View::PastDeadline if matches!(state, "expired" | "reaping") => time("ends_at"),
        // A group that is asleep has no second end.
        View::PastDeadline
            if state == "stopped"
                && text("stopped_by") == Some("zerocloud")
                && text("kind") != Some("auto_scaling_group") =>
        {
            time("ends_at")
        }
        View::ByOwner if live => {
            let mut key = all(&["account", "owner", "first_seen"])?;
            key.push(id.to_owned());
            Some(key)
        }
        View::ByAwsAccount if !matches!(state, "terminated" | "gone") => all(&["aws_id", "region", "resource_id"]),
        View::CountByOwner if live => all(&["account", "owner"]),
        _ => None,
    }
}

fn told(doc: &Value) -> bool {
    let notified = doc.get("notified");
    let same_term = same(notified.and_then(|it| it.get("term")), doc.get("term"));
    same_term && notified.and_then(|it| it.get("kind")).and_then(Value::as_str) == Some("expired")
}

/// JavaScript's `===`: numbers by value, objects and arrays never, as each is parsed to one of its own.
fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Object(_) | Value::Array(_)), _) => false,
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, as the map functions test it.
fn is_time(text: &str) -> bool {
    let form = b"dddd-dd-ddTdd:dd:ddZ";
    text.len() == form.len()
        && text.bytes().zip(form).all(|(byte, form)| if *form == b'd' { byte.is_ascii_digit() } else { byte == *form })
}

/// The rows of all views.
#[derive(Debug, Clone, Default)]
pub struct ViewTable {
    rows: BTreeMap<View, BTreeSet<(Emitted, String)>>,
    by_id: BTreeMap<String, Vec<(View, Emitted)>>,
}

impl ViewTable {
    /// Puts the rows of a document in the place of those it had; `None` for one that is gone.
    pub fn apply(&mut self, id: &str, doc: Option<&Value>) {
        for (view, key) in self.by_id.remove(id).unwrap_or_default() {
            if let Some(rows) = self.rows.get_mut(&view) {
                rows.remove(&(key, id.to_owned()));
            }
        }
        let Some(doc) = doc else { return };
        let keys: Vec<_> = VIEWS.into_iter().filter_map(|view| Some((view, emitted(view, id, doc)?))).collect();
        for (view, key) in &keys {
            self.rows.entry(*view).or_default().insert((key.clone(), id.to_owned()));
        }
        if !keys.is_empty() {
            self.by_id.insert(id.to_owned(), keys);
        }
    }

    /// Every row of a view, in the order of its keys, each with its document id.
    pub fn rows(&self, view: View) -> impl Iterator<Item = &(Emitted, String)> {
        self.rows.get(&view).into_iter().flatten()
    }

    /// The documents of a view that is keyed by time, up to and with `until`.
    pub fn until(&self, view: View, until: &str) -> Vec<String> {
        let due = self.rows(view).take_while(|(key, _)| key.first().is_some_and(|at| at.as_str() <= until));
        due.map(|(_, id)| id.clone()).collect()
    }

    /// `count_by_owner`, reduced in groups.
    pub fn counts(&self) -> BTreeMap<Emitted, u64> {
        let mut counts = BTreeMap::new();
        for (key, _) in self.rows(View::CountByOwner) {
            *counts.entry(key.clone()).or_default() += 1;
        }
        counts
    }
}
