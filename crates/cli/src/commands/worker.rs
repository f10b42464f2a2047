//! `patchbay worker`: runs the jobs of a fleet. It holds the keyring, and it alone
//! talks to providers.

use std::sync::Arc;

use patchbay_core::config::{Config, Problem};

use crate::{
    exit::{Outcome, Stop},
    logging,
    serve::{
        admin_port, background::Parts, database, fleet, keyring_watch::KeyringWatch, outside,
        readiness::Readiness, signals, vital_signs::VitalSigns, work,
    },
};

pub async fn run(config: Config) -> Outcome {
    logging::start(&config)?;
    let stopping = signals::listen()?;
    let path = config.keyring_file.as_deref().ok_or_else(|| {
        Stop::usage(Problem::missing(
            "keyring_file",
            "a worker opens credentials",
        ))
    })?;
    let keyring = outside::keyring(path)?;
    let readiness = Readiness::default();
    admin_port::serve(&config, "worker", &readiness, &stopping.stop).await?;
    let Some(fleet) = fleet::join(&config, "worker", &readiness, &stopping.stop).await? else {
        return Ok(());
    };

    let context = work::context(&config, fleet.store, fleet.hints, keyring).await?;
    let url = database::url(&config)?.0.expose().to_owned();
    let worker = work::deps(&config, context, "worker", url);
    let queues = config
        .worker_queues
        .0
        .iter()
        .map(|(queue, slots)| (*queue, *slots))
        .collect();
    let mut parts = Parts::new(stopping.stop.clone());
    let watch = KeyringWatch {
        path: path.to_owned(),
        vault: Arc::clone(&worker.context.vault),
        store: worker.context.store.clone(),
        me: worker.me.subscribe(),
        seals_to: None,
    };
    parts.start("keyring", watch.run(stopping.stop.clone()));
    let worker_signs = Some((worker.me.subscribe(), Arc::clone(&worker.metrics)));
    let grants = Some((
        Arc::clone(&worker.context.consents),
        Arc::clone(&worker.context.refresher),
    ));
    let breakers = worker.context.outbound.breakers().cloned();
    let hints = Some(Arc::clone(&worker.context.hints));
    parts.start(
        "worker",
        patchbay_worker::run(worker, queues, stopping.stop.clone(), stopping.hurry),
    );
    readiness.running(VitalSigns {
        worker: worker_signs,
        grants,
        breakers,
        hints,
        ..VitalSigns::default()
    });
    tracing::info!(queues = %config.worker_queues, "worker is ready");
    parts.run().await
}
