//! A PostgreSQL database of a test's own.

use patchbay_tests::TestDatabase;
use sea_orm::ConnectionTrait;

#[derive(Debug)]
pub struct Database(TestDatabase);

impl Database {
    pub async fn fresh() -> Self {
        Self(TestDatabase::fresh().await)
    }

    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Looks through every column of every row, bytes too.
    pub async fn holds(&self, text: &str) -> bool {
        let db = sea_orm::Database::connect(self.url()).await.unwrap();
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        let look = format!(
            "do $$ declare found boolean; name text; begin
                for name in select table_name from information_schema.tables where table_schema = 'public' loop
                    execute format('select exists (select from %I t where t::text like any (array[''%%{text}%%'', ''%%{hex}%%'']))', name) into found;
                    if found then raise exception 'found'; end if;
                end loop;
            end $$"
        );
        match db.execute_unprepared(&look).await {
            Ok(_) => false,
            Err(error) if error.to_string().contains("found") => true,
            Err(error) => panic!("{error}"),
        }
    }
}
