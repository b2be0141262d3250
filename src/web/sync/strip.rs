//! Takes the member `_cv` off documents in JSON that flows by. Sync Gateway 4 adds it to every body, and PouchDB and Couchbase
//! Lite 1 refuse documents that have it. Parsed and not by pattern: a text or a deeper field of that name stays. Whatever
//! is no JSON passes as it is.

/// What the JSON holds, by where it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A document.
    Document,
    /// `_all_docs` or `_changes`: rows or results, each with its document as `doc`.
    Rows,
    /// `open_revs`: a list of `{"ok": document}`.
    Revisions,
    /// A feed: changes one after another, or lists of them, each with its document as `doc`.
    Feed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Envelope,
    List,
    Entry,
    Document,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A key or the end.
    Key,
    Colon,
    Value,
    /// A comma or the end.
    Comma,
}

#[derive(Debug)]
struct Frame {
    object: bool,
    role: Role,
    /// Of the value that comes.
    coming: Role,
    next: Next,
    /// Something was written in it already, so that what comes needs a comma.
    written: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lexeme {
    None,
    Text {
        key: bool,
        escaped: bool,
    },
    /// A number or a word.
    Plain,
}

/// Works through one body, part by part.
#[derive(Debug)]
pub struct Stripper {
    shape: Shape,
    stack: Vec<Frame>,
    lexeme: Lexeme,
    /// A key that is not complete.
    key: Vec<u8>,
    /// How deep the stack was when what is left out began.
    leaving_out: Option<usize>,
    /// It is not JSON: everything passes.
    lost: bool,
}

impl Stripper {
    /// For a body of this shape.
    pub fn new(shape: Shape) -> Stripper {
        Stripper { shape, stack: Vec::new(), lexeme: Lexeme::None, key: Vec::new(), leaving_out: None, lost: false }
    }

    /// What is to be passed on of the next part.
    pub fn feed(&mut self, part: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(part.len() + 1);
        for byte in part {
            if self.lost {
                out.push(*byte);
            } else {
                self.byte(*byte, &mut out);
            }
        }
        out
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match self.lexeme {
            Lexeme::Text { key, escaped } => self.text(byte, key, escaped, out),
            Lexeme::Plain if !matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => self.put(byte, out),
            Lexeme::Plain => {
                self.lexeme = Lexeme::None;
                self.value_ends();
                self.structure(byte, out);
            }
            Lexeme::None => self.structure(byte, out),
        }
    }

    fn text(&mut self, byte: u8, key: bool, escaped: bool, out: &mut Vec<u8>) {
        if key {
            self.key.push(byte);
        } else {
            self.put(byte, out);
        }
        self.lexeme = match byte {
            _ if escaped => Lexeme::Text { key, escaped: false },
            b'\\' => Lexeme::Text { key, escaped: true },
            b'"' => {
                if key {
                    self.key_ends(out);
                } else {
                    self.value_ends();
                }
                Lexeme::None
            }
            _ => Lexeme::Text { key, escaped: false },
        };
    }

    fn structure(&mut self, byte: u8, out: &mut Vec<u8>) {
        let next = self.stack.last().map_or(Next::Value, |frame| frame.next);
        match (byte, next) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => self.put(byte, out),
            (b'"', Next::Key) => {
                self.key = vec![byte];
                self.lexeme = Lexeme::Text { key: true, escaped: false };
            }
            (b':', Next::Colon) => {
                self.put(byte, out);
                self.set(Next::Value);
            }
            (b',', Next::Comma) => {
                // Written when the next member is: it may be left out.
                let object = self.stack.last().is_some_and(|frame| frame.object);
                if self.leaving_out == Some(self.stack.len()) {
                    self.leaving_out = None;
                }
                self.set(if object { Next::Key } else { Next::Value });
            }
            (b'}' | b']', Next::Key | Next::Comma | Next::Value) if self.closes(byte) => {
                if self.leaving_out == Some(self.stack.len()) {
                    self.leaving_out = None;
                }
                self.stack.pop();
                self.put(byte, out);
                self.value_ends();
            }
            (_, Next::Value) => self.value_begins(byte, out),
            _ => self.lose(byte, out),
        }
    }

