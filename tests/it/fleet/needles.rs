//! A secret in every form in which it could have been written down, and the search for it.

use std::{collections::BTreeSet, fmt::Write as _};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use url::form_urlencoded;

/// Raw, hex, URL-encoded, and base64 at each of the three places it can have in a group of
/// three bytes.
fn needles(secret: &str) -> BTreeSet<String> {
    let bytes = secret.as_bytes();
    let mut needles = BTreeSet::from([secret.to_owned()]);
    for upper in [false, true] {
        needles.insert(bytes.iter().map(|byte| digits(*byte, upper)).collect());
        // What is kept as it is: letters and digits at least (RFC 3986 keeps four more),
        // or nothing.
        let letters = |byte: u8| byte.is_ascii_alphanumeric();
        let unreserved = |byte: u8| letters(byte) || b"-._~".contains(&byte);
        needles.insert(percent(bytes, upper, letters));
        needles.insert(percent(bytes, upper, unreserved));
        needles.insert(percent(bytes, upper, |_| false));
    }
    // A form keeps others, and writes a space in its own way.
    needles.insert(form_urlencoded::byte_serialize(bytes).collect());
    for phase in 0..3 {
        let mut padded = vec![0; phase];
        padded.extend_from_slice(bytes);
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            // The first and the last group also depend on what stands beside the secret.
            needles.insert(text[4..text.len() - 4].to_owned());
        }
    }
    needles
}

fn digits(byte: u8, upper: bool) -> String {
    if upper {
        format!("{byte:02X}")
    } else {
        format!("{byte:02x}")
    }
}

fn percent(bytes: &[u8], upper: bool, keeps: impl Fn(u8) -> bool) -> String {
    let mut text = String::new();
    for byte in bytes {
        if keeps(*byte) {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{}", digits(*byte, upper)).expect("a text takes everything");
        }
    }
    text
}

/// The form in which a secret stands in a text.
pub fn found(text: &str, secret: &str) -> Option<String> {
    needles(secret)
        .into_iter()
        .find(|needle| text.contains(needle))
}

#[track_caller]
pub fn assert_clean(place: &str, text: &str, secrets: &[String]) {
    assert!(!text.is_empty(), "{place} is empty: nothing was searched");
    for secret in secrets {
        if let Some(needle) = found(text, secret) {
            panic!("a secret stands in {place} as {needle}");
        }
    }
}

/// Written by others than the search itself, some of it by hand.
#[test]
fn a_secret_is_found_in_every_form() {
    let secret = "sq0-k_9~Z/+ =é";
    let mut query = url::Url::parse("https://example.com/").unwrap();
    query.query_pairs_mut().append_pair("token", secret);
    let json = serde_json::json!({ "token": secret }).to_string();
    let encoded: Vec<String> = (0..3)
        .flat_map(|phase| {
            let text = format!("{}{secret}, and more", &"beside"[..phase]);
            [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]
        })
        .collect();
    let texts = [
        json.as_str(),
        query.as_str(),
        "7371302d6b5f397e5a2f2b203dc3a9",
        "7371302D6B5F397E5A2F2B203DC3A9",
        "?token=sq0-k_9~Z%2F%2B%20%3D%C3%A9&x",
        "?token=sq0-k_9~Z%2f%2b%20%3d%c3%a9&x",
        "?token=sq0%2Dk%5F9%7EZ%2F%2B%20%3D%C3%A9&x",
        "?token=sq0%2dk%5f9%7eZ%2f%2b%20%3d%c3%a9&x",
        "%73%71%30%2D%6B%5F%39%7E%5A%2F%2B%20%3D%C3%A9",
        "%73%71%30%2d%6b%5f%39%7e%5a%2f%2b%20%3d%c3%a9",
    ];
    for text in texts.into_iter().chain(encoded.iter().map(String::as_str)) {
        assert!(found(text, secret).is_some(), "not found in {text}");
    }
    for text in [
        "",
        "sq0-k_9~Z",
        "7371302d6b5f397e5a2f2b203dc3",
        "c3EwLWtfOX5a",
    ] {
        assert_eq!(found(text, secret), None);
    }
}
