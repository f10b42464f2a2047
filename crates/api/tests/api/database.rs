//! A SQLite file of a test's own.

use patchbay_migrations::{Migrator, MigratorTrait};
use tempfile::TempDir;

#[derive(Debug)]
pub struct Database {
    folder: TempDir,
    url: String,
}

impl Database {
    pub async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/api.db", folder.path().display());
        let db = sea_orm::Database::connect(format!("{url}?mode=rwc"))
            .await
            .unwrap();
        Migrator::up(&db, None).await.unwrap();
        db.close().await.unwrap();
        Self { folder, url }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Looks through every byte of the file and of its log.
    pub async fn holds(&self, text: &str) -> bool {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .any(|bytes| {
                bytes
                    .windows(text.len())
                    .any(|window| window == text.as_bytes())
            })
    }
}
