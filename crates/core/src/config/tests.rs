use std::path::PathBuf;

use super::*;
use crate::job::Queue;

fn inputs(
    file: Option<&tempfile::NamedTempFile>,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Inputs {
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect()
    };
    Inputs {
        file: file.map(|file| file.path().into()),
        environment: owned(environment),
        flags: owned(flags),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn refused(inputs: &Inputs) -> String {
    load(inputs)
        .expect_err("this configuration is wrong")
        .to_string()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = file(
        "listen = '127.0.0.1:1'\ndata_dir = '/file'\n[log]\nlevel = 'warn'\nformat = 'json'\n",
    );
    let loaded = load(&inputs(
        Some(&file),
        &[
            ("PATCHBAY_LISTEN", "127.0.0.1:2"),
            ("PATCHBAY_LOG__LEVEL", "debug"),
        ],
        &[("listen", "127.0.0.1:3")],
    ))
    .unwrap();
    assert_eq!(loaded.config.listen.port(), 3);
    assert_eq!(loaded.config.log_level.0, "debug");
    assert_eq!(loaded.config.log_format, LogFormat::Json);
    assert_eq!(loaded.config.data_dir, PathBuf::from("/file"));
    let source = |key: &str| {
        loaded
            .rows
            .iter()
            .find(|row| row.key == key)
            .unwrap()
            .source
            .to_string()
    };
    assert_eq!(source("listen"), "flag --listen");
    assert_eq!(
        source("log.level"),
        "environment variable PATCHBAY_LOG__LEVEL"
    );
    assert_eq!(
        source("data_dir"),
        format!("file {}", file.path().display())
    );
    assert_eq!(source("shutdown_grace"), "default");
}

#[test]
fn a_wrong_value_names_setting_source_value_and_what_is_allowed() {
    let message = refused(&inputs(
        None,
        &[("PATCHBAY_WORKER__QUEUES", "sync=4,mail=2")],
        &[],
    ));
    for part in [
        "worker.queues",
        "PATCHBAY_WORKER__QUEUES",
        "`sync=4,mail=2`",
        "names the queue `mail`",
        "interactive, sync",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let message = refused(&inputs(
        None,
        &[("PATCHBAY_LISTEN", "nowhere")],
        &[("shutdown_grace", "25"), ("log.format", "xml")],
    ));
    assert!(
        message.contains("is not an address")
            && message.contains("has no unit")
            && message.contains("is no log format"),
        "{message}"
    );
}

#[test]
fn a_wrong_secret_is_not_shown() {
    let message = refused(&inputs(
        None,
        &[("PATCHBAY_DATABASE_URL", "mysql://root:hunter2@db/x")],
        &[],
    ));
    assert!(
        message.contains("••••") && message.contains("begins with mysql://"),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_name() {
    let message = refused(&inputs(None, &[("PATCHBAY_WORKER__QUEUE", "sync=1")], &[]));
    assert!(
        message.contains("did you mean `worker.queues`?"),
        "{message}"
    );
    let file = file("[wroker]\nqueues = 'sync=1'\n");
    assert!(refused(&inputs(Some(&file), &[], &[])).contains("did you mean `worker.queues`?"));
}

#[test]
fn a_broken_file_names_the_line_and_shows_none_of_it() {
    let file = file("listen = '127.0.0.1:1'\ndatabase_url = \"postgres://u:hunter2@h/d\n");
    let message = refused(&inputs(Some(&file), &[], &[]));
    assert!(message.contains("line 2 is not TOML"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn queues_may_be_a_table_of_the_file() {
    let file = file("[worker.queues]\ninteractive = 3\nsync = 7\n");
    let loaded = load(&inputs(Some(&file), &[], &[])).unwrap();
    assert_eq!(
        loaded.config.worker_queues.0,
        [(Queue::Interactive, 3), (Queue::Sync, 7)].into()
    );
}

#[test]
fn base_urls_are_kept_by_provider_from_every_source() {
    let loaded = load(&inputs(
        None,
        &[(
            "PATCHBAY_PROVIDERS__SQUARE__BASE_URL",
            "http://127.0.0.1:1/",
        )],
        &[("providers.*.base_url", "shopify=https://shop.test")],
    ))
    .unwrap();
    let urls: Vec<String> = loaded
        .config
        .provider_base_urls
        .0
        .iter()
        .map(|(key, url)| format!("{key} {url}"))
        .collect();
    assert_eq!(
        urls,
        ["shopify https://shop.test/", "square http://127.0.0.1:1/"]
    );
}

#[test]
fn passwords_are_masked_where_values_are_shown() {
    let loaded = load(&inputs(
        None,
        &[
            (
                "PATCHBAY_DATABASE_URL",
                "postgres://patchbay:hunter2@db:5432/patchbay",
            ),
            ("PATCHBAY_REDIS_URL", "redis://:hunter2@r:6379/0"),
        ],
        &[],
    ))
    .unwrap();
    let values: Vec<&str> = loaded.rows.iter().map(|row| row.value.as_str()).collect();
    assert!(
        values.contains(&"postgres://patchbay:••••@db:5432/patchbay"),
        "{values:?}"
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn addresses_that_may_be_reached_are_checked() {
    let allow = |text: &str| load(&inputs(None, &[("PATCHBAY_OUTBOUND__ALLOW", text)], &[]));
    assert_eq!(
        allow("127.0.0.1, 10.0.0.0/8,erp.internal")
            .unwrap()
            .config
            .outbound_allow
            .0
            .len(),
        3
    );
    assert!(
        allow("10.0.0.0/33")
            .unwrap_err()
            .to_string()
            .contains("has the part `10.0.0.0/33`")
    );
}

#[test]
fn the_reference_in_the_documents_is_the_present_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let written = std::fs::read_to_string(path).expect("docs/configuration.md");
    assert!(
        written == reference(),
        "docs/configuration.md is not what the code says: run `cargo run -p patchbay -- config --reference > docs/configuration.md`"
    );
}

#[test]
fn apps_are_read_by_provider_and_their_secrets_are_masked() {
    let file = file(
        "public_url = 'https://patchbay.example'\n[oauth.square]\nclient_id = 'sq0idp-1'\nclient_secret = 'sq0csp-very-secret-1234'\n",
    );
    let given = inputs(
        Some(&file),
        &[("PATCHBAY_OAUTH__ETSY__CLIENT_ID", "keystring")],
        &[("oauth.*.client_id", "slack=123.456")],
    );
    let loaded = load(&given).unwrap();
    let ids = &loaded.config.oauth_client_ids.0;
    let names: Vec<&str> = ids.keys().map(String::as_str).collect();
    assert_eq!(names, ["etsy", "slack", "square"]);
    let secrets = &loaded.config.oauth_client_secrets.0;
    assert_eq!(secrets["square"].0.expose(), "sq0csp-very-secret-1234");
    let shown = format!("{:?}", loaded.rows);
    assert!(
        shown.contains("1234") && !shown.contains("very-secret"),
        "{shown}"
    );
}

#[test]
fn a_wrong_app_or_address_is_refused_by_its_own_name() {
    let environment = [
        ("PATCHBAY_PUBLIC_URL", "http://patchbay.example"),
        ("PATCHBAY_OAUTH__SQUARE__CLIENT_SECRET", "se cret"),
        (
            "PATCHBAY_CONSENT__OPENER_ORIGIN",
            "https://app.example.com/page",
        ),
        (
            "PATCHBAY_CONSENT__RETURN_URLS",
            "https://app.example.com/a,//evil",
        ),
    ];
    let message = refused(&inputs(None, &environment, &[]));
    for said in [
        "public_url (environment variable PATCHBAY_PUBLIC_URL): `http://patchbay.example` is http; allowed: https://HOST",
        "oauth.square.client_secret (environment variable PATCHBAY_OAUTH__SQUARE__CLIENT_SECRET): `••••`",
        "consent.opener_origin",
        "has the part `//evil`",
    ] {
        assert!(message.contains(said), "{message}");
    }
    assert!(!message.contains("se cret"), "{message}");
}
