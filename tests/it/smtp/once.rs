//! One e-mail where one was asked for: what was begun and whose outcome nobody knows is not
//! begun again.

use patchbay_core::{failure::FailureKind, job::JobState};
use patchbay_worker::jobs;
use serde_json::json;

use super::post_office::{PostOffice, ServerPlan, header, mail};

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_after_the_e_mail_leaves_its_outcome_unknown() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let ended = office.act(&connection, "send_email", mail("drop")).await;
    assert_eq!(ended["state"], "failed", "{ended:#}");
    assert_eq!(ended["error"]["kind"], "unknown_outcome");
    assert_eq!(ended["attempt"], 1);
    let first = office.server.mails(1).await;

    // Only a person sends it again, and it is the same e-mail.
    let id = ended["id"].as_str().unwrap();
    let path = format!("/jobs/{id}/retry?wait=30");
    let again = office.desk.post(&path, json!({})).await;
    assert_eq!(again.json(200)["state"], "failed");
    let both = office.server.mails(2).await;
    assert!(header(&first[0], "Message-ID").is_some());
    assert_eq!(
        header(&both[1], "Message-ID"),
        header(&first[0], "Message-ID")
    );
}

/// The worker dies after it has handed the e-mail over, before it knows what became of it.
async fn a_worker_dies_in_the_middle(office: PostOffice) {
    let worker = office.desk.worker();
    let connection = office.connected().await;
    drop(worker);
    let asked = office.ask(&connection, "send_email", mail("hang"), 0).await;
    let id = asked.json(202)["id"].as_str().unwrap().to_owned();
    let run = office.claim(&id).await;
    tokio::select! {
        outcome = jobs::run(&run, &office.desk.ctx) => panic!("the server never answers: {outcome:?}"),
        _ = office.server.mails(1) => {}
    }
    office.end_process_of(&run).await;
    assert_eq!(office.desk.job(&id).await.state, JobState::Queued);

    let run = office.claim(&id).await;
    let error = jobs::run(&run, &office.desk.ctx).await.unwrap_err();
    assert_eq!(error.failure.kind, FailureKind::UnknownOutcome);
    let job = office.desk.job(&id).await;
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.error.unwrap()["kind"], "unknown_outcome");
    office.server.mails(1).await;
    let usage = office.desk.connection(&connection).await["usage"].clone();
    assert_eq!(usage["hour"]["used"], 1, "it may be on its way: {usage:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_the_middle_leaves_the_outcome_unknown_on_sqlite() {
    Box::pin(a_worker_dies_in_the_middle(
        PostOffice::on_sqlite(ServerPlan::open()).await,
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_the_middle_leaves_the_outcome_unknown_on_postgres() {
    Box::pin(a_worker_dies_in_the_middle(
        PostOffice::on_postgres(ServerPlan::open()).await,
    ))
    .await;
}

/// Before the e-mail is handed over nothing has happened, so another worker does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_e_mail_costs_nothing() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let worker = office.desk.worker();
    let connection = office.connected().await;
    drop(worker);
    let mut input = mail("Hello");
    input["to"] = json!(["later@example.com"]);
    let asked = office.ask(&connection, "send_email", input, 0).await;
    let id = asked.json(202)["id"].as_str().unwrap().to_owned();
    let run = office.claim(&id).await;
    jobs::run(&run, &office.desk.ctx).await.unwrap_err();
    let job = office.desk.job(&id).await;
    assert!(job.cursor.is_none(), "no intent before the e-mail itself");
    office.server.mails(0).await;
}
