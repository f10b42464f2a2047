//! What a person fills in about a connection: fields of its config (`--set`), and
//! secrets (`--secret`), which never stand on the command line.

use std::{collections::BTreeMap, io::Read, path::PathBuf};

use clap::Args;
use patchbay_core::secret::Secret;
use serde_json::{Map, Value, json};

use crate::exit::{Outcome, Stop};

/// The flags.
#[derive(Debug, Args)]
pub struct Form {
    /// Field of the config; JSON is taken as such, anything else as text
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Secret field: from a file (@FILE), from the standard input (-), from a variable (env:NAME)
    #[arg(long = "secret", value_name = "FIELD=SOURCE", value_parser = secret)]
    secrets: Vec<(String, SecretSource)>,
}

impl Form {
    /// The fields of the config that were given.
    pub fn config(&self) -> Map<String, Value> {
        let fields = self.fields.iter();
        fields
            .map(|(name, text)| (name.clone(), value(text)))
            .collect()
    }

    /// The secrets that were given, read from where they are, as the API takes them.
    pub fn credential(&self) -> Outcome<Option<Value>> {
        let mut credential = BTreeMap::new();
        for (name, source) in &self.secrets {
            credential.insert(name, source.read()?);
        }
        let exposed = credential
            .iter()
            .map(|(name, secret)| (*name, secret.expose()))
            .collect::<BTreeMap<_, _>>();
        Ok((!exposed.is_empty()).then(|| json!(exposed)))
    }
}

/// Where a secret is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    File(PathBuf),
    Input,
    Variable(String),
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn secret(text: &str) -> Result<(String, SecretSource), String> {
    let (name, source) = text
        .split_once('=')
        .ok_or("expected FIELD=@FILE, FIELD=- or FIELD=env:NAME")?;
    Ok((name.to_owned(), SecretSource::parse(source)?))
}

impl SecretSource {
    /// `@FILE`, `-` or `env:NAME`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix('@'), text.strip_prefix("env:")) {
            ("-", _, _) => Ok(Self::Input),
            (_, Some(path), _) if !path.is_empty() => Ok(Self::File(path.into())),
            (_, _, Some(variable)) if !variable.is_empty() => {
                Ok(Self::Variable(variable.to_owned()))
            }
            (_, _, _) => Err(
                "a secret is not given on the command line, where others can read it: \
                 use @FILE, - (standard input) or env:NAME"
                    .into(),
            ),
        }
    }

    /// The secret itself.
    pub fn read(&self) -> Outcome<Secret> {
        let text = match self {
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| Stop::usage(format!("--secret @{}: {error}", path.display())))?,
            Self::Input => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            }
            Self::Variable(name) => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the variable is named by the person, it is no setting"
                )]
                let value = std::env::var(name);
                value.map_err(|error| Stop::usage(format!("--secret env:{name}: {error}")))?
            }
        };
        // Files and pipes end with a line end that is no part of the secret.
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            Err(Stop::usage("the secret is empty"))
        } else {
            Ok(Secret::new(text))
        }
    }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_on_the_command_line_is_refused() {
        assert!(
            secret("access_token=EAAA123")
                .unwrap_err()
                .contains("others can read it")
        );
    }

    #[test]
    fn secrets_come_from_files_input_and_variables() {
        assert_eq!(
            secret("t=@a b").unwrap().1,
            SecretSource::File("a b".into())
        );
        assert_eq!(secret("t=-").unwrap().1, SecretSource::Input);
        assert_eq!(
            secret("t=env:TOKEN").unwrap().1,
            SecretSource::Variable("TOKEN".into())
        );
    }

    #[test]
    fn the_line_end_of_a_file_is_no_part_of_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "EAAA\r\n").unwrap();
        assert_eq!(
            SecretSource::File(file.path().into())
                .read()
                .unwrap()
                .expose(),
            "EAAA"
        );
    }

    #[test]
    fn config_values_may_be_json() {
        assert_eq!(value("[\"L1\"]"), json!(["L1"]));
        assert_eq!(value("production"), json!("production"));
    }
}
