//! A browser as far as forms and cookies go: keeps cookies, follows no redirect by itself, sends forms with what the page's
//! own form holds. A test reads pages as a person does.

use crate::app::TestApp;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, Method, StatusCode};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use zerocloud::model::{AccountId, UserId};
use zerocloud::web::session;

/// One browser.
pub struct Browser {
    /// Where the pages are.
    pub base: String,
    /// What it calls itself at, when that is another address.
    origin: String,
    http: Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// What came back.
#[derive(Debug)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Page {
    /// Where it sends the browser.
    pub fn location(&self) -> String {
        self.headers.get(LOCATION).map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The value of the first hidden field of that name.
    pub fn field(&self, name: &str) -> String {
        let from = self.text.split(&format!("name=\"{name}\" value=\"")).nth(1);
        from.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no {name} in {}", self.text)).to_owned()
    }

    /// Its text without the tags, on one line.
    pub fn words(&self) -> String {
        let mut text = String::new();
        let mut inside = false;
        for c in self.text.chars() {
            match c {
                '<' => inside = true,
                '>' => {
                    inside = false;
                    text.push(' ');
                }
                c if !inside => text.push(c),
                _ => {}
            }
        }
        let text = text.replace("&#x27;", "'").replace("&#x2f;", "/").replace("&quot;", "\"").replace("&amp;", "&");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Browser {
    /// A new one, with no cookies.
    pub fn new(base: &str) -> Browser {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_mins(1))
            .build()
            .unwrap();
        Browser { base: base.to_owned(), origin: base.to_owned(), http, cookies: Mutex::default() }
    }

    /// Keeps a cookie.
    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    /// Any request; headers beside the cookies.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Page {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request = self.http.request(method, &url);
        if url.starts_with(&self.base) {
            let cookies = self.cookies.lock().unwrap();
            let line: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if !line.is_empty() {
                request = request.header("cookie", line.join("; "));
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        if url.starts_with(&self.base) {
            self.take_cookies(&headers);
        }
        Page { status, headers, text: response.text().await.unwrap() }
    }

    fn take_cookies(&self, headers: &HeaderMap) {
        for line in headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            let mut cookies = self.cookies.lock().unwrap();
            if line.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// A page.
    pub async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], None).await
    }

    /// A page, by way of redirects.
    pub async fn follow(&self, path: &str) -> Page {
        let mut page = self.get(path).await;
        for _ in 0..8 {
            if !page.status.is_redirection() {
                break;
            }
            page = self.get(&page.location()).await;
        }
        page
    }

    /// A form with these fields, as they are.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let origin = self.origin.clone();
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        self.send(Method::POST, path, &headers, Some(body.finish())).await
    }

    /// A form of a signed-in person: with the secret that their pages hold; then the page that it leads to.
    pub async fn act(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get("/leases").await.field("csrf");
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend_from_slice(fields);
        let page = self.post(path, &all).await;
        if page.status.is_redirection() { self.follow(&page.location()).await } else { page }
    }

    /// From the sign-in page through GitHub, as that person (their number there, or `deny`), to where that leads.
    pub async fn through_github(&self, person: &str, form: &str, fields: &[(&str, &str)]) -> Page {
        let back = self.at_github(person, form, fields).await;
        let page = self.get(&back).await;
        if page.status.is_redirection() { self.follow(&page.location()).await } else { page }
    }

    /// The same up to GitHub's answer: the address that it sends the browser to.
    pub async fn at_github(&self, person: &str, form: &str, fields: &[(&str, &str)]) -> String {
        let page = self.post(form, fields).await;
        assert!(page.status.is_redirection(), "{} {}", page.status, page.words());
        let github = page.location();
        let (at, query) = github.split_once('?').unwrap();
        let asked = self.get(&github).await;
        assert_eq!(asked.status, StatusCode::OK, "{github}");
        let body = format!("{query}&person={person}");
        self.send(Method::POST, at, &[], Some(body)).await.location()
    }
}

impl TestApp {
    /// A browser that nobody is signed in with.
    pub fn browser(&self) -> Browser {
        Browser::new(&self.web)
    }

    /// A browser of a person of `bigdb`.
    pub async fn sign_in(&self, user: &str) -> Browser {
        self.sign_in_to("bigdb", user).await
    }

    /// A browser of a person of `bigdb`, that reaches the pages under this name.
    pub async fn sign_in_at(&self, origin: &str, user: &str) -> Browser {
        Browser { origin: origin.to_owned(), ..self.sign_in(user).await }
    }

    /// A browser of a person of that Account.
    pub async fn sign_in_to(&self, account: &str, user: &str) -> Browser {
        let (account, user) = (AccountId::parse(account).unwrap(), UserId::parse(user).unwrap());
        let id = format!("user::{account}::{user}");
        self.until("the person", || async { self.store.get::<serde_json::Value>(&id).await.unwrap() }).await;
        let secret = session::begin(&self.store, &account, &user, self.clock.now(), 43_200).await.unwrap();
        let browser = self.browser();
        browser.keep("__Host-zerocloud", &secret);
        browser
    }
}
