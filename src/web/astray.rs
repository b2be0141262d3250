//! Addresses that only take a form, opened by hand or loaded again: they lead to the page that the form stands on, and not to a blank
//! one. What no page takes at all is said on a page.

use super::WebError;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Redirect;

/// What a page's route answers to a method that it does not take.
pub(super) async fn lead_back(method: Method, uri: Uri) -> Result<Redirect, WebError> {
    if method == Method::GET || method == Method::HEAD {
        return Ok(Redirect::to(&stands_on(uri.path())));
    }
    Err(WebError::Refused {
        status: StatusCode::METHOD_NOT_ALLOWED,
        heading: "Nothing is sent here".to_owned(),
        what: "this address shows something and takes nothing: nothing was done".to_owned(),
    })
}

/// The page with the form that is sent to `path`.
fn stands_on(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["leases", key, _] => format!("/leases/{key}"),
        ["aws-accounts", aws_id, "verify" | "rotate"] => format!("/aws-accounts/{aws_id}/setup"),
        ["aws-accounts", aws_id, _, ..] => format!("/aws-accounts/{aws_id}"),
        ["pause" | "resume"] => "/aws-accounts".to_owned(),
        [list @ ("settings" | "people" | "exemptions"), ..] => format!("/{list}"),
        _ => "/leases".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::stands_on;

    #[test]
    fn a_form_leads_to_the_page_that_it_stands_on() {
        for (path, page) in [
            ("/settings/tokens", "/settings"),
            ("/settings/tokens/abc/revoke", "/settings"),
            ("/leases/111122223333::us-east-1::i-1/renew", "/leases/111122223333::us-east-1::i-1"),
            ("/aws-accounts/111122223333/verify", "/aws-accounts/111122223333/setup"),
            ("/aws-accounts/111122223333/event-keys/1/rotate", "/aws-accounts/111122223333"),
            ("/people/max/role", "/people"),
            ("/exemptions/1/end", "/exemptions"),
            ("/resume", "/aws-accounts"),
            ("/logout", "/leases"),
            ("//evil.example/x", "/leases"),
        ] {
            assert_eq!(stands_on(path), page);
        }
    }
}
