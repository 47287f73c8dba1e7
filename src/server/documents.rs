//! Documents: found by text, by hash (automatic persisted queries) or by id (trusted documents), and kept parsed.
//!
//! With a manifest of trusted documents nothing else runs. Without one, a client may send a document once with its hash
//! and from then on the hash alone; who forgets a document answers `PersistedQueryNotFound`, and clients send it again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_graphql::parser::types::ExecutableDocument;
use moka::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use super::guard;
use super::request::GraphQlRequest;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// A document that passed the parser.
pub(super) struct Document {
    pub(super) text: Arc<str>,
    pub(super) parsed: ExecutableDocument,
    tokens: usize,
    /// Whether it passed all rules of validation: then they need not be asked again.
    is_valid: AtomicBool,
    /// Whether no selection has to be merged with another; found out when it is first executed.
    is_mergeless: OnceLock<bool>,
}

impl Document {
    pub(super) fn is_valid(&self) -> bool {
        self.is_valid.load(Ordering::Relaxed)
    }

    /// To be asked only once the document was measured: it walks all selections.
    pub(super) fn is_mergeless(&self) -> bool {
        *self
            .is_mergeless
            .get_or_init(|| guard::is_mergeless(&self.parsed))
    }

    fn set_valid(&self) {
        self.is_valid.store(true, Ordering::Relaxed);
    }
}

type Hash = [u8; 32];

/// All documents of a server.
pub(super) struct Documents {
    kept: Cache<Arc<str>, Arc<Document>>,
    persisted: Cache<Hash, Arc<str>>,
    trusted: Option<HashMap<String, Arc<str>>>,
}

impl Documents {
    /// Reads the manifest, where there is one: a document in it that would be refused keeps the server from starting.
    pub(super) fn new(manifest: Option<&Path>) -> Result<Self> {
        // What an entry takes beside its text, and what a token takes when it is parsed: some 280 bytes where all are fields.
        const ENTRY_BYTES: usize = 256;
        const TOKEN_BYTES: usize = 300;
        let weigh = |text: &Arc<str>, tokens: usize| {
            let bytes = text.len() + ENTRY_BYTES + tokens * TOKEN_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let capacity = limits::KEPT_DOCUMENT_BYTES.value as u64;
        Ok(Self {
            kept: Cache::builder()
                .max_capacity(capacity)
                .weigher(move |text, document: &Arc<Document>| weigh(text, document.tokens))
                .build(),
            persisted: Cache::builder()
                .max_capacity(capacity)
                .weigher(move |_, text| weigh(text, 0))
                .build(),
            trusted: manifest.map(read_manifest).transpose()?,
        })
    }

    /// The document of a request.
    pub(super) fn find(&self, request: &GraphQlRequest) -> Result<Arc<Document>, Refusal> {
        let (text, hash) = self.text(request)?;
        let document = match self.kept.get(&text) {
            Some(document) => document,
            None => {
                let parsed = guard::parse(&text)?;
                Arc::new(Document {
                    parsed: parsed.document,
                    tokens: parsed.tokens,
                    text,
                    is_valid: AtomicBool::new(false),
                    is_mergeless: OnceLock::new(),
                })
            }
        };
        if let Some(hash) = hash {
            self.persisted.insert(hash, document.text.clone());
        }
        Ok(document)
    }

    /// Keeps a document that proved to be valid.
    pub(super) fn keep(&self, document: &Arc<Document>) {
        if !document.is_valid() {
            document.set_valid();
            let text = document.text.clone();
            self.kept.insert(text, document.clone());
        }
    }

    /// The text of a request's document, and the hash that it came with for the first time.
    fn text(&self, request: &GraphQlRequest) -> Result<(Arc<str>, Option<Hash>), Refusal> {
        let query = request.query.as_deref().filter(|query| !query.is_empty());
        let extensions = request.extensions.as_ref();
        let persisted = extensions.and_then(|extensions| extensions.persisted_query.as_ref());
        let id = request
            .document_id
            .as_deref()
            .map(|id| id.strip_prefix("sha256:").unwrap_or(id))
            .or(persisted.map(|persisted| persisted.sha256_hash.as_str()));
        if let Some(trusted) = &self.trusted {
            return Ok((trusted_text(trusted, id, query)?, None));
        }
        match (id, query) {
            (None, None) => Err(missing()),
            (None, Some(query)) => Ok((within_limit(query)?, None)),
            (Some(id), None) => {
                let known = hash_of(id).and_then(|hash| self.persisted.get(&hash));
                Ok((known.ok_or_else(not_found)?, None))
            }
            (Some(id), Some(query)) => {
                let text = within_limit(query)?;
                let hash = Hash::from(Sha256::digest(query));
                if hash_of(id) != Some(hash) {
                    return Err(Refusal::document("BAD_USER_INPUT", WRONG_HASH.into()));
                }
                Ok((text, Some(hash)))
            }
        }
    }
}

fn trusted_text(
    trusted: &HashMap<String, Arc<str>>,
    id: Option<&str>,
    query: Option<&str>,
) -> Result<Arc<str>, Refusal> {
    if let Some(text) = id.and_then(|id| trusted.get(id)) {
        return Ok(text.clone());
    }
    let Some(query) = query else {
        return Err(id.map_or_else(missing, |_| not_found()));
    };
    let known = trusted.values().find(|text| &***text == query).cloned();
    known.ok_or_else(|| Refusal::document("FORBIDDEN", UNTRUSTED.into()))
}

const UNTRUSTED: &str = "Only the documents of the server's manifest run here.";
const WRONG_HASH: &str = "The hash is not the SHA-256 of the document.";

fn missing() -> Refusal {
    Refusal::status(
        axum::http::StatusCode::BAD_REQUEST,
        "The key query is needed: a GraphQL document.",
    )
}

/// The words that clients of automatic persisted queries wait for.
fn not_found() -> Refusal {
    Refusal::document("NOT_FOUND", "PersistedQueryNotFound".into())
}

fn within_limit(query: &str) -> Result<Arc<str>, Refusal> {
    let limit = limits::DOCUMENT_BYTES;
    if query.len() <= limit.value {
        return Ok(query.into());
    }
    let message = format!(
        "A document has at most {} {} ({}).",
        limit.value, limit.unit, limit.name
    );
    Err(Refusal::from(Error::PayloadTooLarge(message)).by(limit))
}

/// 64 hexadecimal digits.
fn hash_of(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

/// A manifest as Relay's compiler writes it (`{"ID": "document"}`), or as Apollo's tools do.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo { operations: Vec<ManifestOperation> },
    Relay(HashMap<String, Arc<str>>),
}

#[derive(Deserialize)]
struct ManifestOperation {
    id: String,
    body: Arc<str>,
}

fn read_manifest(path: &Path) -> Result<HashMap<String, Arc<str>>> {
    let refused = |why: String| {
        Error::BadUserInput(format!("the trusted documents {}: {why}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    let manifest = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    let documents = match manifest {
        Manifest::Relay(documents) => documents,
        Manifest::Apollo { operations } => {
            let operations = operations.into_iter();
            operations
                .map(|operation| (operation.id, operation.body))
                .collect()
        }
    };
    for (id, text) in &documents {
        let parsed = within_limit(text).and_then(|text| guard::parse(&text));
        parsed.map_err(|refusal| refused(format!("{id}: {}", refusal.message())))?;
    }
    Ok(documents)
}
