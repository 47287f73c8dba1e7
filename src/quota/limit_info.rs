//! The header `Sforce-Limit-Info`
//! (<https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_api_usage.htm>), for example
//! `api-usage=18/5000` or `api-usage=25/5000, per-app-api-usage=17/250(appName=sample-connected-app)`.

/// What the whole org used, and may use, of its daily calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LimitInfo {
    pub(super) used: i32,
    pub(super) limit: i32,
}

/// Reads the header's value, with or without its name; `None` for what is none.
pub(super) fn read(text: &str) -> Option<LimitInfo> {
    let text = text.trim();
    let value = match text.split_once(':') {
        Some((name, value)) => name
            .trim()
            .eq_ignore_ascii_case("sforce-limit-info")
            .then_some(value)?,
        None => text,
    };
    let mut parts = value.split([',', ';']).map(str::trim);
    let usage = parts.find_map(|part| {
        let (name, usage) = part.split_once('=')?;
        let is_org = name.trim().eq_ignore_ascii_case("api-usage");
        is_org.then_some(usage)
    })?;
    let (used, limit) = usage.split_once('/')?;
    let info = LimitInfo {
        used: number(used)?,
        limit: number(limit)?,
    };
    (info.limit > 0).then_some(info)
}

fn number(text: &str) -> Option<i32> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
