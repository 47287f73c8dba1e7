//! Keys that all servers of a database share: what one signs, the others verify. Made when they are first needed.

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::crypto::ring;
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use tokio::sync::OnceCell;

use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};

const KEY_BYTES: usize = 32;

/// One key, read or made at its first use.
#[derive(Debug)]
pub struct ServerKey {
    purpose: &'static str,
    secret: OnceCell<Vec<u8>>,
}

#[derive(FromQueryResult)]
struct Row {
    secret: String,
}

impl ServerKey {
    /// The key for a purpose, each of which has its own.
    pub fn new(purpose: &'static str) -> Self {
        Self {
            purpose,
            secret: OnceCell::new(),
        }
    }

    /// The secret.
    pub async fn secret(&self, env: &Env) -> Result<&[u8]> {
        let secret = self
            .secret
            .get_or_try_init(|| self.read_or_make(env))
            .await?;
        Ok(secret)
    }

    /// Of several servers that make one at the same time, the first one's stays.
    async fn read_or_make(&self, env: &Env) -> Result<Vec<u8>> {
        let mut fresh = [0; KEY_BYTES];
        let filled = ring::default_provider().secure_random.fill(&mut fresh);
        filled.map_err(|_| Error::Internal("the system gives no random bytes".into()))?;
        let transaction = env.db.begin().await?;
        let backend = env.db.backend();
        let made = "INSERT INTO server_keys (purpose, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (purpose) DO NOTHING";
        let values = [
            self.purpose.into(),
            BASE64_STANDARD.encode(fresh).into(),
            env.clock.now().into(),
        ];
        transaction
            .execute_raw(Statement::from_sql_and_values(backend, made, values))
            .await?;
        let read = "SELECT secret FROM server_keys WHERE purpose = $1";
        let read = Statement::from_sql_and_values(backend, read, [self.purpose.into()]);
        let row = transaction.query_one_raw(read).await?;
        transaction.commit().await?;
        let lost = || Error::Internal(format!("the key for {} cannot be read", self.purpose));
        let row = Row::from_query_result(&row.ok_or_else(lost)?, "")?;
        BASE64_STANDARD.decode(row.secret).map_err(|_| lost())
    }
}
