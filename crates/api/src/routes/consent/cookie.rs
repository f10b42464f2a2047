//! The cookie that binds a consent to one browser: one for each consent, so that two that
//! are open at once do not take each other's place.

use axum::http::{HeaderMap, HeaderValue, header};
use patchbay_core::{
    config::PublicUrl, ids::ConsentId, secret::Secret, store::consents::CONSENT_MINUTES,
};

/// `__Host-` lets no other host and no http page set it (RFC 6265bis, section 4.1.3.2); it
/// asks for `Secure`, which a browser keeps over https only.
fn name(consent: ConsentId, https: bool) -> String {
    let prefix = if https { "__Host-" } else { "" };
    format!("{prefix}pb-consent-{consent}")
}

/// What the browser sent for this consent. Sent twice with different values it counts as
/// not sent: one of the two was planted.
pub fn read(headers: &HeaderMap, consent: ConsentId, public_url: &PublicUrl) -> Option<Secret> {
    let name = name(consent, public_url.is_https());
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let first = values.next()?;
    values
        .all(|other| other == first)
        .then(|| Secret::new(first))
}

/// `Set-Cookie` for the time of a consent.
pub fn set(consent: ConsentId, text: &Secret, public_url: &PublicUrl) -> HeaderValue {
    line(consent, text.expose(), CONSENT_MINUTES * 60, public_url)
}

/// `Set-Cookie` that takes it away.
pub fn clear(consent: ConsentId, public_url: &PublicUrl) -> HeaderValue {
    line(consent, "", 0, public_url)
}

fn line(consent: ConsentId, text: &str, seconds: i64, public_url: &PublicUrl) -> HeaderValue {
    let https = public_url.is_https();
    let secure = if https { "; Secure" } else { "" };
    let name = name(consent, https);
    let line = format!("{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::try_from(line).expect("an id and base64url");
    value.set_sensitive(true);
    value
}
