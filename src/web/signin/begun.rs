//! A sign-in under way, as its cookie carries it.

use crate::model::{AccountId, Time};
use crate::web::WebError;
use crate::web::session::random;
use crate::web::setup::Wanted;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(super) const COOKIE: &str = "zerocloud-signin";
/// Seconds that somebody may take at GitHub.
pub(super) const GOOD_FOR: i64 = 600;

/// What was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    at: Time,
    random: String,
    /// Where to go afterwards; a path on this site.
    pub(super) next: String,
    /// In which Account.
    pub(super) account: Option<AccountId>,
    /// The Account to make.
    pub(super) setup: Option<Wanted>,
}

impl Begun {
    /// Begins one.
    pub fn new(at: Time, next: &str, account: Option<AccountId>, setup: Option<Wanted>) -> Begun {
        Begun { at, random: random(), next: next.to_owned(), account, setup }
    }

    /// What GitHub must bring back.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// The PKCE verifier: 43 characters (RFC 7636, section 4.1).
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    fn derived(&self, what: &str) -> String {
        BASE64.encode(Sha256::digest(format!("{what}|{}", self.random)))
    }

    pub(super) fn is_good(&self, now: Time) -> bool {
        (0..=GOOD_FOR).contains(&now.seconds_since(self.at))
    }

    pub(super) fn cookie(&self) -> Result<String, WebError> {
        let text = serde_json::to_string(self).map_err(|why| WebError::Internal(why.into()))?;
        Ok(BASE64.encode(text))
    }

    pub(super) fn read(cookie: &str) -> Option<Begun> {
        let begun: Begun = serde_json::from_slice(&BASE64.decode(cookie).ok()?).ok()?;
        let sound = begun.random.len() == 43 && crate::web::html::local(&begun.next) == begun.next;
        sound.then_some(begun)
    }
}
