//! An admin at work, on a page or over the API alike: documents read and written as that admin, so that the access rules judge
//! each.

use super::super::edit::{self, edit};
use super::super::{Person, State, WebError};
use super::when::When;
use crate::model::{AwsAccount, AwsId, Doc, Time};
use crate::words::Zone;
use serde_json::Value;

/// Who, and on what.
#[derive(Debug, Clone)]
pub(in crate::web) struct Admin {
    pub(in crate::web) state: State,
    pub(in crate::web) person: Person,
}

impl Admin {
    /// # Errors
    /// `Forbidden` for who is none.
    pub(in crate::web) fn new(state: State, person: Person) -> Result<Admin, WebError> {
        person.admin()?;
        Ok(Admin { state, person })
    }

    pub(in crate::web) fn now(&self) -> Time {
        self.state.clock.now()
    }

    pub(in crate::web) fn when(&self, at: Time) -> When {
        When::of(at, self.now(), &Zone::named(self.person.zone.as_deref()))
    }

    /// A document as this admin sees it.
    pub(in crate::web) async fn find(&self, id: &str) -> Result<Option<Doc<Value>>, WebError> {
        edit::read(&self.state, &self.person, id).await
    }

    /// Every document with this beginning that this admin sees.
    pub(in crate::web) async fn all(&self, prefix: &str) -> Result<Vec<Doc<Value>>, WebError> {
        let session = self.person.session(&self.state).await?;
        Ok(self.state.store.prefix_as(&session, prefix).await?)
    }

    /// Writes it as this admin; gives its new revision.
    pub(in crate::web) async fn write(&self, mut doc: Doc<Value>) -> Result<String, WebError> {
        let session = self.person.session(&self.state).await?;
        doc.body["updated_by"] = self.person.gateway_name().into();
        Ok(self.state.store.put_as(&session, &doc.id, &doc.body, doc.rev.as_deref()).await?)
    }

    /// Changes a field of a document; runs a lost race again, as when the service took note of a stage.
    pub(in crate::web) async fn set(&self, id: &str, field: &str, value: &Value) -> Result<(), WebError> {
        let change = |body: &mut serde_json::Map<String, Value>| drop(body.insert(field.to_owned(), value.clone()));
        edit(&self.state, &self.person, id, None, change).await
    }

    /// The document of one of the Account's AWS accounts, whole and as it is read.
    pub(in crate::web) async fn aws_account(&self, aws_id: &str) -> Result<(Doc<Value>, AwsAccount), WebError> {
        let unknown = || WebError::NotFound("there is no such AWS account here".to_owned());
        let aws_id = AwsId::parse(aws_id).map_err(|_| unknown())?;
        let id = format!("aws_account::{}::{aws_id}", self.person.account);
        let doc = self.find(&id).await?.ok_or_else(unknown)?;
        let read = serde_json::from_value(doc.body.clone());
        let account = read.map_err(|why| WebError::Internal(anyhow::anyhow!("{id} cannot be read: {why}")))?;
        Ok((doc, account))
    }
}
