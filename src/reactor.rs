//! What to do about one lease, and about many: pure functions of documents and a time. No I/O, clock or randomness.

mod view;

pub use view::{Decision, DueEnd, Effect, View};
