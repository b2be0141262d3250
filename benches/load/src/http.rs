//! A small HTTP/1.1 client over one connection. A full one would use as much of the machine as the gateway does.

use std::net::SocketAddr;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }

    /// Fails unless the status is this one.
    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        ensure!(self.status == status, "{} {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }
}

/// How a body's end is known.
enum Framing {
    Length(usize),
    Chunked,
}

/// One connection, used for one request after the other.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    /// Header lines sent with each request.
    headers: String,
    line: Vec<u8>,
}

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        Self::with_buffer(to, 16 << 10).await
    }

    /// Connects, reading through a buffer of this many bytes.
    pub async fn with_buffer(to: SocketAddr, buffer: usize) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let headers = format!("Host: {to}\r\n");
        Ok(Self { stream: BufReader::with_capacity(buffer, stream), headers, line: Vec::new() })
    }

    /// Logs in with each request from now on.
    #[must_use]
    pub fn basic(mut self, name: &str, password: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        self.headers.extend(["Authorization: Basic ", &pair, "\r\n"]);
        self
    }

    /// Sends a session's cookie with each request from now on.
    #[must_use]
    pub fn cookie(mut self, session: &str) -> Self {
        self.headers.extend(["Cookie: SyncGatewaySession=", session, "\r\n"]);
        self
    }

    /// Sends a request.
    pub async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let mut request = Vec::with_capacity(256 + body.len());
        request.extend_from_slice(format!("{method} {path} HTTP/1.1\r\n{}", self.headers).as_bytes());
        if !body.is_empty() {
            let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            request.extend_from_slice(head.as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        Ok(())
    }

    /// Sends a request and reads the answer.
    pub async fn request(&mut self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        self.send(method, path, body).await?;
        self.answer().await
    }

    /// Reads the answer to a request that was sent.
    pub async fn answer(&mut self) -> anyhow::Result<Answer> {
        let (status, framing) = self.head().await?;
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body).await?;
            }
            Framing::Chunked => while self.chunk(&mut body).await? {},
        }
        Ok(Answer { status, body })
    }

    async fn head(&mut self) -> anyhow::Result<(u16, Framing)> {
        self.line().await?;
        let text = String::from_utf8_lossy(&self.line);
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let mut framing = Framing::Length(0);
        loop {
            self.line().await?;
            if self.line.is_empty() {
                return Ok((status, framing));
            }
            let text = String::from_utf8_lossy(&self.line).to_ascii_lowercase();
            match text.split_once(':') {
                Some(("content-length", length)) => framing = Framing::Length(length.trim().parse()?),
                Some(("transfer-encoding", "chunked" | " chunked")) => framing = Framing::Chunked,
                _ => {}
            }
        }
    }

    /// Reads a line without its end.
    async fn line(&mut self) -> anyhow::Result<()> {
        self.line.clear();
        if self.stream.read_until(b'\n', &mut self.line).await? == 0 {
            bail!("the connection was closed");
        }
        while self.line.last().is_some_and(u8::is_ascii_whitespace) {
            self.line.pop();
        }
        Ok(())
    }

    /// Appends the next chunk; false at the end.
    async fn chunk(&mut self, to: &mut Vec<u8>) -> anyhow::Result<bool> {
        self.line().await?;
        let length = usize::from_str_radix(std::str::from_utf8(&self.line)?, 16)?;
        let from = to.len();
        to.resize(from + length, 0);
        self.stream.read_exact(&mut to[from..]).await?;
        self.line().await?;
        Ok(length > 0)
    }

    /// Begins a continuous feed.
    pub async fn follow(mut self, path: &str) -> anyhow::Result<Feed> {
        self.send("GET", path, b"").await?;
        let (status, framing) = self.head().await?;
        ensure!(status == 200 && matches!(framing, Framing::Chunked), "not a feed: {status}");
        Ok(Feed { client: self, text: Vec::new(), at: 0 })
    }
}

/// A continuous feed.
#[derive(Debug)]
pub struct Feed {
    client: Client,
    text: Vec<u8>,
    at: usize,
}

impl Feed {
    /// The next line that is not empty.
    pub async fn next(&mut self) -> anyhow::Result<&[u8]> {
        loop {
            if let Some(end) = self.text[self.at..].iter().position(|&byte| byte == b'\n') {
                let from = self.at;
                self.at += end + 1;
                if end > 0 {
                    return Ok(&self.text[from..from + end]);
                }
                continue;
            }
            self.text.drain(..self.at);
            self.at = 0;
            if !self.client.chunk(&mut self.text).await? {
                bail!("the feed ended");
            }
        }
    }
}
