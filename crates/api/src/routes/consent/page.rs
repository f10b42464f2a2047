//! The small pages that a person sees on the way: no external resource, everything from
//! outside escaped, one script with a nonce or none.

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use patchbay_core::store::consents::one_time_text;
use serde::Serialize;
use uuid::Uuid;

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// What happened, in a few words.
    pub title: String,
    /// What it means.
    pub words: String,
    /// What to do next.
    pub next: String,
    /// Look again at this address of ours after so many seconds.
    pub refresh: Option<(u32, String)>,
    /// What the page that opened this one is told.
    pub told: Option<Told>,
}

/// A message to the opener, and to whom alone it may go.
#[derive(Debug, Clone)]
pub struct Told {
    /// The configured origin.
    pub origin: String,
    /// What is said.
    pub message: Message,
    /// Whether nothing is left to read here.
    pub close: bool,
}

/// What the opener hears: `postMessage` data.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Always `patchbay:connect`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `connected`, `failed` or `pending`.
    pub status: &'static str,
    /// The connection, once there is one.
    pub connection: Option<Uuid>,
    /// The exchange, if it came to one.
    pub job: Option<Uuid>,
}

impl Page {
    /// A page that only says something.
    pub fn new(
        status: StatusCode,
        title: impl Into<String>,
        words: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            status,
            title: title.into(),
            words: words.into(),
            next: next.into(),
            refresh: None,
            told: None,
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let nonce = one_time_text();
        let nonce = nonce.expose();
        let html = self.html(nonce);
        let script = match self.told {
            Some(_) => format!(" script-src 'nonce-{nonce}';"),
            None => String::new(),
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}';{script} base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let mut response = (self.status, html).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::try_from(policy).expect("words of ours and base64"),
        );
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        guard(&mut response);
        response
    }
}

/// Headers of every answer on the way: nothing is kept, no address is told to the next host.
pub fn guard(response: &mut Response) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

impl Page {
    fn html(&self, nonce: &str) -> String {
        let title = escaped(&self.title);
        let refresh = self
            .refresh
            .as_ref()
            .map(|(seconds, address)| {
                format!(
                    "<meta http-equiv=\"refresh\" content=\"{seconds}; url={}\">\n",
                    escaped(address)
                )
            })
            .unwrap_or_default();
        let script = self
            .told
            .as_ref()
            .map(|told| script(told, nonce))
            .unwrap_or_default();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}<title>{title}</title>\n\
             <style nonce=\"{nonce}\">body{{font:1.125rem/1.5 system-ui,sans-serif;max-width:34rem;margin:12vh auto;padding:0 1.5rem}}\
             h1{{font-size:1.5rem;line-height:1.25}}p{{overflow-wrap:anywhere}}</style>\n</head>\n<body>\n\
             <main role=\"status\">\n<h1>{title}</h1>\n<p>{}</p>\n<p>{}</p>\n</main>\n{script}</body>\n</html>\n",
            escaped(&self.words),
            escaped(&self.next),
        )
    }
}

fn script(told: &Told, nonce: &str) -> String {
    let message = in_script(&told.message);
    let origin = in_script(&told.origin);
    let close = if told.close { "window.close();" } else { "" };
    format!(
        "<script nonce=\"{nonce}\">if(window.opener){{window.opener.postMessage({message},{origin});{close}}}</script>\n"
    )
}

/// JSON that cannot end its script.
fn in_script(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .expect("texts and ids are JSON")
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// Text that is only text in HTML, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}
