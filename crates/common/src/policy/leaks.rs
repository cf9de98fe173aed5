//! What looks like a secret, in text that is no place for one: an image's history, its environment, its labels.
//!
//! The value itself is never told: what is told is where it stands and what kind it is.

/// Where something looks like a secret, and what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leak {
    /// What it looks like: `a GitHub token`.
    pub(super) kind: &'static str,
    /// Where it stands: `ENV NPM_TOKEN`.
    pub(super) place: String,
}

/// Tokens that are known by how they begin: what they are, the beginning, and how many characters follow at least.
const TOKENS: [(&str, &str, usize); 14] = [
    ("an AWS access key", "AKIA", 16),
    ("a temporary AWS access key", "ASIA", 16),
    ("a GitHub token", "ghp_", 36),
    ("a GitHub token", "gho_", 36),
    ("a GitHub token", "ghs_", 36),
    ("a GitHub token", "ghu_", 36),
    ("a GitHub token", "ghr_", 36),
    ("a GitHub token", "github_pat_", 22),
    ("an npm token", "npm_", 36),
    ("a GitLab token", "glpat-", 20),
    ("a Slack token", "xoxb-", 20),
    ("a Slack token", "xoxp-", 20),
    ("a Stripe key", "sk_live_", 20),
    ("a Google API key", "AIza", 35),
];

/// What names say that their value is a secret.
const NAMES: [&str; 7] = ["PASSWORD", "PASSWD", "TOKEN", "SECRET", "APIKEY", "API_KEY", "PRIVATE_KEY"];

/// What names say that their value is only where a secret is, or how it is used.
const HARMLESS: [&str; 10] =
    ["_FILE", "_PATH", "_URL", "_ARN", "_NAME", "_ID", "_TTL", "_LENGTH", "_EXPIRY", "_HEADER"];

/// What a text holds that looks like a secret by itself.
fn kind(text: &str) -> Option<&'static str> {
    let is_key = text
        .split("-----BEGIN ")
        .skip(1)
        .any(|after| after.split_once("-----").is_some_and(|(what, _)| what.ends_with("PRIVATE KEY")));
    if is_key {
        return Some("a private key");
    }
    TOKENS.into_iter().find(|(_, start, more)| has_token(text, start, *more)).map(|(kind, ..)| kind)
}

fn has_token(text: &str, start: &str, more: usize) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_' || character == '-';
    text.match_indices(start).any(|(at, _)| {
        let is_whole = !text[..at].ends_with(is_part);
        let rest = text[at + start.len()..].chars().take_while(|character| is_part(*character)).count();
        is_whole && rest >= more
    })
}

/// Whether a variable of this name and value holds a secret as it stands.
fn is_literal_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_named = NAMES.iter().any(|word| name.contains(word)) && !HARMLESS.iter().any(|end| name.ends_with(end));
    let value = value.trim().trim_matches(['"', '\'']);
    let is_switch = matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "none" | "null");
    let is_number = value.chars().all(|character| character.is_ascii_digit());
    // A path or a reference says where the secret is, not what it is.
    let is_elsewhere = value.starts_with(['/', '$']) || value.starts_with("arn:");
    is_named && !value.is_empty() && !is_switch && !is_number && !is_elsewhere
}

/// What of an image's history and environment looks like a secret, each place once.
pub(super) fn leaks<'a>(history: impl IntoIterator<Item = &'a str>, environment: &[String]) -> Vec<Leak> {
    let mut found: Vec<Leak> = Vec::new();
    let mut add = |kind, place: String| {
        if !found.iter().any(|leak| leak.place == place) {
            found.push(Leak { kind, place });
        }
    };
    for variable in environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        match kind(value) {
            Some(kind) => add(kind, format!("ENV {name}")),
            None if is_literal_secret(name, value) => add("a secret by its name", format!("ENV {name}")),
            None => {}
        }
    }
    for instruction in history {
        let keyword = instruction.split_whitespace().next().unwrap_or_default();
        // An environment is in the history as well, and was told of already.
        if keyword == "ENV" {
            continue;
        }
        for (name, value) in assignments(instruction) {
            if kind(value).is_none() && is_literal_secret(name, value) {
                add("a secret by its name", format!("ARG {name}"));
            }
        }
        if let Some(kind) = kind(instruction) {
            let named = assignments(instruction).into_iter().find(|(_, value)| self::kind(value).is_some());
            add(kind, named.map_or_else(|| format!("the history of a {keyword}"), |(name, _)| format!("ARG {name}")));
        }
    }
    found
}

/// The values of build arguments that an instruction's history holds: `ARG A=b`, and `RUN |1 A=b /bin/sh -c …`, where the
/// number says how many there are.
fn assignments(instruction: &str) -> Vec<(&str, &str)> {
    if let Some(rest) = instruction.strip_prefix("ARG ") {
        return rest.split_whitespace().filter_map(|word| word.split_once('=')).collect();
    }
    let Some((_, rest)) = instruction.split_once('|') else { return Vec::new() };
    let Some((count, rest)) = rest.split_once(' ') else { return Vec::new() };
    let Ok(count) = count.parse::<usize>() else { return Vec::new() };
    rest.split_whitespace().take(count).filter_map(|word| word.split_once('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_beginning_and_its_length() {
        let long = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
        for (text, expected) in [
            ("x AKIAIOSFODNN7EXAMPLE y".to_owned(), Some("an AWS access key")),
            (format!("//registry.npmjs.org/:_authToken=npm_{long}"), Some("an npm token")),
            (format!("https://ghp_{long}@github.com"), Some("a GitHub token")),
            (format!("github_pat_{long}"), Some("a GitHub token")),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII".to_owned(), Some("a private key")),
            ("-----BEGIN PUBLIC KEY-----".to_owned(), None),
            ("npm_config_cache=/tmp npm_lifecycle_event".to_owned(), None),
            ("AKIA".to_owned(), None),
            (format!("xghp_{long}"), None),
        ] {
            assert_eq!(kind(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_tells_a_secret_unless_its_value_is_elsewhere() {
        for (name, value, expected) in [
            ("DB_PASSWORD", "hunter2", true),
            ("npm_token", "x", true),
            ("DB_PASSWORD", "", false),
            ("DB_PASSWORD", "${DB_PASSWORD}", false),
            ("DB_PASSWORD_FILE", "/run/secrets/db", false),
            ("TOKEN", "/run/token", false),
            ("SECRET_ARN", "x", false),
            ("CHECK_TOKEN", "true", false),
            ("TOKEN_TTL", "1h", false),
            ("NODE_ENV", "production", false),
        ] {
            assert_eq!(is_literal_secret(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn a_place_is_told_once_and_the_value_never() {
        let history = [
            "ENV DB_PASSWORD=hunter2",
            "ARG NPM_TOKEN=abc",
            "RUN |2 NPM_TOKEN=abc MODE=ci /bin/sh -c npm ci",
            "RUN curl -u AKIAIOSFODNN7EXAMPLE https://example.com",
            "RUN make | tee TOKEN=x",
        ];
        let found = leaks(history, &["DB_PASSWORD=hunter2".to_owned(), "PATH=/bin".to_owned()]);
        let places: Vec<(&str, &str)> = found.iter().map(|leak| (leak.kind, leak.place.as_str())).collect();
        assert_eq!(
            places,
            [
                ("a secret by its name", "ENV DB_PASSWORD"),
                ("a secret by its name", "ARG NPM_TOKEN"),
                ("an AWS access key", "the history of a RUN"),
            ]
        );
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
