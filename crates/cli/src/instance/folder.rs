//! The data folder of `patchbay up`: private to its owner, and locked while a
//! process runs on it. The lock proves every earlier process dead, so its jobs may
//! be taken back at once.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::exit::{Exit, Outcome, Stop};

/// Mode of the folder: nobody but its owner.
const FOLDER_MODE: u32 = 0o700;
/// Mode of files with keys.
pub const FILE_MODE: u32 = 0o600;

/// A data folder that is ours while this value lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Held open: closing it gives the lock back, also when the process is killed.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, closes it to others, and locks it.
    pub fn lock(path: &Path) -> Outcome<Self> {
        let path = &std::path::absolute(path)?;
        let because = |error: std::io::Error| {
            Stop::internal(format!(
                "data folder {}: {error}. It must be a folder that belongs to the user of this process and can be \
                 written: correct that, or choose another with --data-dir",
                path.display()
            ))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .map_err(because)?;
        std::fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(because)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path.join("lock"))
            .map_err(because)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)
                    .and_then(|()| file.rewind())
                    .map_err(because)?;
                write!(file, "{}", std::process::id()).map_err(because)?;
                Ok(Self {
                    path: path.to_owned(),
                    _lock: file,
                })
            }
            Err(TryLockError::WouldBlock) => Err(held(path, &mut file)),
            Err(TryLockError::Error(error)) => Err(because(error)),
        }
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn held(path: &Path, file: &mut File) -> Stop {
    let mut holder = String::new();
    let who = match file.read_to_string(&mut holder) {
        Ok(_) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
        Ok(_) | Err(_) => "another process".to_owned(),
    };
    Stop::new(
        Exit::InUse,
        format!(
            "the data folder {} is in use by {who} (a running `patchbay up`). Use that one, stop it, or choose \
             another folder with --data-dir",
            path.display()
        ),
    )
}

/// Writes a private file whole or not at all.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("draft");
    // A draft left by a crash may have another mode: a new file gets ours.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_is_private_also_when_it_was_open_before() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let folder = DataFolder::lock(&path).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn a_second_process_is_told_who_holds_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let held = DataFolder::lock(parent.path()).unwrap();
        let stop = DataFolder::lock(parent.path()).expect_err("held");
        assert_eq!(stop.exit, Exit::InUse);
        assert!(
            stop.to_string()
                .contains(&format!("process {}", std::process::id())),
            "{stop}"
        );
        drop(held);
        DataFolder::lock(parent.path()).expect("free again");
    }

    #[test]
    fn a_private_file_is_private_whatever_stood_there() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("instance.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::write(path.with_extension("draft"), "left by a crash").unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(mode(&path), 0o600);
    }
}
