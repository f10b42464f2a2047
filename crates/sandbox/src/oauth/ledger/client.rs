//! Who asks for consent, and who gives it.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// An application that a provider knows. Its secret is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub client_id: String,
    pub client_secret: String,
    /// Exact redirect URIs. None: any `http` address of a loopback host, any port, any path.
    /// The stand-in is laxer here than every provider, so that a test can take a free port.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Slack: the app has token rotation switched on.
    #[serde(default)]
    pub rotates: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.client_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("rotates", &self.rotates)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// With any loopback redirect, without rotation.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            redirect_uris: Vec::new(),
            rotates: false,
        }
    }

    /// Where an authorization may go back to: the URI sent, or the only one registered.
    pub(crate) fn redirect(&self, sent: Option<&str>) -> Option<Url> {
        let text = match (sent, self.redirect_uris.as_slice()) {
            (Some(sent), _) => sent,
            (None, [only]) => only,
            (None, _) => return None,
        };
        let url = Url::parse(text).ok()?;
        let is_registered = self.redirect_uris.iter().any(|uri| uri == text);
        let is_allowed = match self.redirect_uris.is_empty() {
            true => is_loopback(&url),
            false => is_registered,
        };
        (is_allowed && url.fragment().is_none()).then_some(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "http" && is_local && url.username().is_empty() && url.password().is_none()
}

/// Somebody at the provider who can consent: a merchant, a person, a workspace, a shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    pub id: String,
    pub name: String,
}

impl Account {
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_exact_or_of_loopback() {
        let mut client = Client::new("id", "secret");
        for fine in [
            "http://127.0.0.1:7420/cb?x=1",
            "http://localhost/",
            "http://[::1]:9/a",
        ] {
            assert!(client.redirect(Some(fine)).is_some(), "{fine}");
        }
        for bad in [
            "https://127.0.0.1/",
            "http://127.0.0.1.example.com/",
            "http://user@127.0.0.1/",
            "http://localhost/#x",
            "http://example.com/",
            "127.0.0.1",
        ] {
            assert!(client.redirect(Some(bad)).is_none(), "{bad}");
        }
        assert!(client.redirect(None).is_none());
        client.redirect_uris = vec!["https://app.example.com/cb".into()];
        assert!(client.redirect(None).is_some());
        assert!(
            client
                .redirect(Some("https://app.example.com/cb"))
                .is_some()
        );
        assert!(
            client
                .redirect(Some("https://app.example.com/cb/"))
                .is_none()
        );
        assert!(client.redirect(Some("http://127.0.0.1/")).is_none());
    }
}
