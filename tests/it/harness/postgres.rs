//! Fresh databases are migrated, separate and gone afterwards; an own server survives its crash.

use std::net::TcpStream;

use patchbay_tests::{PostgresServer, TestDatabase};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr, Statement};

async fn connect(url: &str) -> DatabaseConnection {
    Database::connect(url)
        .await
        .expect("the database takes connections")
}

async fn count(connection: &DatabaseConnection, sql: &str) -> Result<i64, DbErr> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection
        .query_one_raw(statement)
        .await?
        .expect("count(*) gives a row");
    row.try_get_by_index(0)
}

#[tokio::test]
async fn a_fresh_database_is_migrated_and_nobody_elses() {
    let (one, two) = tokio::join!(TestDatabase::fresh(), TestDatabase::fresh());
    let (first, second) = (connect(one.url()).await, connect(two.url()).await);

    first
        .execute_unprepared("CREATE TABLE only_here ()")
        .await
        .unwrap();

    let here = "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'";
    assert_eq!(count(&first, here).await.unwrap(), 1);
    assert_eq!(count(&second, here).await.unwrap(), 0);
    assert!(
        count(&first, "SELECT count(*) FROM seaql_migrations")
            .await
            .unwrap()
            > 0
    );
}

#[tokio::test]
async fn a_fresh_database_goes_with_its_test_even_while_connections_are_open() {
    let gone = TestDatabase::fresh().await;
    let open = connect(gone.url()).await;
    let name = gone.url().rsplit_once('/').unwrap().1.to_owned();
    drop(gone);

    let other = TestDatabase::fresh().await;
    let left = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(count(&connect(other.url()).await, &left).await.unwrap(), 0);
    assert!(
        count(&open, "SELECT count(*) FROM pg_tables")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_crashed_server_comes_back_on_its_port_with_what_was_committed() {
    let mut server = PostgresServer::start().await.unwrap();
    let database = server.fresh().await.unwrap();
    let before = connect(database.url()).await;
    before
        .execute_unprepared("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        .await
        .unwrap();

    server.crash().unwrap();
    let (_, rest) = database.url().split_once('@').unwrap();
    let (address, _) = rest.split_once('/').unwrap();
    assert!(TcpStream::connect(address).is_err());

    server.restart().await.unwrap();
    let after = connect(database.url()).await;
    assert_eq!(count(&after, "SELECT count(*) FROM kept").await.unwrap(), 1);
}
