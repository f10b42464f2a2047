//! What consents need to know of the web around them: where browsers reach this
//! deployment, who may be told of the end, where a browser may be sent.

use std::fmt;

use url::{Host, Url};

use super::value::Value;

/// Where browsers reach this deployment. The redirect URI of consents is made from it, and
/// never from what a request says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// An address on this machine, as `up` has without a setting.
    #[must_use]
    pub fn of_loopback(url: &str) -> Option<Self> {
        <Self as Value>::parse(url)
            .ok()
            .filter(|url| is_loopback(&url.0))
    }

    /// An address below it; `path` begins with a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let root = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{root}{path}"));
        url
    }

    /// Whether browsers reach it over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl Value for PublicUrl {
    const ALLOWED: &'static str = "https://HOST[:PORT][/PATH] without query; http only on this machine (127.0.0.1, [::1], localhost)";

    fn parse(text: &str) -> Result<Self, String> {
        let url = web_address(text)?;
        if url.query().is_some() {
            return Err("has a query".into());
        }
        Ok(Self(url))
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// The one origin whose page is told how a consent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenerOrigin(String);

impl OpenerOrigin {
    /// As `postMessage` takes it: `https://app.example.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for OpenerOrigin {
    const ALLOWED: &'static str =
        "https://HOST[:PORT] and nothing behind it; http only on this machine";

    fn parse(text: &str) -> Result<Self, String> {
        let url = web_address(text)?;
        if url.path() != "/" || url.query().is_some() {
            return Err("has a path or a query".into());
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// Where browsers may be sent at the end of a consent: exact origins and paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnUrls(Vec<Url>);

impl ReturnUrls {
    /// The address in its canonical form, if origin and path are exactly those of one of the
    /// list; its query is free.
    #[must_use]
    pub fn allowed(&self, text: &str) -> Option<Url> {
        let url = web_address(text).ok()?;
        self.0
            .iter()
            .any(|one| one.origin() == url.origin() && one.path() == url.path())
            .then_some(url)
    }

    /// For a message.
    #[must_use]
    pub fn listed(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(Url::as_str).collect();
        if texts.is_empty() {
            "(none)".into()
        } else {
            texts.join(",")
        }
    }
}

impl Value for ReturnUrls {
    const ALLOWED: &'static str = "addresses with commas between, each https://HOST[:PORT]/PATH without query; http only on this machine";

    fn parse(text: &str) -> Result<Self, String> {
        let mut urls = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let url =
                web_address(part).map_err(|why| format!("has the part `{part}`, which {why}"))?;
            if url.query().is_some() {
                return Err(format!("has the part `{part}`, which has a query"));
            }
            urls.push(url);
        }
        Ok(Self(urls))
    }

    fn shown(&self) -> String {
        self.listed()
    }
}

/// An address that browsers and this parser read alike: what a browser would mend silently
/// (backslashes, blanks, a missing slash) is refused, as are user names and fragments.
fn web_address(text: &str) -> Result<Url, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or("does not begin with https:// or http://")?;
    if rest.starts_with('/') {
        return Err("names no host".into());
    }
    if !text
        .chars()
        .all(|c| c.is_ascii_graphic() && !matches!(c, '\\' | '<' | '>' | '"' | '`' | '{' | '}'))
    {
        return Err("has a character that no address has".into());
    }
    let url = Url::parse(text).map_err(|error| format!("is no address ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() || rest_has_userinfo(rest) {
        return Err("has a user name".into());
    }
    if url.fragment().is_some() {
        return Err("has a fragment".into());
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("is http".into());
    }
    Ok(url)
}

/// `https://@host` has an empty user name, which the parser drops.
fn rest_has_userinfo(rest: &str) -> bool {
    rest.split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origin_and_path_are_allowed_to_return_to() {
        let list = <ReturnUrls as Value>::parse(
            "https://app.example.com/done, http://localhost:3000/back",
        )
        .unwrap();
        let allowed = |text: &str| list.allowed(text).map(|url| url.to_string());
        for good in [
            "https://app.example.com/done",
            "https://app.example.com/done?tab=2",
            "https://app.example.com:443/done",
            "http://localhost:3000/back",
        ] {
            assert!(allowed(good).is_some(), "{good}");
        }
        for bad in [
            "https://evil.example/done",
            "https://sub.app.example.com/done",
            "https://app.example.com.evil.example/done",
            "//evil.example/done",
            "/done",
            "https:///app.example.com/done",
            "https:app.example.com/done",
            "https:\\\\app.example.com/done",
            "https://app.example.com\\@evil.example/done",
            "https://evil.example\\@app.example.com/done",
            "https://app.example.com@evil.example/done",
            "https://evil.example@app.example.com/done",
            "https://@app.example.com/done",
            "https://app.example.com/done/more",
            "https://app.example.com/donemore",
            "https://app.example.com/done/",
            "https://app.example.com/done/../other",
            "https://app.example.com/Done",
            "https://app.example.com:8443/done",
            "http://app.example.com/done",
            "https://app.example.com/done#part",
            "https://app.example.com/done\n",
            " https://app.example.com/done",
            "https://app.example.com/do\tne",
            "javascript:alert(1)",
        ] {
            assert_eq!(allowed(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_public_address_is_https_unless_it_is_this_machine() {
        let parse = |text: &str| <PublicUrl as Value>::parse(text);
        assert_eq!(
            parse("http://example.com").unwrap_err(),
            "is http".to_owned()
        );
        assert!(parse("https://example.com/?a=b").is_err());
        let url = parse("https://example.com/patchbay/").unwrap();
        assert_eq!(url.to_string(), "https://example.com/patchbay");
        assert_eq!(
            url.join("/connect/x").as_str(),
            "https://example.com/patchbay/connect/x"
        );
        assert!(PublicUrl::of_loopback("http://127.0.0.1:7420").is_some());
        assert!(PublicUrl::of_loopback("http://[::1]:7420").is_some());
        assert!(PublicUrl::of_loopback("http://0.0.0.0:7420").is_none());
    }
}
