//! E-mail: by SMTP, or into a folder, for who only wants to look.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error as SmtpError};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::io::AsyncWriteExt;
use url::Url;

use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::private_file;

/// How e-mail is sent.
#[derive(Clone, Default)]
pub enum MailConfig {
    /// Not at all.
    #[default]
    None,
    /// By a mail server.
    Smtp {
        /// `smtps://user:password@host`, or `smtp://…?tls=required` (STARTTLS), `?tls=opportunistic`, or without TLS.
        url: String,
        /// The sender, for example `Sync Health <sync-health@example.com>`.
        from: String,
        /// A file with the certificate (PEM) of an authority that the server's is signed by, beside the public ones.
        root_certificate: Option<PathBuf>,
    },
    /// As files (`.eml`) in this folder.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The sender.
        from: String,
    },
}

/// The address of a mail server may hold its password.
impl fmt::Debug for MailConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Smtp { .. } => "Smtp",
            Self::Folder { .. } => "Folder",
        })
    }
}

/// Sends e-mail.
#[derive(Clone)]
pub struct Mailer(Way);

#[derive(Clone)]
enum Way {
    None,
    Smtp(AsyncSmtpTransport<Tokio1Executor>, Mailbox),
    Folder(PathBuf, Mailbox),
}

/// One e-mail to one recipient.
pub struct Mail<'a> {
    /// What its Message-ID begins with: the same for each attempt to deliver it.
    pub id: &'a str,
    /// The recipient's address.
    pub to: &'a str,
    /// One line.
    pub subject: &'a str,
    /// For who reads no HTML.
    pub text: &'a str,
    /// The same in HTML.
    pub html: &'a str,
    /// When it was written.
    pub written_at: SystemTime,
}

/// Why an e-mail was not delivered, in words for the customer.
#[derive(Debug)]
pub enum MailError {
    /// It will never be taken.
    Refused(String),
    /// It may be taken later.
    Failed(String),
}

/// Whether a text is an e-mail address that every mail server takes: in ASCII (RFC 5321, section 2.3.1).
pub fn is_address(text: &str) -> bool {
    text.is_ascii() && text.parse::<Address>().is_ok()
}

impl Mailer {
    /// A mailer; in words what is wrong with the configuration. Nothing is connected to yet.
    pub fn new(config: &MailConfig) -> Result<Self> {
        let wrong =
            |what: &str, error: &dyn fmt::Display| Error::Internal(format!("{what}: {error}"));
        let sender = |from: &str| {
            let mailbox: Result<Mailbox, _> = from.parse();
            mailbox.map_err(|error| wrong("the sender of e-mail", &error))
        };
        Ok(Self(match config {
            MailConfig::None => Way::None,
            MailConfig::Folder { path, from } => Way::Folder(path.clone(), sender(from)?),
            MailConfig::Smtp {
                url,
                from,
                root_certificate,
            } => {
                let from = sender(from)?;
                let builder = transport(url, root_certificate.as_deref())
                    .map_err(|error| wrong("the mail server's configuration", &error))?;
                let timeout = Duration::from_secs(limits::MAIL_SECONDS.value as u64);
                Way::Smtp(builder.timeout(Some(timeout)).build(), from)
            }
        }))
    }

    /// Whether e-mail is sent at all.
    pub fn is_configured(&self) -> bool {
        !matches!(self.0, Way::None)
    }

    /// Hands an e-mail over to the mail server.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<(), MailError> {
        let from = match &self.0 {
            Way::None => return Err(MailError::Refused("This server sends no e-mail.".into())),
            Way::Smtp(_, from) | Way::Folder(_, from) => from,
        };
        let message = message(mail, from)
            .map_err(|_| MailError::Refused("No e-mail can be made for this address.".into()))?;
        match &self.0 {
            Way::None => Ok(()),
            Way::Smtp(transport, _) => {
                let limit = Duration::from_secs(limits::MAIL_SECONDS.value as u64);
                match tokio::time::timeout(limit, transport.send(message)).await {
                    Ok(sent) => sent.map(|_| ()).map_err(|error| told(&error)),
                    Err(_) => Err(MailError::Failed(
                        "The mail server did not answer in time.".into(),
                    )),
                }
            }
            Way::Folder(folder, _) => {
                let path = folder.join(format!("{}.eml", mail.id));
                let written = written(path, message.formatted()).await;
                written.map_err(|_| MailError::Failed("The folder cannot be written.".into()))
            }
        }
    }
}

