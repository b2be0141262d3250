//! Map functions of views: one by itself, or all of a design document on one reading of each document.

use std::cell::RefCell;

use serde_json::Value;

use super::runner::{Runner, Texts};
use super::{CompileError, Limits};

const PRELUDE: &str = include_str!("map_prelude.js");

/// Most bytes of an emitted key as JSON; as on Couchbase Server a document with a longer one has no rows.
const LONGEST_KEY: usize = 4096;
/// Most bytes of all rows of a document in one view.
const LARGEST_ROWS: usize = 1 << 20;

/// What a function emits for a document: keys and values.
pub(crate) type Emitted = Vec<(Value, Value)>;

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
        self.map_text(id, doc.to_string())
    }

    fn map_text(&self, id: &str, doc: String) -> Emitted {
        let texts = Texts { first: id.to_owned(), second: Some(doc), third: None };
        let said = self.runner.borrow_mut().run(vec![texts]).pop();
        said.and_then(Result::ok).map(|text| emitted(id, &text)).unwrap_or_default()
    }
}

/// The functions of a design document, which share a thread, a heap and the reading of each document. One that is not a
/// function emits nothing.
#[derive(Debug)]
pub(crate) struct Maps {
    sources: Vec<String>,
    runner: Runner,
    /// Each function by itself, for documents on which all together have failed.
    alone: Option<Vec<Option<MapFunction>>>,
}

impl Maps {
    /// Takes the functions' sources; they are compiled when they are needed.
    pub(crate) fn new(sources: Vec<String>) -> Result<Self, CompileError> {
        let list: Vec<String> = sources.iter().map(|source| Value::from(source.as_str()).to_string()).collect();
        let all = format!("function () {{ return [{}]; }}", list.join(","));
        Ok(Self { sources, runner: Runner::new(PRELUDE, &all, Limits::default())?, alone: None })
    }

    /// What the functions emit, by document and function; nothing where one throws.
    pub(crate) fn map<'d>(&mut self, docs: impl Iterator<Item = (&'d str, &'d str)> + Clone) -> Vec<Vec<Emitted>> {
        let several = || Some(String::new());
        let texts =
            |(id, doc): (&str, &str)| Texts { first: id.to_owned(), second: Some(doc.to_owned()), third: several() };
        let said = self.runner.run(docs.clone().map(texts).collect());
        let said = docs.zip(said);
        said.map(|((id, doc), said)| match said {
            Ok(lines) => lines.lines().map(|line| emitted(id, line)).collect(),
            Err(_) => self.each(id, doc),
        })
        .collect()
    }

    /// A function that fails badly takes nothing from the others.
    fn each(&mut self, id: &str, doc: &str) -> Vec<Emitted> {
        let compile = || self.sources.iter().map(|source| MapFunction::compile(source).ok()).collect();
        let alone = self.alone.get_or_insert_with(compile).iter();
        alone.map(|map| map.as_ref().map(|map| map.map_text(id, doc.to_owned())).unwrap_or_default()).collect()
    }
}

fn emitted(id: &str, text: &str) -> Emitted {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MapFunction, Maps};

    #[test]
    fn emits_in_order_and_a_throw_skips_the_document() {
        let map = MapFunction::compile("function (doc, meta) { emit(meta.id); emit([doc.n], doc.not.there); }");
        let map = map.expect("compiles");
        assert!(map.map("a", &json!({"n": 1})).is_empty());
        let rows = map.map("a", &json!({"n": 1, "not": {}}));
        assert_eq!(rows, [(json!("a"), json!(null)), (json!([1]), json!(null))]);
    }

    #[test]
    fn functions_of_a_design_document_do_not_disturb_each_other() {
        let sources = [
            "function (doc, meta) { emit(meta.id, doc.n); }",
            "function (",
            "function (doc) { emit(1); if (doc.n === 2) { throw new Error('two'); } }; // with a comment",
            "function (doc) { if (doc.n === 3) { while (true) {} } emit('late'); }",
            "function (doc) { if (doc.n === 4) { var a = []; while (true) { a.push(new Array(1000)); } } emit('small'); }",
        ];
        let mut maps = Maps::new(sources.map(str::to_owned).to_vec()).expect("compiles");
        let docs: Vec<(String, String)> = (1..=5).map(|n| (format!("d{n}"), json!({"n": n}).to_string())).collect();
        let all = maps.map(docs.iter().map(|(id, doc)| (id.as_str(), doc.as_str())));
        let counts: Vec<Vec<usize>> = all.iter().map(|doc| doc.iter().map(Vec::len).collect()).collect();
        let expected = [[1, 0, 1, 1, 1], [1, 0, 0, 1, 1], [1, 0, 1, 0, 1], [1, 0, 1, 1, 0], [1, 0, 1, 1, 1]];
        assert_eq!(counts, expected);
        assert_eq!(all[4][0], [(json!("d5"), json!(5))]);
    }
}
