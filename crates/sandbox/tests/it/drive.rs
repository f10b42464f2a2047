//! Google Drive: lists, bytes, exports, changes.

use patchbay_sandbox::RunningSandbox;
use patchbay_sandbox::google::DEFAULT_ACCOUNT;
use patchbay_sandbox::google::data::{DriveChangeKind, NewFile};
use serde_json::{Value, json};

use crate::http::{Answer, control};
use crate::oauth::{BACK, code, encode, get_with, post_form, text};
use crate::small;

const DOCUMENT: &str = "application/vnd.google-apps.document";
const ALL: &str = "files(id,name,mimeType,modifiedTime,parents,size,trashed),nextPageToken";

async fn token(sandbox: &RunningSandbox, scope: &str) -> String {
    let scope = format!("https://www.googleapis.com/auth/{scope}");
    let code = code(
        sandbox,
        "google",
        json!({"redirect_uri": BACK, "scope": scope}),
    )
    .await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", BACK),
        ("client_id", "sandbox-google"),
        ("client_secret", "sandbox-google-secret"),
    ];
    let issued = post_form(sandbox, "/google/token", &form).await.json();
    text(&issued, "access_token")
}

async fn get(sandbox: &RunningSandbox, token: &str, path: &str, query: &[(&str, &str)]) -> Answer {
    let path = format!("/google/drive/v3/{path}?{}", encode(query));
    get_with(sandbox, &path, token).await
}

fn reason(answer: &Answer) -> (u16, String) {
    let error = &answer.json()["error"];
    assert_eq!(error["code"], answer.status);
    (answer.status, text(&error["errors"][0], "reason"))
}

async fn walk(sandbox: &RunningSandbox, token: &str, query: &[(&str, &str)]) -> Vec<Value> {
    let (mut rows, mut page_token) = (Vec::new(), None::<String>);
    for _ in 0..100 {
        let mut query = query.to_vec();
        query.push(("fields", ALL));
        query.extend(page_token.as_deref().map(|token| ("pageToken", token)));
        let answer = get(sandbox, token, "files", &query).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        rows.extend(page["files"].as_array().cloned().unwrap_or_default());
        match page.get("nextPageToken") {
            Some(next) => page_token = next.as_str().map(str::to_owned),
            None => return rows,
        }
    }
    panic!("a list without end");
}

#[tokio::test]
async fn about_wants_fields_and_a_scope() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let bare = get(&sandbox, &token, "about", &[]).await;
    assert_eq!(reason(&bare), (400, "required".to_owned()));
    let about = get(
        &sandbox,
        &token,
        "about",
        &[("fields", "user,storageQuota/limit")],
    )
    .await;
    let about = about.json();
    assert_eq!(text(&about["user"], "emailAddress"), DEFAULT_ACCOUNT);
    assert_eq!(about["storageQuota"], json!({"limit": "16106127360"}));
    let wrong = get(&sandbox, &token, "about", &[("fields", "users")]).await;
    assert_eq!(reason(&wrong), (400, "invalidParameter".to_owned()));
    let email = self::token(&sandbox, "userinfo.email").await;
    let refused = get(&sandbox, &email, "about", &[("fields", "user")]).await;
    assert_eq!(
        reason(&refused),
        (403, "insufficientPermissions".to_owned())
    );
    let nobody =
        crate::http::send(&sandbox, "GET /google/drive/v3/about?fields=user", &[], "").await;
    assert_eq!(reason(&nobody), (401, "required".to_owned()));
    let stranger = get(&sandbox, "ya29.x", "about", &[("fields", "user")]).await;
    assert_eq!(reason(&stranger), (401, "authError".to_owned()));
}

