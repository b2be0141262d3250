//! A map function of a view.

use std::cell::RefCell;

use serde_json::Value;

use super::runner::Runner;
use super::{CompileError, Limits};

const PRELUDE: &str = include_str!("map_prelude.js");

/// Most bytes of an emitted key as JSON; as on Couchbase Server a document with a longer one has no rows.
const LONGEST_KEY: usize = 4096;
/// Most bytes of all rows of a document in one view.
const LARGEST_ROWS: usize = 1 << 20;

/// A compiled map function, with a thread of its own.
#[derive(Debug)]
pub struct MapFunction {
    runner: RefCell<Runner>,
}

impl MapFunction {
    /// Compiles with the default limits.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        Ok(Self { runner: RefCell::new(Runner::new(PRELUDE, source, Limits::default())?) })
    }

    /// What the function emits for a document; nothing when it throws.
    pub fn map(&self, id: &str, doc: &Value) -> Vec<(Value, Value)> {
        self.map_text(id, &doc.to_string())
    }

    /// The same on JSON text.
    pub(crate) fn map_text(&self, id: &str, doc: &str) -> Vec<(Value, Value)> {
        let Ok(text) = self.runner.borrow_mut().run(id, Some(doc), None) else {
            return Vec::new();
        };
        if text.len() > LARGEST_ROWS {
            tracing::debug!(id, "a map function emits too much for a document");
            return Vec::new();
        }
        let Ok(Value::Array(flat)) = crate::json::parse(text.as_bytes()) else {
            return Vec::new();
        };
        let mut items = flat.into_iter();
        let mut rows = Vec::new();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            rows.push((key, value));
        }
        if rows.iter().any(|(key, _)| crate::json::canonical_value(key).len() > LONGEST_KEY) {
            tracing::debug!(id, "a map function emits too long a key for a document");
            return Vec::new();
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::MapFunction;

    #[test]
    fn emits_in_order_and_a_throw_skips_the_document() {
        let map = MapFunction::compile("function (doc, meta) { emit(meta.id); emit([doc.n], doc.not.there); }");
        let map = map.expect("compiles");
        assert!(map.map("a", &json!({"n": 1})).is_empty());
        let rows = map.map("a", &json!({"n": 1, "not": {}}));
        assert_eq!(rows, [(json!("a"), json!(null)), (json!([1]), json!(null))]);
    }
}
