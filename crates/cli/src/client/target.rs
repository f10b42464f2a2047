//! Which Patchbay a client command talks to: flags, then variables, then the running
//! `patchbay up` of the data folder.

use std::path::Path;

use patchbay_core::{
    config::{self, Inputs},
    secret::Secret,
};
use url::Url;

use crate::{
    exit::{Exit, Outcome, Stop},
    instance::InstanceFile,
};

/// An address and the key for it.
#[derive(Debug)]
pub struct Target {
    pub url: Url,
    pub key: Secret,
}

/// Finds address and key.
pub fn find(inputs: &Inputs, url: Option<&str>, key: Option<&str>) -> Outcome<Target> {
    let url = url.or_else(|| inputs.variable("PATCHBAY_URL"));
    let key = key.or_else(|| inputs.variable("PATCHBAY_API_KEY"));
    if let (Some(url), Some(key)) = (url, key) {
        return Ok(Target {
            url: parse(url)?,
            key: Secret::new(key),
        });
    }
    let folder = config::load(inputs)?.config.data_dir;
    let instance = InstanceFile::read(&folder)?;
    join(url, key, instance, &folder)
}

fn join(
    url: Option<&str>,
    key: Option<&str>,
    instance: Option<InstanceFile>,
    folder: &Path,
) -> Outcome<Target> {
    let folder = folder.display();
    match (url, key, instance) {
        (Some(url), Some(key), _) => Ok(Target {
            url: parse(url)?,
            key: Secret::new(key),
        }),
        (None, key, Some(instance)) => {
            let key = key.map_or(instance.api_key, ToOwned::to_owned);
            Ok(Target {
                url: parse(&instance.url)?,
                key: Secret::new(key),
            })
        }
        // The key of one instance must not be sent to another address.
        (Some(url), None, Some(instance)) if parse(url)? == parse(&instance.url)? => Ok(Target {
            url: parse(url)?,
            key: Secret::new(instance.api_key),
        }),
        (Some(url), None, _) => Err(Stop::new(
            Exit::Unauthorized,
            format!("no API key for {url}: set PATCHBAY_API_KEY, or give --key"),
        )),
        (None, _, None) => Err(Stop::new(
            Exit::Unreachable,
            format!(
                "no Patchbay is known here: start one with `patchbay up` (its data folder would be {folder}), or name \
                 one with PATCHBAY_URL and PATCHBAY_API_KEY"
            ),
        )),
    }
}

fn parse(text: &str) -> Outcome<Url> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) | Err(_) => Err(Stop::usage(format!(
            "--url `{text}` is no address: allowed: http://HOST:PORT or https://HOST"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use patchbay_core::ids::OrgId;
    use uuid::Uuid;

    use super::*;

    fn joined(url: Option<&str>, key: Option<&str>, has_instance: bool) -> Outcome<Target> {
        let instance = InstanceFile {
            url: "http://127.0.0.1:7420".into(),
            org: OrgId(Uuid::from_u128(1)),
            api_key: "pb_own".into(),
            pid: 1,
            sandbox: None,
        };
        join(
            url,
            key,
            has_instance.then_some(instance),
            Path::new("/data"),
        )
    }

    #[test]
    fn the_running_instance_is_found_without_any_flag() {
        let target = joined(None, None, true).unwrap();
        assert_eq!(
            (target.url.as_str(), target.key.expose()),
            ("http://127.0.0.1:7420/", "pb_own")
        );
    }

    #[test]
    fn the_key_of_an_instance_goes_to_no_other_address() {
        assert_eq!(
            joined(Some("https://elsewhere.test"), None, true)
                .unwrap_err()
                .exit,
            Exit::Unauthorized
        );
        assert_eq!(
            joined(Some("http://127.0.0.1:7420"), None, true)
                .unwrap()
                .key
                .expose(),
            "pb_own"
        );
    }

    #[test]
    fn without_any_instance_a_person_is_told_how_to_start_one() {
        let stop = joined(None, Some("pb_x"), false).unwrap_err();
        assert_eq!(stop.exit, Exit::Unreachable);
        assert!(stop.to_string().contains("patchbay up"), "{stop}");
    }

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        assert_eq!(
            joined(Some("localhost:7420"), Some("k"), false)
                .unwrap_err()
                .exit,
            Exit::Usage
        );
    }
}
