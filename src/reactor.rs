//! What to do about one lease, and about many: pure functions of documents and a time. No I/O, clock or randomness.

mod admit;
mod batch;
pub mod owner;
mod reconcile;
pub mod renewal;
mod view;

pub use admit::{Admission, admit};
pub use batch::{Batch, batch};
pub use reconcile::{Change, Reconciled, Scan, reconcile};
pub use view::{Decision, DueEnd, Effect, View};
