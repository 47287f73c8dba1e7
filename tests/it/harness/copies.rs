//! A database that outlives its servers, copies of it, and copies put in its place.

use std::path::Path;
use std::process::Command;

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

use super::{Backend, Server, postgres};
use sync_health::kernel::config::Config;

pub struct Place {
    pub url: String,
    folder: tempfile::TempDir,
}

impl Place {
    pub async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = match backend {
            Backend::Sqlite => in_folder(folder.path(), "place"),
            Backend::Postgres => postgres::new_database().await,
        };
        Self { url, folder }
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// A server on it.
    pub async fn serve(&self, configure: impl FnOnce(&mut Config)) -> Server {
        serve_on(&self.url, configure).await
    }

    /// Copies it as of now, beside servers that run; answers where the copy is.
    pub async fn copy(&self) -> String {
        if self.is_sqlite() {
            let name = format!("copy-{}", uuid::Uuid::now_v7());
            let db = Database::connect(&self.url).await.expect("the database");
            let file = self.folder.path().join(format!("{name}.db"));
            run(&db, &format!("VACUUM INTO '{}'", file.display())).await;
            db.close().await.expect("a closed database");
            return in_folder(self.folder.path(), &name);
        }
        let copy = postgres::new_database().await;
        let shell = format!(
            "pg_dump --format=custom '{}' | pg_restore --clean --if-exists --no-owner --dbname='{copy}'",
            self.url
        );
        let shell = move || Command::new("sh").args(["-c", &shell]).output();
        let done = tokio::task::spawn_blocking(shell).await.expect("a run");
        let done = done.expect("a shell");
        assert!(done.status.success(), "{done:?}");
        copy
    }

    /// Puts what a copy holds in its place, under servers that may run.
    pub async fn exchange(&self, copy: &str) {
        match self.is_sqlite() {
            true => exchange_rows(&self.url, copy).await,
            false => exchange_names(&self.url, copy).await,
        }
    }
}

fn in_folder(folder: &Path, name: &str) -> String {
    format!("sqlite://{}", folder.join(format!("{name}.db")).display())
}

/// A server on a database.
pub async fn serve_on(url: &str, configure: impl FnOnce(&mut Config)) -> Server {
    let url = url.to_owned();
    Server::start_with(Backend::Sqlite, |config| {
        config.database_url = url;
        configure(config);
    })
    .await
}

/// As SQLite's own restoring does: what is in the file changes, the file stays.
async fn exchange_rows(url: &str, copy: &str) {
    let mut options = sea_orm::ConnectOptions::new(url);
    options.max_connections(1);
    let db = Database::connect(options).await.expect("the database");
    let file = copy.trim_start_matches("sqlite://");
    run(&db, &format!("ATTACH '{file}' AS copy")).await;
    let tables = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'";
    let tables = Statement::from_string(db.get_database_backend(), tables);
    let tables = db.query_all_raw(tables).await.expect("tables");
    run(&db, "BEGIN IMMEDIATE").await;
    for table in tables {
        let table: String = table.try_get("", "name").expect("a name");
        run(&db, &format!("DELETE FROM main.{table}")).await;
        run(
            &db,
            &format!("INSERT INTO main.{table} SELECT * FROM copy.{table}"),
        )
        .await;
    }
    run(&db, "COMMIT").await;
    db.close().await.expect("a closed database");
}

/// The copy takes the database's name; who was connected connects anew.
async fn exchange_names(url: &str, copy: &str) {
    let (base, name) = url.rsplit_once('/').expect("a name");
    let (_, copy) = copy.rsplit_once('/').expect("a name");
    let admin = Database::connect(format!("{base}/postgres")).await;
    let admin = admin.expect("PostgreSQL");
    run(
        &admin,
        &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
    )
    .await;
    for database in [name, copy] {
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname =";
        run(&admin, &format!("{end} '{database}'")).await;
    }
    run(
        &admin,
        &format!("ALTER DATABASE {name} RENAME TO {name}_lost"),
    )
    .await;
    run(&admin, &format!("ALTER DATABASE {copy} RENAME TO {name}")).await;
    admin.close().await.expect("a closed connection");
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
