//! Takes `_cv` off the documents in a multipart body, part by part. A part is held until it is whole: documents and attachments
//! are bounded by the gateway.

use super::strip::{Shape, strip};

/// Works through one body.
#[derive(Debug)]
pub struct Multipart {
    /// `--boundary`
    mark: Vec<u8>,
    held: Vec<u8>,
    /// The first mark was passed.
    begun: bool,
}

impl Multipart {
    /// With the boundary that the content type names.
    pub fn new(boundary: &str) -> Multipart {
        Multipart { mark: format!("--{boundary}").into_bytes(), held: Vec::new(), begun: false }
    }

    /// What is to be passed on now.
    pub fn feed(&mut self, part: &[u8]) -> Vec<u8> {
        // Only what is new can complete a mark that was not there.
        let searched = self.held.len().saturating_sub(self.mark.len());
        self.held.extend_from_slice(part);
        let mut out = Vec::new();
        let mut from = searched;
        while let Some(at) = find(&self.held, &self.mark, from) {
            let rest = self.held.split_off(at);
            let before = std::mem::replace(&mut self.held, rest);
            if self.begun {
                out.extend(rewritten(&before));
            } else {
                out.extend(before);
            }
            self.begun = true;
            // The mark itself leads the next part.
            out.extend_from_slice(&self.mark);
            self.held.drain(..self.mark.len());
            from = 0;
        }
        out
    }

    /// What is left at the end.
    pub fn end(self) -> Vec<u8> {
        self.held
    }
}

/// A part between two marks: a line's rest, headers, an empty line, the body, a line break.
fn rewritten(part: &[u8]) -> Vec<u8> {
    let Some(split) = find(part, b"\r\n\r\n", 0) else { return part.to_vec() };
    let (head, body) = (&part[..split], &part[split + 4..]);
    let head = String::from_utf8_lossy(head);
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let kind = header("content-type").unwrap_or_default();
    if header("content-encoding").is_some() {
        return part.to_vec();
    }
    let new = if let Some(boundary) = boundary(&kind) {
        let mut inner = Multipart::new(&boundary);
        let mut new = inner.feed(body);
        new.extend(inner.end());
        new
    } else if kind.starts_with("application/json") {
        strip(body, Shape::Document)
    } else {
        return part.to_vec();
    };
    // Its length may be another now.
    let lines: Vec<&str> =
        head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("content-length:")).collect();
    let mut out = lines.join("\r\n").into_bytes();
    out.extend_from_slice(b"\r\n\r\n");
    out.extend(new);
    out
}

/// The boundary of a multipart content type.
pub fn boundary(kind: &str) -> Option<String> {
    let (name, parameters) = kind.split_once(';')?;
    if !name.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (!value.is_empty()).then_some(value)
}

fn find(hay: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    memchr::memmem::find(hay.get(from..)?, needle).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::{Multipart, boundary};

    const BODY: &str = "--outer\r\nContent-Type: application/json\r\n\r\n{\"_id\":\"a\",\"_cv\":1}\r\n\
        --outer\r\nContent-Type: multipart/related; boundary=\"inner\"\r\nX-Doc-Id: b\r\n\r\n\
        --inner\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"_cv\":1,\"_id\":\"b\"}\r\n\
        --inner\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\n{\"_cv\":1}\r\n--inner--\r\n\
        --outer\r\nContent-Type: application/json; error=\"true\"\r\n\r\n{\"error\":\"not_found\"}\r\n--outer--";

    #[test]
    fn documents_lose_it_and_attachments_do_not_however_the_body_is_cut() {
        for cut in [1, 7, 64, BODY.len()] {
            let mut multipart = Multipart::new("outer");
            let mut out: Vec<u8> = BODY.as_bytes().chunks(cut).flat_map(|part| multipart.feed(part)).collect();
            out.extend(multipart.end());
            let text = String::from_utf8(out).unwrap();
            let expected = BODY
                .replace("{\"_id\":\"a\",\"_cv\":1}", "{\"_id\":\"a\"}")
                .replace("Content-Length: 20\r\n\r\n{\"_cv\":1,\"_id\":\"b\"}", "\r\n{\"_id\":\"b\"}");
            assert_eq!(text, expected, "cut every {cut}");
        }
    }

    #[test]
    fn the_boundary_is_read_from_the_content_type() {
        assert_eq!(boundary("multipart/mixed; boundary=\"a b\"").as_deref(), Some("a b"));
        assert_eq!(boundary("Multipart/Related; type=x; Boundary=c").as_deref(), Some("c"));
        assert_eq!(boundary("application/json"), None);
        assert_eq!(boundary("multipart/mixed; boundary="), None);
    }
}
