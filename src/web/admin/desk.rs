//! An admin's desk: pages and forms that nobody else gets.

use super::super::form::{Act, Fields};
use super::super::html::{self, Desk};
use super::super::{Site, State, WebError};
use super::office::Admin;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use minijinja::Value;

/// The desk of an admin; others are told that it is not for them.
#[derive(Debug)]
pub(super) struct AdminDesk {
    admin: Admin,
    desk: Desk,
}

impl std::ops::Deref for AdminDesk {
    type Target = Admin;
    fn deref(&self) -> &Admin {
        &self.admin
    }
}

impl FromRequestParts<State> for AdminDesk {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<AdminDesk, WebError> {
        AdminDesk::at(Desk::from_request_parts(parts, state).await?)
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
        let (desk, fields) = act.at_desk(state);
        let desk = AdminDesk::at(desk).map_err(WebError::into_response)?;
        Ok(AdminAct { desk, fields })
    }
}

impl AdminDesk {
    fn at(desk: Desk) -> Result<AdminDesk, WebError> {
        let admin = Admin::new(desk.state.clone(), desk.person.clone())?;
        Ok(AdminDesk { admin, desk })
    }

    /// How this request reached us.
    pub(super) fn site(&self) -> &Site {
        &self.desk.site
    }

    /// A page of theirs.
    pub(super) fn show(
        &self,
        here: &'static str,
        title: &str,
        template: &str,
        values: Value,
    ) -> Result<Response, WebError> {
        self.desk.show(here, title, template, values)
    }

    /// Sends the browser on, with good news.
    pub(super) fn done(&self, to: &str, text: &str) -> Response {
        html::go(&self.desk.site, to, true, text)
    }

    /// Sends the browser on, with what did not work.
    pub(super) fn failed(&self, to: &str, text: &str) -> Response {
        html::go(&self.desk.site, to, false, text)
    }
}