#[tokio::test]
async fn a_list_pages_through_everything_once_in_its_order() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.metadata.readonly").await;
    let summary = sandbox.google.summaries()[DEFAULT_ACCOUNT].clone();
    let query = [
        (
            "q",
            "trashed = false and mimeType != 'application/vnd.google-apps.folder'",
        ),
        ("pageSize", "37"),
        ("orderBy", "modifiedTime desc,name"),
    ];
    let rows = walk(&sandbox, &token, &query).await;
    assert_eq!(rows.len(), summary.files);
    let times: Vec<String> = rows.iter().map(|row| text(row, "modifiedTime")).collect();
    assert!(times.is_sorted_by(|a, b| a >= b));
    let documents = rows
        .iter()
        .filter(|row| row["mimeType"] == DOCUMENT)
        .count();
    assert_eq!(documents, summary.documents);
    assert!(
        rows.iter()
            .all(|row| (row["mimeType"] == DOCUMENT) <= row.get("size").is_none())
    );
    let everything = walk(&sandbox, &token, &[("pageSize", "1000")]).await;
    assert_eq!(
        everything.len(),
        summary.files + summary.folders + summary.trashed
    );
    let bare = get(&sandbox, &token, "files", &[("pageSize", "1")])
        .await
        .json();
    let fields: Vec<&String> = bare["files"][0]
        .as_object()
        .expect("a file")
        .keys()
        .collect();
    assert_eq!(fields, ["id", "kind", "mimeType", "name"]);
}

#[tokio::test]
async fn a_page_token_is_good_for_its_query_only() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let page = get(&sandbox, &token, "files", &[("pageSize", "10")])
        .await
        .json();
    let next = text(&page, "nextPageToken");
    for query in [
        vec![("pageSize", "11"), ("pageToken", next.as_str())],
        vec![
            ("q", "trashed = false"),
            ("pageSize", "10"),
            ("pageToken", next.as_str()),
        ],
        vec![("pageSize", "10"), ("pageToken", "1")],
    ] {
        let refused = get(&sandbox, &token, "files", &query).await;
        assert_eq!(reason(&refused), (400, "invalid".to_owned()), "{query:?}");
    }
    for (name, value) in [
        ("q", "name ="),
        ("orderBy", "size"),
        ("pageSize", "0"),
        ("pageSize", "1001"),
        ("fields", "files(size_in_bytes)"),
        ("corpora", "domain"),
        ("limit", "10"),
    ] {
        let refused = get(&sandbox, &token, "files", &[(name, value)]).await;
        assert_eq!(refused.status, 400, "{name}={value}");
    }
}

#[tokio::test]
async fn files_of_a_shared_drive_are_seen_by_those_who_ask_for_them() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let shared = sandbox.google.summaries()[DEFAULT_ACCOUNT].shared;
    let own = walk(&sandbox, &token, &[("pageSize", "1000")]).await;
    let query = [
        ("pageSize", "1000"),
        ("corpora", "allDrives"),
        ("includeItemsFromAllDrives", "true"),
        ("supportsAllDrives", "true"),
    ];
    let all = walk(&sandbox, &token, &query).await;
    assert_eq!(all.len(), own.len() + shared);
    let refused = get(
        &sandbox,
        &token,
        "files",
        &[("includeItemsFromAllDrives", "true")],
    )
    .await;
    assert_eq!(refused.status, 403);
    let own: Vec<String> = own.iter().map(|row| text(row, "id")).collect();
    let id = all
        .iter()
        .map(|row| text(row, "id"))
        .find(|id| !own.contains(id));
    let path = format!("files/{}", id.expect("a shared file"));
    assert_eq!(get(&sandbox, &token, &path, &[]).await.status, 404);
    let seen = get(&sandbox, &token, &path, &[("supportsAllDrives", "true")]).await;
    assert_eq!(seen.status, 200);
}