async fn written(path: PathBuf, message: Vec<u8>) -> std::io::Result<()> {
    let file = private_file::create_new(&path)?;
    let mut file = tokio::fs::File::from_std(file);
    file.write_all(&message).await?;
    file.flush().await
}

fn transport(
    url: &str,
    root_certificate: Option<&Path>,
) -> Result<AsyncSmtpTransportBuilder, Box<dyn std::error::Error>> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?;
    let Some(path) = root_certificate else {
        return Ok(builder);
    };
    let url = Url::parse(url)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let root = Certificate::from_pem(&std::fs::read(path)?)?;
    let parameters = TlsParameters::builder(host)
        .add_root_certificate(root)
        .build_rustls()?;
    let wanted = url.query_pairs().find(|(key, _)| key == "tls");
    let tls = match (
        url.scheme(),
        wanted.as_ref().map(|(_, value)| value.as_ref()),
    ) {
        ("smtps", _) => Tls::Wrapper(parameters),
        (_, Some("required")) => Tls::Required(parameters),
        (_, Some("opportunistic")) => Tls::Opportunistic(parameters),
        _ => return Err("a root certificate is of use with smtps:// or ?tls=required only".into()),
    };
    Ok(builder.tls(tls))
}

fn message(mail: &Mail<'_>, from: &Mailbox) -> Result<Message, Box<dyn std::error::Error>> {
    let id = format!("<{}@{}>", mail.id, from.email.domain());
    // So that nobody's notice of absence answers (RFC 3834, section 5).
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    let automatic = HeaderValue::new(name, "auto-generated".to_owned());
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, mail.to.parse()?))
        .subject(mail.subject)
        .message_id(Some(id))
        .date(mail.written_at)
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(
            mail.text.to_owned(),
            mail.html.to_owned(),
        ))?;
    Ok(message)
}

/// Why a mail server did not take an e-mail. What it answered about the recipient is told; what concerns this server's
/// own account there is for its operator, on the log.
fn told(error: &SmtpError) -> MailError {
    /// Answers about who sends: wrong or missing credentials, no encryption (RFC 4954, section 6).
    const ABOUT_SENDER: [u16; 5] = [454, 530, 534, 535, 538];
    let failed = |text: &str| MailError::Failed(text.to_owned());
    let code = error.status().map(u16::from);
    if code.is_some_and(|code| ABOUT_SENDER.contains(&code)) || error.is_client() {
        tracing::warn!(%error, "the mail server does not let this server in: check its configuration");
        return failed(
            "The mail server does not let this server in: its operator has to look at the log.",
        );
    }
    match code {
        Some(code) => {
            let answer = std::error::Error::source(error).map(ToString::to_string);
            let answer = one_line(&answer.unwrap_or_default());
            let text = format!("The mail server answered {code} {answer}")
                .trim_end()
                .to_owned();
            // 5.7: about who may send (RFC 3463, section 3.8), which the operator can change.
            let is_final = error.is_permanent() && !answer.starts_with("5.7.");
            match is_final {
                true => MailError::Refused(text),
                false => MailError::Failed(text),
            }
        }
        None if error.is_timeout() => failed("The mail server did not answer in time."),
        None => {
            tracing::warn!(%error, "the mail server cannot be reached");
            failed("The mail server cannot be reached.")
        }
    }
}

/// A server's answer as one short line.
fn one_line(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 200;
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(SHOWN_CHARACTERS).collect()
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailer")
    }
}
