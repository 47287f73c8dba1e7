//! Verifies tokens: by the shared secret, or by the public key that a token's `kid` names.
//!
//! The algorithm is never the token's choice: HS256 goes with the secret only, and a public key verifies the one
//! algorithm that it was made for (RFC 8725, section 3.1).

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};

use super::key_set::{KeySet, KeySource};
use super::token::Claims;
use super::{KeyMark, Viewer};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

/// Whose tokens are accepted.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    /// The secret of HS256 tokens.
    pub secret: Option<Vec<u8>>,
    /// Where the public keys of RS256, ES256 and EdDSA tokens are.
    pub keys: Option<KeySource>,
    /// What `iss` has to be; absent: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` has to hold; absent: anything, or nothing.
    pub audience: Option<String>,
    /// How far the clocks of issuer and server may differ.
    pub leeway: Duration,
    /// The shortest time between two readings of the public keys.
    pub key_refresh_pause: Duration,
    /// How old the public keys may be while the issuer answers: those that it withdraws stop being accepted.
    pub key_max_age: Duration,
}

impl VerifierConfig {
    /// Accepts HS256 tokens signed by the secret.
    pub fn of_secret(secret: Vec<u8>) -> Self {
        Self {
            secret: Some(secret),
            keys: None,
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(60),
            key_refresh_pause: Duration::from_secs(30),
            key_max_age: Duration::from_secs(300),
        }
    }
}

/// Verifies tokens.
pub struct Verifier {
    secret: Option<(DecodingKey, KeyMark)>,
    keys: Option<KeySet>,
    validation: Validation,
}

impl Verifier {
    /// Reads the public keys, where there are any: a server that could verify no token does not start.
    pub async fn new(config: &VerifierConfig) -> Result<Self> {
        let mut validation = Validation::new(Algorithm::HS256);
        let mut required = vec!["exp", "sub"];
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = config.audience.is_some();
        if let Some(audience) = &config.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let keys = match &config.keys {
            Some(source) => Some(KeySet::read(source.clone(), config).await?),
            None => None,
        };
        let secret = config.secret.as_deref();
        Ok(Self {
            secret: secret.map(|secret| {
                let mark = KeyMark::of(None, secret);
                (DecodingKey::from_secret(secret), mark)
            }),
            keys,
            validation,
        })
    }

    /// The viewer of the value of an `Authorization` header.
    pub async fn verify_header(&self, header: Option<&[u8]>) -> Result<Viewer> {
        let token = header
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| {
                let (scheme, token) = value.split_once(' ')?;
                scheme
                    .eq_ignore_ascii_case("bearer")
                    .then_some(token.trim())
            });
        match token {
            Some(token) => self.verify(token).await,
            None => Err(Error::Unauthenticated(
                "Send the header \"Authorization: Bearer TOKEN\".".into(),
            )),
        }
    }

    /// The viewer of a token.
    pub async fn verify(&self, token: &str) -> Result<Viewer> {
        let refuse = |why: &str| Error::Unauthenticated(format!("The token is not valid: {why}."));
        if token.len() > limits::TOKEN_BYTES.value {
            return Err(refuse("it is too long"));
        }
        let header = decode_header(token).map_err(|error| refuse(reason(error.kind())))?;
        // Extensions that have to be understood, and are not (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(refuse("its header has critical extensions"));
        }
        let leeway = Duration::from_secs(self.validation.leeway);
        let claims = match header.alg {
            Algorithm::HS256 => self.verify_by_secret(token),
            Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA => {
                self.verify_by_key(token, &header).await
            }
            _ => Err(ALGORITHMS),
        };
        let (claims, key) = claims.map_err(refuse)?;
        let viewer = claims.viewer(leeway, key);
        viewer.map_err(|why| refuse(&why))
    }

    /// UNAUTHENTICATED when the key that signed the viewer's token is none any more: to be asked wherever a viewer is kept
    /// for longer than a request.
    pub async fn check(&self, viewer: &Viewer) -> Result<()> {
        let is_held = match &viewer.key.kid {
            None => self
                .secret
                .as_ref()
                .is_some_and(|(_, mark)| *mark == viewer.key),
            Some(kid) => match &self.keys {
                Some(keys) => keys
                    .find(kid)
                    .await
                    .is_some_and(|key| key.mark == viewer.key),
                None => false,
            },
        };
        match is_held {
            true => Ok(()),
            false => Err(Error::Unauthenticated(
                "The key that signed the token was withdrawn. Send a new token.".into(),
            )),
        }
    }

    fn verify_by_secret(&self, token: &str) -> Result<(Claims, KeyMark), &'static str> {
        let (secret, mark) = self.secret.as_ref().ok_or(NOT_HS256)?;
        Ok((claims(token, secret, &self.validation)?, mark.clone()))
    }

    async fn verify_by_key(
        &self,
        token: &str,
        header: &Header,
    ) -> Result<(Claims, KeyMark), &'static str> {
        let keys = self.keys.as_ref().ok_or(ONLY_HS256)?;
        let id = header.kid.as_deref().ok_or("its header has no kid")?;
        let key = keys
            .find(id)
            .await
            .ok_or("its kid names no key of the issuer")?;
        if key.algorithm != header.alg {
            return Err("its algorithm is not that of its key");
        }
        let mut validation = self.validation.clone();
        validation.algorithms = vec![key.algorithm];
        Ok((claims(token, &key.key, &validation)?, key.mark.clone()))
    }
}

const ALGORITHMS: &str = "it is signed with none of HS256, RS256, ES256 and EdDSA";
const NOT_HS256: &str = "HS256 is not accepted here";
const ONLY_HS256: &str = "it is not signed with HS256";

fn claims(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, &'static str> {
    decode(token, key, validation)
        .map(|token| token.claims)
        .map_err(|error| reason(error.kind()))
}

/// Why a token is refused, in words that give nothing away but help its owner.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet (nbf)",
        ErrorKind::InvalidSignature => "its signature does not match",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => ALGORITHMS,
        ErrorKind::InvalidIssuer => "its iss is not the expected one",
        ErrorKind::InvalidAudience => "its aud does not name this service",
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => "it needs the claim iss",
            "aud" => "it needs the claim aud",
            _ => "it needs the claims sub and exp",
        },
        _ => "it cannot be read (a JWT with the claims sub, exp, scope and portals is needed)",
    }
}
