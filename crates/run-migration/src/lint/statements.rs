//! A script, cut into its statements, each parsed by itself: one that the parser does not know leaves the others readable.

use sqlparser::ast;
use sqlparser::dialect::{Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

/// A statement of a script.
#[derive(Debug)]
pub(super) struct Statement {
    /// Where it begins, counted from 1.
    pub(super) line: u64,
    /// The comments before it and in it.
    pub(super) comments: Vec<String>,
    /// Its first words, in capitals.
    pub(super) words: Vec<String>,
    /// What the parser made of it; `None` if it does not know it.
    pub(super) parsed: Option<ast::Statement>,
    /// Whether it is written for MySQL, whose indexes are built without blocking writes.
    pub(super) is_mysql: bool,
}

/// How many first words are told.
const WORDS: usize = 6;

/// Where tools that keep both ways in one file say that the way back begins.
const DOWN: [&str; 2] = ["+goose down", "migrate:down"];

/// The statements of a script, on the way forward. Fails with the line and the reason if it is not even a sequence of words.
pub(super) fn statements(text: &str) -> Result<Vec<Statement>, (u64, String)> {
    let is_mysql = text.contains('`');
    let dialect: &dyn Dialect = if is_mysql { &MySqlDialect {} } else { &PostgreSqlDialect {} };
    let tokens =
        Tokenizer::new(dialect, text).tokenize_with_location().map_err(|error| (error.location.line, error.message))?;
    let mut statements = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    for token in tokens {
        let is_end = token.token == Token::SemiColon;
        if comment(&token.token).is_some_and(|comment| DOWN.contains(&comment.trim().to_lowercase().as_str())) {
            break;
        }
        match is_end {
            true => statements.extend(statement(std::mem::take(&mut current), dialect, is_mysql)),
            false => current.push(token),
        }
    }
    statements.extend(statement(current, dialect, is_mysql));
    Ok(statements)
}

/// `None` if there is nothing between two ends.
fn statement(tokens: Vec<TokenWithSpan>, dialect: &dyn Dialect, is_mysql: bool) -> Option<Statement> {
    let line = tokens.iter().find(|token| !is_blank(&token.token))?.span.start.line;
    let comments = tokens.iter().filter_map(|token| comment(&token.token)).map(str::to_owned).collect();
    let words = tokens.iter().filter_map(|token| match &token.token {
        Token::Word(word) => Some(word.value.to_uppercase()),
        _ => None,
    });
    let words = words.take(WORDS).collect();
    let parsed = parse(&tokens, dialect).or_else(|| parse(&tokens, &GenericDialect {}));
    Some(Statement { line, comments, words, parsed, is_mysql })
}

/// What a parser makes of the whole of these tokens.
fn parse(tokens: &[TokenWithSpan], dialect: &dyn Dialect) -> Option<ast::Statement> {
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.to_vec());
    let parsed = parser.parse_statement().ok()?;
    // What is left over was not understood.
    (parser.peek_token_ref().token == Token::EOF).then_some(parsed)
}

fn is_blank(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_) | Token::EOF)
}

fn comment(token: &Token) -> Option<&str> {
    match token {
        Token::Whitespace(Whitespace::SingleLineComment { comment, .. } | Whitespace::MultiLineComment(comment)) => {
            Some(comment)
        }
        _ => None,
    }
}
