//! The way to [`Connect`], which the program that carries the pages hands over: asking AWS is not the pages' business. Who asks
//! is checked before; what it writes are documents of the service.

use super::WebError;
use crate::connect::{Connect, Trouble};
use axum::http::StatusCode;
use std::sync::OnceLock;

/// There once the program runs.
#[derive(Debug, Default)]
pub struct Connections(OnceLock<Connect>);

impl Connections {
    /// Says by whom; once.
    pub fn set(&self, connect: Connect) {
        let _ = self.0.set(connect);
    }

    /// By whom.
    pub(super) fn get(&self) -> Result<&Connect, WebError> {
        self.0.get().ok_or_else(|| WebError::Unavailable(anyhow::anyhow!("AWS accounts are not connected from here")))
    }
}

impl From<Trouble> for WebError {
    fn from(trouble: Trouble) -> WebError {
        match trouble {
            Trouble::Unknown => WebError::NotFound("there is no such AWS account here".to_owned()),
            Trouble::Invalid(what) => WebError::Invalid(what),
            Trouble::Own(_) => {
                tracing::warn!(
                    error = format!("{:#}", anyhow::Error::new(trouble)),
                    "an AWS account cannot be connected"
                );
                WebError::Refused {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    heading: "zerocloud cannot ask AWS".to_owned(),
                    what:
                        "zerocloud's own keys do not work, or AWS does not answer. Whoever runs it finds out more with \
                           `zerocloud doctor`."
                            .to_owned(),
                }
            }
            Trouble::Store(why) => why.into(),
        }
    }
}
