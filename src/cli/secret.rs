//! What signs tokens.

use clap::Args;
use sync_health::kernel::config::MIN_SECRET_BYTES;

#[derive(Args)]
pub struct Secret {
    /// The secret that signs tokens (HS256), at least 32 bytes long.
    #[arg(long, env = "SYNC_HEALTH_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
}

impl Secret {
    /// The secret, where there is one; refused when it is short.
    pub fn checked(self) -> Result<Option<Vec<u8>>, String> {
        match self.jwt_secret {
            Some(secret) if secret.len() < MIN_SECRET_BYTES => Err(format!(
                "the secret has only {} bytes: {SECRET_HELP}",
                secret.len()
            )),
            secret => Ok(secret.map(String::into_bytes)),
        }
    }

    /// The secret of a command that cannot do without.
    pub fn needed(self) -> Result<Vec<u8>, String> {
        self.checked()?
            .ok_or_else(|| format!("no secret to sign with: {SECRET_HELP}"))
    }
}

/// What to do where none is told.
pub const SECRET_HELP: &str = "set --jwt-secret or SYNC_HEALTH_JWT_SECRET to a secret of at least 32 bytes, for example from: openssl rand -hex 32";
