//! What to do about one lease, and about many: pure functions of documents and a time. No I/O, clock or randomness.

mod admit;
mod apply;
mod batch;
mod clusters;
mod cover;
mod decide;
mod digest;
mod ends;
mod exempt;
mod forecast;
mod holds;
mod life;
mod marks;
mod members;
mod notices;
mod owner;
mod part;
mod reap;
mod reconcile;
mod renewal;
mod requests;
#[cfg(test)]
mod tests;
mod view;
mod wishes;
mod work;

pub use admit::{Admission, admit};
pub use batch::{Batch, Outgoing, batch};
pub use clusters::assign_clusters;
pub use cover::{Cover, Covered, exempting_member, promised, promised_member};
pub use decide::decide;
pub use digest::{Digest, Standing, leaves_at};
pub use exempt::exempting;
pub use forecast::{Ending, Forecast, Told, forecast, reach};
pub use life::launched_since_stop;
pub use members::assign_members;
pub use owner::{Found, evidence};
pub use part::{Part, refresh};
pub use reap::{ReapOutcome, claim, paced, reaped, spoken_for};
pub use reconcile::{Change, Reconciled, Scan, reconcile};
pub use renewal::{Renewal, lease_length, renew, renewal_limit};
pub use view::{Decision, DueEnd, Effect, Known, View};
pub use wishes::ASKED_FOR_ITS_END;
