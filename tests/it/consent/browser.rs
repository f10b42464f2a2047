//! A browser with its cookies. What is below the public address goes to the router, anything
//! else over loopback.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, Request, StatusCode},
};
use patchbay_core::outbound::{
    AddressPolicy, Method, Outbound, OutboundConfig, OutboundRequest,
    header::{COOKIE, HeaderValue},
};
use url::Url;

use super::desk::{Desk, Said};

pub struct Browser<'d> {
    desk: &'d Desk,
    /// Name and value, as this browser keeps them.
    pub cookies: BTreeMap<String, String>,
    /// Those of the provider's pages.
    theirs: BTreeMap<String, String>,
    /// Headers it sends besides.
    pub headers: Vec<(&'static str, String)>,
}

impl<'d> Browser<'d> {
    pub fn new(desk: &'d Desk) -> Self {
        Self {
            desk,
            cookies: BTreeMap::new(),
            theirs: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// One request; a redirect is not followed.
    pub async fn get(&mut self, address: &str) -> Said {
        let path = path_of_ours(address);
        let said = match &path {
            Some(path) => self.ours(path).await,
            None => theirs(address, &self.theirs).await,
        };
        let jar = match path {
            Some(_) => &mut self.cookies,
            None => &mut self.theirs,
        };
        for line in said.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") || attributes.contains("expires=Thu, 01 Jan 1970") {
                jar.remove(name);
            } else {
                jar.insert(name.into(), value.into());
            }
        }
        said
    }

    async fn ours(&self, path: &str) -> Said {
        let mut request = Request::builder().uri(path);
        if !self.cookies.is_empty() {
            request = request.header("cookie", line(&self.cookies));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.desk.send(request.body(Body::empty()).unwrap()).await
    }

    /// Follows redirects to their end, or to where `until` says.
    pub async fn follow(&mut self, address: &str, until: impl Fn(&str) -> bool) -> Followed {
        let mut address = address.to_owned();
        for _ in 0..10 {
            if until(&address) {
                break;
            }
            let said = self.get(&address).await;
            if !said.status.is_redirection() {
                return Followed { address, said };
            }
            let here: Url = address.parse().unwrap();
            address = here.join(said.header("location")).unwrap().into();
        }
        let said = Said {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            text: String::new(),
        };
        Followed { address, said }
    }

    /// Goes all the way; the last answer.
    pub async fn consent(&mut self, address: &str) -> Said {
        self.follow(address, |_| false).await.said
    }

    /// Comes back from the provider with this query.
    pub async fn back(&mut self, provider: &str, query: &str) -> Said {
        self.get(&format!(
            "{}/api/integrations/callback/{provider}?{query}",
            super::desk::PUBLIC_URL
        ))
        .await
    }
}

/// Where a chain of redirects ended.
pub struct Followed {
    pub address: String,
    pub said: Said,
}

/// Path and query of an address below the public one, whatever its scheme.
fn path_of_ours(address: &str) -> Option<String> {
    let ours = [super::desk::PUBLIC_URL, "https://patchbay.example"];
    ours.iter()
        .find_map(|base| address.strip_prefix(base))
        .map(str::to_owned)
}

/// `Cookie` of a jar.
fn line(jar: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = jar
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}

async fn theirs(address: &str, jar: &BTreeMap<String, String>) -> Said {
    let policy = AddressPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
    };
    let outbound = Outbound::new(OutboundConfig {
        policy,
        ..OutboundConfig::default()
    })
    .unwrap();
    let mut request = OutboundRequest::new(Method::GET, address.parse().unwrap());
    if !jar.is_empty() {
        request = request.header(COOKIE, HeaderValue::try_from(line(jar)).unwrap());
    }
    let answer = outbound.send(request).await.unwrap();
    Said {
        status: answer.status,
        headers: answer.headers,
        text: String::from_utf8(answer.body).unwrap(),
    }
}
