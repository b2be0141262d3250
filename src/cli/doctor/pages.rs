//! How people reach the pages: what is not encrypted, and what keeps them from signing in.

use super::{Check, Found};
use crate::config::WebSettings;

/// Nothing when no pages are served.
pub(super) fn checks(web: Option<&WebSettings>) -> Vec<Check> {
    let Some(web) = web else { return Vec::new() };
    let mut checks = Vec::new();
    let https = web.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
    let found = match &web.public_url {
        Some(url) if https => Found::Fine(url.clone()),
        None if web.listen.ip().is_loopback() => {
            Found::Note("reached from this machine only; mails carry no links until web.public_url is set".to_owned())
        }
        Some(url) if crate::web::is_loopback(url) => Found::Note(format!("{url} is reached from this machine only")),
        _ => Found::Mend(
            "people reach them over plain http, so others on the network can take over their sessions: put TLS in front of \
             them and say so in web.public_url (https://…)"
                .to_owned(),
        ),
    };
    checks.push(Check::new("pages", found));
    if web.github.is_none() {
        let note = "nobody can sign in: add a GitHub OAuth app as web.github; the links of mails work meanwhile";
        checks.push(Check::new("sign-in", Found::Note(note.to_owned())));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::{Check, Found, checks};
    use crate::config::Config;

    fn told(web: &str) -> &'static str {
        let config = Config::parse(&format!("mail: {{from: a@b.c}}\nweb: {{{web}}}"), |_| None).unwrap();
        match checks(config.web.as_ref()).first() {
            Some(Check(_, Found::Fine(_))) => "ok",
            Some(Check(_, Found::Note(_))) => "note",
            Some(Check(_, Found::Mend(_))) => "mend",
            None => "nothing",
        }
    }

    #[test]
    fn plain_http_for_others_is_to_be_mended() {
        assert_eq!(told("listen: '0.0.0.0:80'"), "mend");
        assert_eq!(told("listen: '0.0.0.0:80', public_url: 'http://zc.example'"), "mend");
        assert_eq!(told("listen: '127.0.0.1:80', public_url: 'http://zc.example'"), "mend");
        assert_eq!(told("listen: '0.0.0.0:80', public_url: 'https://zc.example'"), "ok");
        assert_eq!(told(""), "note");
        assert_eq!(told("public_url: 'http://localhost:8080'"), "note");
        assert!(checks(None).is_empty());
    }
}
