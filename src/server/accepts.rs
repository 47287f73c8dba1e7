//! Which media type an answer has
//! (<https://graphql.github.io/graphql-over-http/draft/#sec-Media-Types>).

use axum::http::{HeaderMap, header};

/// Which of the two media types the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// `application/graphql-response+json`: the status tells whether the request was understood.
    GraphQlResponse,
    /// `application/json`: a well-formed request is answered 200.
    Json,
}

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

impl Accepts {
    /// What the client prefers; `application/json` when it accepts both alike only by a wildcard, or says nothing.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get_all(header::ACCEPT).iter();
        let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
        let quality = |wanted: &str| {
            let items = accept.iter().flat_map(|value| value.split(','));
            let qualities = items.filter_map(|item| {
                let mut parts = item.split(';').map(str::trim);
                let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
                let quality = parts.find_map(|part| part.strip_prefix("q="));
                let quality = quality.and_then(|quality| quality.parse::<f32>().ok());
                is_wanted.then_some(quality.unwrap_or(1.0))
            });
            qualities.fold(0.0, f32::max)
        };
        let graphql_response = quality(GRAPHQL_RESPONSE);
        if graphql_response > 0.0 && graphql_response >= quality("application/json") {
            Self::GraphQlResponse
        } else {
            Self::Json
        }
    }

    /// The type of the answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}
