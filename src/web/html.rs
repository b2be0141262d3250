//! Pages: templates built into the program, everything escaped, and what every page has around it.

use super::form::{Act, Fields};
use super::{Person, Site, State, WebError, assets};
use crate::words::Zone;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::{Environment, Value, context};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use std::sync::LazyLock;

static TEMPLATES: LazyLock<Result<Environment<'static>, minijinja::Error>> = LazyLock::new(|| {
    let mut all = Environment::new();
    all.set_trim_blocks(true);
    all.set_lstrip_blocks(true);
    all.set_auto_escape_callback(minijinja::default_auto_escape_callback);
    all.set_undefined_behavior(minijinja::UndefinedBehavior::SemiStrict);
    all.add_template("api.html", include_str!("templates/api.html"))?;
    all.add_template("base.html", include_str!("templates/base.html"))?;
    all.add_template("failure.html", include_str!("templates/failure.html"))?;
    all.add_template("leases.html", include_str!("templates/leases.html"))?;
    all.add_template("parts.html", include_str!("templates/parts.html"))?;
    all.add_template("lease.html", include_str!("templates/lease.html"))?;
    all.add_template("link.html", include_str!("templates/link.html"))?;
    all.add_template("farewell.html", include_str!("templates/farewell.html"))?;
    all.add_template("people.html", include_str!("templates/people.html"))?;
    all.add_template("leave.html", include_str!("templates/leave.html"))?;
    super::admin::templates(&mut all)?;
    all.add_template("settings.html", include_str!("templates/settings.html"))?;
    all.add_template("all.html", include_str!("templates/all.html"))?;
    all.add_template("savings.html", include_str!("templates/savings.html"))?;
    all.add_template("token.html", include_str!("templates/token.html"))?;
    all.add_template("login.html", include_str!("templates/login.html"))?;
    all.add_template("setup.html", include_str!("templates/setup.html"))?;
    all.add_template("which.html", include_str!("templates/which.html"))?;
    Ok(all)
});

/// The cookie that carries one sentence over a redirect.
const SAID: &str = "zerocloud-said";

/// What stands around a page.
#[derive(Debug, Clone, Serialize)]
pub struct Shell {
    title: String,
    /// The entry of the menu that this page is.
    here: &'static str,
    /// Plain http elsewhere than on this machine.
    plain: bool,
    person: Option<Named>,
    said: Option<Said>,
    css: String,
    js: String,
    mark: String,
}

#[derive(Debug, Clone, Serialize)]
struct Named {
    name: String,
    account: String,
    admin: bool,
    csrf: String,
}

/// A sentence about what was just done.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Said {
    good: bool,
    text: String,
}

impl Shell {
    /// For nobody in particular.
    pub fn bare(site: &Site, title: &str) -> Shell {
        Shell {
            title: title.to_owned(),
            here: "",
            plain: !site.secure,
            person: None,
            said: None,
            css: assets::path("css"),
            js: assets::path("js"),
            mark: assets::path("svg"),
        }
    }
}

/// A page; `values` are the template's own.
pub fn render(state: &State, shell: &Shell, template: &str, values: Value) -> Result<Response, WebError> {
    let templates = TEMPLATES.as_ref().map_err(|why| WebError::Internal(anyhow::anyhow!("{why:#}")))?;
    let now = state.clock.now();
    let page = templates.get_template(template)?.render(context! { shell, now, ..values })?;
    Ok(Html(page).into_response())
}

/// Somebody's desk: who they are, where, and what was just said to them. For every page of theirs.
#[derive(Debug)]
pub struct Desk {
    /// Everything.
    pub state: State,
    /// Where.
    pub site: Site,
    /// Who.
    pub person: Person,
    said: Option<Said>,
}

impl FromRequestParts<State> for Desk {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Desk, WebError> {
        let person = <Person as FromRequestParts<State>>::from_request_parts(parts, state).await?;
        let Ok(site) = Site::from_request_parts(parts, state).await;
        let said = said(&site, parts);
        Ok(Desk { state: state.clone(), site, person, said })
    }
}

/// The same where nobody need be signed in.
#[derive(Debug)]
pub struct OpenDesk {
    /// Everything.
    pub state: State,
    /// Where.
    pub site: Site,
    /// Who, if anybody.
    pub person: Option<Person>,
    said: Option<Said>,
}

