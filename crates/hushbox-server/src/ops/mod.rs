//! Metrics and health over HTTP, for the machine that watches this one: `/metrics`, `/health/live`, `/health/ready`.
//!
//! It is not encrypted and asks nobody who they are, so it stands on loopback unless the configuration insists, and
//! says nothing of callers, persons or mailboxes.

pub mod health;
pub mod sample;

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::limits;
use crate::metrics::Exposition;
use health::Health;
use sample::Sampled;

/// What is given out.
#[derive(Clone)]
pub struct Ops {
    /// The server's health.
    pub health: Arc<Health>,
    /// Its counters.
    pub exposition: Exposition,
    /// What is looked up for each answer; absent while the server starts.
    pub sampled: Arc<OnceLock<Sampled>>,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, ops: Ops) {
    tokio::spawn(upkeep(ops.exposition.clone()));
    let router = router(ops);
    let slots = Arc::new(Semaphore::new(limits::OPS_CONNECTIONS));
    loop {
        // Whoever comes while all are taken waits in the system's queue.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection for metrics can be taken");
                tokio::time::sleep(limits::ACCEPT_REST).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::OPS_HEAD_MAX)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = timeout(limits::OPS_CONNECTION_MAX, serving).await {
                tracing::debug!(%error, "a connection for metrics broke");
            }
            drop(slot);
        });
    }
}

/// Empties what was measured into its buckets, so that it does not pile up where nobody asks.
async fn upkeep(exposition: Exposition) {
    let mut tick = interval(limits::METRICS_UPKEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        exposition.upkeep();
    }
}

fn router(ops: Ops) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .with_state(ops)
}

async fn metrics(State(ops): State<Ops>) -> Response {
    let Ok(text) = tokio::task::spawn_blocking(move || {
        if let Some(sampled) = ops.sampled.get() {
            sampled.take();
        }
        ops.exposition.text()
    })
    .await
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn live(State(ops): State<Ops>) -> Response {
    let live = ops.health.live().await;
    (status(live), Json(json!({ "live": live }))).into_response()
}

async fn ready(State(ops): State<Ops>) -> Response {
    let ready = ops.health.ready();
    let body = json!({
        "ready": ready.is_ok(),
        "reason": ready.err().map(health::NotReady::as_str),
        "record_only": ops.health.record_only(),
    });
    (status(ready.is_ok()), Json(body)).into_response()
}

const fn status(well: bool) -> StatusCode {
    if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