#[tokio::test]
async fn documents_are_exported_and_blobs_downloaded_never_the_other_way() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let find = async |q: &str| {
        let rows = walk(&sandbox, &token, &[("q", q), ("pageSize", "5")]).await;
        text(rows.first().expect("a file"), "id")
    };
    let document =
        find("mimeType = 'application/vnd.google-apps.document' and name contains '#1'").await;
    let export = format!("files/{document}/export");
    let plain = get(&sandbox, &token, &export, &[("mimeType", "text/plain")]).await;
    let recipe = plain.text();
    assert!(recipe.starts_with('\u{feff}') && recipe.contains("\r\nIngredients\r\n"));
    assert!(plain.head.contains("content-type: text/plain"));
    let pdf = get(
        &sandbox,
        &token,
        &export,
        &[("mimeType", "application/pdf")],
    )
    .await;
    assert!(pdf.body.starts_with(b"%PDF-1.4"));
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    let refused = get(&sandbox, &token, &export, &[("mimeType", docx)]).await;
    assert_eq!(reason(&refused), (400, "badRequest".to_owned()));
    assert_eq!(get(&sandbox, &token, &export, &[]).await.status, 400);
    let media = get(
        &sandbox,
        &token,
        &format!("files/{document}"),
        &[("alt", "media")],
    )
    .await;
    assert_eq!(reason(&media), (403, "fileNotDownloadable".to_owned()));

    let note = find("mimeType = 'text/plain'").await;
    let path = format!("files/{note}");
    let bytes = get(&sandbox, &token, &path, &[("alt", "media")]).await;
    assert!(bytes.text().starts_with("Supplier note"));
    let meta = get(&sandbox, &token, &path, &[("fields", "size,md5Checksum")])
        .await
        .json();
    assert_eq!(text(&meta, "size"), bytes.body.len().to_string());
    assert_eq!(text(&meta, "md5Checksum").len(), 32);
    let refused = get(
        &sandbox,
        &token,
        &format!("{path}/export"),
        &[("mimeType", "text/plain")],
    )
    .await;
    assert_eq!(reason(&refused), (403, "fileNotExportable".to_owned()));

    let huge = find("name = 'Every recipe we ever had'").await;
    let huge = format!("files/{huge}/export");
    let refused = get(&sandbox, &token, &huge, &[("mimeType", "text/plain")]).await;
    assert_eq!(
        reason(&refused),
        (403, "exportSizeLimitExceeded".to_owned())
    );

    let narrow = self::token(&sandbox, "drive.metadata.readonly").await;
    let refused = get(&sandbox, &narrow, &export, &[("mimeType", "text/plain")]).await;
    assert_eq!(
        reason(&refused),
        (403, "insufficientPermissions".to_owned())
    );
    let missing = get(&sandbox, &token, "files/1nothing", &[]).await;
    assert_eq!(reason(&missing), (404, "notFound".to_owned()));
}

