//! Secret values that cannot be printed or serialized. The only way to the text
//! is [`Secret::expose`], which is easy to search for.

use std::{collections::BTreeMap, fmt};

use zeroize::Zeroizing;

/// One secret text, wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text into keeping.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that must send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What people may see: the last four characters of a long secret, else only dots.
    #[must_use]
    pub fn mask(&self) -> String {
        let count = self.0.chars().count();
        if count < 12 {
            return "••••".into();
        }
        let tail: String = self.0.chars().skip(count - 4).collect();
        format!("••••{tail}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(••••)")
    }
}

/// The secret fields of a credential by name, such as `access_token`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretFields(pub BTreeMap<String, Secret>);

impl SecretFields {
    /// A field by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// What people may see of each field.
    #[must_use]
    pub fn masks(&self) -> BTreeMap<String, String> {
        self.0
            .iter()
            .map(|(name, secret)| (name.clone(), secret.mask()))
            .collect()
    }

    /// The plain bytes that are sealed: a JSON object of the fields.
    #[must_use]
    pub fn to_plain(&self) -> Zeroizing<Vec<u8>> {
        let exposed: BTreeMap<&str, &str> = self
            .0
            .iter()
            .map(|(name, secret)| (name.as_str(), secret.expose()))
            .collect();
        Zeroizing::new(serde_json::to_vec(&exposed).expect("a map of texts is always JSON"))
    }

    /// Reads back what [`Self::to_plain`] wrote.
    ///
    /// # Errors
    /// The bytes are no JSON object of texts.
    pub fn from_plain(plain: &[u8]) -> Result<Self, serde_json::Error> {
        let fields: BTreeMap<String, String> = serde_json::from_slice(plain)?;
        Ok(Self(
            fields
                .into_iter()
                .map(|(name, text)| (name, Secret::new(text)))
                .collect(),
        ))
    }
}
