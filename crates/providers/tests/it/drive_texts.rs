//! Action `export_text`: texts of documents, and what is refused with words.

use patchbay_core::failure::FailureKind;
use patchbay_providers::ProviderError;
use patchbay_sandbox::google::{DEFAULT_ACCOUNT, data::NewFile};
use serde_json::{Value, json};

use crate::stand_in::StandIn;

const DOCUMENT: &str = "application/vnd.google-apps.document";

async fn drive() -> StandIn {
    let mut at = StandIn::unconnected("google_drive").await;
    at.connect_for_good().await;
    at
}

fn put(at: &StandIn, mime_type: &str, text: &str, bytes: Option<usize>) -> String {
    let file = NewFile {
        name: "Ragù".into(),
        mime_type: mime_type.into(),
        parent: None,
        text: text.into(),
        bytes,
    };
    at.sandbox
        .google
        .put(DEFAULT_ACCOUNT, file)
        .expect("the account")
        .id
}

async fn export(at: &StandIn, id: &str) -> Result<Value, ProviderError> {
    let manifest = at.provider().manifest();
    let action = manifest.action("export_text").expect("declared");
    assert!(action.repeatable);
    let input = json!({ "file_id": id });
    let input = manifest
        .check_input(action, &input)
        .expect("it fits the schema");
    at.provider()
        .act(&at.session(), "export_text", &input)
        .await
}

#[tokio::test]
async fn a_document_s_text_comes_as_it_was_written() {
    let at = drive().await;
    let text = "Ragù\n\n2 onions\nSalt — to taste\n";
    for kind in [DOCUMENT, "text/plain", "text/markdown"] {
        let id = put(&at, kind, text, None);
        let output = export(&at, &id).await.expect("a text");
        assert_eq!(output["text"], text, "{kind}");
        assert_eq!(output["characters"], text.chars().count());
        assert_eq!(
            (&output["name"], &output["mime_type"]),
            (&json!("Ragù"), &json!(kind))
        );
        assert_eq!(output["file_id"], id.as_str());
    }
}

#[tokio::test]
async fn what_is_too_long_or_no_text_is_refused_with_words() {
    let at = drive().await;
    let over = 10 * 1024 * 1024 + 1;
    for (kind, text, bytes, says) in [
        (DOCUMENT, "", Some(over), "too large"),
        ("text/plain", "", Some(over), "longer than 10 MB"),
        ("application/pdf", "%PDF", None, "application/pdf"),
        (
            "application/vnd.google-apps.spreadsheet",
            "a,b",
            None,
            "no text",
        ),
        ("application/vnd.google-apps.folder", "", None, "no text"),
        ("application/vnd.google-apps.shortcut", "", None, "shortcut"),
    ] {
        let id = put(&at, kind, text, bytes);
        let error = export(&at, &id).await.expect_err(kind);
        assert_eq!(error.kind, FailureKind::Invalid, "{kind}: {error}");
        assert!(error.message.contains(says), "{kind}: {error}");
        assert!(!error.action.is_empty());
    }
    let error = export(&at, "no-such-file").await.expect_err("no such file");
    assert_eq!(error.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn an_input_that_names_no_file_is_refused_before_anything_is_sent() {
    let at = drive().await;
    let manifest = at.provider().manifest();
    let action = manifest.action("export_text").expect("declared");
    for (input, pointer) in [
        (json!({}), "/input/file_id"),
        (json!([]), "/input"),
        (json!({ "file_id": 7 }), "/input/file_id"),
        (json!({ "file_id": "../about" }), "/input/file_id"),
        (json!({ "file_id": "a", "more": 1 }), "/input/more"),
    ] {
        let errors = manifest.check_input(action, &input).expect_err("refused");
        assert_eq!(errors[0].pointer, pointer, "{input}");
    }
    let before = at.sandbox.requests.totals().len();
    for input in [json!({}), json!({ "file_id": "../about?fields=user" })] {
        let error = at
            .provider()
            .act(&at.session(), "export_text", &input)
            .await;
        assert_eq!(error.expect_err("refused").kind, FailureKind::Invalid);
    }
    assert_eq!(at.sandbox.requests.totals().len(), before);
}
