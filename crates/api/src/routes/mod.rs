//! Every route, one file per noun. To add one: its handler with its request and
//! response types and `#[utoipa::path]`, its line here, its line in
//! [`crate::access::TABLE`], and the document:
//! `UPDATE=1 cargo test -p patchbay-api --test api document`.

pub mod alerts;
mod breakers;
mod check_all;
pub mod connections;
pub mod consent;
pub mod dead;
pub mod docs;
#[cfg(debug_assertions)]
pub mod drills;
pub mod events;
pub mod jobs;
mod oauth_clients;
mod old_paths;
mod probes;
pub mod providers;
pub mod retry_policy;
pub mod schedules;
mod stats;
mod stream;

use axum::Router;
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{access::BASE, state::Api};

/// A body without fields.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// The routes and the document that describes them.
pub(crate) fn all() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(docs::Document::openapi())
        .routes(routes!(probes::healthz))
        .routes(routes!(probes::readyz))
        .routes(routes!(docs::document))
        .routes(routes!(docs::page))
        .routes(routes!(docs::problem))
        .routes(routes!(consent::connect::connect))
        .routes(routes!(consent::outcome::page))
        .nest(BASE, under_base())
        .split_for_parts();
    docs::finish(&mut document);
    let router = router.merge(old_paths::router());
    #[cfg(debug_assertions)]
    let router = router.merge(drills::router());
    (router, document)
}

#[rustfmt::skip]
fn under_base() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(providers::list))
        .routes(routes!(providers::read))
        .routes(routes!(consent::authorize::authorize))
        .routes(routes!(consent::callback::callback))
        .routes(routes!(consent::read))
        .routes(routes!(oauth_clients::list))
        .routes(routes!(oauth_clients::read, oauth_clients::set, oauth_clients::remove))
        .routes(routes!(connections::list, connections::create::create))
        .routes(routes!(connections::read, connections::change::change, connections::switch::disconnect))
        .routes(routes!(connections::switch::enable))
        .routes(routes!(connections::switch::disable))
        .routes(routes!(connections::revoke::revoke))
        .routes(routes!(connections::credential::replace))
        .routes(routes!(connections::work::test))
        .routes(routes!(connections::work::check))
        .routes(routes!(connections::sync::sync))
        .routes(routes!(connections::actions::act))
        .routes(routes!(connections::records::list))
        .routes(routes!(connections::health::read))
        .routes(routes!(schedules::of_connection, schedules::create::create))
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::read, schedules::change::change, schedules::change::delete))
        .routes(routes!(schedules::switch::pause))
        .routes(routes!(schedules::switch::resume))
        .routes(routes!(schedules::run::run))
        .routes(routes!(check_all::check_all))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::read))
        .routes(routes!(jobs::logs::list))
        .routes(routes!(jobs::follow::follow))
        .routes(routes!(jobs::moves::cancel))
        .routes(routes!(jobs::moves::retry))
        .routes(routes!(jobs::moves::discard))
        .routes(routes!(dead::list))
        .routes(routes!(dead::retry))
        .routes(routes!(dead::discard))
        .routes(routes!(retry_policy::read, retry_policy::set))
        .routes(routes!(breakers::list))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::read))
        .routes(routes!(alerts::people::acknowledge))
        .routes(routes!(alerts::people::silence))
        .routes(routes!(alerts::limits::read, alerts::limits::set))
        .routes(routes!(alerts::channels::list, alerts::channels::set))
        .routes(routes!(alerts::channels::webhooks::set))
        .routes(routes!(alerts::channels::remove))
        .routes(routes!(alerts::channels::test::send))
        .routes(routes!(stream::follow))
        .routes(routes!(events::list))
        .routes(routes!(stats::read))
}
