//! Multipart bodies, written and read.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use serde_json::{Value, json};

use super::failure::Failure;
use crate::database::attachments;
use crate::database::read::{Revision, Show};
use crate::error::Result;
use crate::json::{self, Object};

/// Attachments up to this size stay in the JSON.
const LARGEST_INLINE: usize = 200;
/// JSON below this size is not worth compressing.
const SMALLEST_COMPRESSED: usize = 300;

/// A multipart body in the making.
pub(crate) struct Writer {
    media: &'static str,
    boundary: String,
    body: Vec<u8>,
    /// Whether large JSON parts are compressed.
    compress: bool,
}

impl Writer {
    pub(crate) fn new(media: &'static str, compress: bool) -> Self {
        Self { media, boundary: hex::encode(rand::random::<[u8; 20]>()), body: Vec::new(), compress }
    }

    fn part(&mut self, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("--{}\r\n", self.boundary);
        for (name, value) in headers {
            head.push_str(name);
            head.push_str(": ");
            head.extend(value.chars().filter(|ch| !ch.is_control()));
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.body.extend(head.as_bytes());
        self.body.extend(body);
        self.body.extend(b"\r\n");
    }

    fn json<'h>(&mut self, mut headers: Vec<(&'h str, &'h str)>, media: &'h str, body: &str) {
        headers.push(("Content-Type", media));
        if !self.compress || body.len() < SMALLEST_COMPRESSED {
            return self.part(&headers, body.as_bytes());
        }
        headers.push(("Content-Encoding", "gzip"));
        self.part(&headers, &gzip(body.as_bytes()));
    }

    /// Something that could not be had.
    pub(crate) fn error(&mut self, body: &str) {
        self.json(Vec::new(), "application/json; error=\"true\"", body);
    }

    /// A revision; with attachment bodies it is a multipart of its own.
    pub(crate) fn revision(&mut self, conn: &Connection, revision: &Revision, show: &Show) -> Result<()> {
        let headers = vec![("X-Doc-Id", revision.id.as_str()), ("X-Rev-Id", revision.rev.as_str())];
        if show.attachments.is_none() || revision.atts.is_none() {
            self.json(headers, "application/json", &revision.render(conn, show)?);
            return Ok(());
        }
        let (media, body) = related(conn, revision, show, self.compress)?;
        self.part(&[headers[0], headers[1], ("Content-Type", media.as_str())], &body);
        Ok(())
    }

    /// The media type with its boundary.
    pub(crate) fn media(&self) -> String {
        format!("{}; boundary=\"{}\"", self.media, self.boundary)
    }

    /// What has been written since the last call.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// The rest of the body.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.body.extend(format!("--{}--", self.boundary).as_bytes());
        self.take()
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::with_capacity(body.len() / 2), flate2::Compression::fast());
    // Writing to memory does not fail.
    let _ = out.write_all(body);
    out.finish().unwrap_or_default()
}

/// A revision as `multipart/related`: the document, then the larger ones of the attachments to be shown.
pub(crate) fn related(
    conn: &Connection,
    revision: &Revision,
    show: &Show,
    compress: bool,
) -> Result<(String, Vec<u8>)> {
    let mut writer = Writer::new("multipart/related", compress);
    let mut parts = Vec::new();
    let mut shown = revision.clone();
    if let Some((atts, since)) = revision.atts.as_deref().zip(show.attachments.as_ref()) {
        let mut members = json::parse_object(atts);
        let from = revision.unchanged_before(since);
        for (name, meta) in &mut members {
            let Value::Object(meta) = meta else { continue };
            let Some(data) = attachments::load_newer(conn, revision.num, meta, from)? else { continue };
            meta.remove("stub");
            if data.len() <= LARGEST_INLINE {
                meta.insert("data".to_owned(), json!(STANDARD.encode(data)));
                continue;
            }
            meta.insert("follows".to_owned(), json!(true));
            let media = meta.get("content_type").and_then(Value::as_str).unwrap_or_default();
            parts.push((name.clone(), media.to_owned(), data));
        }
        shown.atts = Some(json::canonical(&members));
    }
    let plain = Show { attachments: None, ..show.clone() };
    writer.json(Vec::new(), "application/json", &shown.render(conn, &plain)?);
    for (name, media, data) in parts {
        let name: String = name.chars().filter(|ch| *ch != '"').collect();
        let disposition = format!("attachment; filename=\"{name}\"");
        let mut headers = vec![("Content-Disposition", disposition.as_str())];
        if !media.is_empty() {
            headers.push(("Content-Type", media.as_str()));
        }
        writer.part(&headers, &data);
    }
    Ok((writer.media(), writer.finish()))
}

