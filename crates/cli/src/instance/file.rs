//! `instance.json` in the data folder (0600): where the running `patchbay up`
//! answers, and the owner key made at its first start.

use std::path::Path;

use patchbay_core::ids::OrgId;
use serde::{Deserialize, Serialize};

use super::folder::write_private;
use crate::exit::{Outcome, Stop};

/// The name in the data folder.
pub const NAME: &str = "instance.json";

/// What client commands need to know.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceFile {
    /// Address of the API.
    pub url: String,
    /// The first org.
    pub org: OrgId,
    /// Its owner key. Only its hash is in the database.
    pub api_key: String,
    /// The process that answers, or answered last.
    pub pid: u32,
    /// Where its stand-ins answer, when it was started with any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

impl std::fmt::Debug for InstanceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceFile")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

impl InstanceFile {
    /// Reads it from a data folder; `None` where there is none.
    pub fn read(folder: &Path) -> Outcome<Option<Self>> {
        let path = folder.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Stop::internal(format!("{}: {error}", path.display()))),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            Stop::internal(format!(
                "{} cannot be read (line {}): remove it and start `patchbay up` again, which makes a new owner key",
                path.display(),
                error.line()
            ))
        })
    }

    /// Writes it to a data folder.
    pub fn write(&self, folder: &Path) -> Outcome {
        let path = folder.join(NAME);
        let text = serde_json::to_string_pretty(self).map_err(Stop::internal)?;
        write_private(&path, &text)
            .map_err(|error| Stop::internal(format!("{}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use uuid::Uuid;

    use super::*;

    fn instance() -> InstanceFile {
        InstanceFile {
            url: "http://127.0.0.1:7420".into(),
            org: OrgId(Uuid::from_u128(1)),
            api_key: "pb_secret".into(),
            pid: 7,
            sandbox: None,
        }
    }

    #[test]
    fn it_is_private_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        instance().write(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join(NAME))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(InstanceFile::read(folder.path()).unwrap(), Some(instance()));
    }

    #[test]
    fn a_folder_without_an_instance_has_none() {
        assert_eq!(
            InstanceFile::read(tempfile::tempdir().unwrap().path()).unwrap(),
            None
        );
    }

    #[test]
    fn it_never_prints_its_key() {
        assert!(!format!("{:?}", instance()).contains("pb_secret"));
    }
}