    fn closes(&self, byte: u8) -> bool {
        self.stack.last().is_some_and(|frame| frame.object == (byte == b'}'))
    }

    fn value_begins(&mut self, byte: u8, out: &mut Vec<u8>) {
        let role = self.stack.last().map_or_else(|| self.root(byte), |frame| frame.coming);
        if let Some(frame) = self.stack.last_mut().filter(|frame| !frame.object) {
            let comma = std::mem::replace(&mut frame.written, true);
            if comma {
                self.put(b',', out);
            }
        }
        self.put(byte, out);
        match byte {
            b'{' => self.open(true, role),
            b'[' => self.open(false, role),
            b'"' => self.lexeme = Lexeme::Text { key: false, escaped: false },
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.lexeme = Lexeme::Plain,
            _ => self.lost = true,
        }
    }

    fn root(&self, byte: u8) -> Role {
        match (self.shape, byte) {
            (Shape::Document, _) => Role::Document,
            (Shape::Rows, _) => Role::Envelope,
            (Shape::Feed, b'{') => Role::Entry,
            (Shape::Feed | Shape::Revisions, _) => Role::List,
        }
    }

    fn open(&mut self, object: bool, role: Role) {
        let (coming, next) = match (object, role) {
            (false, Role::List) => (Role::Entry, Next::Value),
            (false, _) => (Role::Other, Next::Value),
            (true, _) => (Role::Other, Next::Key),
        };
        self.stack.push(Frame { object, role, coming, next, written: false });
    }

    fn key_ends(&mut self, out: &mut Vec<u8>) {
        let raw = std::mem::take(&mut self.key);
        // Escapes are read, too: `\u005fcv` is the same key.
        let name: String = serde_json::from_slice(&raw).unwrap_or_default();
        let depth = self.stack.len();
        let Some(frame) = self.stack.last_mut() else { return };
        frame.next = Next::Colon;
        frame.coming = match (frame.role, name.as_str()) {
            (Role::Envelope, "rows" | "results") => Role::List,
            (Role::Entry, "doc" | "ok") => Role::Document,
            _ => Role::Other,
        };
        if frame.role == Role::Document && name == "_cv" && self.leaving_out.is_none() {
            self.leaving_out = Some(depth);
            return;
        }
        let comma = if self.leaving_out.is_none() { std::mem::replace(&mut frame.written, true) } else { false };
        if comma {
            self.put(b',', out);
        }
        for byte in raw {
            self.put(byte, out);
        }
    }

    fn value_ends(&mut self) {
        self.set(Next::Comma);
    }

    fn set(&mut self, next: Next) {
        if let Some(frame) = self.stack.last_mut() {
            frame.next = next;
        }
    }

    fn put(&self, byte: u8, out: &mut Vec<u8>) {
        if self.leaving_out.is_none() {
            out.push(byte);
        }
    }

    fn lose(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.lost = true;
        out.push(byte);
    }
}

/// The whole body at once.
pub fn strip(body: &[u8], shape: Shape) -> Vec<u8> {
    Stripper::new(shape).feed(body)
}

#[cfg(test)]
mod tests {
    use super::{Shape, Stripper, strip};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn told(body: &str, shape: Shape) -> String {
        String::from_utf8(strip(body.as_bytes(), shape)).unwrap()
    }

