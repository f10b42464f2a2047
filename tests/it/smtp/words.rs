//! What servers answer and what people fill in: each refusal says whose fault it is.

use patchbay_core::job::JobState;
use sea_orm::ActiveValue::Set;
use serde_json::json;

use super::{
    encryption::pointers,
    post_office::{MailServer, PASSWORD, PostOffice, ServerPlan, header, mail},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_a_config_is_named_at_once() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let body = json!({ "provider": "smtp", "config": {
        "host": "mail.example.com/evil",
        "port": 70000,
        "security": "maybe",
        "username": "till\r\nRSET",
        "from_address": "Till <till@example.com>",
        "from_name": "Till\r\nBcc: all@example.com",
        "reply_to": "nobody",
        "hourly_limit": 0,
        "ca_certificates": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    } });
    let said = office.desk.post("/connections", body).await;
    let problem = said.problem(422, "validation");
    assert_eq!(
        pointers(&problem),
        [
            "/config/ca_certificates",
            "/config/from_address",
            "/config/from_name",
            "/config/host",
            "/config/hourly_limit",
            "/config/port",
            "/config/reply_to",
            "/config/security",
            "/config/username",
            "/credential/password",
        ]
    );
    let body = json!({ "provider": "smtp", "credential": { "password": "x" }, "config": {
        "host": "mail.example.com", "from_address": "till@example.com",
    } });
    let said = office.desk.post("/connections", body).await;
    let problem = said.problem(422, "validation");
    assert_eq!(pointers(&problem), ["/config/username"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_stands_nowhere() {
    let office = PostOffice::on_sqlite(ServerPlan::of("starttls")).await;
    let _worker = office.desk.worker();
    let wrong = "not the password at all";
    let error = office.refused(office.config(), wrong).await;
    assert_eq!(error["kind"], "auth", "{error:#}");
    assert_eq!(error["code"], "535 5.7.8");
    assert_eq!(error["impact"], "E-mails are not sent.");
    assert!(!office.desk.holds(wrong).await);
}

/// The server that a connection leads to has another password now.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_later_breaks_the_connection_and_parks_the_e_mail() {
    let office = PostOffice::on_sqlite(ServerPlan::of("tls")).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let changed = MailServer::start(ServerPlan {
        password: "another one",
        ..ServerPlan::of("tls")
    })
    .await;
    let store = &office.desk.ctx.store;
    let tx = store.begin().await.unwrap();
    let id = connection.parse().unwrap();
    let row = store.lock_connection(&tx, office.desk.org, id).await;
    let row = row.unwrap().unwrap();
    let mut config = row.config.clone();
    config["port"] = json!(changed.port);
    config["ca_certificates"] = json!(changed.authority);
    let change = patchbay_core::entities::connection::ActiveModel {
        config: Set(config),
        ..Default::default()
    };
    store.update_connection(&tx, &row, change).await.unwrap();
    tx.commit().await.unwrap();

    let asked = office
        .ask(&connection, "send_email", mail("Hello"), 0)
        .await;
    let job = asked.json(202)["id"].as_str().unwrap().to_owned();
    let parked = |job: &patchbay_core::entities::job::Model| job.state == JobState::Parked;
    let job = office.job_when(&job, parked).await;
    assert_eq!(job.error.unwrap()["kind"], "auth");
    let row = office.desk.connection(&connection).await;
    assert_eq!(row["status"], "error", "{row:#}");
    changed.mails(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_recipients_is_refused_and_the_other_gets_it() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let mut input = mail("Hello");
    input["to"] = json!(["unknown@example.com", "Kim <kim@example.com>"]);
    let done = office.act(&connection, "send_email", input.clone()).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(done["result"]["accepted"], json!(["kim@example.com"]));
    let refused = &done["result"]["refused"][0];
    assert_eq!(refused["address"], "unknown@example.com");
    assert_eq!(refused["code"], "550 5.1.1");

    input["to"] = json!(["unknown@example.com"]);
    let done = office.act(&connection, "send_email", input).await;
    assert_eq!(done["state"], "failed", "{done:#}");
    assert_eq!(done["error"]["kind"], "invalid");
    assert_eq!(done["error"]["next_action"]["field"], "/input/to");
    office.server.mails(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_now_is_tried_again_and_the_e_mail_goes_once() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let mut input = mail("Hello");
    input["to"] = json!(["kim@example.com", "once@example.com"]);
    let done = office.act(&connection, "send_email", input).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    assert_eq!(done["attempt"], 1, "the first came to nothing: {done:#}");
    let mails = office.server.mails(1).await;
    assert_eq!(
        mails[0]["recipients"],
        json!(["kim@example.com", "once@example.com"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let plan = ServerPlan {
        hang: Some("ehlo"),
        ..ServerPlan::open()
    };
    let office = PostOffice::on_sqlite(plan).await;
    let _worker = office.desk.worker();
    let mut config = office.config();
    config["timeout_seconds"] = json!(1);
    let error = office.refused(config, PASSWORD).await;
    assert_eq!(error["kind"], "timeout", "{error:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_caller_gives_can_begin_a_line_of_its_own() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let worker = office.desk.worker();
    let connection = office.connected().await;
    drop(worker);
    let evil = [
        (
            "to",
            json!(["kim@example.com\r\nBcc: all@example.com"]),
            "/input/to/0",
        ),
        ("to", json!(["Kim\n <kim@example.com>"]), "/input/to/0"),
        (
            "to",
            json!(["kim@example.com>\r\nRCPT TO:<all@example.com"]),
            "/input/to/0",
        ),
        ("to", json!([]), "/input/to"),
        (
            "cc",
            json!(["kim@example.com", "<lee@example.com\0>"]),
            "/input/cc/1",
        ),
        ("bcc", json!(["\"a b\"@example.com"]), "/input/bcc/0"),
        ("subject", json!("Hello\r\nX-Evil: yes"), "/input/subject"),
        ("subject", json!("Hello\rthere"), "/input/subject"),
        ("subject", json!("Hello\u{2028}there"), "/input/subject"),
        ("reply_to", json!("kim@example.com\r\n"), "/input/reply_to"),
        (
            "headers",
            json!(["X-Ok: yes", "X-Evil: a\r\nBcc: all@example.com"]),
            "/input/headers/1",
        ),
        (
            "headers",
            json!(["X-Evil\r\nBcc: all@example.com"]),
            "/input/headers/0",
        ),
        (
            "headers",
            json!(["Bcc: all@example.com"]),
            "/input/headers/0",
        ),
        (
            "headers",
            json!(["From: boss@example.com"]),
            "/input/headers/0",
        ),
        (
            "headers",
            json!(["Content-Type: text/html"]),
            "/input/headers/0",
        ),
        ("attachments", json!([]), "/input/attachments"),
    ];
    for (field, value, pointer) in evil {
        let mut input = mail("Hello");
        input[field] = value.clone();
        let said = office.ask(&connection, "send_email", input, 0).await;
        let problem = said.problem(422, "validation");
        assert_eq!(pointers(&problem), [pointer], "{field} = {value}");
    }
    let input = json!({ "to": "kim@example.com\r\nDATA" });
    let said = office.ask(&connection, "send_test_email", input, 0).await;
    assert_eq!(pointers(&said.problem(422, "validation")), ["/input/to"]);
    office.server.mails(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_any_alphabet_arrive_and_blind_copies_stay_blind() {
    let office = PostOffice::on_sqlite(ServerPlan::open()).await;
    let _worker = office.desk.worker();
    let connection = office.connected().await;
    let input = json!({
        "to": ["Zoë <zoe@example.com>"],
        "cc": ["lee@example.com"],
        "bcc": ["secret@example.com"],
        "subject": "Grüße — 価格 📦",
        "text": "Ragù\n.\n..dots\nБорщ\n",
        "html": "<p>Ragù</p>",
        "reply_to": "answers@example.com",
        "headers": ["X-Campaign: spring", "List-Unsubscribe: <https://example.com/u>"],
    });
    let done = office.act(&connection, "send_email", input).await;
    assert_eq!(done["state"], "succeeded", "{done:#}");
    let mails = office.server.mails(1).await;
    let mail = &mails[0];
    assert_eq!(header(mail, "Subject").unwrap(), "Grüße — 価格 📦");
    assert_eq!(
        header(mail, "From").unwrap(),
        "Café Till <till@example.com>"
    );
    assert_eq!(header(mail, "To").unwrap(), "Zoë <zoe@example.com>");
    assert_eq!(header(mail, "Reply-To").unwrap(), "answers@example.com");
    assert_eq!(header(mail, "X-Campaign").unwrap(), "spring");
    assert_eq!(header(mail, "Bcc"), None);
    assert_eq!(
        mail["recipients"],
        json!(["zoe@example.com", "lee@example.com", "secret@example.com"])
    );
    let text = mail["text"].as_str().unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), "Ragù\n.\n..dots\nБорщ");
    let html = mail["html"].as_str().unwrap();
    assert_eq!(html.trim_end(), "<p>Ragù</p>");
    let id = done["id"].as_str().unwrap();
    assert_eq!(
        header(mail, "Message-ID").unwrap(),
        format!("<{id}.0@patchbay.example.com>")
    );
}
