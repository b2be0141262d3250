//! JavaScript: the sync function and the map functions of views, run by `QuickJS` under time and memory limits.
//! Knows nothing of storage or HTTP; a caller hands in JSON and gets back what the function said.

mod engine;
mod map;
mod runner;
mod sync;

pub use map::MapFunction;
pub(crate) use map::{Emitted, Maps};
pub(crate) use runner::Texts;
pub(crate) use sync::Verdict;
pub use sync::{Caller, Expiry, Outcome, Refusal, SyncFunction};

use std::time::Duration;

/// Bounds for one run of one function.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest run.
    pub time: Duration,
    /// Most memory of the function's own heap, in bytes.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(2), memory: 128 << 20 }
    }
}

/// The function is not JavaScript, or not a function.
#[derive(Debug, Clone, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CompileError {
    /// Line in the given source, from 1.
    pub line: u32,
    /// What the engine said.
    pub message: String,
}

/// The default sync function: a document goes to the channels it names.
pub const DEFAULT_SYNC: &str = "function (doc) { channel(doc.channels); }";