    #[test]
    fn only_the_member_of_the_document_itself_goes() {
        for (body, left) in [
            (r#"{"_cv":"1@a","a":1}"#, r#"{"a":1}"#),
            (r#"{"a":1,"_cv":{"x":[1,"}"]},"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1, "_cv" : "1@a"}"#, r#"{"a":1 }"#),
            (r#"{"_cv":1}"#, "{}"),
            (r#"{"\u005fcv":1,"a":"_cv"}"#, r#"{"a":"_cv"}"#),
            (
                r#"{"a":{"_cv":1},"b":[{"_cv":2}],"c":"\",\"_cv\":1"}"#,
                r#"{"a":{"_cv":1},"b":[{"_cv":2}],"c":"\",\"_cv\":1"}"#,
            ),
            (r#"{"doc":{"_cv":1},"rows":[{"doc":{"_cv":1}}]}"#, r#"{"doc":{"_cv":1},"rows":[{"doc":{"_cv":1}}]}"#),
            ("{\"n\":1.50,\"m\":12345678901234567890}", "{\"n\":1.50,\"m\":12345678901234567890}"),
        ] {
            assert_eq!(told(body, Shape::Document), left);
        }
    }

    #[test]
    fn lists_feeds_and_revisions_have_their_documents_deeper() {
        let rows = r#"{"rows":[{"id":"a","value":{"_cv":0},"doc":{"_cv":1,"a":{"_cv":2}}},{"id":"b"}],"_cv":3}"#;
        let left = r#"{"rows":[{"id":"a","value":{"_cv":0},"doc":{"a":{"_cv":2}}},{"id":"b"}],"_cv":3}"#;
        assert_eq!(told(rows, Shape::Rows), left);
        let revisions = r#"[{"ok":{"_id":"a","_cv":1}},{"missing":"1-a"}]"#;
        assert_eq!(told(revisions, Shape::Revisions), r#"[{"ok":{"_id":"a"}},{"missing":"1-a"}]"#);
        let lines = "{\"seq\":1,\"doc\":{\"_cv\":1}}\n\n{\"seq\":2,\"doc\":{\"_cv\":1,\"a\":1}}\n";
        assert_eq!(told(lines, Shape::Feed), "{\"seq\":1,\"doc\":{}}\n\n{\"seq\":2,\"doc\":{\"a\":1}}\n");
        assert_eq!(told(r#"[{"doc":{"_cv":1}}]"#, Shape::Feed), r#"[{"doc":{}}]"#);
    }

    #[test]
    fn heartbeats_pass_at_once_and_what_is_no_json_passes_as_it_is() {
        let mut stripper = Stripper::new(Shape::Rows);
        assert_eq!(stripper.feed(b"{\"results\":["), b"{\"results\":[");
        assert_eq!(stripper.feed(b"\n"), b"\n");
        assert_eq!(stripper.feed(b"{\"doc\":{\"_c"), b"{\"doc\":{");
        assert_eq!(stripper.feed(b"v\":\"1@"), b"");
        assert_eq!(stripper.feed(b"a\",\"b\":1}}],\"last_seq\":1}"), b"\"b\":1}}],\"last_seq\":1}");
        for other in ["", "hello {\"_cv\":1}", "{'_cv':1}", "<html>", "]", "{]"] {
            assert_eq!(told(other, Shape::Document), other);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof![Just("_cv".to_owned()), Just("doc".to_owned()), Just("rows".to_owned()), ".{0,4}"];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
            Just(Value::Null)
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((word.clone(), inner), 0..5)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_loses_that_member_and_nothing_else_however_it_is_cut(doc in any_json(), cut in 1_usize..9, wide in any::<bool>()) {
            let text = if wide { serde_json::to_string_pretty(&doc) } else { serde_json::to_string(&doc) }.unwrap();
            let mut expected = doc.clone();
            if let Some(fields) = expected.as_object_mut() {
                fields.remove("_cv");
            }
            let mut stripper = Stripper::new(Shape::Document);
            let parts: Vec<u8> = text.as_bytes().chunks(cut).flat_map(|part| stripper.feed(part)).collect();
            prop_assert_eq!(serde_json::from_slice::<Value>(&parts).unwrap(), expected);
            let entry = json!({ "rows": [{ "doc": doc }] }).to_string();
            let read: Value = serde_json::from_slice(&strip(entry.as_bytes(), Shape::Rows)).unwrap();
            let mut inner = doc.clone();
            if let Some(fields) = inner.as_object_mut() { fields.remove("_cv"); }
            prop_assert_eq!(&read["rows"][0]["doc"], &inner);
        }
    }
}
