//! Where a request came from and how people reach this site: its origin, whether the browser keeps secure cookies for it, and the
//! client's address behind trusted proxies.

use super::State;
use crate::config::WebSettings;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How this request reached us.
#[derive(Debug, Clone)]
pub struct Site {
    /// Scheme, host and port, without a slash at the end.
    pub origin: String,
    /// The origin is https.
    pub https: bool,
    /// A browser keeps `Secure` cookies for it: https, or loopback.
    pub secure: bool,
    /// The client, as far as trusted proxies tell.
    pub client: IpAddr,
}

impl FromRequestParts<State> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Site, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Site::of(&parts.headers, peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), &state.settings))
    }
}

impl Site {
    fn of(headers: &HeaderMap, peer: IpAddr, settings: &WebSettings) -> Site {
        let peer = peer.to_canonical();
        let trusted = |ip: &IpAddr| settings.trusted_proxies.iter().any(|network: &IpNet| network.contains(ip));
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let proxied = trusted(&peer);
        let https = proxied && text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        let host = text("host").filter(|host| is_host(host)).unwrap_or("localhost");
        let origin = settings.public_url.clone().unwrap_or_else(|| {
            let scheme = if https { "https" } else { "http" };
            format!("{scheme}://{host}")
        });
        let https = origin.starts_with("https://");
        let client = if proxied { forwarded(text("x-forwarded-for"), trusted).unwrap_or(peer) } else { peer };
        Site { secure: https || is_loopback(&origin), https, origin, client }
    }

    /// The name of a cookie here: browsers take the prefix `__Host-` only where they take `Secure`.
    pub fn cookie(&self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// A `Set-Cookie` header; `max_age` in seconds, 0 takes it away.
    pub fn set_cookie(&self, name: &str, value: &str, max_age: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}", self.cookie(name))
    }

    /// The value of a cookie of ours.
    pub fn read_cookie<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.cookie(name);
        let all = headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether a browser says that this request comes from a page of this site. Programs say nothing, and have no cookies
    /// that a foreign page could use.
    pub fn is_own(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let fetch = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
        let origin = text("origin").is_none_or(|origin| {
            let host = text("host").unwrap_or_default();
            origin == self.origin || origin.split_once("://").is_some_and(|(_, rest)| rest == host)
        });
        fetch && origin
    }
}

/// The last address that no trusted proxy has: what stands before it could be anybody's invention.
fn forwarded(header: Option<&str>, trusted: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let hops = header?.rsplit(',').map(|hop| hop.trim().parse::<IpAddr>().ok());
    let mut last = None;
    for hop in hops {
        let hop = hop?.to_canonical();
        last = Some(hop);
        if !trusted(&hop) {
            break;
        }
    }
    last
}

fn is_host(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b);
    !text.is_empty() && text.len() <= 260 && text.bytes().all(fine)
}

/// What browsers take for trustworthy without TLS (W3C Secure Contexts, section 3.1).
pub fn is_loopback(origin: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(origin) else { return false };
    let Some(host) = url.host_str() else { return false };
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::Site;
    use crate::config::Config;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    fn site(web: &str, peer: &str, headers: &[(&str, &str)]) -> (Site, HeaderMap) {
        let config = Config::parse(&format!("mail: {{from: a@b.c}}\nweb: {{{web}}}"), |_| None).unwrap();
        let pairs = headers.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        let headers: HeaderMap = pairs.collect();
        (Site::of(&headers, peer.parse().unwrap(), &config.web.unwrap()), headers)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let says = [
            ("host", "zc.example"),
            ("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7"),
            ("x-forwarded-proto", "https"),
        ];
        let (stranger, _) = site("trusted_proxies: [10.0.0.0/8]", "198.51.100.1", &says);
        assert_eq!(
            (stranger.origin.as_str(), stranger.client.to_string().as_str()),
            ("http://zc.example", "198.51.100.1")
        );
        assert!(!stranger.secure);
        let (proxied, _) = site("trusted_proxies: [10.0.0.0/8]", "10.0.0.1", &says);
        assert_eq!(
            (proxied.origin.as_str(), proxied.client.to_string().as_str()),
            ("https://zc.example", "203.0.113.9")
        );
        assert!(proxied.secure);
    }

    #[test]
    fn cookies_are_host_bound_on_https_and_loopback_and_plain_elsewhere() {
        for (host, name) in [
            ("127.0.0.1:8080", "__Host-zc"),
            ("localhost:8080", "__Host-zc"),
            ("[::1]:8080", "__Host-zc"),
            ("10.0.0.5:8080", "zc"),
            ("localhost.evil.example", "zc"),
        ] {
            let (site, _) = site("", "10.0.0.9", &[("host", host)]);
            assert_eq!(site.cookie("zc"), name, "{host}");
            assert_eq!(site.set_cookie("zc", "v", 9).contains("; Secure"), name.starts_with("__Host-"), "{host}");
            assert!(site.set_cookie("zc", "v", 9).contains("HttpOnly; SameSite=Lax"));
        }
        let (plain, headers) = site("", "10.0.0.9", &[("host", "10.0.0.5"), ("cookie", "__Host-zc=a; zc=b")]);
        assert_eq!(plain.read_cookie(&headers, "zc"), Some("b"));
    }

    #[test]
    fn a_form_of_another_site_is_known_by_its_origin() {
        for (headers, own) in [
            (vec![("origin", "https://zc.example"), ("sec-fetch-site", "same-origin")], true),
            (vec![], true),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
        ] {
            let mut all = vec![("host", "zc.example")];
            all.extend(headers);
            let (site, headers) = site("public_url: 'https://zc.example'", "10.0.0.9", &all);
            assert_eq!(site.is_own(&headers), own, "{all:?}");
        }
    }
}
