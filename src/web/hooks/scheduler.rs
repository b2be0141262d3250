//! `/hooks/scheduler/{token}`: where a scheduler outside calls when a deadline has come. The call is only noted, once; the feed
//! brings it to the copy that leads, which looks at the lease. Knows neither the service nor what follows.

use super::super::limits::Try;
use super::super::{Site, State, WebError};
use crate::model::Callback;
use crate::store::StoreError;
use axum::extract::{Path, State as At};

/// How long a token is: 256 bits in base64.
const LENGTH: usize = 43;
/// How often a lost race is run again.
const TRIES: u32 = 5;

/// `GET /hooks/scheduler/{token}`: the same for every token, known or not.
pub(in crate::web) async fn show(At(state): At<State>, site: Site) -> Result<&'static str, WebError> {
    state.limits.check(Try::Hook, site.client)?;
    Ok("A scheduler calls here, by POST. Nothing was done.\n")
}

/// `POST /hooks/scheduler/{token}`.
pub(in crate::web) async fn call(
    At(state): At<State>,
    site: Site,
    Path(token): Path<String>,
) -> Result<&'static str, WebError> {
    state.limits.check(Try::Hook, site.client)?;
    let unknown = || WebError::NotFound("there is no such thing".to_owned());
    if token.len() != LENGTH {
        return Err(unknown());
    }
    let id = Callback::id(&token);
    for _ in 0..TRIES {
        let mut doc = state.store.get::<Callback>(&id).await?.ok_or_else(unknown)?;
        if doc.body.used.is_some() {
            return Ok("This call came before. Nothing was done.\n");
        }
        doc.body.used = Some(state.clock.now());
        match state.store.put(Callback::KIND, &doc).await {
            Ok(_) => return Ok("Noted.\n"),
            // The same call twice at one moment, or one whose job was replaced just now.
            Err(StoreError::Conflict { .. }) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Err(WebError::Conflict)
}
