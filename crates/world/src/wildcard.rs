//! Patterns with wildcards, as AWS writes them for tags and resources.

/// Whether a text fits a pattern: `*` stands for any text, everything else for itself.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(tail, &rest[at..]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("pr-*", "pr-12", true),
            ("pr-*", "main", false),
            ("*", "", true),
            ("v*.0", "v1.2.0", true),
            ("v*.0", "v1.2", false),
            ("arn:*:parameter/shop/*", "arn:aws:ssm:eu-west-1:1:parameter/shop/é", true),
            ("main", "main", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
