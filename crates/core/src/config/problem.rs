//! What is wrong with the configuration, in words a person can act on.

use std::{fmt, path::Path};

use super::{SETTINGS, Setting, source::Given};

/// Shown in place of a value that must not be.
const MASK: &str = "••••";

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// A value that its setting does not accept.
    pub(super) fn wrong(setting: &Setting, given: &Given, why: &str) -> Self {
        let shown = if setting.secret {
            MASK
        } else {
            given.text.as_str()
        };
        Self(format!(
            "{} ({}): `{shown}` {why}; allowed: {}",
            given.key, given.source, setting.allowed
        ))
    }

    /// A setting that does not exist.
    pub(super) fn unknown(given: &Given) -> Self {
        let advice = nearest(&given.key).map_or_else(
            || "see `patchbay config --help`".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        Self(format!(
            "{} ({}): there is no such setting; {advice}",
            given.key, given.source
        ))
    }

    /// A file that cannot be read.
    pub(super) fn file(path: &Path, why: &str) -> Self {
        Self(format!("configuration file {}: {why}", path.display()))
    }

    /// A setting that a command cannot do without.
    #[must_use]
    pub fn missing(key: &str, what_for: &str) -> Self {
        let setting = SETTINGS.iter().find(|setting| setting.key == key);
        let ways = setting.map_or_else(String::new, |setting| {
            format!(
                "; set `{key}` in the file, {}, or --{}",
                setting.variable(),
                setting.flag()
            )
        });
        let allowed = setting.map_or("", |setting| setting.allowed);
        Self(format!(
            "{key} is not set: {what_for}{ways}; allowed: {allowed}"
        ))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong")?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}

/// The setting whose name is closest, if it is close enough to be a slip.
fn nearest(key: &str) -> Option<&'static str> {
    let (name, likeness) = SETTINGS
        .iter()
        .map(|setting| (setting.key, strsim::jaro_winkler(setting.key, key)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (likeness > 0.8).then_some(name)
}
