//! The search language of `files.list`: `name contains 'soup' and trashed = false`.
//!
//! Source: "Search for files and folders" and "Search query terms and operators" of the
//! Drive API guide. Operators stand at one level and are read from left to right, as the
//! guide says. Terms that the product does not use are refused, never ignored.

use chrono::{DateTime, NaiveDateTime};

use super::data::{Drive, File};
use super::errors::GoogleError;

/// A query that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    All,
    Not(Box<Search>),
    And(Box<Search>, Box<Search>),
    Or(Box<Search>, Box<Search>),
    Name(Text, String),
    MimeType(Text, String),
    FullText(String),
    Modified(Order, i64),
    Created(Order, i64),
    Trashed(bool),
    Starred(bool),
    SharedWithMe(bool),
    Parent(String),
    Owner(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Is,
    IsNot,
    Contains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Before,
    BeforeOrAt,
    At,
    NotAt,
    AfterOrAt,
    After,
}

impl Search {
    /// # Errors
    /// 400 for anything that is no query, or that the stand-in does not evaluate.
    pub fn parse(q: Option<&str>) -> Result<Self, GoogleError> {
        let Some(q) = q.filter(|q| !q.trim().is_empty()) else {
            return Ok(Self::All);
        };
        let tokens = tokens(q).ok_or_else(|| GoogleError::invalid("q"))?;
        let mut parser = Parser { tokens, at: 0 };
        let search = parser.chain().filter(|_| parser.at == parser.tokens.len());
        search.ok_or_else(|| GoogleError::invalid("q"))
    }

    pub fn finds(&self, file: &File, drive: &Drive) -> bool {
        match self {
            Self::All => true,
            Self::Not(inner) => !inner.finds(file, drive),
            Self::And(left, right) => left.finds(file, drive) && right.finds(file, drive),
            Self::Or(left, right) => left.finds(file, drive) || right.finds(file, drive),
            Self::Name(op, wanted) => match op {
                Text::Is => file.name == *wanted,
                Text::IsNot => file.name != *wanted,
                Text::Contains => begins_a_word(&file.name, wanted),
            },
            Self::MimeType(op, wanted) => match op {
                Text::Is => file.mime_type == *wanted,
                Text::IsNot => file.mime_type != *wanted,
                Text::Contains => file.mime_type.contains(wanted.as_str()),
            },
            Self::FullText(word) => {
                begins_a_word(&file.name, word) || file.content.contains(&word.to_lowercase())
            }
            Self::Modified(order, at) => order.holds(file.modified_ms, *at),
            Self::Created(order, at) => order.holds(file.created_ms, *at),
            Self::Trashed(wanted) => file.trashed == *wanted,
            // Nothing is starred, and nothing came from somebody else.
            Self::Starred(wanted) | Self::SharedWithMe(wanted) => !wanted,
            Self::Parent(id) => {
                let id = if id == "root" { &drive.root } else { id };
                file.parent.as_ref() == Some(id)
            }
            Self::Owner(email) => {
                file.drive_id.is_none() && (email == "me" || *email == drive.owner.email)
            }
        }
    }
}

impl Order {
    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Before => left < right,
            Self::BeforeOrAt => left <= right,
            Self::At => left == right,
            Self::NotAt => left != right,
            Self::AfterOrAt => left >= right,
            Self::After => left > right,
        }
    }
}

/// `contains` finds beginnings of words only: `Hello` finds `HelloWorld`, `World` does not.
fn begins_a_word(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.to_lowercase(), wanted.to_lowercase());
    text.match_indices(&wanted).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric())
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Operator(&'static str),
    Open,
    Close,
}

