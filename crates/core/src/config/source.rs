//! Where settings come from: a TOML file, the environment, flags.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Problem, SETTINGS};

/// What the environment variables of settings begin with.
pub(super) const PREFIX: &str = "PATCHBAY_";

/// Variables that begin with [`PREFIX`] and are no settings: the file itself, and what
/// the client commands use.
const NOT_SETTINGS: [&str; 3] = ["PATCHBAY_CONFIG", "PATCHBAY_URL", "PATCHBAY_API_KEY"];

/// The file that is read when no other is named and it exists.
const USUAL_FILE: &str = "/etc/patchbay/patchbay.toml";

/// Where a value came from. A later one wins over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// A value somebody gave.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub key: String,
    pub text: String,
    pub source: Source,
}

/// Everything the configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// The file, and whether it must exist.
    pub file: Option<PathBuf>,
    /// Environment variables, by name.
    pub environment: Vec<(String, String)>,
    /// Flags: the setting's key and the text.
    pub flags: Vec<(String, String)>,
}

impl Inputs {
    /// This process's environment, with the file that it or a flag names.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let environment: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        let named = environment
            .iter()
            .find(|(name, _)| name == "PATCHBAY_CONFIG");
        let usual = || {
            Path::new(USUAL_FILE)
                .exists()
                .then(|| PathBuf::from(USUAL_FILE))
        };
        let file = file
            .or_else(|| named.map(|(_, path)| PathBuf::from(path)))
            .or_else(usual);
        Self {
            file,
            environment,
            flags,
        }
    }

    /// A variable that is no setting, such as `PATCHBAY_URL`. Empty counts as unset.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let (_, text) = self
            .environment
            .iter()
            .find(|(candidate, _)| candidate == name)?;
        (!text.is_empty()).then_some(text.as_str())
    }

    /// Every value given, weakest source first, and what could not be read at all.
    pub(super) fn gather(&self) -> (Vec<Given>, Vec<Problem>) {
        let (mut given, mut problems) = (Vec::new(), Vec::new());
        if let Some(path) = &self.file {
            match read_file(path) {
                Ok(table) => flatten(path, "", &table, &mut given),
                Err(problem) => problems.push(problem),
            }
        }
        for (name, text) in &self.environment {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if NOT_SETTINGS.contains(&name.as_str()) || text.is_empty() {
                continue;
            }
            let key = rest.to_lowercase().replace("__", ".");
            given.push(Given {
                key,
                text: text.clone(),
                source: Source::Environment(name.clone()),
            });
        }
        for (key, text) in &self.flags {
            given.push(of_flag(key, text));
        }
        (given, problems)
    }
}

/// The flag of a setting with a `*` takes `NAME=VALUE`.
fn of_flag(key: &str, text: &str) -> Given {
    let flag = SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .map_or_else(|| key.to_owned(), super::Setting::flag);
    let (key, text) = match (key.contains('*'), text.split_once('=')) {
        (true, Some((name, value))) => (key.replace('*', name), value.to_owned()),
        (true, None) | (false, _) => (key.to_owned(), text.to_owned()),
    };
    Given {
        key,
        text,
        source: Source::Flag(flag),
    }
}

fn read_file(path: &Path) -> Result<toml::Table, Problem> {
    let text =
        std::fs::read_to_string(path).map_err(|error| Problem::file(path, &error.to_string()))?;
    // The error's own text shows the line, which may hold a secret: only its message is told.
    toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].lines().count().max(1));
        Problem::file(
            path,
            &format!("line {line} is not TOML: {}", error.message()),
        )
    })
}

fn flatten(path: &Path, prefix: &str, table: &toml::Table, given: &mut Vec<Given>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let text = match value {
            // `[worker.queues]` with a line per queue is the list `queue=slots,...`
            toml::Value::Table(table) if SETTINGS.iter().any(|setting| setting.key == key) => table
                .iter()
                .map(|(name, value)| format!("{name}={}", scalar(value)))
                .collect::<Vec<_>>()
                .join(","),
            toml::Value::Table(table) => {
                flatten(path, &key, table, given);
                continue;
            }
            toml::Value::Array(values) => values.iter().map(scalar).collect::<Vec<_>>().join(","),
            other => scalar(other),
        };
        given.push(Given {
            key,
            text,
            source: Source::File(path.to_owned()),
        });
    }
}

fn scalar(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
