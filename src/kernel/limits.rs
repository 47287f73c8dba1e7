//! Every size and number that is refused when it is passed, each in this one place.
//!
//! `service.limits` tells them to clients and docs/limits.md lists them; a test holds the three together.

use crate::kernel::error::{Error, Result};

/// One limit: its name as clients read it, its value and the unit of the value.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// The name, in lower camel case.
    pub name: &'static str,
    /// The largest value that is accepted.
    pub value: usize,
    /// What `value` counts.
    pub unit: &'static str,
}

impl Limit {
    /// Refuses `size` when it passes this limit; `what` names the thing for the message.
    pub fn check(&self, size: usize, what: &str) -> Result<()> {
        if size <= self.value {
            return Ok(());
        }
        Err(Error::BadUserInput(format!(
            "{what} has {size} {}; the limit {} is {}. Send less at a time.",
            self.unit, self.name, self.value
        )))
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $value:expr, $unit:literal;)*) => {
        $($(#[$doc])* pub const $constant: Limit = Limit { name: $name, value: $value, unit: $unit };)*
        /// All limits, in the order of docs/limits.md.
        pub const ALL: &[Limit] = &[$($constant),*];
    };
}

limits! {
    /// A GraphQL document.
    DOCUMENT_BYTES = "documentBytes", 64 * 1024, "bytes";
    /// Tokens of a document, as GraphQL's lexical grammar counts them.
    DOCUMENT_TOKENS = "documentTokens", 5_000, "tokens";
    /// Brackets inside brackets of a document.
    DOCUMENT_NESTING = "documentNesting", 64, "brackets inside brackets";
    /// Selections inside selections, those of fragments and of introspection included.
    SELECTION_NESTING = "selectionNesting", 64, "selections inside selections";
    /// Root fields of an operation.
    ROOT_FIELDS = "rootFields", 20, "root fields";
    /// Fields and fragments of an operation, as often as they are spread.
    EXPANDED_SELECTIONS = "expandedSelections", 5_000, "fields and fragments";
    /// Fields inside fields; introspection does not count.
    SELECTION_DEPTH = "selectionDepth", 15, "fields inside fields";
    /// Aliases of an operation, those of fragments as often as they are spread.
    ALIASES = "aliases", 200, "aliases";
    /// Directives of an operation, those of fragments as often as they are spread.
    DIRECTIVES = "directives", 100, "directives";
    /// What an operation may cost: about one point for each object that it can answer.
    QUERY_COST = "queryCost", 50_000, "points";
    /// An answer, as JSON.
    ANSWER_BYTES = "answerBytes", 8 * 1024 * 1024, "bytes";
    /// An event of a subscription, as JSON.
    EVENT_BYTES = "eventBytes", 1024 * 1024, "bytes";
    /// Errors that one answer describes.
    ANSWERED_ERRORS = "answeredErrors", 20, "errors";
    /// The text of one error.
    ERROR_CHARACTERS = "errorCharacters", 1_000, "characters";
    /// The body of a GraphQL request.
    GRAPHQL_BODY_BYTES = "graphqlBodyBytes", 2 * 1024 * 1024, "bytes";
    /// The body of `POST /v1/sync-failures`.
    NDJSON_BODY_BYTES = "ndjsonBodyBytes", 256 * 1024 * 1024, "bytes";
    /// Such bodies that a server takes at once.
    UPLOADS = "uploads", 256, "uploads";
    /// Such bodies of one subject that a server takes at once.
    SUBJECT_UPLOADS = "subjectUploads", 64, "uploads";
    /// One line of that body.
    NDJSON_LINE_BYTES = "ndjsonLineBytes", 512 * 1024, "bytes";
    /// Refused lines that an answer to `POST /v1/sync-failures` describes; the count covers all.
    NDJSON_USER_ERRORS = "ndjsonUserErrors", 1_000, "userErrors";
    /// Elements of one report.
    REPORT_ELEMENTS = "reportElements", 1_000, "elements";
    /// Entries of one page.
    PAGE_SIZE = "pageSize", 100, "entries";
    /// Ids in `nodes`.
    NODE_IDS = "nodeIds", 100, "ids";
    /// Points of a plot, per category.
    PLOT_POINTS = "plotPoints", 1_500, "points";
    /// What a `totalCount` counts to where no counter answers.
    COUNTED_ENTRIES = "countedEntries", 10_000, "entries";
    /// Values in one list of a filter.
    FILTER_VALUES = "filterValues", 100, "values";
    /// A text to search for.
    SEARCH_CHARACTERS = "searchCharacters", 200, "characters";
    /// Portals that one token names.
    TOKEN_PORTALS = "tokenPortals", 1_000, "portals";
    /// A token, and with it any request header.
    TOKEN_BYTES = "tokenBytes", 16 * 1024, "bytes";
    /// The public keys of an issuer.
    KEY_SET_BYTES = "keySetBytes", 256 * 1024, "bytes";
    /// Causes taken from one failure; further ones are dropped.
    CAUSES_PER_FAILURE = "causesPerFailure", 10, "causes";
    /// Fields named by one failure.
    FAILURE_FIELDS = "failureFields", 100, "fields";
    /// Failures of a record that are told as one.
    FAILURES_TOLD_AS_ONE = "failuresToldAsOne", 1_000_000, "failures";
    /// The message of a failure.
    MESSAGE_CHARACTERS = "messageCharacters", 16_000, "characters";
    /// The raw answer of a provider.
    RAW_CHARACTERS = "rawCharacters", 60_000, "characters";
    /// A code, name, id, property or field of a failure.
    NAME_CHARACTERS = "nameCharacters", 255, "characters";
    /// The title of an error.
    TITLE_CHARACTERS = "titleCharacters", 255, "characters";
    /// A rejected value.
    VALUE_CHARACTERS = "valueCharacters", 2_000, "characters";
    /// A URL.
    URL_CHARACTERS = "urlCharacters", 500, "characters";
    /// Distinct rejected values that an error shows.
    SAMPLE_VALUES = "sampleValues", 10, "values";
    /// Seconds that `occurredAt` may lie ahead of the server's clock.
    CLOCK_SKEW_SECONDS = "clockSkewSeconds", 300, "seconds";
    /// Days for which a report's id is remembered.
    REPORT_ID_DAYS = "reportIdDays", 7, "days";
    /// API calls in one report or reservation.
    API_CALLS = "apiCalls", 1_000_000, "calls";
    /// Seconds after which calls that were set aside are given back.
    RESERVATION_SECONDS = "reservationSeconds", 300, "seconds";
    /// Errors that one resync request names.
    RESYNC_ERRORS = "resyncErrors", 100, "errors";
    /// Items that an engine claims or renews in one call.
    CLAIMED_ITEMS = "claimedItems", 100, "items";
    /// API calls that a claim sets aside for each item.
    CALLS_PER_ITEM = "callsPerItem", 100, "calls";
    /// Seconds for which a claimed item is an engine's.
    LEASE_SECONDS = "leaseSeconds", 3_600, "seconds";
    /// Attempts to deliver a message to a webhook.
    WEBHOOK_ATTEMPTS = "webhookAttempts", 5, "attempts";
    /// Seconds within which a webhook has to answer.
    WEBHOOK_SECONDS = "webhookSeconds", 15, "seconds";
    /// What a webhook may answer.
    WEBHOOK_ANSWER_BYTES = "webhookAnswerBytes", 1024 * 1024, "bytes";
    /// Hours for which a webhook's former secret signs too.
    WEBHOOK_ROTATION_HOURS = "webhookRotationHours", 24, "hours";
    /// Saved views of a portal.
    RECORD_VIEWS = "recordViews", 100, "views";
    /// E-mail addresses that a portal's news are sent to.
    NOTIFICATION_EMAILS = "notificationEmails", 50, "addresses";
    /// An e-mail address (RFC 5321, section 4.5.3.1.3, without the brackets).
    EMAIL_CHARACTERS = "emailCharacters", 254, "characters";
    /// URLs that a portal's news are sent to.
    NOTIFICATION_WEBHOOKS = "notificationWebhooks", 10, "URLs";
    /// Causes that a message names; it tells the number of all.
    NOTIFIED_ERRORS = "notifiedErrors", 20, "causes";
    /// Attempts to deliver a notification.
    NOTIFICATION_ATTEMPTS = "notificationAttempts", 8, "attempts";
    /// Seconds between two test notifications of a portal.
    TEST_NOTIFICATION_SECONDS = "testNotificationSeconds", 60, "seconds";
    /// Days within which an address can confirm that it wants a portal's news.
    CONFIRMATION_DAYS = "confirmationDays", 7, "days";
    /// Hours within which an address is asked once for a portal, however often it is taken out and added.
    CONFIRMATION_MAIL_HOURS = "confirmationMailHours", 24, "hours";
    /// Addresses that are asked for a portal within these hours.
    CONFIRMATION_MAILS = "confirmationMails", 100, "addresses";
    /// A ticket of a confirmation: it has to fit into an address.
    CONFIRMATION_TICKET_BYTES = "confirmationTicketBytes", 2 * 1024, "bytes";
    /// Seconds within which a mail server has to take an e-mail.
    MAIL_SECONDS = "mailSeconds", 30, "seconds";
    /// Seconds that one GraphQL operation may take.
    OPERATION_SECONDS = "operationSeconds", 30, "seconds";
    /// Seconds that PostgreSQL may take for one statement of a server.
    STATEMENT_SECONDS = "statementSeconds", 20, "seconds";
    /// Seconds that a transaction waits for a lock of PostgreSQL; where others wait too, twice as long at most: for its turn
    /// to wait, and for the lock. Both end before a statement does.
    LOCK_SECONDS = "lockSeconds", 8, "seconds";
    /// Seconds after which PostgreSQL ends a transaction that writes and whose server says nothing.
    IDLE_TRANSACTION_SECONDS = "idleTransactionSeconds", 5, "seconds";
    /// Part of the connections that read that requests to one portal use at once; one connection at least.
    PORTAL_READ_PERCENT = "portalReadPercent", 50, "percent of the connections";
    /// Part of the connections that write that requests to one portal use at once; one connection at least.
    PORTAL_WRITE_PERCENT = "portalWritePercent", 25, "percent of the connections";
    /// Part of the connections that read that requests of one subject use at once, whatever portals they are about.
    SUBJECT_READ_PERCENT = "subjectReadPercent", 75, "percent of the connections";
    /// Part of the connections that write that requests of one subject use at once, whatever portals they are about.
    SUBJECT_WRITE_PERCENT = "subjectWritePercent", 75, "percent of the connections";
    /// Errors that a portal keeps, resolved ones too; the configuration may set another value.
    PORTAL_ERRORS = "portalErrors", 2_000_000, "errors";
    /// Points that a subject can spend on one portal at once; the configuration may set another value.
    BUCKET_POINTS = "bucketPoints", 200_000, "points";
    /// Points that come back each second; the configuration may set another value.
    RESTORED_POINTS = "restoredPointsPerSecond", 10_000, "points a second";
    /// Points that an engine can spend on reports to one portal at once; the configuration may set another value.
    REPORT_BUCKET_POINTS = "reportBucketPoints", 2_000_000, "points";
    /// Points for reports that come back each second; the configuration may set another value.
    RESTORED_REPORT_POINTS = "restoredReportPointsPerSecond", 100_000, "points a second";
    /// Milliseconds for which an operation may make the database read before it pays for the rest.
    DATABASE_MILLISECONDS = "databaseMilliseconds", 50, "milliseconds";
    /// Points for each millisecond beyond; exports and subscriptions pay for each one, by being slowed.
    POINTS_PER_MILLISECOND = "pointsPerMillisecond", 10, "points a millisecond";
    /// Connections of one server; the configuration may set another value, and the files that it may open limit them too.
    CONNECTIONS = "connections", 25_000, "connections";
    /// Connections from one address (of IPv6: from one network of 64 bits); the configuration may set another value.
    PEER_CONNECTIONS = "peerConnections", 10_000, "connections";
    /// Connections that have not said who they are: where there are more, the oldest one makes room.
    UNAUTHENTICATED_CONNECTIONS = "unauthenticatedConnections", 500, "connections";
    /// Seconds after which a connection on which nothing was asked ends.
    IDLE_SECONDS = "idleSeconds", 75, "seconds";
    /// Seconds for which a client may keep the server waiting for a body, or for room for an answer; what comes or goes
    /// meanwhile gives some of them back.
    STALL_SECONDS = "stallSeconds", 60, "seconds";
    /// Bytes that give a second back.
    SLOWEST_BYTES_PER_SECOND = "slowestBytesPerSecond", 1_024, "bytes a second";
    /// WebSockets and event streams of one server; the configuration may set another value.
    LIVE_CONNECTIONS = "liveConnections", 20_000, "connections";
    /// Subscriptions to one portal, or of one subject to several, on one server; the configuration may set another value.
    PORTAL_SUBSCRIPTIONS = "portalSubscriptions", 10_000, "subscriptions";
    /// Operations that run at once on one WebSocket.
    CONNECTION_SUBSCRIPTIONS = "connectionSubscriptions", 100, "subscriptions";
    /// One message of a WebSocket.
    WEB_SOCKET_MESSAGE_BYTES = "webSocketMessageBytes", 128 * 1024, "bytes";
    /// Seconds for which a ticket is good at most; the token's end comes first.
    TICKET_SECONDS = "ticketSeconds", 86_400, "seconds";
    /// A ticket of `createStreamTicket`: it has to fit into an address.
    STREAM_TICKET_BYTES = "streamTicketBytes", 6 * 1024, "bytes";
    /// A ticket of `exportSyncErrors`: it has to fit into an address.
    EXPORT_TICKET_BYTES = "exportTicketBytes", 6 * 1024, "bytes";
    /// Seconds for which an export can be downloaded, as often as it is asked.
    EXPORT_SECONDS = "exportSeconds", 600, "seconds";
    /// Exports that a server writes at once.
    EXPORTS = "exports", 16, "exports";
    /// Exports of one subject that a server writes at once.
    SUBJECT_EXPORTS = "subjectExports", 4, "exports";
    /// Exports of one portal that a server writes at once.
    PORTAL_EXPORTS = "portalExports", 2, "exports";
    /// Seconds within which an export has to be downloaded.
    EXPORT_DOWNLOAD_SECONDS = "exportDownloadSeconds", 3_600, "seconds";
    /// Seconds within which a client has to take a part of an export.
    EXPORT_STALL_SECONDS = "exportStallSeconds", 60, "seconds";
    /// Messages that a client can send at once on a WebSocket.
    SOCKET_MESSAGES = "socketMessages", 500, "messages";
    /// Messages that come back each second.
    RESTORED_SOCKET_MESSAGES = "restoredSocketMessagesPerSecond", 50, "messages a second";
    /// Seconds within which a connection has to say who it is; a WebSocket again, by `connection_init`.
    CONNECTION_INIT_SECONDS = "connectionInitSeconds", 10, "seconds";
    /// Seconds between two signs of life on a stream.
    PING_SECONDS = "pingSeconds", 30, "seconds";
    /// Seconds within which a client has to take a message.
    SEND_SECONDS = "sendSeconds", 10, "seconds";
    /// Memory for documents that are kept parsed and checked, as their texts and tokens tell; as much again for the texts of
    /// automatic persisted queries.
    KEPT_DOCUMENT_BYTES = "keptDocumentBytes", 32 * 1024 * 1024, "bytes";
}
