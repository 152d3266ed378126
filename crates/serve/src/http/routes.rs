//! The answers of the HTTP door.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse};
use axum::routing::get;

use super::guard::guard;
use super::server::Shared;
use super::{metrics, page};

/// All of them.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(all_metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

async fn index(State(shared): State<Shared>) -> impl IntoResponse {
    Html(page::render(&shared.state.overview.overview()))
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    if shared.state.overview.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn all_metrics(State(shared): State<Shared>) -> impl IntoResponse {
    let text = metrics::render(&shared.state.metrics.families());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
