//! The changes feed: what has happened to whom, in which order, as of one snapshot, and how it is followed.

mod entry;
pub mod feed;
mod merge;
pub mod options;
pub mod query;
pub mod seq;
