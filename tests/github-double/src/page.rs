//! The few pages, plain: a person sees at once that this is not GitHub.

use axum::response::Html;

/// Escapes a text for HTML.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A page with this body.
pub(crate) fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>\
         :root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:3rem auto;padding:0 1rem}}\
         button{{display:block;width:100%;font:inherit;text-align:left;padding:.7rem 1rem;margin:.5rem 0;border:1px solid #8886;\
         border-radius:.5rem;background:#8881;color:inherit;cursor:pointer}}small{{opacity:.75}}</style></head><body>\
         <p><small>The demo's stand-in for GitHub</small></p>{body}</body></html>"
    ))
}

/// A hidden field.
pub(crate) fn hidden(name: &str, value: &str) -> String {
    format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
}
