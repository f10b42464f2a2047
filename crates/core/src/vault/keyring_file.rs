//! Changing a keyring file: one change at a time, written whole or not at all. Comments
//! of a person's own are not kept.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    cipher,
    holders::{HeldKey, KeySort},
    keyring::{KeyState, Keyring, check_id},
    keyring_error::{KeyringError, invalid},
    sealing::SealingSecret,
};

/// Readable by its owner only.
const MODE: u32 = 0o600;

const HEAD: &str = "\
# Keys of this Patchbay deployment. Whoever has this file and the database has every
# credential: keep it readable by the workers only, and keep a copy elsewhere.
# `patchbay keys` changes it; workers read it again within seconds.
";

/// One key as the file holds it.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) sort: KeySort,
    pub(super) state: KeyState,
    pub(super) key: Zeroizing<[u8; 32]>,
}

impl Entry {
    pub(super) fn random(id: &str, sort: KeySort, state: KeyState) -> Self {
        let key = match sort {
            KeySort::Wrapping => cipher::random_key(),
            KeySort::Sealing => SealingSecret::generate().0,
        };
        Self {
            id: id.to_owned(),
            sort,
            state,
            key,
        }
    }

    pub(super) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(&self.key[..]))
    }
}

/// The file's text.
pub(super) fn render(entries: &[Entry]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(HEAD.to_owned());
    for entry in entries {
        let (table, field) = match entry.sort {
            KeySort::Wrapping => ("keys", "key"),
            KeySort::Sealing => ("sealing", "secret"),
        };
        text.push_str(&format!(
            "\n[[{table}]]\nid = \"{}\"\nstate = \"{}\"\n{field} = \"",
            entry.id,
            entry.state.name()
        ));
        text.push_str(&entry.text());
        text.push_str("\"\n");
    }
    text
}

/// A keyring file that nobody else changes while this value lives.
pub struct KeyringFile {
    path: PathBuf,
    entries: Vec<Entry>,
    /// The folder, locked: the file itself is replaced by every change.
    _lock: File,
}

impl std::fmt::Debug for KeyringFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyringFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl KeyringFile {
    /// Reads the file and keeps other changes of it waiting.
    ///
    /// # Errors
    /// The file cannot be read, or is no keyring.
    pub fn lock(path: &Path) -> Result<Self, KeyringError> {
        let unreadable = |source| KeyringError::Unreadable {
            path: path.display().to_string(),
            source,
        };
        let path = std::path::absolute(path).map_err(unreadable)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let lock = File::open(folder).map_err(unreadable)?;
        lock.lock().map_err(unreadable)?;
        let entries = Keyring::read(&path)?.entries();
        Ok(Self {
            path,
            entries,
            _lock: lock,
        })
    }

