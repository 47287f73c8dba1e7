//! Stream tickets: `createStreamTicket`, and `GET /graphql?ticket=…`.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::answer::Refusal;
use super::operation::Guarded;
use super::request::GraphQlRequest;
use super::request_log::Notes;
use super::subscription;
use crate::kernel::auth::{self, Purpose, Read, Viewer};
use crate::kernel::call::Call;
use crate::kernel::env::Env;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits;
use crate::kernel::scalars::Instant;
use crate::kernel::server_keys::ServerKey;
use crate::kernel::user_error::{UserError, UserErrorCode};

const STREAMS: Purpose = Purpose {
    audience: "sync-health stream ticket",
    mutation: "createStreamTicket",
    limit: limits::STREAM_TICKET_BYTES,
};

/// The one subscription of a ticket.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct TicketedRequest {
    query: String,
    variables: Map<String, Value>,
    operation_name: Option<String>,
}

/// Makes tickets and takes them.
pub(super) struct Tickets {
    guarded: Arc<Guarded>,
    key: ServerKey,
    leeway: Duration,
}

/// One subscription.
#[derive(InputObject)]
pub struct CreateStreamTicketInput {
    /// A document with a subscription, short enough for a ticket of 6 KiB.
    query: String,
    /// Its variables: a JSON object.
    variables: Option<String>,
    /// Which of the document's operations; needed when it has several.
    operation_name: Option<String>,
}

/// The answer to `createStreamTicket`.
#[derive(SimpleObject, Default)]
pub struct CreateStreamTicketPayload {
    /// Opens the stream: `new EventSource("/graphql?ticket=" + ticket)`. Whoever holds it can read what this
    /// subscription tells, and nothing else. Null when something was refused.
    ticket: Option<String>,
    /// Until when it opens the stream, as often as it is asked: the end of the token, a day at most. Null when something was refused.
    expires_at: Option<Instant>,
    /// What was refused.
    user_errors: Vec<UserError>,
}

/// The mutations of the streams.
#[derive(Default)]
pub struct StreamMutations;

#[Object]
impl StreamMutations {
    /// Makes a ticket for one subscription, for `EventSource`, which sends no headers. Needs the scope sync-health:read.
    async fn create_stream_ticket(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The subscription.")] input: CreateStreamTicketInput,
    ) -> Result<CreateStreamTicketPayload> {
        let call = Call::of(ctx)?;
        call.viewer.require::<Read>()?;
        let tickets = ctx.data::<Arc<Tickets>>();
        let tickets =
            tickets.map_err(|_| Error::Internal("a schema without its tickets".into()))?;
        match tickets.create(call, input).await? {
            Ok(ticket) => Ok(CreateStreamTicketPayload {
                ticket: Some(ticket),
                expires_at: Some(Instant(auth::until(&call.viewer).timestamp_micros())),
                user_errors: Vec::new(),
            }),
            Err(error) => Ok(CreateStreamTicketPayload {
                user_errors: vec![error],
                ..CreateStreamTicketPayload::default()
            }),
        }
    }
}

impl Tickets {
    pub(super) fn new(guarded: Arc<Guarded>, leeway: Duration) -> Self {
        Self {
            guarded,
            key: ServerKey::new("stream tickets"),
            leeway,
        }
    }

    /// The holder of a ticket and its subscription.
    pub(super) async fn redeem(
        &self,
        env: &Env,
        ticket: &str,
    ) -> Result<(Viewer, GraphQlRequest), Refusal> {
        let key = self.key.secret(env).await?;
        let (viewer, request) = STREAMS.verify::<TicketedRequest>(key, self.leeway, ticket)?;
        Ok((viewer, request.into()))
    }

    async fn create(
        &self,
        call: &Call,
        input: CreateStreamTicketInput,
    ) -> Result<Result<String, UserError>> {
        let request = match ticketed(input) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error)),
        };
        let hub_id = match self.hub_id(&call.viewer, request.clone()) {
            Ok(hub_id) => hub_id,
            Err(refusal) => {
                let (code, path) = match refusal.code() {
                    "NOT_FOUND" => (UserErrorCode::NotFound, "query"),
                    "BAD_USER_INPUT" => (UserErrorCode::Invalid, "variables"),
                    _ => (UserErrorCode::Invalid, "query"),
                };
                return Ok(Err(UserError::new(code, &[path], refusal.message())));
            }
        };
        let key = self.key.secret(&call.env).await?;
        let ticket = STREAMS.sign(key, (&call.viewer, hub_id), request)?;
        let limit = STREAMS.limit;
        if ticket.len() > limit.value {
            let message = format!(
                "The ticket would have {} {}; the limit {} is {}. Select less, or send shorter variables.",
                ticket.len(),
                limit.unit,
                limit.name,
                limit.value
            );
            return Ok(Err(UserError::new(
                UserErrorCode::TooLong,
                &["query"],
                message,
            )));
        }
        Ok(Ok(ticket))
    }

    /// The portal of a subscription that may run.
    fn hub_id(&self, viewer: &Viewer, request: TicketedRequest) -> Result<i64, Refusal> {
        let checked = self
            .guarded
            .check(&Notes::default(), viewer, request.into())?;
        if !checked.is_subscription() {
            let message = "A ticket opens a subscription only.";
            return Err(Refusal::document(
                "GRAPHQL_VALIDATION_FAILED",
                message.into(),
            ));
        }
        subscription::rooted(viewer, &checked)?;
        match checked.hub_id {
            0 => Err(Refusal::from(Error::NotFound(
                "The subscription has to be about one portal that the token names: give its hubId."
                    .into(),
            ))),
            hub_id => Ok(hub_id),
        }
    }
}

fn ticketed(input: CreateStreamTicketInput) -> Result<TicketedRequest, UserError> {
    let variables = input.variables.filter(|text| !text.trim().is_empty());
    let variables = match variables.as_deref().map(serde_json::from_str) {
        None | Some(Ok(Value::Null)) => Map::new(),
        Some(Ok(Value::Object(variables))) => variables,
        Some(Ok(_) | Err(_)) => {
            let message = "variables is not a JSON object.";
            let path = &["variables"];
            return Err(UserError::new(UserErrorCode::Invalid, path, message));
        }
    };
    Ok(TicketedRequest {
        query: input.query,
        variables,
        operation_name: input.operation_name,
    })
}

impl From<TicketedRequest> for GraphQlRequest {
    fn from(request: TicketedRequest) -> Self {
        Self {
            query: Some(request.query),
            operation_name: request.operation_name,
            variables: Some(request.variables),
            ..Self::default()
        }
    }
}
