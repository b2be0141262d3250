//! Edits of documents as the person who makes them, by compare-and-swap: the access rules judge each.

use super::{Person, State, WebError};
use crate::model::Doc;
use crate::store::StoreError;
use serde_json::{Map, Value, json};

/// How often a lost race is run again.
const TRIES: u32 = 5;

/// A document as that person sees it; one that they may not see is not there.
pub(super) async fn read(state: &State, person: &Person, id: &str) -> Result<Option<Doc<Value>>, WebError> {
    let session = person.session(state).await?;
    match state.store.get_as(&session, id).await {
        Err(StoreError::Refused { status: 403, .. }) => Ok(None),
        other => Ok(other?),
    }
}

/// Changes a document, or makes it of what `new` gives when there is none.
pub(super) async fn edit(
    state: &State,
    person: &Person,
    id: &str,
    new: Option<Value>,
    change: impl Fn(&mut Map<String, Value>),
) -> Result<(), WebError> {
    let session = person.session(state).await?;
    for _ in 0..TRIES {
        let found = read(state, person, id).await?;
        let (rev, body) = match (found, &new) {
            (Some(doc), _) => (doc.rev, doc.body),
            (None, Some(new)) => (None, new.clone()),
            (None, None) => return Err(WebError::NotFound("there is no such thing, or it is not yours".to_owned())),
        };
        let Value::Object(mut body) = body else { break };
        change(&mut body);
        body.insert("updated_by".to_owned(), json!(person.gateway_name()));
        match state.store.put_as(&session, id, &Value::Object(body), rev.as_deref()).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. }) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Err(WebError::Conflict)
}

/// What a new document of that type starts with.
pub(super) fn fresh(kind: &str, person: &Person, more: Value) -> Value {
    let mut body = json!({ "type": kind, "schema": crate::model::SCHEMA, "account": person.account });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}