struct Part<'a> {
    filename: Option<String>,
    body: &'a [u8],
}

/// Reads a `multipart/related` document: attachments that follow are put in as data.
pub(crate) fn read_related(content_type: &str, body: &[u8]) -> Result<Object, Failure> {
    let bad = || Failure::bad_request("Bad multipart body");
    let boundary = parameter(content_type, "boundary").ok_or_else(bad)?;
    let mut parts = split(body, &boundary).ok_or_else(bad)?.into_iter();
    let first = parts.next().ok_or_else(bad)?;
    let Ok(Value::Object(mut document)) = json::parse(first.body) else {
        return Err(Failure::bad_request("Bad JSON"));
    };
    let mut parts: Vec<Part<'_>> = parts.collect();
    if let Some(Value::Object(members)) = document.get_mut("_attachments") {
        for (name, meta) in members {
            let Value::Object(meta) = meta else { continue };
            if meta.remove("follows") != Some(Value::Bool(true)) {
                continue;
            }
            let named = parts.iter().position(|part| part.filename.as_deref() == Some(name));
            let digest = meta.get("digest").and_then(Value::as_str).map(str::to_owned);
            let same = |part: &Part<'_>| digest.as_deref() == Some(&attachments::digest(part.body));
            let place = named.or_else(|| parts.iter().position(same)).unwrap_or(0);
            if place >= parts.len() {
                return Err(Failure::bad_request("Missing attachment part"));
            }
            let part = parts.remove(place);
            meta.insert("data".to_owned(), json!(STANDARD.encode(part.body)));
        }
    }
    Ok(document)
}

/// A parameter of a header's value.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        (key.trim().eq_ignore_ascii_case(name) && !value.is_empty()).then(|| value.to_owned())
    })
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let tail = haystack.get(from..)?;
    tail.windows(needle.len()).position(|window| window == needle).map(|at| at + from)
}

fn split<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    let dashes = format!("--{boundary}");
    let delimiter = format!("\r\n{dashes}");
    let mut at = find(body, dashes.as_bytes(), 0)? + dashes.len();
    let mut parts = Vec::new();
    while !body.get(at..)?.starts_with(b"--") {
        let start = find(body, b"\r\n", at)?;
        let blank = find(body, b"\r\n\r\n", start)?;
        let end = find(body, delimiter.as_bytes(), blank + 2)?;
        let head = String::from_utf8_lossy(&body[start..blank]).into_owned();
        let filename = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let disposition = name.trim().eq_ignore_ascii_case("content-disposition");
            disposition.then(|| parameter(value, "filename")).flatten()
        });
        let from = (blank + 4).min(end);
        parts.push(Part { filename, body: &body[from..end] });
        at = end + delimiter.len();
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::read_related;

    #[test]
    fn attachments_that_follow_become_data() {
        let body = "--x\r\nContent-Type: application/json\r\n\r\n{\"_attachments\":{\"a\":{\"follows\":true}}}\r\n\
                    --x\r\nContent-Disposition: attachment; filename=\"a\"\r\n\r\nhello\r\n--x--";
        let document = read_related("multipart/related; boundary=\"x\"", body.as_bytes()).expect("valid");
        assert_eq!(document["_attachments"]["a"]["data"], "aGVsbG8=");
        assert!(read_related("multipart/related; boundary=x", b"nonsense").is_err());
    }
}
