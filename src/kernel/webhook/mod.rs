//! Calls to addresses that customers name: signed by Standard Webhooks (<https://www.standardwebhooks.com>), and guarded,
//! so that nobody can make this server call what only it can reach ([`address`]).

mod address;

use std::fmt;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::StreamExt;
use rustls::crypto::ring;
use standardwebhooks::{
    HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook,
};
use url::Url;

use crate::kernel::clock::{MINUTE, Micros, SECOND};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;

pub use address::is_public;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a secret: as many as the specification recommends at least.
const SECRET_BYTES: usize = 32;

/// Sends webhooks.
#[derive(Clone)]
pub struct WebhookSender {
    client: reqwest::Client,
    allows_private: bool,
}

/// One call.
pub struct Message<'a> {
    /// The same for each attempt to deliver it.
    pub id: &'a str,
    /// JSON.
    pub body: &'a str,
    /// What signs it; during a rotation the former secret signs too.
    pub secrets: &'a [&'a str],
    /// When it is sent.
    pub now: Micros,
}

impl WebhookSender {
    /// A sender; private addresses and plain http only where they are allowed.
    pub fn new(allows_private: bool) -> Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_secs(limits::WEBHOOK_SECONDS.value as u64))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(address::Resolver { allows_private })
            .build()
            .map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Self {
            client,
            allows_private,
        })
    }

    /// Why an address may not be called; what a name leads to is looked at with each call.
    pub fn refusal(&self, url: &Url) -> Option<&'static str> {
        let host = url.host();
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_web = url.scheme() == "https" || (self.allows_private && url.scheme() == "http");
        if host.is_none() || !is_plain || !is_web || url.fragment().is_some() {
            return Some("An https URL without user and fragment is needed.");
        }
        let is_public = match host {
            Some(url::Host::Ipv4(ip)) => is_public(ip.into()),
            Some(url::Host::Ipv6(ip)) => is_public(ip.into()),
            Some(url::Host::Domain(name)) => !address::is_local_name(name),
            None => false,
        };
        let refused = !is_public && !self.allows_private;
        refused.then_some("Addresses of private networks and of this machine are not called.")
    }

    /// Delivers a message; answers what came back, or why it was not delivered, in words for the customer.
    pub async fn send(&self, url: &Url, message: &Message<'_>) -> Result<Vec<u8>, String> {
        if let Some(refusal) = self.refusal(url) {
            return Err(refusal.to_owned());
        }
        let timestamp = message.now / SECOND;
        let sent = self
            .client
            .post(url.clone())
            .header("content-type", "application/json")
            .header(HEADER_WEBHOOK_ID, message.id)
            .header(HEADER_WEBHOOK_TIMESTAMP, timestamp)
            .header(HEADER_WEBHOOK_SIGNATURE, signatures(message, timestamp)?)
            .body(message.body.to_owned())
            .send();
        let answer = sent.await.map_err(|error| told(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("It answered with the status {}.", status.as_u16()));
        }
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|error| told(&error))?);
            if body.len() > limits::WEBHOOK_ANSWER_BYTES.value {
                return Err("Its answer is too long.".into());
            }
        }
        Ok(body)
    }
}

fn signatures(message: &Message<'_>, timestamp: i64) -> Result<String, String> {
    let broken = |_| "The secret cannot be used: configure the address again.".to_owned();
    let sign = |secret: &&str| {
        let webhook = Webhook::new(secret).map_err(broken)?;
        webhook
            .sign(message.id, timestamp, message.body.as_bytes())
            .map_err(broken)
    };
    let signatures: Result<Vec<String>, String> = message.secrets.iter().map(sign).collect();
    Ok(signatures?.join(" "))
}

/// Why a call failed; nothing of what this server knows of its own network.
fn told(error: &reqwest::Error) -> String {
    let text = match () {
        () if error.is_timeout() => "It did not answer in time.",
        () if error.is_connect() => "It cannot be reached.",
        () => "The connection was lost.",
    };
    text.to_owned()
}

/// A secret to sign with, as the specification writes it.
pub fn new_secret() -> Result<String> {
    let mut fresh = [0; SECRET_BYTES];
    let filled = ring::default_provider().secure_random.fill(&mut fresh);
    filled.map_err(|_| Error::Internal("the system gives no random bytes".into()))?;
    Ok(format!("whsec_{}", BASE64_STANDARD.encode(fresh)))
}

/// What signs at an instant, the newest first: the present secret, and the former one for a while behind the rotation.
pub fn secrets_at<'a>(
    (present, former): (Option<&'a str>, Option<&'a str>),
    rotated_at: Option<Micros>,
    now: Micros,
) -> Vec<&'a str> {
    let rotation = limits::WEBHOOK_ROTATION_HOURS.value as Micros * 60 * MINUTE;
    let former = former.filter(|_| now < rotated_at.unwrap_or(0) + rotation);
    present.into_iter().chain(former).collect()
}

impl fmt::Debug for WebhookSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSender")
    }
}
