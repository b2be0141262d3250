//! `multipart/mixed` as it comes in, part by part, so that memory holds one part at a time. Knows no document.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use memchr::memmem;

/// The largest part that is read; a document's body and its attachments come in one.
const LARGEST: usize = 512 << 20;

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its content type, as sent.
    pub(super) media: String,
    pub(super) body: Bytes,
}

/// Why the parts ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartsError {
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer ended in the middle")]
    Short,
    #[error("a document is larger than {} MiB", LARGEST >> 20)]
    Large,
    #[error("the answer is not multipart")]
    Nonsense,
}

/// The parts of one answer.
pub(super) struct Parts<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Up to here the buffer holds no delimiter.
    searched: usize,
    delimiter: Vec<u8>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Preamble,
    Inside,
    Ended,
}

impl<S, E> Parts<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// `media` is the answer's content type, with the boundary.
    pub(super) fn new(media: &str, stream: S) -> Result<Parts<S>, PartsError> {
        let boundary = boundary(media).ok_or(PartsError::Nonsense)?;
        // The first delimiter needs no line break before it: one is put there.
        let (buffer, delimiter) = (b"\r\n".to_vec(), format!("\r\n--{boundary}").into_bytes());
        Ok(Parts { stream, buffer, searched: 0, delimiter, state: State::Preamble })
    }

    /// The next part; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, PartsError> {
        loop {
            if self.state == State::Ended {
                return Ok(None);
            }
            let Some(found) = self.section().await? else { continue };
            return part(found).map(Some);
        }
    }

    /// What stands before the next delimiter; `None` for the preamble and the end.
    async fn section(&mut self) -> Result<Option<Vec<u8>>, PartsError> {
        let at = loop {
            let found = memmem::find(&self.buffer[self.searched..], &self.delimiter).map(|at| at + self.searched);
            // Two more bytes tell a part from the end.
            match found.filter(|at| self.buffer.len() >= at + self.delimiter.len() + 2) {
                Some(at) => break at,
                None => self.searched = found.unwrap_or(self.buffer.len().saturating_sub(self.delimiter.len())),
            }
            self.more().await?;
        };
        let after = at + self.delimiter.len();
        let last = self.buffer[after..].starts_with(b"--");
        let rest = self.buffer.split_off(after);
        let mut section = std::mem::replace(&mut self.buffer, rest);
        section.truncate(at);
        self.searched = 0;
        let inside = self.state == State::Inside;
        self.state = if last { State::Ended } else { State::Inside };
        Ok(inside.then_some(section))
    }

    async fn more(&mut self) -> Result<(), PartsError> {
        let chunk = self.stream.next().await.ok_or(PartsError::Short)?;
        self.buffer.extend_from_slice(&chunk.map_err(|why| PartsError::Broken(why.into()))?);
        if self.buffer.len() > LARGEST { Err(PartsError::Large) } else { Ok(()) }
    }
}

/// Headers and body; `section` starts behind the boundary's text.
fn part(section: Vec<u8>) -> Result<Part, PartsError> {
    let line = memmem::find(&section, b"\r\n").ok_or(PartsError::Nonsense)?;
    let blank = memmem::find(&section[line..], b"\r\n\r\n").ok_or(PartsError::Nonsense)? + line;
    let head = String::from_utf8_lossy(&section[line..blank]).into_owned();
    let media = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    Ok(Part { media: media.unwrap_or_default(), body: Bytes::from(section).slice(blank + 4..) })
}

/// All parts of a whole body.
pub(super) async fn whole(media: &str, body: Bytes) -> Result<Vec<Part>, PartsError> {
    let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(body)]);
    let mut parts = Parts::new(media, stream)?;
    let mut all = Vec::new();
    while let Some(part) = parts.next().await? {
        all.push(part);
    }
    Ok(all)
}

fn boundary(media: &str) -> Option<String> {
    media.split(';').skip(1).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::{Parts, PartsError, whole};
    use bytes::Bytes;
    use futures_util::stream::iter;

    const MEDIA: &str = "multipart/mixed; boundary=\"b\"";
    const TEXT: &[u8] = b"--b\r\nContent-Type: application/json\r\n\r\n{\"a\":\r\n1}\r\n--b\r\nX: y\r\n\r\n\r\n--b\r\n\r\nbare\r\n--b--\r\n";

    #[tokio::test]
    async fn parts_are_the_same_however_the_bytes_are_cut() {
        let expected = whole(MEDIA, Bytes::from_static(TEXT)).await.unwrap();
        assert_eq!(expected[0].media, "application/json");
        let bodies: Vec<&[u8]> = expected.iter().map(|part| part.body.as_ref()).collect();
        assert_eq!(bodies, [&b"{\"a\":\r\n1}"[..], b"", b"bare"]);
        for size in 1..TEXT.len() {
            let chunks = TEXT.chunks(size).map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk)));
            let mut parts = Parts::new(MEDIA, iter(chunks)).unwrap();
            for part in &expected {
                assert_eq!(parts.next().await.unwrap().as_ref(), Some(part), "cut into {size}");
            }
            assert_eq!(parts.next().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn half_an_answer_is_an_error() {
        for end in 0..TEXT.len() - 4 {
            let ended = whole(MEDIA, Bytes::from_static(&TEXT[..end])).await;
            assert!(matches!(ended, Err(PartsError::Short)), "{end}: {ended:?}");
        }
        assert!(matches!(whole("application/json", Bytes::new()).await, Err(PartsError::Nonsense)));
    }
}
