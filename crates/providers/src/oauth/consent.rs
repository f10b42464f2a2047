//! The address that a person's browser is sent to, and the proof key behind it.

use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    basic::BasicClient,
};
use patchbay_core::secret::Secret;
use url::Url;

use super::{place::OauthPlace, rules::ScopeSeparator};

/// The address of the consent page. The redirect URI must be the one that the exchange
/// repeats, letter by letter.
#[must_use]
pub fn consent_url(
    place: &OauthPlace,
    client_id: &str,
    redirect_uri: &Url,
    state: &str,
    scopes: &[String],
    challenge: Option<&str>,
) -> Url {
    let client = BasicClient::new(ClientId::new(client_id.to_owned()))
        .set_auth_uri(AuthUrl::from_url(place.authorize.clone()))
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
    let mut request = client.authorize_url(|| CsrfToken::new(state.to_owned()));
    let is_standard = place.rules.scope_separator == ScopeSeparator::Space
        && place.rules.scope_parameter == "scope";
    if is_standard {
        request = request.add_scopes(scopes.iter().cloned().map(Scope::new));
    } else if !scopes.is_empty() {
        let separator = place.rules.scope_separator.char().to_string();
        let name = place.rules.scope_parameter.clone();
        request = request.add_extra_param(name, scopes.join(&separator));
    }
    if let Some(challenge) = challenge {
        request = request
            .add_extra_param("code_challenge", challenge)
            .add_extra_param("code_challenge_method", "S256");
    }
    for (name, value) in &place.parameters {
        request = request.add_extra_param(name, value);
    }
    let (mut url, _state) = request.url();
    // A form's plus for a space is not what every provider documents (Etsy: `%20`); in
    // this query a plus stands for nothing else, since a real one is `%2B`.
    let query = url.query().map(|query| query.replace('+', "%20"));
    url.set_query(query.as_deref());
    url
}

/// A new proof key: its challenge (S256) for the consent's address, and the verifier
/// for the exchange.
#[must_use]
pub fn pkce() -> (String, Secret) {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    (
        challenge.as_str().to_owned(),
        Secret::new(verifier.into_secret()),
    )
}

/// The challenge of a verifier that is at hand.
#[must_use]
pub fn challenge_of(verifier: &Secret) -> String {
    let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
    PkceCodeChallenge::from_code_verifier_sha256(&verifier)
        .as_str()
        .to_owned()
}
