//! Design documents and their views: an index kept in the file, brought up to date when asked.

pub mod collate;
pub mod design;
pub mod index;
pub mod query;
mod reduce;

pub use index::Indexer;