#[tokio::test]
async fn changes_end_with_a_new_start_and_hold_each_file_once() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let start = get(&sandbox, &token, "changes/startPageToken", &[])
        .await
        .json();
    let start = text(&start, "startPageToken");
    let empty = get(&sandbox, &token, "changes", &[("pageToken", &start)])
        .await
        .json();
    assert_eq!(text(&empty, "newStartPageToken"), start);
    assert_eq!(empty["changes"], json!([]));

    let google = &sandbox.google;
    let change = |kind, id: Option<&str>| {
        let change = google.change(DEFAULT_ACCOUNT, kind, id).expect("a change");
        change.id
    };
    let kept = change(DriveChangeKind::DocumentCreated, None);
    change(DriveChangeKind::FileRenamed, Some(&kept));
    let trashed = change(DriveChangeKind::FileTrashed, None);
    let removed = change(DriveChangeKind::FileRemoved, None);
    let (mut at, mut seen) = (start.clone(), Vec::new());
    let end = loop {
        let query = [
            ("pageToken", at.as_str()),
            ("pageSize", "2"),
            ("fields", "*"),
        ];
        let page = get(&sandbox, &token, "changes", &query).await.json();
        seen.extend(page["changes"].as_array().cloned().unwrap_or_default());
        match (page.get("nextPageToken"), page.get("newStartPageToken")) {
            (Some(next), None) => at = next.as_str().expect("text").to_owned(),
            (None, Some(end)) => break end.as_str().expect("text").to_owned(),
            both => panic!("{both:?}"),
        }
    };
    let ids: Vec<String> = seen.iter().map(|change| text(change, "fileId")).collect();
    assert_eq!(ids, [kept, trashed, removed]);
    assert!(text(&seen[0]["file"], "name").ends_with(" (new)"));
    assert_eq!(
        (&seen[1]["removed"], &seen[1]["file"]["trashed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(seen[2]["removed"], true);
    assert!(seen[2].get("file").is_none());
    let later = get(&sandbox, &token, "changes", &[("pageToken", &end)])
        .await
        .json();
    assert_eq!(later["changes"], json!([]));
    let kept = [("pageToken", start.as_str()), ("includeRemoved", "false")];
    let kept = get(&sandbox, &token, "changes", &kept).await.json();
    assert_eq!(kept["changes"].as_array().map(Vec::len), Some(2));
    for token_ in ["0", "x", "999999999"] {
        let refused = get(&sandbox, &token, "changes", &[("pageToken", token_)]).await;
        assert_eq!(reason(&refused), (400, "invalid".to_owned()));
    }
    let none = get(&sandbox, &token, "changes", &[]).await;
    assert_eq!(reason(&none), (400, "required".to_owned()));
}

#[tokio::test]
async fn a_test_puts_files_in_and_moves_the_drive_on() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let file = json!({"file": {"name": "Big.txt", "mime_type": "text/plain", "bytes": 1_000_000}});
    let put = control(&sandbox, "POST /google/files", file).await.json();
    let path = format!("files/{}", text(&put, "id"));
    let bytes = get(&sandbox, &token, &path, &[("alt", "media")]).await;
    assert_eq!(bytes.body.len(), 1_000_000);
    let moved = control(&sandbox, "POST /google/advance", json!({"changes": 40})).await;
    assert_eq!(moved.json().as_array().map(Vec::len), Some(40));
    let trash = json!({"kind": "file_trashed", "id": text(&put, "id")});
    assert_eq!(
        control(&sandbox, "POST /google/changes", trash)
            .await
            .status,
        200
    );
    let figures = control(&sandbox, "GET /google", Value::Null).await.json();
    assert!(figures[DEFAULT_ACCOUNT]["trashed"].as_u64() >= Some(2));
    let nobody = sandbox.google.put(
        "nobody",
        NewFile {
            name: "x".into(),
            mime_type: "text/plain".into(),
            parent: None,
            text: String::new(),
            bytes: None,
        },
    );
    assert!(nobody.is_none());
}

#[tokio::test]
async fn the_same_seed_gives_the_same_drive() {
    let (one, two) = (small().await, small().await);
    assert_eq!(one.google.summaries(), two.google.summaries());
    let list = async |sandbox: &RunningSandbox| {
        let token = token(sandbox, "drive.readonly").await;
        walk(sandbox, &token, &[("pageSize", "1000")]).await
    };
    assert_eq!(list(&one).await, list(&two).await);
}

#[tokio::test]
async fn the_request_log_holds_no_code_secret_or_token() {
    let sandbox = small().await;
    let token = token(&sandbox, "drive.readonly").await;
    let form = [("token", token.as_str())];
    post_form(&sandbox, "/google/revoke", &form).await;
    let revoke = crate::oauth::press(&sandbox, "/google/revoke", &form, &[]).await;
    assert_eq!(revoke.status, 400);
    let log = control(&sandbox, "GET /requests", Value::Null).await.text();
    assert!(
        !log.contains(&token) && !log.contains("sandbox-google-secret"),
        "{log}"
    );
    assert!(log.contains("\"grant_type\":\"authorization_code\"") && log.contains("token=***"));
}
