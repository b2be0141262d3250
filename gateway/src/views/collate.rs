//! Keys as bytes that compare like keys: null, false, true, numbers, strings, arrays, objects.
//! Strings compare without case first, punctuation before digits before letters, as Unicode collation has it.

use serde_json::Value;

const END: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const NUMBER: u8 = 4;
const STRING: u8 = 5;
const ARRAY: u8 = 6;
const OBJECT: u8 = 7;

/// ASCII in collation order, letters aside.
const ORDER: &[u8] = b"\t\n\x0b\x0c\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";
const LETTERS: u8 = 0x60;
const OTHERS: u8 = 0xf0;

/// The key's bytes.
pub fn encode(key: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    write(&mut out, key);
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(NULL),
        Value::Bool(false) => out.push(FALSE),
        Value::Bool(true) => out.push(TRUE),
        Value::Number(number) => {
            out.push(NUMBER);
            out.extend(ordered(number.as_f64().unwrap_or(0.0)).to_be_bytes());
        }
        Value::String(text) => {
            out.push(STRING);
            write_text(out, text);
        }
        Value::Array(items) => {
            out.push(ARRAY);
            for item in items {
                write(out, item);
            }
            out.push(END);
        }
        Value::Object(members) => {
            out.push(OBJECT);
            for (name, member) in members {
                out.push(STRING);
                write_text(out, name);
                write(out, member);
            }
            out.push(END);
        }
    }
}

/// A float's bits in an order that unsigned integers share.
fn ordered(number: f64) -> u64 {
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// First the letters without case and accent, then what tells them apart.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut ties = Vec::with_capacity(text.len());
    for ch in text.chars() {
        let (base, accent) = unaccented(ch);
        let lower = base.to_lowercase().next().unwrap_or(base);
        match u8::try_from(lower) {
            Ok(letter @ b'a'..=b'z') => out.push(LETTERS + (letter - b'a')),
            Ok(byte) if byte < 0x80 => {
                let place = ORDER.iter().position(|&known| known == byte);
                out.push(place.and_then(|place| u8::try_from(place + 2).ok()).unwrap_or(1));
            }
            _ => {
                out.push(OTHERS);
                out.extend(u32::from(lower).to_be_bytes().iter().skip(1).map(|byte| byte | 1));
                ties.extend(u32::from(lower).to_be_bytes());
            }
        }
        ties.push(1 + (accent << 1) + u8::from(lower != base));
    }
    out.push(END);
    out.extend(ties);
    out.push(END);
}

/// The base letter of an accented Latin letter, and a number for the accent.
fn unaccented(ch: char) -> (char, u8) {
    const GROUPS: &[(char, &str)] = &[
        ('a', "àáâãäå"),
        ('c', "ç"),
        ('e', "èéêë"),
        ('i', "ìíîï"),
        ('n', "ñ"),
        ('o', "òóôõöø"),
        ('u', "ùúûü"),
        ('y', "ýÿ"),
    ];
    if ch.is_ascii() {
        return (ch, 0);
    }
    let lower = ch.to_lowercase().next().unwrap_or(ch);
    for (base, accented) in GROUPS {
        if let Some(place) = accented.chars().position(|known| known == lower) {
            let base = if lower == ch { *base } else { base.to_ascii_uppercase() };
            return (base, u8::try_from(place + 1).unwrap_or(1));
        }
    }
    (ch, 0)
}

#[cfg(test)]
mod tests {
    use super::encode;
    use serde_json::{Value, json};

    #[test]
    fn keys_are_in_collation_order() {
        let keys = [
            json!(null),
            json!(false),
            json!(true),
            json!(-10),
            json!(-1.5),
            json!(0),
            json!(0.5),
            json!(5),
            json!(1e9),
            json!(""),
            json!("-"),
            json!("1"),
            json!("a"),
            json!("A"),
            json!("aa"),
            json!("Aa"),
            json!("b"),
            json!("B"),
            json!("é"),
            json!("f"),
            json!("日"),
            json!([]),
            json!([1]),
            json!([1, 2]),
            json!([2]),
            json!(["a"]),
            json!({}),
            json!({"a": 1}),
            json!({"a": 2}),
            json!({"b": 0}),
        ];
        let encoded: Vec<Vec<u8>> = keys.iter().map(encode).collect();
        for pair in 0..keys.len() - 1 {
            assert!(encoded[pair] < encoded[pair + 1], "{} {}", keys[pair], keys[pair + 1]);
        }
        assert_eq!(encode(&json!(1)), encode(&serde_json::from_str::<Value>("1.0").expect("number")));
    }
}
