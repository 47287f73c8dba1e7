//! What a mutation refuses: as data, so that the rest of its answer stays.

use async_graphql::{Enum, SimpleObject};

use crate::kernel::limits::{self, Limit};

/// Why something was refused, for machines. New codes may come: keep a default branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum UserErrorCode {
    /// A value that is needed is missing.
    Required,
    /// A value that has no meaning here.
    Invalid,
    /// A text above its limit.
    TooLong,
    /// A list above its limit, or an empty one.
    TooMany,
    /// A number or an instant outside its range.
    OutOfRange,
    /// Nothing of this id exists in the portals that the token names.
    NotFound,
    /// More errors than one resync takes: use `resyncMatchingSyncErrors`.
    ResyncLimitExceeded,
    /// More than Salesforce allows the org.
    AboveSalesforceLimit,
    /// An idempotency key that another request has used.
    IdempotencyKeyReused,
    /// An address that is not called: of a private network, or without https.
    AddressNotAllowed,
    /// What is asked for does not go with the present state: the message says what it is.
    Conflict,
    /// A claimed item that another engine has claimed or answered since.
    LeaseLost,
    /// A failure that would open an error in a portal that keeps as many as it may (portalErrors).
    PortalFull,
}

/// One refused part of an input.
#[derive(Debug, Clone, SimpleObject)]
pub struct UserError {
    /// Where: the path of the value, from "input" on; positions in lists are numbers as texts.
    /// Null when no single value is at fault.
    pub field: Option<Vec<String>>,
    /// Why, for machines.
    pub code: UserErrorCode,
    /// Why and what to do, in English, for developers.
    pub message: String,
    /// Position of the refused element in the input's list, from 0; null outside of lists.
    pub element_index: Option<i32>,
}

impl UserError {
    /// An error of a value below `input`.
    pub fn new(code: UserErrorCode, path: &[&str], message: impl Into<String>) -> Self {
        let field = std::iter::once("input")
            .chain(path.iter().copied())
            .map(str::to_owned)
            .collect();
        Self {
            field: Some(field),
            code,
            message: message.into(),
            element_index: None,
        }
    }

    /// The error moved below a key of the input.
    pub fn below(mut self, key: &str) -> Self {
        if let Some(field) = &mut self.field {
            field.insert(1, key.to_owned());
        }
        self
    }

    /// The error moved to element `index` of `list`: its path continues below that element.
    pub fn in_element(mut self, list: &str, index: usize) -> Self {
        if let Some(field) = &mut self.field {
            field.splice(1..1, [list.to_owned(), index.to_string()]);
        }
        self.element_index = i32::try_from(index).ok();
        self
    }

    /// The portal that `hubId` names does not exist, or the token does not name it.
    pub fn unknown_portal() -> Self {
        Self::new(
            UserErrorCode::NotFound,
            &["hubId"],
            "No portal with this Hub ID exists in the portals that the token names.",
        )
    }

    /// Refuses an empty list of the input and one above a limit.
    pub fn of_count(count: usize, list: &str, limit: Limit) -> Option<Self> {
        let message = match count {
            0 => format!("{list} is empty: send at least one."),
            count if count > limit.value => format!(
                "At most {} {list} in one call ({}): send the rest in further ones.",
                limit.value, limit.name
            ),
            _ => return None,
        };
        Some(Self::new(UserErrorCode::TooMany, &[list], message))
    }

    /// A failure of a cause that is not known, in a portal that keeps as many errors as it may.
    pub fn portal_full(most: usize) -> Self {
        let limit = limits::PORTAL_ERRORS.name;
        let message = format!(
            "This would open a new error, and the portal keeps {most} already, the most that it may ({limit}). \
             Resolve what does not fail any more and report it again: resolved errors are swept after a while (--keep-resolved-days); or ask whoever runs the server for more (--portal-errors)."
        );
        Self::new(UserErrorCode::PortalFull, &[], message)
    }

    /// More calls than a portal's limits ever hold.
    pub fn above_allocation(most: i64, key: &str) -> Self {
        let message = format!("At most {most} calls fit into the portal's limits. Ask for less.");
        Self::new(UserErrorCode::OutOfRange, &[key], message)
    }

    /// Refuses a number outside of what a limit allows, from a least one on.
    pub fn of_range(value: i32, key: &str, (least, limit): (i32, Limit)) -> Option<Self> {
        let most = i32::try_from(limit.value).unwrap_or(i32::MAX);
        let message = format!("{least} to {most} {} ({}).", limit.unit, limit.name);
        let is_outside = !(least..=most).contains(&value);
        is_outside.then(|| Self::new(UserErrorCode::OutOfRange, &[key], message))
    }

    /// An idempotency key stands for one request.
    pub fn idempotency_key_reused() -> Self {
        let message = "This idempotencyKey belongs to another request: use a new one.";
        Self::new(
            UserErrorCode::IdempotencyKeyReused,
            &["idempotencyKey"],
            message,
        )
    }
}
