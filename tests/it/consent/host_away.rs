//! A consent comes back while both hosts of its provider are left alone: its code is used up
//! by then, so neither the exchange nor the first call waits.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::TimeDelta;
use patchbay_core::{
    breaker::{Breaker, State},
    outbound::Origin,
};
use patchbay_providers::{Account, Manifest, Page, Provider, ProviderError, Pull, Session};

use super::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

/// The breaker of the API's host. The stand-in's API and token endpoint are one host, which
/// a token that was granted would take out of the breaker's hands.
const API: &str = "square's API";

#[derive(Debug)]
struct ApiElsewhere(Arc<dyn Provider>);

#[async_trait]
impl Provider for ApiElsewhere {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let mut session = session.clone();
        session.subject.provider = API.into();
        self.0.test(&session).await
    }

    async fn pull(&self, session: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        self.0.pull(session, pull).await
    }
}

async fn a_consent_ends_well_though_both_hosts_are_left_alone(plan: Plan) {
    let mut desk = Desk::new(Plan {
        registry: Box::new(|registry| {
            let square = Arc::clone(registry.get("square").unwrap());
            registry.with(Arc::new(ApiElsewhere(square)))
        }),
        ..plan
    })
    .await;
    desk.guard();
    let store = desk.ctx.store.clone();
    let host = Origin::of(&desk.sandbox.square_url().parse().unwrap());
    let host = host.unwrap().to_string();
    for provider in ["square", API] {
        let opened = store.change_breaker(provider, &host, |row: &mut Breaker, now| {
            row.opened_at = Some(now);
            row.probe_at = Some(now + TimeDelta::hours(1));
            row.state(now) == State::Open
        });
        assert!(opened.await.unwrap().1);
    }
    let _worker = desk.worker();
    let (id, url) = desk.ask("square", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    assert_eq!(consent["status"], "connected", "{consent:#}");
    assert_eq!(store.breakers().await.unwrap().0, [], "both answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_ends_well_though_both_hosts_are_left_alone_on_sqlite() {
    a_consent_ends_well_though_both_hosts_are_left_alone(Plan::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_ends_well_though_both_hosts_are_left_alone_on_postgres() {
    let plan = Plan {
        postgres: true,
        ..Plan::default()
    };
    a_consent_ends_well_though_both_hosts_are_left_alone(plan).await;
}
