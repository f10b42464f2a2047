//! Nothing in clear where encryption was asked for, and nobody but the server that was named.

use axum::http::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::post_office::{PASSWORD, PostOffice, ServerPlan, USER, mail};
use crate::consent::desk::Plan;

/// Nobody logged in and no e-mail was begun.
async fn nothing_was_said(office: &PostOffice) {
    for line in office.server.lines().await {
        assert!(!line.contains("AUTH") && !line.contains("MAIL"), "{line}");
    }
    assert!(office.server.mails(0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_goes_out_after_starttls() {
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let row = office.desk.connection(&connection).await;
    assert_eq!(row["account_key"], format!("{USER}@127.0.0.1"));

    let done = office.act(&connection, "send_test_email", json!({})).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    let mails = office.server.mails(1).await;
    assert_eq!(mails[0]["encrypted"], true);
    assert_eq!(mails[0]["recipients"], json!(["till@example.com"]));
    let lines = office.server.lines().await;
    let place = |word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
    assert!(place("STARTTLS") < place("AUTH"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_e_mail_goes_out_under_tls_from_the_start() {
    let office = PostOffice::on_sqlite(ServerPlan::of("tls")).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let done = office.act(&connection, "send_email", mail("Hello")).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(office.server.mails(1).await[0]["encrypted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_gets_neither_password_nor_e_mail() {
    let plan = ServerPlan {
        login: true,
        ..ServerPlan::open()
    };
    let office = PostOffice::on_sqlite(plan).await;
    let _worker = office.desk.worker();
    let mut config = office.config();
    config["security"] = json!("starttls");
    let error = office.refused(config, PASSWORD).await;
    assert_eq!(error["kind"], "invalid", "{error:#}");
    assert_eq!(error["next_action"]["field"], "/config/security");
    let lines = office.server.lines().await;
    assert_eq!(lines.len(), 1, "only EHLO: {lines:?}");
    nothing_was_said(&office).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_ends_the_connection() {
    for security in ["starttls", "tls"] {
        let office = PostOffice::on_sqlite(ServerPlan::of(security)).await;
        let _worker = office.desk.worker();
        let mut config = office.config();
        config.as_object_mut().unwrap().remove("ca_certificates");
        let error = office.refused(config, PASSWORD).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("no trusted TLS"), "{error:#}");
        let action = error["action"].as_str().unwrap();
        assert!(action.contains("ca_certificates"), "{error:#}");
        nothing_was_said(&office).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_ends_the_connection() {
    let plan = ServerPlan {
        names: vec!["mail.example.com", "127.0.0.2"],
        ..ServerPlan::of("starttls")
    };
    let office = PostOffice::on_sqlite(plan).await;
    let _worker = office.desk.worker();
    let error = office.refused(office.config(), PASSWORD).await;
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("no trusted TLS"), "{error:#}");
    nothing_was_said(&office).await;
}

/// A server, or somebody on the way, that speaks on in clear behind its agreement to TLS.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_clear_behind_starttls_is_no_answer_under_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        client.write_all(b"220 evil\r\n").await.unwrap();
        let mut said = vec![0; 4096];
        let mut heard = String::new();
        for answer in [
            "250-evil\r\n250 STARTTLS\r\n",
            "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n",
        ] {
            let count = client.read(&mut said).await.unwrap();
            heard.push_str(&String::from_utf8_lossy(&said[..count]));
            client.write_all(answer.as_bytes()).await.unwrap();
        }
        let count = client.read(&mut said).await.unwrap();
        heard.push_str(&String::from_utf8_lossy(&said[..count]));
        heard
    });
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    let _worker = office.desk.worker();
    let mut config = office.config();
    config["port"] = json!(port);
    let asked = office
        .desk
        .post(
            "/connections",
            json!({ "provider": "smtp", "config": config, "credential": { "password": PASSWORD } }),
        )
        .await
        .json(202);
    assert_eq!(
        server.await.unwrap(),
        "EHLO example.com\r\nSTARTTLS\r\n",
        "nothing behind it, not even a handshake"
    );
    let id = asked["job"]["id"].as_str().unwrap();
    let job = office.job_when(id, |job| job.error.is_some()).await;
    assert_eq!(job.error.unwrap()["kind"], "protocol");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_without_encryption_is_refused_before_anything_is_done() {
    let office = PostOffice::on_sqlite(ServerPlan::of("none")).await;
    let said = office.connect(office.config()).await;
    let problem = said.problem(422, "validation");
    let pointers = pointers(&problem);
    assert_eq!(pointers, ["/config/security"]);
    assert!(office.server.lines().await.is_empty());

    // The same of a connection that works: its encryption cannot be taken away.
    let office = PostOffice::on_sqlite(ServerPlan::of("tls")).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let mut config = office.config();
    config["security"] = json!("none");
    let path = format!("/connections/{connection}");
    let body = json!({ "config": config });
    let desk = &office.desk;
    let said = desk.call(&desk.key, Method::PATCH, &path, Some(body)).await;
    let problem = said.problem(422, "validation");
    assert_eq!(
        self::pointers(&problem),
        ["/config/ca_certificates", "/config/security"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_public_is_not_reached_unless_it_is_allowed() {
    let plan = Plan {
        reaches_loopback: false,
        ..Plan::default()
    };
    let office = PostOffice::of(ServerPlan::of("starttls"), plan).await;
    let _worker = office.desk.worker();
    for host in ["127.0.0.1", "localhost", "2130706433"] {
        let mut config = office.config();
        config["host"] = json!(host);
        let said = office.connect(config).await.json(200);
        let error = &said["job"]["error"];
        assert_eq!(error["kind"], "blocked", "{host}: {error:#}");
        let id = said["connection"]["id"].as_str().unwrap();
        let path = format!("/connections/{id}");
        let desk = &office.desk;
        desk.call(&desk.key, Method::DELETE, &path, None).await;
    }
    assert!(office.server.lines().await.is_empty());
}

/// The pointers of a refusal, in order.
pub fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().unwrap();
    let pointers = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap());
    pointers.collect()
}
