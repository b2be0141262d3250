//! `/hooks/scheduler/{token}`: where a scheduler outside calls when a deadline has come. The call is only noted, once; the feed
//! brings it to the copy that leads, which looks at the lease. Knows neither the service nor what follows.

use super::super::limits::Try;
use super::super::{Site, State, WebError};
use crate::model::Callback;
use axum::extract::{Path, State as At};

/// How long a token is: 256 bits in base64.
const LENGTH: usize = 43;

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
    let (now, mut first) = (state.clock.now(), false);
    // The same call twice at one moment, or one whose job was replaced just now, is looked at again.
    let noted = state.store.change(Callback::KIND, &id, |call: &mut Callback| {
        first = call.used.is_none();
        call.used.get_or_insert(now);
        first
    });
    noted.await?.ok_or_else(unknown)?;
    Ok(if first { "Noted.\n" } else { "This call came before. Nothing was done.\n" })
}
