//! JSON as Sync Gateway writes it: keys sorted bytewise, number literals as received, `<`, `>`, `&` escaped.
//! The canonical text is both what a revision digest is made of and what is stored and sent.

mod parse;

use serde_json::{Map, Value};

pub use parse::parse;

/// A JSON object.
pub type Object = Map<String, Value>;

/// The canonical text of an object.
pub fn canonical(object: &Object) -> String {
    let mut out = String::with_capacity(256);
    write_object(&mut out, object);
    out
}

/// The canonical text of any value.
pub fn canonical_value(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// Parses a stored body; stored bodies are always objects.
pub fn parse_object(text: &str) -> Object {
    match parse(text.as_bytes()) {
        Ok(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

/// Puts members in front of an object's text: `{"a":1}` and `"_id":"x"` make `{"_id":"x","a":1}`.
pub fn splice(members: &str, object: &str) -> String {
    let rest = object.strip_prefix('{').unwrap_or("}");
    let mut out = String::with_capacity(members.len() + rest.len() + 2);
    out.push('{');
    out.push_str(members);
    if rest != "}" && !members.is_empty() {
        out.push(',');
    }
    out.push_str(rest);
    out
}

/// Adds members to a canonical object's text so that its keys stay sorted. Of two equal keys the added one counts.
pub fn add_members(mut members: Vec<(&str, String)>, object: &str) -> String {
    members.sort_unstable_by_key(|(key, _)| *key);
    let last = members.last().map_or("", |(key, _)| *key);
    let mut out = String::with_capacity(object.len() + 160);
    out.push('{');
    let mut added = members.into_iter().peekable();
    let mut push = |key: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(key);
        out.push(':');
        out.push_str(value);
    };
    let mut rest = object.strip_prefix('{').unwrap_or("}");
    while let Some((key, value, behind)) = next_member(rest) {
        let plain = key.trim_matches('"');
        if plain > last {
            break;
        }
        rest = behind;
        while let Some((name, text)) = added.next_if(|(name, _)| *name < plain) {
            push(&quote(name), &text);
        }
        if added.peek().is_none_or(|(name, _)| *name != plain) {
            push(key, value);
        }
    }
    for (name, text) in added {
        push(&quote(name), &text);
    }
    if rest != "}" && out.len() > 1 {
        out.push(',');
    }
    out.push_str(rest);
    out
}

/// Key, value and what is behind them, of canonical text that stands inside an object.
fn next_member(text: &str) -> Option<(&str, &str, &str)> {
    let bytes = text.as_bytes();
    let key_end = string_end(bytes, 0)?;
    let mut at = key_end + 1;
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)? - 1,
            b'{' | b'[' => depth += 1,
            b'}' if depth == 0 => return Some((&text[..key_end], &text[key_end + 1..at], &text[at..])),
            b',' if depth == 0 => return Some((&text[..key_end], &text[key_end + 1..at], &text[at + 1..])),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

/// The place behind the string that begins at `from`.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.get(from) != Some(&b'"') {
        return None;
    }
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A quoted, escaped JSON string.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(number.as_str()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(object) => write_object(out, object),
    }
}

fn write_object(out: &mut String, object: &Object) {
    let mut keys: Vec<&String> = object.keys().collect();
    keys.sort_unstable();
    out.push('{');
    for (index, key) in keys.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key);
        out.push(':');
        write_value(out, &object[key]);
    }
    out.push('}');
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut clean = 0;
    for (at, ch) in text.char_indices() {
        if !needs_escape(ch) {
            continue;
        }
        out.push_str(&text[clean..at]);
        clean = at + ch.len_utf8();
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other => {
                use std::fmt::Write as _;
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
        }
    }
    out.push_str(&text[clean..]);
    out.push('"');
}

fn needs_escape(ch: char) -> bool {
    matches!(ch, '"' | '\\' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}')
}

#[cfg(test)]
mod tests {
    use super::{add_members, canonical, parse_object, quote, splice};

    #[test]
    fn added_members_keep_the_order() {
        let added = |object: &str| add_members(vec![("_rev", "2".to_owned()), ("_id", "1".to_owned())], object);
        assert_eq!(added("{}"), r#"{"_id":1,"_rev":2}"#);
        assert_eq!(added(r#"{"a":{"Z":1}}"#), r#"{"_id":1,"_rev":2,"a":{"Z":1}}"#);
        let mixed = r#"{"A":["}",{"b":"\"]"}],"_foo":1,"_rex":{},"z":0}"#;
        assert_eq!(added(mixed), r#"{"A":["}",{"b":"\"]"}],"_foo":1,"_id":1,"_rev":2,"_rex":{},"z":0}"#);
        assert_eq!(added(r#"{"_id":9}"#), r#"{"_id":1,"_rev":2}"#);
        assert_eq!(add_members(Vec::new(), r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(add_members(Vec::new(), "{}"), "{}");
    }

    #[test]
    fn canonical_sorts_keys_and_keeps_number_literals() {
        let object = parse_object(r#"{"b":1.50,"a":{"z":1e3,"y":"\/é<"},"c":12345678901234567890}"#);
        let expected = "{\"a\":{\"y\":\"/é\\u003c\",\"z\":1e3},\"b\":1.50,\"c\":12345678901234567890}";
        assert_eq!(canonical(&object), expected);
    }

    #[test]
    fn splice_handles_the_empty_object() {
        assert_eq!(splice("\"_id\":\"x\"", "{}"), r#"{"_id":"x"}"#);
        assert_eq!(splice("\"_id\":\"x\"", r#"{"a":1}"#), r#"{"_id":"x","a":1}"#);
        assert_eq!(quote("a\u{1}\u{2028}\u{7f}"), "\"a\\u0001\\u2028\u{7f}\"");
    }
}
