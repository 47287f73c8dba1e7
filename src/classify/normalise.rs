//! The text of an error without what varies between its records.

/// The normalised text: the failure's own facts struck out, then ids, e-mails, URLs, quoted values, numbers and
/// dates folded, white space collapsed, lower case.
pub(super) fn normalise(text: &str, own_facts: &[&str]) -> String {
    let folded = crate::kernel::text::fold(text);
    let stripped = strip(&folded, own_facts);
    let mut out = String::with_capacity(stripped.len());
    let mut rest = stripped.as_str();
    let mut previous = ' ';
    let mut run = Run::default();
    while let Some(c) = rest.chars().next() {
        let (token, length) = next_token(rest, (c, previous), &mut run);
        match token {
            Token::Keep(text) => out.push_str(text),
            Token::Placeholder => push_placeholder(&mut out),
        }
        previous = rest[..length].chars().next_back().unwrap_or(' ');
        rest = &rest[length..];
    }
    out.trim().to_owned()
}

enum Token<'a> {
    Keep(&'a str),
    Placeholder,
}

/// Facts shorter than this are too likely to be part of other words.
const SHORTEST_FACT: usize = 2;

/// Strikes out whole occurrences of the facts, the longest first.
fn strip(folded: &str, facts: &[&str]) -> String {
    let mut facts: Vec<String> = facts
        .iter()
        .map(|fact| crate::kernel::text::fold(fact))
        .filter(|fact| fact.len() >= SHORTEST_FACT)
        .collect();
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.len()));
    let mut text = folded.to_owned();
    for fact in &facts {
        if !text.contains(fact.as_str()) {
            continue;
        }
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (at, found) in text.match_indices(fact.as_str()) {
            let whole = !text[..at]
                .chars()
                .next_back()
                .is_some_and(char::is_alphanumeric)
                && !text[at + found.len()..]
                    .chars()
                    .next()
                    .is_some_and(char::is_alphanumeric);
            out.push_str(&text[from..at]);
            out.push_str(if whole { "#" } else { found });
            from = at + found.len();
        }
        out.push_str(&text[from..]);
        text = out;
    }
    text
}

fn next_token<'a>(rest: &'a str, (c, previous): (char, char), run: &mut Run) -> (Token<'a>, usize) {
    if let Some(length) = quoted_length(rest, c, previous) {
        return (Token::Placeholder, length);
    }
    if c.is_alphanumeric() {
        let length = word_length(rest);
        if let Some(length) = run.address_length(rest, length) {
            return (Token::Placeholder, length);
        }
        let word = &rest[..length];
        let token = if varies(word) {
            Token::Placeholder
        } else {
            Token::Keep(word)
        };
        return (token, length);
    }
    if matches!(c, '#' | '$' | '€' | '£' | '¥') {
        return (Token::Placeholder, c.len_utf8());
    }
    (Token::Keep(&rest[..c.len_utf8()]), c.len_utf8())
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Characters that an address can consist of, one after the other, with the words between them.
#[derive(Default)]
struct Run {
    /// How much of the text lies behind the run that was looked at last; absent before the first one.
    behind: Option<usize>,
    /// What of its end is punctuation of the sentence.
    punctuation: usize,
}

impl Run {
    /// The length of the URL, e-mail address or UUID at the start of `rest`, whose first word has `word` bytes.
    fn address_length(&mut self, rest: &str, word: usize) -> Option<usize> {
        let goes_on = |c: char| matches!(c, '@' | '.' | '-' | '+' | '/' | ':');
        if !rest[word..].starts_with(goes_on) {
            return None;
        }
        // Where a run has no scheme, and no at sign with a dot behind it, the rest of it has none either.
        let is_new = self.behind.is_none_or(|behind| behind >= rest.len());
        if is_new {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || goes_on(c)));
            let whole = &rest[..end.unwrap_or(rest.len())];
            let long = whole.trim_end_matches(['.', ':', '-', '/', '+']);
            self.behind = Some(rest.len() - whole.len());
            self.punctuation = whole.len() - long.len();
        }
        let end = rest.len() - self.behind.unwrap_or_default();
        let long = &rest[..end.saturating_sub(self.punctuation)];
        let is_address = is_uuid(long)
            || long.starts_with("www.")
            || is_new && (long.contains("://") || is_email(long));
        is_address.then_some(long.len())
    }
}

/// Adjacent placeholders, with the punctuation of numbers, dates and lists of them between, are one.
fn push_placeholder(out: &mut String) {
    let before = out.trim_end_matches([' ', '.', ',', '-', ':', '/', '+', '(']);
    if before.ends_with('#') {
        out.truncate(before.len());
    } else {
        out.push('#');
    }
}

/// A number, an id, or a word that is mostly a number; names of fields (`line_2__c`, `address2`) stay.
fn varies(word: &str) -> bool {
    if word.contains("__") {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return is_date_word(word);
    }
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    letters == 0
        || digits >= 3
        || word.starts_with(|c: char| c.is_ascii_digit())
        || (matches!(word.len(), 15 | 18) && !word.contains('_'))
}

/// Months, halves of the day and units of time, in the languages that Salesforce's English and German users see.
fn is_date_word(word: &str) -> bool {
    // "am" is a German word too: what matters is that the same text always folds to the same.
    matches!(
        word,
        "jan"
            | "january"
            | "januar"
            | "feb"
            | "february"
            | "februar"
            | "mar"
            | "märz"
            | "apr"
            | "april"
            | "jun"
            | "june"
            | "juni"
            | "jul"
            | "july"
            | "juli"
            | "aug"
            | "august"
            | "sep"
            | "sept"
            | "september"
            | "oct"
            | "october"
            | "okt"
            | "oktober"
            | "nov"
            | "november"
            | "dec"
            | "december"
            | "dez"
            | "dezember"
            | "am"
            | "pm"
            | "second"
            | "seconds"
            | "minute"
            | "minutes"
            | "hour"
            | "hours"
            | "utc"
            | "gmt"
            | "usd"
            | "eur"
    )
}

fn is_email(token: &str) -> bool {
    token
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'))
}

fn is_uuid(token: &str) -> bool {
    token.len() == 36
        && token.split('-').map(str::len).eq([8, 4, 4, 4, 12])
        && token.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// The length of a quoted value at the start. An apostrophe inside a word opens none; a quoted API name
/// (`'Stage__c'`) is no value.
fn quoted_length(rest: &str, c: char, previous: char) -> Option<usize> {
    let close = match c {
        '"' | '\'' | '`' => c,
        '“' | '„' => '”',
        '‘' => '’',
        '«' => '»',
        '「' => '」',
        '『' => '』',
        _ => return None,
    };
    if previous.is_alphanumeric() {
        return None;
    }
    let body = &rest[c.len_utf8()..];
    let end = body.char_indices().take(300).find(|(at, found)| {
        let follows = body[at + found.len_utf8()..].chars().next();
        let closes = *found == close || (c == '“' && *found == '“') || (c == '„' && *found == '“');
        closes && !follows.is_some_and(char::is_alphanumeric)
    })?;
    let is_api_name = body[..end.0].contains("__") && !body[..end.0].contains(' ');
    (!is_api_name).then_some(c.len_utf8() + end.0 + end.1.len_utf8())
}
