//! Circuit breakers as two processes of a fleet share them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_core::{
    breaker::{Breakers, Caller, FAILURES, State},
    outbound::{HostSaid, Origin, Outbound, OutboundConfig, OutboundError, Subject},
};
use tokio::sync::oneshot;
use url::Url;

use crate::{on_both, stage::Stage};

on_both! {
    failures_of_several_processes_add_up,
    of_a_whole_fleet_one_call_probes,
    a_call_that_passes_closes_it_for_all,
    checks_go_through_and_count,
    another_host_is_not_concerned,
    a_probe_whose_job_is_stopped_lets_another_go,
}

const HOST: &str = "https://connect.example";
const CALL: Caller = Caller::Within(Duration::from_secs(30));

async fn fail(process: &Breakers) {
    let pass = process
        .enter("square", HOST, Caller::Exempt)
        .await
        .expect("exempt");
    process.failed(&pass, "it answers 503").await;
}

/// A process that has not called yet, so it knows what the database says.
fn fresh(stage: &Stage) -> Breakers {
    Breakers::new(stage.store.clone())
}

async fn opened(stage: &Stage) {
    let (one, other) = (fresh(stage), fresh(stage));
    for n in 0..FAILURES {
        fail(if n % 2 == 0 { &one } else { &other }).await;
    }
}

async fn state(stage: &Stage) -> Option<State> {
    let (rows, now) = stage.store.breakers().await.unwrap();
    rows.first().map(|(_, row)| row.state(now))
}

async fn failures_of_several_processes_add_up(stage: Stage) {
    let (one, other) = (fresh(&stage), fresh(&stage));
    for n in 0..FAILURES - 1 {
        fail(if n % 2 == 0 { &one } else { &other }).await;
    }
    assert_eq!(state(&stage).await, Some(State::Closed));
    fail(&other).await;
    assert_eq!(state(&stage).await, Some(State::Open));
    let held = fresh(&stage).enter("square", HOST, CALL).await.unwrap_err();
    assert_eq!(held.reason, "it answers 503");
    assert!(held.after.as_secs() <= 15, "{held:?}");
    assert!(held.since <= held.until);
}

async fn of_a_whole_fleet_one_call_probes(stage: Stage) {
    opened(&stage).await;
    stage.seconds(11).await;
    let mut probes = 0;
    for _ in 0..5 {
        probes += usize::from(fresh(&stage).enter("square", HOST, CALL).await.is_ok());
    }
    assert_eq!(probes, 1);
    // It may take its whole time; then another may.
    stage.seconds(29).await;
    assert!(fresh(&stage).enter("square", HOST, CALL).await.is_err());
    stage.seconds(4).await;
    let unasked = fresh(&stage);
    let pass = unasked.enter("square", HOST, CALL).await.expect("the next");
    unasked.unasked(&pass).await;
    // So may another when one asked nobody.
    let prober = fresh(&stage);
    let pass = prober
        .enter("square", HOST, CALL)
        .await
        .expect("the next probe");
    prober.failed(&pass, "it answers 504").await;
    let (rows, _) = stage.store.breakers().await.unwrap();
    assert_eq!(
        (rows[0].1.trips, rows[0].1.reason.as_deref()),
        (2, Some("it answers 504"))
    );
}

async fn a_call_that_passes_closes_it_for_all(stage: Stage) {
    opened(&stage).await;
    stage.seconds(11).await;
    let prober = fresh(&stage);
    let pass = prober.enter("square", HOST, CALL).await.expect("the probe");
    prober.passed(&pass).await;
    assert_eq!(state(&stage).await, None);
    for _ in 0..3 {
        fresh(&stage)
            .enter("square", HOST, CALL)
            .await
            .expect("closed");
    }
    assert_eq!(prober.counts().numbers()[1], ("breakers_closed", 1));
}

async fn checks_go_through_and_count(stage: Stage) {
    opened(&stage).await;
    let process = fresh(&stage);
    assert!(process.enter("square", HOST, CALL).await.is_err());
    let check = process
        .enter("square", HOST, Caller::Exempt)
        .await
        .expect("a check");
    process.passed(&check).await;
    process
        .enter("square", HOST, CALL)
        .await
        .expect("closed by the check");
}

async fn another_host_is_not_concerned(stage: Stage) {
    opened(&stage).await;
    let process = fresh(&stage);
    process
        .enter("square", "https://other.example", CALL)
        .await
        .expect("another origin");
    process
        .enter("slack", HOST, CALL)
        .await
        .expect("another provider");
}

async fn a_probe_whose_job_is_stopped_lets_another_go(stage: Stage) {
    opened(&stage).await;
    stage.seconds(11).await;
    let outbound = Outbound::new(OutboundConfig::default())
        .unwrap()
        .with_breakers(Arc::new(fresh(&stage)));
    let subject = Subject {
        provider: "square".into(),
        label: "Square".into(),
        exempt: false,
    };
    let origin = Origin::of(&Url::parse(HOST).unwrap()).unwrap();
    let (went_out, is_out) = oneshot::channel();
    let silence = async {
        went_out.send(()).unwrap();
        std::future::pending::<Result<(), OutboundError>>().await
    };
    let limit = Duration::from_secs(100);
    let probe = outbound.guarded(&subject, &origin, limit, silence, |_| HostSaid::Unasked);
    tokio::select! {
        outcome = probe => panic!("it waits: {outcome:?}"),
        out = is_out => out.unwrap(),
    }
    let give_up = Instant::now() + Duration::from_secs(20);
    while fresh(&stage).enter("square", HOST, CALL).await.is_err() {
        assert!(Instant::now() < give_up, "the probe was not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
