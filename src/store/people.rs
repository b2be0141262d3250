//! What a person does: through the public port, with that person's session, so that one rule set judges every surface.

use super::error::Reply;
use super::{Bodies, Store, StoreError, address, page, range, rows, untyped};
use crate::model::Doc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A signed-in person.
#[derive(Debug, Clone)]
pub struct Session {
    cookie: String,
    id: SecretString,
}

impl Session {
    /// One that a client has, by the cookie's name and its value.
    pub(crate) fn known(cookie: &str, id: &str) -> Session {
        Session { cookie: cookie.to_owned(), id: SecretString::from(id) }
    }

    /// As a `Cookie` header; secret.
    pub(crate) fn cookie(&self) -> String {
        format!("{}={}", self.cookie, self.id.expose_secret())
    }

    /// The cookie's name and its value, for a client of the person's own; secret.
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.cookie, self.id.expose_secret())
    }
}

impl Store {
    /// The database on people's port, without a slash at the end.
    pub(crate) fn public_database(&self) -> String {
        format!("{}/{}", self.config.public_url.trim_end_matches('/'), self.config.database)
    }

    /// Creates or updates a Sync Gateway user; absent fields keep their value.
    pub async fn put_user(&self, name: &str, body: &Value) -> Result<(), StoreError> {
        let request = self.http.put(self.admin(&["_user", name])?).json(body);
        self.send(self.signed(request), name).await.map(|_| ())
    }

    /// Whether there is a Sync Gateway user of that name.
    pub async fn user_exists(&self, name: &str) -> Result<bool, StoreError> {
        let request = self.http.get(self.admin(&["_user", name])?);
        match self.send(self.signed(request), name).await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// Removes a Sync Gateway user; their sessions end.
    pub async fn delete_user(&self, name: &str) -> Result<(), StoreError> {
        let request = self.http.delete(self.admin(&["_user", name])?);
        match self.send(self.signed(request), name).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Signs a person in for `ttl` seconds.
    pub async fn session(&self, name: &str, ttl: u32) -> Result<Session, StoreError> {
        let request = self.http.post(self.admin(&["_session"])?).json(&json!({ "name": name, "ttl": ttl }));
        let reply = self.send(self.signed(request), name).await?;
        let id = SecretString::from(reply.text("session_id", name)?);
        Ok(Session { cookie: reply.text("cookie_name", name)?, id })
    }

    /// Whether a session still stands: it ends by its time, and when its person is signed out, deleted or given a new password.
    pub async fn session_stands(&self, session: &Session) -> Result<bool, StoreError> {
        let request = self.http.get(self.admin(&["_session", session.id.expose_secret()])?);
        match self.send(self.signed(request), "session").await {
            Ok(_) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(why) => Err(why),
        }
    }

    /// Signs them out.
    pub async fn end_session(&self, session: &Session) -> Result<(), StoreError> {
        let request = self.http.delete(self.admin(&["_session", session.id.expose_secret()])?);
        self.send(self.signed(request), "session").await.map(|_| ())
    }

    /// Signs a person out everywhere.
    pub async fn end_sessions(&self, name: &str) -> Result<(), StoreError> {
        let request = self.http.delete(self.admin(&["_user", name, "_session"])?);
        match self.send(self.signed(request), name).await {
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// A document as that person sees it.
    pub async fn get_as(&self, session: &Session, id: &str) -> Result<Option<Doc<Value>>, StoreError> {
        match self.public(session, reqwest::Method::GET, id, None).await {
            Ok(reply) => untyped(id, reply.body).map(Some),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Writes a document as that person; the access rules judge it. `rev` as for [`Store::put`].
    pub async fn put_as(
        &self,
        session: &Session,
        id: &str,
        body: &Value,
        rev: Option<&str>,
    ) -> Result<String, StoreError> {
        let mut body = body.clone();
        if let Some(rev) = rev {
            body["_rev"] = rev.into();
        }
        self.public(session, reqwest::Method::PUT, id, Some(&body)).await?.text("rev", id)
    }

    /// Leaves a tombstone as that person; the access rules judge it.
    pub async fn delete_as(&self, session: &Session, id: &str, rev: &str) -> Result<(), StoreError> {
        let mut url = address(&self.config.public_url, &self.config.database, &[id])?;
        url.query_pairs_mut().append_pair("rev", rev);
        self.public_at(session, reqwest::Method::DELETE, url, id, None).await.map(|_| ())
    }

    /// Every document whose id starts with `prefix` and that this person may read, in id order, page by page.
    pub async fn prefix_as(&self, session: &Session, prefix: &str) -> Result<Vec<Doc<Value>>, StoreError> {
        let mut found = Vec::new();
        let mut from = prefix.to_owned();
        loop {
            let base = address(&self.config.public_url, &self.config.database, &["_all_docs"])?;
            let url = page(base, &from, prefix);
            let reply = self.public_at(session, reqwest::Method::GET, url, prefix, None).await?;
            match rows(&reply.body, &mut found)? {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }

    /// The documents whose ids stand from `from` to `to`, both included, that this person may read, in id order.
    pub async fn range_as(&self, session: &Session, from: &str, to: &str) -> Result<Vec<Doc<Value>>, StoreError> {
        let mut found = Vec::new();
        let mut from = from.to_owned();
        loop {
            let url = range(self.public_list()?, &from, to, Bodies::With);
            let reply = self.public_at(session, reqwest::Method::GET, url, to, None).await?;
            match rows(&reply.body, &mut found)? {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
    }

    /// Only their ids: what a page of the newest is chosen from.
    pub async fn ids_as(&self, session: &Session, from: &str, to: &str) -> Result<Vec<String>, StoreError> {
        let url = range(self.public_list()?, from, to, Bodies::Without);
        let reply = self.public_at(session, reqwest::Method::GET, url, to, None).await?;
        let rows = reply.body.get("rows").and_then(Value::as_array);
        let ids = rows.into_iter().flatten().filter_map(|row| row.get("id").and_then(Value::as_str));
        Ok(ids.map(str::to_owned).collect())
    }

    fn public_list(&self) -> Result<reqwest::Url, StoreError> {
        address(&self.config.public_url, &self.config.database, &["_all_docs"])
    }

    async fn public(
        &self,
        session: &Session,
        method: reqwest::Method,
        id: &str,
        body: Option<&Value>,
    ) -> Result<Reply, StoreError> {
        let url = address(&self.config.public_url, &self.config.database, &[id])?;
        self.public_at(session, method, url, id, body).await
    }

    async fn public_at(
        &self,
        session: &Session,
        method: reqwest::Method,
        url: reqwest::Url,
        id: &str,
        body: Option<&Value>,
    ) -> Result<Reply, StoreError> {
        let cookie = format!("{}={}", session.cookie, session.id.expose_secret());
        let mut request = self.http.request(method, url).header("cookie", cookie);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request, id).await
    }
}
