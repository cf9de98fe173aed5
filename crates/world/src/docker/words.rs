//! Words of a Dockerfile's instruction: quotes, escapes and variables.
//!
//! <https://docs.docker.com/reference/dockerfile/#environment-replacement>

/// What knows the variables.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Splits into words, without their quotes, with variables replaced.
pub(super) fn words(text: &str, lookup: Lookup<'_>) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        match (letter, quote) {
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => match rest.next() {
                // Inside of double quotes a backslash stands for itself unless it keeps something from being special.
                Some(next) if quote.is_some() && !"\"$\\".contains(next) => {
                    word.get_or_insert_default().extend(['\\', next])
                }
                Some(next) => word.get_or_insert_default().push(next),
                None => word.get_or_insert_default().push('\\'),
            },
            ('$', None | Some('"')) => {
                let value = variable(&mut rest, lookup)?;
                word.get_or_insert_default().push_str(&value);
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(format!("unexpected end of statement while looking for matching quote: {text}"));
    }
    words.extend(word);
    Ok(words)
}

/// Reads `NAME=value NAME2="a value"`, or the old form `NAME value`.
pub(super) fn pairs(text: &str, lookup: Lookup<'_>) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text.trim().split_once(char::is_whitespace).ok_or("must have two arguments")?;
        return Ok(vec![(name.to_owned(), words(value, lookup)?.join(" "))]);
    }
    let pair = |word: String| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("Syntax error - can't find = in \"{word}\""))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    words(text, lookup)?.into_iter().map(pair).collect()
}

/// The JSON form of a command, or the shell's.
pub(super) fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

/// What follows a `$`: `NAME`, `{NAME}`, `{NAME:-default}` or `{NAME:+instead}`. Anything else leaves the `$` as it is.
fn variable(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, lookup: Lookup<'_>) -> Result<String, String> {
    let is_name = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
    if rest.peek() != Some(&'{') {
        let mut name = String::new();
        while let Some(letter) = rest.next_if(is_name) {
            name.push(letter);
        }
        return Ok(if name.is_empty() { "$".to_owned() } else { lookup(&name).unwrap_or_default() });
    }
    let mut inside = String::new();
    let mut depth = 0;
    for letter in rest.by_ref() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        inside.push(letter);
    }
    if depth != 0 {
        return Err("syntax error: missing '}'".to_owned());
    }
    let inside = &inside[1..];
    let end = inside.find(|letter| !is_name(&letter)).unwrap_or(inside.len());
    let (name, modifier) = inside.split_at(end);
    let value = lookup(name);
    let is_set =
        if modifier.starts_with(':') { value.as_ref().is_some_and(|value| !value.is_empty()) } else { value.is_some() };
    let expand = |text: &str| words(text, lookup).map(|words| words.join(" "));
    match modifier.trim_start_matches(':').split_at_checked(1) {
        None => Ok(value.unwrap_or_default()),
        Some(("-", default)) => {
            if is_set {
                Ok(value.unwrap_or_default())
            } else {
                expand(default)
            }
        }
        Some(("+", instead)) => {
            if is_set {
                expand(instead)
            } else {
                Ok(String::new())
            }
        }
        Some(("?", message)) if !is_set => Err(format!("{name}: {message}")),
        Some(("?", _)) => Ok(value.unwrap_or_default()),
        Some(_) => Err(format!("unsupported modifier ({modifier}) in substitution")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one two".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn words_are_split_unquoted_and_expanded() {
        for (text, expected) in [
            ("a  b", &["a", "b"] as &[&str]),
            (r#""a b" c'd e'"#, &["a b", "cd e"]),
            (r"a\ b", &["a b"]),
            ("x$A/y", &["xone two/y"]),
            ("'$A' \\$A", &["$A", "$A"]),
            ("${NONE:-${A}} ${EMPTY:-d} ${EMPTY-d} ${A:+set}", &["one two", "d", "", "set"]),
            ("5$ $", &["5$", "$"]),
        ] {
            assert_eq!(words(text, &lookup).unwrap(), expected, "{text}");
        }
        assert!(words("\"open", &lookup).is_err());
        assert!(words("${open", &lookup).is_err());
    }

    #[test]
    fn pairs_are_read_in_both_forms() {
        let check = |text, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(pairs(text, &lookup).unwrap(), expected, "{text}");
        };
        check(r#"a=1 b="2 3" c=$A"#, &[("a", "1"), ("b", "2 3"), ("c", "one two")]);
        check("PATH /bin and more", &[("PATH", "/bin and more")]);
    }

    #[test]
    fn a_command_is_json_or_the_shells() {
        assert_eq!(command(r#"["/app", "serve"]"#), ["/app", "serve"]);
        assert_eq!(command("npm start"), ["/bin/sh", "-c", "npm start"]);
    }
}
