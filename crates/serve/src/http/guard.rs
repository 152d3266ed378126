//! Who gets past the HTTP door: the check of the `Host` header, and the authorizer.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use thalweg_core::authorizer::{Operation, Principal, Resource};

use super::server::Shared;

/// Answers what may be answered, and adds the headers that keep a browser careful.
///
/// A door on a loopback address is not for pages of the web: by pointing a name of
/// theirs at 127.0.0.1 they could read it (DNS rebinding), so only local names count.
pub(super) async fn guard(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if shared.is_loopback && !host.is_some_and(is_local) {
        return (StatusCode::MISDIRECTED_REQUEST, "unknown host\n").into_response();
    }
    let is_health = matches!(request.uri().path(), "/healthz" | "/readyz");
    let who = Principal::anonymous();
    let may = shared.state.authorizer.authorize(&who, Operation::Describe, Resource::Cluster);
    if !is_health && !may {
        return (StatusCode::FORBIDDEN, "not allowed\n").into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a `Host` header names this machine: an address, or `localhost`.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for host in ["localhost:8081", "LOCALHOST", "127.0.0.1:1", "[::1]:8081", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:8081", "127.0.0.1.evil", "", "[x]"] {
            assert!(!is_local(host), "{host}");
        }
    }
}
