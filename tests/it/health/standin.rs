//! A stand-in for Slack that says nothing, until it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use axum::{Json, Router, response::IntoResponse};
use patchbay_providers::Registry;
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

use super::clinic::Clinic;
use crate::guarded::guarded;

pub struct Silent {
    pub url: String,
    asked: Arc<AtomicU64>,
    speaks: Arc<AtomicBool>,
    server: JoinHandle<()>,
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Silent {
    /// The clinic's Slack from now on.
    pub async fn at(clinic: &mut Clinic) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, speaks) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (count, may_speak) = (Arc::clone(&asked), Arc::clone(&speaks));
        let answer = async move || {
            count.fetch_add(1, Ordering::SeqCst);
            if !may_speak.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            Json(json!({ "ok": true, "team_id": "T1", "team": "Bakery" })).into_response()
        };
        let app = Router::new().fallback(answer);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let providers = Registry::builtin()
            .with_base_url("square", clinic.sandbox.square_url().parse().unwrap())
            .unwrap()
            .with_base_url("slack", url.parse().unwrap())
            .unwrap();
        clinic.ctx.providers = Arc::new(providers);
        Self {
            url,
            asked,
            speaks,
            server,
        }
    }

    /// Requests until now.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// It answers what it is asked from now on.
    pub fn speak(&self) {
        self.speaks.store(true, Ordering::SeqCst);
    }
}

/// The clinic's calls go under the circuit breakers of its fleet.
pub fn guard(clinic: &mut Clinic) {
    clinic.ctx.outbound = guarded(&clinic.ctx.store);
}
