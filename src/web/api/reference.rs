//! The description of the API as OpenAPI 3.1, for programs; `manual.rs` draws a page for people from it.

use super::Described;
use crate::web::once;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::LazyLock;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, Required, ResponseBuilder, SecurityRequirement};
use utoipa::{Modify, OpenApi};

static TEXT: LazyLock<String> = LazyLock::new(|| Described::openapi().to_json().unwrap_or_default());

/// What every call has: who calls, and how it is told that something is wrong.
pub(super) struct Common;

/// The failures that any call may answer with.
pub(super) const FAILURES: [(&str, &str); 14] = [
    ("400", "The request is not HTTP as it should be"),
    ("401", "Nobody is signed in"),
    ("403", "Not allowed"),
    ("404", "There is no such thing, or the caller may not see it"),
    ("405", "Not a method of this address"),
    ("408", "It took too long to arrive"),
    ("409", "Changed by somebody else at the same moment, or made already with this Idempotency-Key"),
    ("412", "Changed since it was read"),
    ("413", "Too large"),
    ("415", "Not JSON"),
    ("422", "Makes no sense; says what would"),
    ("428", "If-Match is missing"),
    ("429", "Too many calls"),
    ("503", "The documents cannot be reached just now"),
];

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let bearer = bearer.description(Some("A personal access token, `zcp_…`")).build();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        let cookie =
            ApiKeyValue::with_description("__Host-zerocloud", "A browser's session; changes also need X-CSRF-Token");
        components.add_security_scheme("browser", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        api.security = Some(vec![
            SecurityRequirement::new("token", Vec::<String>::new()),
            SecurityRequirement::new("browser", Vec::<String>::new()),
        ]);
        for (path, secret) in once::CALLS {
            if let Some(call) = api.paths.paths.get_mut(path).and_then(|path| path.post.as_mut()) {
                call.parameters.get_or_insert_default().push(key(secret).into());
            }
        }
        for path in api.paths.paths.values_mut() {
            let all = [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete];
            for operation in all.into_iter().flatten() {
                for (status, what) in FAILURES {
                    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                    let response =
                        ResponseBuilder::new().description(what).content("application/problem+json", content).build();
                    operation.responses.responses.entry(status.to_owned()).or_insert(response.into());
                }
            }
        }
    }
}

/// The header with which a call is made once.
fn key(secret: once::Secret) -> Parameter {
    let again = match secret {
        once::Secret::Once => {
            "the same key again within a day makes no second one: 409, as what it consists of is shown one time only"
        }
        once::Secret::Access => {
            "the same key again within a day does it no second time: 409; what came of it is at /aws-accounts/{aws_id}/access"
        }
        once::Secret::None => {
            "the same key and call again within a day make no second one and get the first one's answer"
        }
    };
    let header = ParameterBuilder::new().name("Idempotency-Key").parameter_in(ParameterIn::Header);
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(200)).build();
    header.required(Required::False).description(Some(again)).schema(Some(text)).build()
}

/// `GET /api/openapi.json`
pub(super) async fn json() -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, TEXT.as_str()).into_response()
}

/// The document as JSON.
pub(super) fn text() -> &'static str {
    &TEXT
}
