//! `patchbay api`: the HTTP API of a fleet. It holds no key that opens a credential.

use std::sync::Arc;

use patchbay_api::ApiDeps;
use patchbay_core::config::{Config, Problem};

use crate::{
    exit::{Outcome, Stop},
    logging,
    serve::{
        admin_port, background::Parts, fleet, listen, outside, presence, readiness::Readiness,
        signals, vital_signs::VitalSigns, waiting_room::WaitingRoom, work,
    },
};

pub async fn run(config: Config) -> Outcome {
    logging::start(&config)?;
    let stopping = signals::listen()?;
    let sealing = config.sealing_public_key.clone().ok_or_else(|| {
        Stop::usage(Problem::missing(
            "sealing_public_key",
            "the API seals credentials to the workers",
        ))
    })?;
    let listener = listen::on(config.listen, "listen").await?;
    let url = listen::url_of(&listener)?;
    let readiness = Readiness::default();
    admin_port::serve(&config, "api", &readiness, &stopping.stop).await?;
    let (room, listener) = WaitingRoom::open(listener, &readiness)?;
    let joined = fleet::join(&config, "api", &readiness, &stopping.stop).await;
    room.close().await;
    let Some(fleet) = joined? else { return Ok(()) };

    let providers = Arc::new(outside::providers(&config)?);
    let presence = presence::keep(
        fleet.store.clone(),
        work::host(),
        sealing.clone(),
        stopping.stop.clone(),
    );
    let hints = Some(Arc::clone(&fleet.hints));
    let deps = ApiDeps {
        store: fleet.store,
        hints: fleet.hints,
        sealing,
        providers,
        consent: Arc::new(outside::consent_settings(&config)?),
        addresses: outside::addresses(&config),
    };
    let mut parts = Parts::new(stopping.stop.clone());
    parts.start("presence", presence);
    parts.start(
        "api",
        patchbay_api::serve(listener, deps, stopping.stop.clone()),
    );
    readiness.running(VitalSigns {
        hints,
        ..VitalSigns::default()
    });
    tracing::info!(url, "api is ready");
    parts.run().await
}
