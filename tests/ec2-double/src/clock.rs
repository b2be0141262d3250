//! The double's clock: it follows the system until a test sets it. Expiry of credentials and the vanishing of terminated instances
//! are judged by it.

use jiff::{SignedDuration, Timestamp};

/// Running beside the system's clock, or standing still.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    Running(SignedDuration),
    Fixed(Timestamp),
}

impl Default for Clock {
    fn default() -> Self {
        Self::Running(SignedDuration::ZERO)
    }
}

impl Clock {
    pub(crate) fn now(self) -> Timestamp {
        match self {
            Self::Running(ahead) => system() + ahead,
            Self::Fixed(at) => at,
        }
    }

    pub(crate) fn advance(&mut self, by: SignedDuration) {
        match self {
            Self::Running(ahead) => *ahead += by,
            Self::Fixed(at) => *at += by,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the double's own clock; AWS has one too")]
fn system() -> Timestamp {
    Timestamp::now()
}
