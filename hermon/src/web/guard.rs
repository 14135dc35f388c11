//! The guard: who may ask, and what the page may do.
//!
//! The page can switch sources of an image, so a page of somebody else's in the same browser must not be able to:
//! * a name that was made to point here (DNS rebinding) is refused by its `Host`: only addresses and `localhost` are taken;
//! * another site's request is refused by `Origin` and `Sec-Fetch-Site`, and by the header that only a script of the same
//!   origin can set without asking first;
//! * nothing changes by GET;
//! * the page itself loads and runs nothing but what this server gives it (Content-Security-Policy).

use core::net::IpAddr;

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The header that a request which changes something must have.
const OURS: &str = "x-hermon";

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Passes on what may be asked, with headers that keep the answer to this page.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match judge(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => (StatusCode::FORBIDDEN, why).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// Says why a request is refused, if it is.
fn judge(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST.as_str()).unwrap_or_default();
    if !is_address(host) {
        return Err("open this page by its address or as localhost\n");
    }
    if !matches!(text("sec-fetch-site"), None | Some("same-origin" | "none")) {
        return Err("another site's page may not ask\n");
    }
    if headers.contains_key(ORIGIN) && text(ORIGIN.as_str()) != Some(&format!("http://{host}")) {
        return Err("another site's page may not ask\n");
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    if text(OURS) != Some("1") || text(CONTENT_TYPE.as_str()) != Some("application/json") {
        return Err("changes are asked for by this page only\n");
    }
    Ok(())
}

/// Returns whether a `Host` is an address or `localhost`, with or without a port: then no name was looked up that somebody else
/// may have chosen.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if let Some(v6) = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return v6.parse::<core::net::Ipv6Addr>().is_ok();
    }
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: Method, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.insert(name, HeaderValue::from_str(value).unwrap());
        }
        judge(&method, &map).is_ok()
    }

    #[test]
    fn only_addresses_and_localhost_are_hosts() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:8088",
            "LOCALHOST",
            "[::1]:8088",
            "10.0.0.7:1",
        ] {
            assert!(judged(Method::GET, &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8088",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "::1",
            "[evil]:80",
            "1",
        ] {
            assert!(!judged(Method::GET, &[("host", host)]), "{host}");
        }
        assert!(!judged(Method::GET, &[]));
    }

    #[test]
    fn another_sites_page_may_neither_look_nor_change() {
        let host = ("host", "127.0.0.1:80");
        assert!(!judged(
            Method::GET,
            &[host, ("origin", "http://evil.example")]
        ));
        assert!(!judged(
            Method::GET,
            &[host, ("origin", "http://127.0.0.1:81")]
        ));
        assert!(!judged(
            Method::GET,
            &[host, ("sec-fetch-site", "cross-site")]
        ));
        assert!(!judged(
            Method::GET,
            &[host, ("sec-fetch-site", "same-site")]
        ));
        assert!(judged(Method::GET, &[host, ("sec-fetch-site", "none")]));
    }

    #[test]
    fn a_change_needs_the_pages_own_header_and_type() {
        let host = ("host", "127.0.0.1:80");
        let (ours, json) = ((OURS, "1"), ("content-type", "application/json"));
        assert!(judged(Method::POST, &[host, ours, json]));
        assert!(judged(
            Method::POST,
            &[host, ours, json, ("origin", "http://127.0.0.1:80")]
        ));
        assert!(!judged(Method::POST, &[host, json]));
        assert!(!judged(Method::POST, &[host, ours]));
        assert!(!judged(
            Method::POST,
            &[host, ours, ("content-type", "text/plain")]
        ));
    }
}
