//! The public keys of an issuer (JWK Set, RFC 7517, section 5), read anew when a token names a key that is not known
//! and from time to time, so that keys rotate without a restart.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{KeyMark, VerifierConfig};

use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// Where a JWK Set is.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// What an address answers.
    Url(url::Url),
}

/// A key with the one algorithm that it verifies.
pub(super) struct Key {
    pub(super) key: DecodingKey,
    pub(super) algorithm: Algorithm,
    pub(super) mark: KeyMark,
}

type Keys = HashMap<String, Arc<Key>>;

const NO_KEYS: &str = "the JWK Set has no key with a kid for RS256, ES256 or EdDSA";

/// How long the issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct KeySet {
    source: KeySource,
    client: reqwest::Client,
    pause: Duration,
    max_age: Duration,
    keys: Arc<RwLock<Arc<Keys>>>,
    /// When they were last read, or tried to be.
    read_at: Arc<Mutex<Instant>>,
}

impl KeySet {
    /// Reads the keys for the first time.
    pub(super) async fn read(source: KeySource, config: &VerifierConfig) -> Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        let set = Self {
            source,
            client,
            pause: config.key_refresh_pause,
            max_age: config.key_max_age,
            keys: Arc::default(),
            read_at: Arc::new(Mutex::new(Instant::now())),
        };
        let keys = set.load().await.map_err(Error::Internal)?;
        if keys.is_empty() {
            return Err(Error::Internal(NO_KEYS.into()));
        }
        set.replace(keys);
        Ok(set)
    }

    /// The key of this id.
    pub(super) async fn find(&self, id: &str) -> Option<Arc<Key>> {
        let known = self.known(id);
        // While another request reads the keys anew, the old ones serve; only an unknown key is waited for.
        let read_at = match &known {
            Some(_) => match self.read_at.clone().try_lock_owned() {
                Ok(read_at) if read_at.elapsed() >= self.max_age => read_at,
                _ => return known,
            },
            None => self.read_at.clone().lock_owned().await,
        };
        if known.is_none() {
            if let Some(key) = self.known(id) {
                return Some(key);
            }
            if read_at.elapsed() < self.pause {
                return None;
            }
        }
        // A task of its own: a client that goes away must not leave the keys unread.
        let reading = tokio::spawn(self.clone().read_anew(read_at));
        let _ = reading.await;
        self.known(id)
    }

    async fn read_anew(self, mut read_at: OwnedMutexGuard<Instant>) {
        *read_at = Instant::now();
        match self.load().await {
            Ok(keys) => {
                if keys.is_empty() {
                    tracing::warn!("{NO_KEYS}: no token is good until there is one");
                }
                self.replace(keys);
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "the public keys could not be read; the old ones stay"
                );
            }
        }
    }

    fn known(&self, id: &str) -> Option<Arc<Key>> {
        let keys = self.keys.read().ok()?;
        keys.get(id).cloned()
    }

    fn replace(&self, keys: Keys) {
        if let Ok(mut known) = self.keys.write() {
            *known = Arc::new(keys);
        }
    }

    async fn load(&self) -> Result<Keys, String> {
        let limit = limits::KEY_SET_BYTES.value;
        let bytes = match &self.source {
            KeySource::File(path) => tokio::fs::read(path)
                .await
                .map_err(|error| format!("the file {}: {error}", path.display()))?,
            KeySource::Url(url) => {
                let sent = self.client.get(url.clone()).send().await;
                let mut answer = sent
                    .and_then(reqwest::Response::error_for_status)
                    .map_err(|error| error.to_string())?;
                let mut bytes = Vec::new();
                while let Some(part) = answer.chunk().await.map_err(|error| error.to_string())? {
                    bytes.extend_from_slice(&part);
                    if bytes.len() > limit {
                        break;
                    }
                }
                bytes
            }
        };
        if bytes.len() > limit {
            return Err(format!("a JWK Set has at most {limit} bytes (keySetBytes)"));
        }
        parse(&bytes)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The usable keys of a set: those with a `kid`, for signatures, of an accepted algorithm.
fn parse(bytes: &[u8]) -> Result<Keys, String> {
    let set: Set =
        serde_json::from_slice(bytes).map_err(|error| format!("not a JWK Set: {error}"))?;
    Ok(set.keys.into_iter().filter_map(usable).collect())
}

fn usable(key: serde_json::Value) -> Option<(String, Arc<Key>)> {
    let written = key.to_string();
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let id = jwk.common.key_id.clone()?;
    if !matches!(
        jwk.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let algorithm = match (key.family(), jwk.common.key_algorithm) {
        (AlgorithmFamily::Rsa, None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmFamily::Ec, None | Some(KeyAlgorithm::ES256)) => Algorithm::ES256,
        (AlgorithmFamily::Ed, None | Some(KeyAlgorithm::EdDSA)) => Algorithm::EdDSA,
        _ => return None,
    };
    let mark = KeyMark::of(Some(&id), written.as_bytes());
    let key = Key {
        key,
        algorithm,
        mark,
    };
    Some((id, Arc::new(key)))
}
