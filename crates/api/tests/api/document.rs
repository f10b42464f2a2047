//! The committed OpenAPI document is the one that the handlers say.

use std::{collections::BTreeSet, path::Path};

use patchbay_api::access::{BASE, TABLE};
use serde_json::Value;

#[test]
fn the_committed_document_is_what_the_handlers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let said = patchbay_api::openapi();
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch of this test, not a setting of the product"
    )]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &said).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == said,
        "docs/openapi.json is not what the handlers say. Look at the difference after `make openapi`"
    );
}

#[test]
fn every_route_of_the_document_is_in_the_access_table_and_the_other_way_round() {
    let document: Value = serde_json::from_str(&patchbay_api::openapi()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            documented.insert((method.to_uppercase(), path.replacen(BASE, "~", 1)));
        }
    }
    // Redirects take any method and are in no document.
    let table: BTreeSet<(String, String)> = TABLE
        .iter()
        .filter(|row| row.0 != "ANY")
        .map(|row| (row.0.to_owned(), row.1.to_owned()))
        .collect();
    assert_eq!(documented, table);
}

#[test]
fn every_post_may_be_repeated_under_a_key() {
    let document: Value = serde_json::from_str(&patchbay_api::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(post) = item.get("post") else {
            continue;
        };
        let mut parameters = post["parameters"].as_array().into_iter().flatten();
        assert!(
            parameters.any(|one| one["name"] == "Idempotency-Key"),
            "POST {path} takes no Idempotency-Key, which `patchbay` sends with every POST"
        );
    }
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document: Value = serde_json::from_str(&patchbay_api::openapi()).unwrap();
    let mut names = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} is there twice");
        }
    }
}
