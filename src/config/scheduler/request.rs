//! A request to a service whose API is not known: its parts are templates that the operator wrote. Filled in here, so that what
//! is checked at the start is what is sent later; sent elsewhere.

use super::super::read::{Problems, Section};
use crate::model::Time;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use std::fmt;

/// What a template may name.
#[derive(Clone, Copy, Default)]
pub struct Blanks<'a> {
    /// `name`: the lease's, the same for each of its deadlines.
    pub name: &'a str,
    /// `job`: the service's own name for what it was told before.
    pub job: Option<&'a str>,
    /// `callback`: what to POST to.
    pub callback: Option<&'a str>,
    /// `at.time`, `at.unix`, `at.millis`; `at.cron` and `at.year`, up to the full minute.
    pub at: Option<Time>,
    /// `secret`: of the section.
    pub secret: &'a str,
}

/// One request.
#[derive(Clone)]
pub struct RequestTemplate {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// It, filled in.
pub struct FilledIn {
    /// Such as POST.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// As they are sent.
    pub headers: HeaderMap,
    /// As it is sent.
    pub body: Option<String>,
}

impl fmt::Debug for Blanks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blanks").field("name", &self.name).field("at", &self.at).finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Operators write secrets into headers and addresses.
        f.debug_struct("RequestTemplate").field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Debug for FilledIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilledIn").field("method", &self.method).finish_non_exhaustive()
    }
}

impl RequestTemplate {
    /// Reads one, and tries it with `blanks` as they will be filled in.
    pub(super) fn read(at: &Section<'_>, blanks: Blanks<'_>, problems: &mut Problems) -> Option<RequestTemplate> {
        let method = |text: &str| match text {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" => {
                Method::from_bytes(text.as_bytes()).map_err(|e| e.to_string())
            }
            other => Err(format!("{other:?} is none of GET, POST, PUT, PATCH, DELETE")),
        };
        let found = at.parsed("method", method, problems);
        let method = at.required("method", found, problems);
        let text = at.text("url", problems);
        let url = at.required("url", text, problems);
        let headers = at.texts_by_name("headers", problems);
        let request = RequestTemplate { method: method?, url: url?, headers, body: at.text("body", problems) };
        match request.fill_in(blanks) {
            Ok(_) => Some(request),
            Err((part, why)) => {
                problems.add(&at.key(part), why);
                None
            }
        }
    }

    /// Fills everything in; the error names the part, and shows none of what was filled in.
    pub fn fill_in(&self, blanks: Blanks<'_>) -> Result<FilledIn, (&'static str, String)> {
        let environment = environment();
        let values = values(blanks);
        let render = |part: &'static str, text: &str| {
            environment.render_str(text, &values).map_err(|why| (part, format!("is no template here: {why}")))
        };
        let url = render("url", &self.url)?;
        let parsed = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url =
            parsed.ok_or_else(|| ("url", "does not become a URL such as https://api.example.com/jobs".to_owned()))?;
        let mut headers = HeaderMap::new();
        for (name, text) in &self.headers {
            let value = render("headers", text)?;
            let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
            let (known, mut value) = pair.ok_or_else(|| ("headers", format!("{name:?} does not become a header")))?;
            value.set_sensitive(true);
            headers.insert(known, value);
        }
        let body = self.body.as_ref().map(|text| render("body", text)).transpose()?;
        Ok(FilledIn { method: self.method.clone(), url, headers, body })
    }
}

/// `json` quotes a text for a JSON body, `url` for an address or a form.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.add_filter("json", |text: String| serde_json::Value::from(text).to_string());
    environment.add_filter("url", |text: String| {
        percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
    });
    environment
}

fn values(blanks: Blanks<'_>) -> Value {
    let given = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
    context! {
        name => blanks.name,
        job => given(blanks.job),
        callback => given(blanks.callback),
        at => blanks.at.map_or(Value::UNDEFINED, at),
        secret => blanks.secret,
    }
}

/// A cron expression knows minutes: rounded up, as an early call is of no use.
fn at(at: Time) -> Value {
    let minute = Time::from_unix(at.unix().saturating_add(59).div_euclid(60).saturating_mul(60)).to_string();
    // Exactly YYYY-MM-DDTHH:MM:SSZ.
    let number = |from: usize, to: usize| minute.get(from..to).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let cron = format!("{} {} {} {} *", number(14, 16), number(11, 13), number(8, 10), number(5, 7));
    context! {
        time => at.to_string(),
        unix => at.unix(),
        millis => at.unix().saturating_mul(1_000),
        cron,
        year => number(0, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::{Blanks, RequestTemplate};
    use crate::model::Time;
    use reqwest::Method;

    fn fill(url: &str, body: &str, blanks: Blanks<'_>) -> Result<(String, String), (&'static str, String)> {
        let headers = vec![("X-Key".to_owned(), "{{ secret }}".to_owned())];
        let request =
            RequestTemplate { method: Method::POST, url: url.to_owned(), headers, body: Some(body.to_owned()) };
        let filled = request.fill_in(blanks)?;
        assert_eq!(filled.headers.get("x-key").unwrap(), "hush");
        assert!(!format!("{filled:?} {request:?}").contains("hush"));
        Ok((filled.url.to_string(), filled.body.unwrap()))
    }

    #[test]
    fn a_time_is_there_as_services_want_it() {
        let at = Some(Time::parse("2026-12-31T23:59:01Z").unwrap());
        let blanks = Blanks { at, secret: "hush", ..Blanks::default() };
        let body = "{{ at.time }} {{ at.unix }} {{ at.millis }} {{ at.cron }} {{ at.year }}";
        let (_, body) = fill("https://a.example", body, blanks).unwrap();
        assert_eq!(body, "2026-12-31T23:59:01Z 1798761541 1798761541000 0 0 1 1 * 2027");
        let at = Some(Time::parse("2026-11-27T12:30:00Z").unwrap());
        let (_, body) = fill("https://a.example", "{{ at.cron }}", Blanks { at, ..blanks }).unwrap();
        assert_eq!(body, "30 12 27 11 *");
    }

    #[test]
    fn texts_are_quoted_for_json_and_addresses() {
        let blanks = Blanks { callback: Some("https://zc.example/a?b=\"c\""), secret: "hush", ..Blanks::default() };
        let (url, body) =
            fill("https://a.example/?u={{ callback|url }}", "{\"u\": {{ callback|json }}}", blanks).unwrap();
        assert_eq!(url, "https://a.example/?u=https%3A%2F%2Fzc%2Eexample%2Fa%3Fb%3D%22c%22");
        assert_eq!(body, "{\"u\": \"https://zc.example/a?b=\\\"c\\\"\"}");
    }

    #[test]
    fn what_is_not_there_is_an_error_and_no_empty_text() {
        let blanks = Blanks { name: "n", secret: "hush", ..Blanks::default() };
        assert_eq!(fill("https://a.example/{{ job }}", "", blanks).unwrap_err().0, "url");
        assert_eq!(fill("https://a.example/", "{{ callbak }}", blanks).unwrap_err().0, "body");
        assert_eq!(fill("{{ name }}", "", blanks).unwrap_err().0, "url");
        assert_eq!(fill("https://a.example/", "{{ name", blanks).unwrap_err().0, "body");
    }
}