fn tokens(q: &str) -> Option<Vec<Token>> {
    const OPERATORS: [&str; 6] = ["<=", ">=", "!=", "=", "<", ">"];
    let mut tokens = Vec::new();
    let mut rest = q.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(operator) = OPERATORS.iter().find(|op| rest.starts_with(**op)) {
            tokens.push(Token::Operator(operator));
            rest = &rest[operator.len()..];
        } else if first == '(' || first == ')' {
            tokens.push(if first == '(' {
                Token::Open
            } else {
                Token::Close
            });
            rest = &rest[1..];
        } else if first == '\'' {
            let (text, after) = quoted(&rest[1..])?;
            tokens.push(Token::Quoted(text));
            rest = after;
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

/// Up to the closing quote; `\'` and `\\` stand for themselves.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some(Token::Word(next)) if next == word);
        self.at += usize::from(is_next);
        is_next
    }

    fn chain(&mut self) -> Option<Search> {
        let mut search = self.term()?;
        loop {
            if self.word("and") {
                search = Search::And(Box::new(search), Box::new(self.term()?));
            } else if self.word("or") {
                search = Search::Or(Box::new(search), Box::new(self.term()?));
            } else {
                return Some(search);
            }
        }
    }

    fn term(&mut self) -> Option<Search> {
        if self.word("not") {
            return Some(Search::Not(Box::new(self.term()?)));
        }
        match self.next()? {
            Token::Open => {
                let inside = self.chain()?;
                (self.next()? == Token::Close).then_some(inside)
            }
            Token::Quoted(value) => {
                let is_in = self.word("in");
                match self.next()? {
                    Token::Word(list) if is_in && list == "parents" => Some(Search::Parent(value)),
                    Token::Word(list) if is_in && list == "owners" => Some(Search::Owner(value)),
                    _ => None,
                }
            }
            Token::Word(field) => self.comparison(&field),
            Token::Operator(_) | Token::Close => None,
        }
    }

    fn comparison(&mut self, field: &str) -> Option<Search> {
        // A flag may stand alone.
        if field == "sharedWithMe" && !matches!(self.tokens.get(self.at), Some(Token::Operator(_)))
        {
            return Some(Search::SharedWithMe(true));
        }
        let operator = match self.next()? {
            Token::Operator(operator) => operator,
            Token::Word(word) if word == "contains" => "contains",
            Token::Word(_) | Token::Quoted(_) | Token::Open | Token::Close => return None,
        };
        let value = self.next()?;
        match (field, value) {
            ("name", Token::Quoted(value)) => Some(Search::Name(text(operator)?, value)),
            ("mimeType", Token::Quoted(value)) => Some(Search::MimeType(text(operator)?, value)),
            ("fullText", Token::Quoted(value)) if operator == "contains" => {
                Some(Search::FullText(value))
            }
            ("modifiedTime", Token::Quoted(value)) => {
                Some(Search::Modified(order(operator)?, time(&value)?))
            }
            ("createdTime", Token::Quoted(value)) => {
                Some(Search::Created(order(operator)?, time(&value)?))
            }
            (flag, Token::Word(value)) => {
                let wanted = match (operator, value.as_str()) {
                    ("=", "true") | ("!=", "false") => true,
                    ("=", "false") | ("!=", "true") => false,
                    _ => return None,
                };
                match flag {
                    "trashed" => Some(Search::Trashed(wanted)),
                    "starred" => Some(Search::Starred(wanted)),
                    "sharedWithMe" => Some(Search::SharedWithMe(wanted)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

fn text(operator: &str) -> Option<Text> {
    match operator {
        "=" => Some(Text::Is),
        "!=" => Some(Text::IsNot),
        "contains" => Some(Text::Contains),
        _ => None,
    }
}

fn order(operator: &str) -> Option<Order> {
    match operator {
        "<" => Some(Order::Before),
        "<=" => Some(Order::BeforeOrAt),
        "=" => Some(Order::At),
        "!=" => Some(Order::NotAt),
        ">=" => Some(Order::AfterOrAt),
        ">" => Some(Order::After),
        _ => None,
    }
}

/// RFC 3339; without a zone it is UTC.
fn time(text: &str) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.timestamp_millis());
    }
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(naive.and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_read_from_left_to_right() {
        let parsed = Search::parse(Some("trashed = false or starred = true and trashed = true"));
        let or = Search::Or(
            Box::new(Search::Trashed(false)),
            Box::new(Search::Starred(true)),
        );
        let and = Search::And(Box::new(or), Box::new(Search::Trashed(true)));
        assert_eq!(parsed.expect("valid"), and);
    }

    #[test]
    fn quotes_and_backslashes_are_escaped() {
        let parsed = Search::parse(Some(r"name = 'Valentine\'s \\ Day'")).expect("valid");
        assert_eq!(
            parsed,
            Search::Name(Text::Is, r"Valentine's \ Day".to_owned())
        );
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for bad in [
            "name",
            "name = ",
            "name = soup",
            "name < 'a'",
            "trashed = 'false'",
            "modifiedTime > 'yesterday'",
            "(trashed = false",
            "trashed = false and",
            "trashed = false trashed = true",
            "'x' in writers",
            "visibility = 'limited'",
            "name = 'open",
        ] {
            assert!(Search::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn contains_finds_beginnings_of_words() {
        assert!(begins_a_word("Hello World.pdf", "world"));
        assert!(begins_a_word("HelloWorld", "Hello"));
        assert!(!begins_a_word("HelloWorld", "World"));
    }
}
