//! A map function of a view.

use std::cell::RefCell;

use serde_json::Value;

use super::engine::Engine;
use super::{CompileError, Limits};

const PRELUDE: &str = include_str!("map_prelude.js");

/// A compiled map function. Not shared between threads.
#[derive(Debug)]
pub struct MapFunction {
    source: String,
    engine: RefCell<Engine>,
}

impl MapFunction {
    /// Compiles with the default limits.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        Ok(Self { source: source.to_owned(), engine: RefCell::new(Engine::new(PRELUDE, source, Limits::default())?) })
    }

    /// What the function emits for a document; nothing when it throws.
    pub fn map(&self, id: &str, doc: &Value) -> Vec<(Value, Value)> {
        self.map_text(id, &doc.to_string())
    }

    /// The same on JSON text.
    pub(crate) fn map_text(&self, id: &str, doc: &str) -> Vec<(Value, Value)> {
        let result = self.engine.borrow().run(id, Some(doc), None);
        let text = match result {
            Ok(text) => text,
            Err(error) => {
                if error.spoiled
                    && let Ok(fresh) = Engine::new(PRELUDE, &self.source, Limits::default())
                {
                    self.engine.replace(fresh);
                }
                return Vec::new();
            }
        };
        let Ok(Value::Array(flat)) = crate::json::parse(text.as_bytes()) else {
            return Vec::new();
        };
        let mut items = flat.into_iter();
        let mut rows = Vec::new();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            rows.push((key, value));
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
