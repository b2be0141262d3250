//! Where a crash test stops the process. Knows nothing of what happens at a point, only its name.

use crate::reactor::Effect;

/// Points beside the effects: the lease was saved, the reaper claimed it, the reaper called EC2, SES took a mail.
const OTHERS: [&str; 4] = ["save", "claim", "act", "mail"];

/// A point after which the process dies as by SIGKILL; none in normal life.
#[derive(Debug, Clone, Default)]
pub struct Failpoint(Option<String>);

/// A name that is not a failpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a failpoint")]
pub struct NoSuchPoint(pub String);

impl Failpoint {
    /// Dies after `point`, one of [`Failpoint::names`].
    pub fn after(point: &str) -> Result<Failpoint, NoSuchPoint> {
        if Failpoint::names().any(|name| name == point) {
            Ok(Failpoint(Some(point.to_owned())))
        } else {
            Err(NoSuchPoint(point.to_owned()))
        }
    }

    /// Every point: all effects, and the writes and calls around them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Effect::NAMES.into_iter().chain(OTHERS)
    }

    /// Says that `point` was passed; does not return when it is the one.
    pub fn pass(&self, point: &str) {
        if self.0.as_deref() == Some(point) {
            tracing::error!(point, "failpoint reached: aborting");
            std::process::abort();
        }
    }
}
