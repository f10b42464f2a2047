//! The route of actions: who may, what is refused, and that a repeat does nothing twice.

use axum::{body::Body, http::Request};
use patchbay_sandbox::google::{DEFAULT_ACCOUNT, data::NewFile};
use serde_json::json;

use super::post_office::{PostOffice, ServerPlan, mail};
use crate::consent::{
    browser::Browser,
    desk::{Desk, Plan, nothing},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let desk = &office.desk;
    // Pending: no test has passed yet.
    let body = json!({ "provider": "smtp", "config": office.config() });
    let asked = desk.post("/connections", body).await.json(202);
    let connection = asked["connection"]["id"].as_str().unwrap();
    let said = office.ask(connection, "send_email", mail("Hello"), 0).await;
    said.problem(409, "connection-state");
    let worker = desk.worker();
    let test = asked["job"]["id"].as_str().unwrap();
    office.job_when(test, |job| job.state.is_end()).await;
    drop(worker);

    let said = office.ask(connection, "send_fax", json!({}), 0).await;
    let problem = said.problem(404, "not-found");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("send_email, send_test_email")
            || detail.contains("send_test_email, send_email"),
        "{detail}"
    );
    let path = format!("/connections/{connection}/actions/send_email");
    let body = json!({ "input": mail("Hello") });
    let post = axum::http::Method::POST;
    let stranger = desk
        .call(&desk.stranger, post.clone(), &path, Some(body))
        .await;
    stranger.problem(404, "not-found");

    let off = json!({ "capabilities_off": ["send_email"] });
    let patch = axum::http::Method::PATCH;
    let path = format!("/connections/{connection}");
    desk.call(&desk.key, patch, &path, Some(off))
        .await
        .json(200);
    let said = office
        .ask(connection, "send_test_email", json!({}), 0)
        .await;
    said.problem(409, "connection-state");
    office.server.mails(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_sends_no_second_e_mail() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let desk = &office.desk;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = Request::post(format!(
            "/api/integrations/connections/{connection}/actions/send_email?wait=30"
        ))
        .header("authorization", format!("Bearer {}", desk.key))
        .header("content-type", "application/json")
        .header("idempotency-key", "receipt-4711")
        .body(Body::from(json!({ "input": mail("Hello") }).to_string()));
        let done = desk.send(request.unwrap()).await.json(200);
        assert_eq!(done["state"], "succeeded", "{done:#}");
        ids.push(done["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    office.server.mails(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_of_another_provider_goes_the_same_way() {
    let desk = Desk::new(Plan::default()).await;
    let _worker = desk.worker();
    let (id, url) = desk.ask("google_drive", nothing()).await;
    let page = Browser::new(&desk).consent(&url).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let consent = desk.consent(&id).await;
    let connection = consent["connection_id"].as_str().unwrap();
    let file = NewFile {
        name: "Ragù".into(),
        mime_type: "application/vnd.google-apps.document".into(),
        parent: None,
        text: "2 onions\n".into(),
        bytes: None,
    };
    let file = desk.sandbox.google.put(DEFAULT_ACCOUNT, file).unwrap().id;
    let what = "actions/export_text?wait=30";
    let input = json!({ "input": { "file_id": file } });
    let done = desk.post_to(connection, what, input).await.json(200);
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(done["result"]["text"], "2 onions\n");
    let row = desk.connection(connection).await;
    assert_eq!(row["usage"], serde_json::Value::Null);
}
