//! An admin's desk: pages and forms that nobody else gets, and documents read and written as that admin.

use super::super::edit::{self, edit};
use super::super::form::{Act, Fields};
use super::super::html::{self, Desk};
use super::super::{State, WebError};
use super::when::When;
use crate::model::{AwsAccount, AwsId, Doc, Time};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

/// The desk of an admin; others are told that it is not for them.
#[derive(Debug)]
pub(super) struct AdminDesk(Desk);

impl std::ops::Deref for AdminDesk {
    type Target = Desk;
    fn deref(&self) -> &Desk {
        &self.0
    }
}

impl FromRequestParts<State> for AdminDesk {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<AdminDesk, WebError> {
        let desk = Desk::from_request_parts(parts, state).await?;
        desk.person.admin()?;
        Ok(AdminDesk(desk))
    }
}

/// A form that an admin sent from one of our pages.
#[derive(Debug)]
pub(super) struct AdminAct {
    pub(super) desk: AdminDesk,
    pub(super) fields: Fields,
}

impl FromRequest<State> for AdminAct {
    type Rejection = Response;

    async fn from_request(request: Request, state: &State) -> Result<AdminAct, Response> {
        let act = Act::from_request(request, state).await?;
        act.person.admin().map_err(WebError::into_response)?;
        let (desk, fields) = act.at_desk(state);
        Ok(AdminAct { desk: AdminDesk(desk), fields })
    }
}

impl AdminDesk {
    pub(super) fn now(&self) -> Time {
        self.state.clock.now()
    }

    pub(super) fn when(&self, at: Time) -> When {
        When::of(at, self.now(), &self.zone())
    }

    /// A document as this admin sees it.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Doc<Value>>, WebError> {
        edit::read(&self.state, &self.person, id).await
    }

    /// Every document with this beginning that this admin sees.
    pub(super) async fn all(&self, prefix: &str) -> Result<Vec<Doc<Value>>, WebError> {
        let session = self.person.session(&self.state).await?;
        Ok(self.state.store.prefix_as(&session, prefix).await?)
    }

    /// Writes it as this admin; the access rules judge it.
    pub(super) async fn write(&self, mut doc: Doc<Value>) -> Result<(), WebError> {
        let session = self.person.session(&self.state).await?;
        doc.body["updated_by"] = self.person.gateway_name().into();
        self.state.store.put_as(&session, &doc.id, &doc.body, doc.rev.as_deref()).await?;
        Ok(())
    }

    /// Changes a field of a document as this admin; runs a lost race again, as when the service took note of a stage.
    pub(super) async fn set(&self, id: &str, field: &str, value: &Value) -> Result<(), WebError> {
        let change = |body: &mut serde_json::Map<String, Value>| drop(body.insert(field.to_owned(), value.clone()));
        edit(&self.state, &self.person, id, None, change).await
    }

    /// The document of one of the Account's AWS accounts, whole and as it is read.
    pub(super) async fn aws_account(&self, aws_id: &str) -> Result<(Doc<Value>, AwsAccount), WebError> {
        let unknown = || WebError::NotFound("there is no such AWS account here".to_owned());
        let aws_id = AwsId::parse(aws_id).map_err(|_| unknown())?;
        let id = format!("aws_account::{}::{aws_id}", self.person.account);
        let doc = self.find(&id).await?.ok_or_else(unknown)?;
        let read = serde_json::from_value(doc.body.clone());
        let account = read.map_err(|why| WebError::Internal(anyhow::anyhow!("{id} cannot be read: {why}")))?;
        Ok((doc, account))
    }

    /// Sends the browser on, with good news.
    pub(super) fn done(&self, to: &str, text: &str) -> Response {
        html::go(&self.site, to, true, text)
    }

    /// Sends the browser on, with what did not work.
    pub(super) fn failed(&self, to: &str, text: &str) -> Response {
        html::go(&self.site, to, false, text)
    }
}
