//! The consent page's two requests: to see it, and to answer it.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::OAuth;
use super::authorize::{Answer, Asked, Decision, Objection};
use super::page;
use super::params::{Params, scopes};

/// Shows the page. `auto=allow` or `auto=deny` (with `account`, `granted`) in the query,
/// or a standing answer set by a control call, answers in the person's place.
pub(crate) async fn show(State(oauth): State<OAuth>, RawQuery(query): RawQuery) -> Response {
    let params = Params::of_query(query.as_deref());
    let rules = oauth.rules;
    let answer = match params.get("auto") {
        None => oauth.standing_answer(),
        Some("allow") => Some(in_query(&params, Decision::Allow)),
        Some("deny") => Some(in_query(&params, Decision::Deny)),
        Some(_) => return page::refused(rules, "invalid_request", "auto is allow or deny"),
    };
    if let Some(answer) = answer {
        return answered(&oauth, params, &answer);
    }
    let ledger = oauth.ledger();
    match Asked::read(&ledger, params) {
        Ok(asked) => page::consent(rules, &asked, &ledger.accounts),
        Err(objection) => object(&oauth, objection),
    }
}

/// Takes the form. The query is that of the page and is looked at again.
pub(crate) async fn take(
    State(oauth): State<OAuth>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let form = Params::of_form(&body);
    let all = |name: &str| Some(form.all(name).map(str::to_owned).collect());
    let decision = match form.get("decision") {
        Some("allow") => Decision::Allow,
        Some("deny") => Decision::Deny,
        Some(_) | None => {
            return page::refused(oauth.rules, "invalid_request", "press Allow or Deny");
        }
    };
    let answer = Answer {
        decision,
        account: form.get("account").map(str::to_owned),
        scopes: all("scope"),
        user_scopes: all("user_scope"),
    };
    answered(&oauth, Params::of_query(query.as_deref()), &answer)
}

fn in_query(params: &Params, decision: Decision) -> Answer {
    let granted = params.get("granted").map(|text| scopes(Some(text), ' '));
    Answer {
        decision,
        account: params.get("account").map(str::to_owned),
        scopes: granted.clone(),
        user_scopes: granted,
    }
}

fn answered(oauth: &OAuth, params: Params, answer: &Answer) -> Response {
    let mut ledger = oauth.ledger();
    let asked = match Asked::read(&ledger, params) {
        Ok(asked) => asked,
        Err(objection) => return object(oauth, objection),
    };
    match asked.answered(&mut ledger, answer, oauth.clock.now_ms()) {
        Ok((to, _)) => go(&to),
        Err(wrong) => page::refused(oauth.rules, "invalid_request", &wrong),
    }
}

fn object(oauth: &OAuth, objection: Objection) -> Response {
    match objection {
        Objection::Page { error, description } => page::refused(oauth.rules, error, &description),
        Objection::Back(to) => go(&to),
    }
}

fn go(to: &Url) -> Response {
    // 302, as the providers answer; browsers go on with GET also after a POST.
    (StatusCode::FOUND, [(LOCATION, to.as_str())]).into_response()
}