    /// The keys as they stand now.
    ///
    /// # Errors
    /// None that the file did not have when it was read.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        Keyring::parse(&render(&self.entries))
    }

    /// One of its keys.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn key(&self, id: &str) -> Result<HeldKey, KeyringError> {
        let held = self.keyring()?.held();
        held.into_iter()
            .find(|key| key.id == id)
            .ok_or_else(|| invalid(format!("there is no key `{id}` in {}", self.path.display())))
    }

    /// Adds a new random key as standby, under this id or the next free number.
    ///
    /// # Errors
    /// The id is taken or no id, or the file cannot be written.
    pub fn add(&mut self, sort: KeySort, id: Option<&str>) -> Result<HeldKey, KeyringError> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => self.free_id(sort),
        };
        check_id(&id)?;
        if self.entries.iter().any(|entry| entry.id == id) {
            return Err(invalid(format!("there is a key `{id}` already")));
        }
        self.entries
            .push(Entry::random(&id, sort, KeyState::Standby));
        self.write()?;
        self.key(&id)
    }

    /// Makes a key the primary one of its sort; the former one opens only.
    ///
    /// # Errors
    /// There is no such key, or the file cannot be written.
    pub fn promote(&mut self, id: &str) -> Result<(), KeyringError> {
        let sort = self.key(id)?.sort;
        for entry in self.entries.iter_mut().filter(|entry| entry.sort == sort) {
            if entry.id == id {
                entry.state = KeyState::Primary;
            } else if entry.state == KeyState::Primary {
                entry.state = KeyState::DecryptOnly;
            }
        }
        self.write()
    }

    /// Ends the use of a key that is not primary; its bytes stay in the file.
    ///
    /// # Errors
    /// There is no such key, it is primary, or the file cannot be written.
    pub fn disable(&mut self, id: &str) -> Result<(), KeyringError> {
        self.not_primary(id)?;
        for entry in self.entries.iter_mut().filter(|entry| entry.id == id) {
            entry.state = KeyState::Disabled;
        }
        self.write()
    }

    /// Removes a key that is not primary, bytes and all.
    ///
    /// # Errors
    /// There is no such key, it is primary, or the file cannot be written.
    pub fn remove(&mut self, id: &str) -> Result<(), KeyringError> {
        self.not_primary(id)?;
        self.entries.retain(|entry| entry.id != id);
        self.write()
    }

    fn not_primary(&self, id: &str) -> Result<(), KeyringError> {
        match self.key(id)?.state {
            KeyState::Primary => Err(invalid(format!(
                "`{id}` is the primary key: promote another one first"
            ))),
            KeyState::Standby | KeyState::DecryptOnly | KeyState::Disabled => Ok(()),
        }
    }

    fn free_id(&self, sort: KeySort) -> String {
        let letter = match sort {
            KeySort::Wrapping => 'k',
            KeySort::Sealing => 's',
        };
        let taken = |id: &String| self.entries.iter().any(|entry| entry.id == *id);
        let mut number = 1 + self
            .entries
            .iter()
            .filter(|entry| entry.sort == sort)
            .count();
        loop {
            let id = format!("{letter}{number}");
            if !taken(&id) {
                return id;
            }
            number += 1;
        }
    }

    /// A new file beside it, on the disk, of the same owner, then put in its place.
    fn write(&self) -> Result<(), KeyringError> {
        let text = render(&self.entries);
        Keyring::parse(&text)?;
        self.replace(&text)
            .map_err(|source| KeyringError::Unwritable {
                path: self.path.display().to_string(),
                source,
            })
    }

    fn replace(&self, text: &str) -> std::io::Result<()> {
        let draft = self.path.with_extension("draft");
        // One left by a crash may have another owner or mode.
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&draft)?;
        let (present, new) = (std::fs::metadata(&self.path)?, file.metadata()?);
        if (present.uid(), present.gid()) != (new.uid(), new.gid()) {
            chown(&draft, Some(present.uid()), Some(present.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, &self.path)?;
        self._lock.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        std::fs::write(&path, &*Keyring::generate()).unwrap();
        (folder, path)
    }

    fn states(path: &Path) -> Vec<(String, KeyState)> {
        let held = Keyring::read(path).unwrap().held();
        held.into_iter().map(|key| (key.id, key.state)).collect()
    }

    fn is(id: &str, state: KeyState) -> (String, KeyState) {
        (id.to_owned(), state)
    }

    #[test]
    fn a_key_goes_from_standby_to_primary_to_nothing() {
        let (_folder, path) = file();
        let mut ring = KeyringFile::lock(&path).unwrap();
        let old = ring.key("k1").unwrap();
        let added = ring.add(KeySort::Wrapping, None).unwrap();
        assert_eq!((added.id.as_str(), added.state), ("k2", KeyState::Standby));
        assert_ne!(added.fingerprint, old.fingerprint);
        ring.promote("k2").unwrap();
        let expected = [
            is("k1", KeyState::DecryptOnly),
            is("k2", KeyState::Primary),
            is("s1", KeyState::Primary),
        ];
        assert_eq!(states(&path), expected);
        assert_eq!(ring.key("k1").unwrap().fingerprint, old.fingerprint);
        ring.disable("k1").unwrap();
        assert!(Keyring::read(&path).unwrap().opening("k1").is_none());
        ring.remove("k1").unwrap();
        assert_eq!(states(&path)[0], is("k2", KeyState::Primary));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn the_primary_key_is_neither_disabled_nor_removed() {
        let (_folder, path) = file();
        let mut ring = KeyringFile::lock(&path).unwrap();
        ring.add(KeySort::Sealing, Some("next")).unwrap();
        for refused in [ring.disable("k1"), ring.remove("s1")] {
            let words = refused.expect_err("it is primary").to_string();
            assert!(words.contains("promote another one first"), "{words}");
        }
        ring.promote("next").unwrap();
        ring.remove("s1").unwrap();
        ring.add(KeySort::Sealing, Some("next")).expect_err("taken");
        ring.add(KeySort::Sealing, Some("a b")).expect_err("no id");
    }

    #[test]
    fn two_changes_at_once_take_turns() {
        let (_folder, path) = file();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut ring = KeyringFile::lock(&path).unwrap();
                    ring.add(KeySort::Wrapping, None).unwrap();
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert_eq!(Keyring::read(&path).unwrap().held().len(), 10);
    }
}
