//! Answers a browser. Nothing can be changed here, and nothing is fetched from elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Router;
use maud::Markup;
use tokio::net::TcpListener;

use super::context::Context;
use super::source::Source;
use super::view::View;
use super::{details, lists, page, topology};

/// Only what this server itself sends is shown, run or asked for; nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

type Page = fn(&Context<'_>) -> Markup;

/// Listens there, says where, and serves until it is stopped.
///
/// # Errors
/// The address cannot be used.
pub(crate) fn run(source: Source, address: SocketAddr, told: impl FnOnce(SocketAddr)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        told(listener.local_addr()?);
        axum::serve(listener, router(Arc::new(source), address)).await?;
        Ok(())
    })
}

fn router(source: Arc<Source>, address: SocketAddr) -> Router {
    let page = |path: &'static str, page: Page| {
        get(move |State(source): State<Arc<Source>>, view: Result<Query<View>, QueryRejection>| async move {
            match view {
                Ok(Query(view)) => answer(source, path, view, page).await,
                Err(_) => (StatusCode::BAD_REQUEST, "The address is not of a view.").into_response(),
            }
        })
    };
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { ([(CONTENT_TYPE, kind)], text) });
    Router::new()
        .route("/", page("/", topology::page))
        .route("/clusters", page("/clusters", lists::clusters))
        .route("/services", page("/services", lists::services))
        .route("/workloads", page("/workloads", lists::workloads))
        .route("/service", page("/service", details::service))
        .route("/workload", page("/workload", details::workload))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("style.css")))
        .route("/script.js", file("text/javascript; charset=utf-8", include_str!("script.js")))
        .route("/icon.svg", file("image/svg+xml", include_str!("icon.svg")))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page.") })
        .with_state(source)
        .layer(from_fn_with_state(address, guard))
}

/// Prometheus is asked, and pages are made, where it may take long.
async fn answer(source: Arc<Source>, path: &'static str, view: View, page: Page) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        let picture = source.picture(view.range);
        let context = Context { path, view, source: &source, picture };
        let main = page(&context);
        page::document(&context, &title(&context), &main)
    });
    match made.await {
        Ok(document) => {
            ([(CONTENT_TYPE, "text/html; charset=utf-8")], document.into_string()).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This page could not be made.").into_response(),
    }
}

fn title(context: &Context<'_>) -> String {
    match context.path {
        "/clusters" => "Kubernetes clusters".to_owned(),
        "/services" => "Services".to_owned(),
        "/workloads" => "Workloads".to_owned(),
        "/service" | "/workload" => context.view.name.clone(),
        _ => "Topology".to_owned(),
    }
}

/// Who is asked by another name than this machine's, while it listens to itself only, was
/// led here by a page from elsewhere.
async fn guard(State(address): State<SocketAddr>, request: Request, next: Next) -> Response {
    let mut response = if address.ip().is_loopback() && !is_here(request.headers()) {
        (StatusCode::FORBIDDEN, "This page is for this machine's own address.").into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_here(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    matches!(name, "localhost" | "[::1]") || name.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_names_are_answered() {
        let told = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            is_here(&headers)
        };
        for host in ["localhost:8080", "127.0.0.1:1", "127.0.0.1", "[::1]:80", "[::1]"] {
            assert!(told(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1:80", ""]
        {
            assert!(!told(host), "{host}");
        }
    }
}
