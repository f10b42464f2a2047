//! The server that a connection's own config names, for protocols that are not HTTP: a mail
//! server belongs to whoever connects it, and no manifest can know it.
//!
//! The rule about credentials stays: the server that the tested config names is the one
//! origin that may be given this connection's credential.

use std::collections::BTreeMap;

use patchbay_core::outbound::Origin;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    address::fill,
    schema::{PropertyKind, Schema},
};

/// Where config says which server it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Name of the protocol in addresses: `smtp`.
    pub scheme: String,
    /// Field of the host. Its pattern decides what a host is.
    pub host: String,
    /// Field of the port, which may be left out.
    pub port: String,
    /// Field whose choice decides the port then.
    pub port_by: String,
    /// The port of each choice.
    pub ports: BTreeMap<String, u16>,
}

impl Target {
    /// The server that a checked config names; `None` where it was never checked.
    #[must_use]
    pub fn origin(&self, schema: &Schema, config: &Value) -> Option<Origin> {
        let host = fill(&format!("{{{}}}", self.host), None, schema, config)?;
        let given = config.get(&self.port).filter(|port| !port.is_null());
        let port = match given {
            Some(port) => u16::try_from(port.as_u64()?).ok()?,
            None => *self.ports.get(config.get(&self.port_by)?.as_str()?)?,
        };
        Some(Origin::service(&self.scheme, &host, port))
    }

    /// What is wrong with the declaration.
    pub(super) fn problem(&self, schema: &Schema) -> Option<String> {
        let Self {
            scheme,
            host,
            port,
            port_by,
            ports,
        } = self;
        if scheme.starts_with("http") {
            return Some(format!("`{scheme}` servers are endpoints, not a target"));
        }
        if let Some(problem) = crate::address::places_problem(&format!("{{{host}}}"), schema) {
            return Some(format!("target: {problem}"));
        }
        let is_port = schema.properties.get(port).is_some_and(|property| {
            let within = property.minimum >= Some(1) && property.maximum <= Some(65_535);
            property.kind == PropertyKind::Integer && property.maximum.is_some() && within
        });
        if !is_port {
            return Some(format!(
                "target: field `{port}` is no whole number from 1 to 65535"
            ));
        }
        let choices = schema.properties.get(port_by).map(|it| &it.choices);
        let decided = choices.is_some_and(|choices| {
            choices.len() == ports.len() && choices.iter().all(|choice| ports.contains_key(choice))
        });
        (!decided).then(|| format!("target: `ports` does not name each choice of `{port_by}`"))
    }
}
