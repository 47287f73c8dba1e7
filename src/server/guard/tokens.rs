//! Counts the tokens of a document, and how deeply its brackets nest, before it is parsed: the parser recurses.

use super::{Refused, within};
use crate::kernel::limits;

/// Counts the tokens of a document; refuses one with too many of them, or of brackets inside brackets
/// (lexical grammar: <https://spec.graphql.org/October2021/#sec-Language.Source-Text>).
pub(super) fn check(document: &str) -> Result<usize, Refused> {
    let bytes = document.as_bytes();
    let (mut at, mut tokens, mut nesting, mut deepest) = (0, 0_usize, 0_u64, 0);
    while let Some(&byte) = bytes.get(at) {
        let length = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += line_length(&bytes[at..]);
                continue;
            }
            b'"' => {
                let length = string_length(&bytes[at..]);
                refuse_nul(&bytes[at..at + length])?;
                length
            }
            b'{' | b'[' | b'(' => {
                nesting += 1;
                deepest = deepest.max(nesting);
                1
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                1
            }
            b'.' if bytes[at..].starts_with(b"...") => 3,
            byte if is_name(byte) || byte == b'-' => 1 + name_length(&bytes[at + 1..]),
            _ => 1,
        };
        at += length;
        tokens += 1;
    }
    within(limits::DOCUMENT_TOKENS, tokens as u64)?;
    within(limits::DOCUMENT_NESTING, deepest)?;
    Ok(tokens)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Of a name or a number: which of the two it is does not matter here.
fn name_length(bytes: &[u8]) -> usize {
    let end = |b: &u8| !(is_name(*b) || matches!(b, b'.' | b'+' | b'-'));
    bytes.iter().position(end).unwrap_or(bytes.len())
}

fn line_length(bytes: &[u8]) -> usize {
    let end = |b: &u8| matches!(b, b'\n' | b'\r');
    bytes.iter().position(end).unwrap_or(bytes.len())
}

/// No database keeps a text with U+0000; in a document it can only be escaped.
fn refuse_nul(string: &[u8]) -> Result<(), Refused> {
    let is_block = string.starts_with(b"\"\"\"");
    let mut at = 0;
    while !is_block && at < string.len() {
        let escape = &string[at..];
        if escape.starts_with(b"\\u0000") || is_braced_nul(escape) {
            let message = "A string of the document holds the character U+0000.";
            return Err(Refused::Invalid(message.into()));
        }
        at += if escape[0] == b'\\' { 2 } else { 1 };
    }
    Ok(())
}

/// `\u{0}`, with any number of zeros.
fn is_braced_nul(escape: &[u8]) -> bool {
    let digits = escape.strip_prefix(b"\\u{").unwrap_or_default();
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    zeros > 0 && digits.get(zeros) == Some(&b'}')
}

/// Of a string with its quotes, or of a block string; one that does not end goes on to the end.
fn string_length(bytes: &[u8]) -> usize {
    let is_block = bytes.starts_with(b"\"\"\"");
    let quote: &[u8] = if is_block { b"\"\"\"" } else { b"\"" };
    let mut at = quote.len();
    while at < bytes.len() {
        if bytes[at..].starts_with(quote) {
            return at + quote.len();
        }
        // In a block string only the triple quote can be escaped; elsewhere any character.
        at += match bytes[at] {
            b'\\' if !is_block => 2,
            b'\\' if bytes[at + 1..].starts_with(b"\"\"\"") => 4,
            _ => 1,
        };
    }
    bytes.len()
}
