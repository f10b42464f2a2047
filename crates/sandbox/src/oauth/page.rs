//! The consent page: one plain form, for a person or a scripted browser.
//!
//! Names to hold on to: radio buttons `account` (`#account-ID`), check boxes `scope` and
//! `user_scope` (`#scope-0`, `#user_scope-0`, ...), buttons `decision` (`#allow`,
//! `#deny`). Must not: load anything, or print a text that came in without escaping it.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};

use super::authorize::Asked;
use super::ledger::Account;
use super::rules::Rules;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;\
padding:0 1rem;color:#1a1a1a}fieldset{border:1px solid #bbb;border-radius:6px;margin:1rem 0}\
label{display:block;padding:.3rem 0}small{color:#555;display:block;padding-left:1.6rem}\
button{font:inherit;padding:.5rem 1.4rem;margin-right:.6rem}";

pub(crate) fn consent(rules: &Rules, asked: &Asked, accounts: &[Account]) -> Response {
    let client = escape(&asked.client.client_id);
    let mut choice = String::new();
    for (n, account) in accounts.iter().enumerate() {
        let (id, name) = (escape(&account.id), escape(&account.name));
        let checked = if n == 0 { " checked" } else { "" };
        choice.push_str(&format!(
            "<label for=\"account-{id}\"><input type=\"radio\" name=\"account\" \
             id=\"account-{id}\" value=\"{id}\"{checked}> {name} ({id})</label>\n"
        ));
    }
    let mut boxes = boxes(rules, "scope", &asked.scopes);
    boxes.push_str(&self::boxes(rules, "user_scope", &asked.user_scopes));
    let title = rules.title;
    let body = format!(
        "<h1>{title} (sandbox)</h1>\n\
         <p><strong>{client}</strong> asks for access to a {title} account.</p>\n\
         <form method=\"post\" id=\"consent\">\n\
         <fieldset><legend>Account</legend>\n{choice}</fieldset>\n\
         <fieldset><legend>It may</legend>\n{boxes}</fieldset>\n\
         <button type=\"submit\" name=\"decision\" value=\"allow\" id=\"allow\">Allow</button>\n\
         <button type=\"submit\" name=\"decision\" value=\"deny\" id=\"deny\">Deny</button>\n\
         </form>\n"
    );
    html(StatusCode::OK, &format!("{title}: consent"), &body)
}

/// What a person sees when the request cannot go back to the client.
pub(crate) fn refused(rules: &Rules, error: &str, description: &str) -> Response {
    let body = format!(
        "<h1>{} (sandbox)</h1>\n<p id=\"error\"><strong>Error 400: {}</strong></p>\n<p>{}</p>\n",
        rules.title,
        escape(error),
        escape(description)
    );
    html(StatusCode::BAD_REQUEST, "Access blocked", &body)
}

fn boxes(rules: &Rules, name: &str, scopes: &[String]) -> String {
    let words = |scope: &str| {
        let known = rules.scopes.iter().find(|(known, _)| *known == scope);
        known.map_or("", |(_, words)| *words)
    };
    let mut boxes = String::new();
    for (n, scope) in scopes.iter().enumerate() {
        let (value, words) = (escape(scope), words(scope));
        boxes.push_str(&format!(
            "<label for=\"{name}-{n}\"><input type=\"checkbox\" name=\"{name}\" \
             id=\"{name}-{n}\" value=\"{value}\" checked> {value}<small>{words}</small></label>\n"
        ));
    }
    boxes
}

fn html(status: StatusCode, title: &str, body: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body>\n{body}</body>\n</html>\n"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    (status, headers, page).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
