//! Consent and tokens, as a client meets them.

mod consent;
mod etsy;
mod faults;
mod google;
mod shopify;
mod slack;
mod square;

use patchbay_sandbox::RunningSandbox;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded;

use crate::http::{Answer, control, send};

pub const BACK: &str = "http://127.0.0.1:7420/api/integrations/callback/x";
/// The verifier and challenge of RFC 7636, appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The named parameter of an address's query.
pub fn in_query(address: &str, name: &str) -> Option<String> {
    let url = Url::parse(address).expect("an address");
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

pub async fn browse(sandbox: &RunningSandbox, path: &str, query: &[(&str, &str)]) -> Answer {
    let head = format!("GET {path}?{}", encode(query));
    send(sandbox, &head, &[], "").await
}

/// Presses a button of the consent page.
pub async fn press(
    sandbox: &RunningSandbox,
    path: &str,
    query: &[(&str, &str)],
    form: &[(&str, &str)],
) -> Answer {
    let head = format!("POST {path}?{}", encode(query));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    send(sandbox, &head, &headers, &encode(form)).await
}

pub async fn post_form(sandbox: &RunningSandbox, path: &str, form: &[(&str, &str)]) -> Answer {
    press(sandbox, path, &[], form).await
}

pub async fn post_json(sandbox: &RunningSandbox, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    send(
        sandbox,
        &format!("POST {path}"),
        &headers,
        &body.to_string(),
    )
    .await
}

/// A code for these parameters, with everything granted by the first account.
pub async fn code(sandbox: &RunningSandbox, provider: &str, parameters: Value) -> String {
    let body = json!({ "parameters": parameters });
    let answer = control(sandbox, &format!("POST /{provider}/consent"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let code = answer.json()["code"].as_str().map(str::to_owned);
    code.expect("a code")
}

pub async fn get_with(sandbox: &RunningSandbox, path: &str, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    send(
        sandbox,
        &format!("GET {path}"),
        &[("authorization", bearer.as_str())],
        "",
    )
    .await
}

/// `error` and `error_description`, with the status.
pub fn refusal(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("error"), text("error_description"))
}

pub fn text(value: &Value, name: &str) -> String {
    let text = value[name].as_str().map(str::to_owned);
    text.unwrap_or_else(|| panic!("no {name} in {value}"))
}