impl FromRequestParts<State> for OpenDesk {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<OpenDesk, WebError> {
        let person = <Person as OptionalFromRequestParts<State>>::from_request_parts(parts, state).await?;
        let Ok(site) = Site::from_request_parts(parts, state).await;
        let said = said(&site, parts);
        Ok(OpenDesk { state: state.clone(), site, person, said })
    }
}

impl Desk {
    /// A page of theirs.
    pub fn show(&self, here: &'static str, title: &str, template: &str, values: Value) -> Result<Response, WebError> {
        show(&self.state, &self.site, Some(&self.person), self.said.as_ref(), (here, title), template, values)
    }

    /// Their zone.
    pub fn zone(&self) -> Zone {
        Zone::named(self.person.zone.as_deref())
    }
}

impl OpenDesk {
    /// A page for anybody.
    pub fn show(&self, title: &str, template: &str, values: Value) -> Result<Response, WebError> {
        show(&self.state, &self.site, self.person.as_ref(), self.said.as_ref(), ("", title), template, values)
    }
}

fn show(
    state: &State,
    site: &Site,
    person: Option<&Person>,
    said: Option<&Said>,
    (here, title): (&'static str, &str),
    template: &str,
    values: Value,
) -> Result<Response, WebError> {
    let mut shell = Shell::bare(site, title);
    shell.here = here;
    shell.said = said.cloned();
    shell.person = person.map(|person| named(state, person));
    let mut page = render(state, &shell, template, values)?;
    if said.is_some() {
        append(&mut page, &site.set_cookie(SAID, "", 0));
    }
    Ok(page)
}

fn named(state: &State, person: &Person) -> Named {
    let directory = state.index.directory();
    let account = directory.accounts.get(&person.account).map(|account| account.name.clone());
    Named {
        name: person.name.clone(),
        account: account.filter(|name| !name.is_empty()).unwrap_or_else(|| person.account.to_string()),
        admin: person.is_admin(),
        csrf: person.csrf.clone(),
    }
}

/// Sends the browser on, with a sentence for the page there.
pub fn go(site: &Site, to: &str, good: bool, text: &str) -> Response {
    let text: String = text.chars().take(400).collect();
    let sentence = utf8_percent_encode(&text, NON_ALPHANUMERIC);
    let mut response = Redirect::to(to).into_response();
    append(&mut response, &site.set_cookie(SAID, &format!("{}{sentence}", u8::from(good)), 60));
    response
}

impl Act {
    /// Back to a page, with good news.
    pub fn done(&self, to: &str, text: &str) -> Response {
        go(&self.site, to, true, text)
    }

    /// The desk to show a page from, and what the form says.
    pub fn at_desk(self, state: &State) -> (Desk, Fields) {
        let desk = Desk { state: state.clone(), site: self.site, person: self.person, said: None };
        (desk, self.fields)
    }

    /// Back to a page, with what did not work.
    pub fn failed(&self, to: &str, text: &str) -> Response {
        go(&self.site, to, false, text)
    }
}

fn said(site: &Site, parts: &Parts) -> Option<Said> {
    let value = site.read_cookie(&parts.headers, SAID)?;
    let good = value.starts_with('1');
    let text = percent_decode_str(value.get(1..)?).decode_utf8().ok()?;
    (!text.is_empty()).then(|| Said { good, text: text.into_owned() })
}

/// Adds a cookie.
pub fn append(response: &mut Response, cookie: &str) {
    if let Ok(value) = cookie.parse() {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// A path on this site, or the first page: never another site.
pub fn local(next: &str) -> &str {
    let inside = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    let plain = next.bytes().all(|b| b.is_ascii_graphic());
    if inside && plain && next.len() <= 1_000 { next } else { "/leases" }
}

#[cfg(test)]
mod snapshots;

#[cfg(test)]
mod tests {
    use super::{TEMPLATES, local};

    #[test]
    fn every_template_can_be_read() {
        assert!(TEMPLATES.is_ok(), "{:?}", TEMPLATES.as_ref().err());
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(local("/leases/111122223333::us-east-1::i-1?x=1"), "/leases/111122223333::us-east-1::i-1?x=1");
        for bad in ["https://evil.example", "//evil.example", "/\\evil.example", "", "/a b", "javascript:alert(1)"] {
            assert_eq!(local(bad), "/leases", "{bad}");
        }
    }
}
