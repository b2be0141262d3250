//! Accounts that are closed: nobody of one signs in, and what somebody is signed in with does nothing, on whatever surface. Their
//! leases go on as they would: closing stops no notice and no end.

use super::{State, WebError};
use crate::model::{Account, AccountId};
use crate::store::StoreError;
use axum::http::StatusCode;

const WHAT: &str = "Your Account is closed; ask whoever runs zerocloud to open it again.";

impl State {
    /// Goes on only where that Account is open.
    pub(super) async fn open(&self, account: &AccountId) -> Result<(), WebError> {
        if self.is_closed(account).await? { Err(refusal()) } else { Ok(()) }
    }

    /// By the index, and where that does not know it by the document.
    pub(super) async fn is_closed(&self, account: &AccountId) -> Result<bool, StoreError> {
        if self.index.is_caught_up()
            && let Some(known) = self.index.directory().accounts.get(account)
        {
            return Ok(known.is_closed());
        }
        // Whatever else of it cannot be read.
        let doc = self.store.get::<serde_json::Value>(&format!("account::{account}")).await?;
        Ok(doc.is_some_and(|doc| doc.body.pointer("/settings/closed").is_some_and(|closed| *closed == true)))
    }

    /// Whether any is.
    pub(super) fn some_are_closed(&self) -> bool {
        !self.index.is_caught_up() || self.index.directory().accounts.values().any(Account::is_closed)
    }
}

/// What somebody of a closed one hears.
pub(super) fn refusal() -> WebError {
    WebError::Refused { status: StatusCode::FORBIDDEN, heading: "Account closed".to_owned(), what: WHAT.to_owned() }
}
