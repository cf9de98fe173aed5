//! Reading a Dockerfile: lines, continuations, here-documents, instructions and their flags.
//!
//! <https://docs.docker.com/reference/dockerfile/>

/// One instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Instruction {
    /// The line that it begins on.
    pub(super) line: usize,
    /// In capitals.
    pub(super) keyword: String,
    /// `--from=build` as `("from", "build")`.
    pub(super) flags: Vec<(String, String)>,
    pub(super) arguments: String,
    /// Name and content of its here-documents.
    pub(super) documents: Vec<(String, String)>,
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

impl Instruction {
    /// A complaint about this instruction, as BuildKit's parser puts it.
    pub(super) fn error(&self, message: &str) -> String {
        format!("dockerfile parse error on line {}: {message}", self.line)
    }

    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// The instruction as it was written, for the image's history.
    pub(super) fn text(&self) -> String {
        let flags: String = self.flags.iter().map(|(name, value)| format!(" --{name}={value}")).collect();
        format!("{}{flags} {}", self.keyword, self.arguments)
    }
}

/// Reads a Dockerfile's instructions.
pub(super) fn parse(text: &str) -> Result<Vec<Instruction>, String> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if is_comment(line) || line.trim().is_empty() {
            continue;
        }
        let mut logical = line.trim().to_owned();
        while let Some(head) = logical.strip_suffix(escape) {
            logical = head.trim_end().to_owned();
            match lines.find(|(_, next)| !is_comment(next) && !next.trim().is_empty()) {
                Some((_, next)) => logical = format!("{logical} {}", next.trim()),
                None => break,
            }
        }
        let mut instruction = instruction(index + 1, &logical)?;
        for (name, is_indented) in document_names(&instruction) {
            let mut content = String::new();
            loop {
                let Some((_, line)) = lines.next() else {
                    return Err(instruction.error(&format!("unterminated heredoc: {name}")));
                };
                let line = if is_indented { line.trim_start_matches('\t') } else { line };
                if line == name {
                    break;
                }
                content += line;
                content.push('\n');
            }
            instruction.documents.push((name, content));
        }
        instructions.push(instruction);
    }
    if instructions.is_empty() { Err("file with no instructions".to_owned()) } else { Ok(instructions) }
}

fn instruction(line: usize, text: &str) -> Result<Instruction, String> {
    let (keyword, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut instruction = Instruction { line, keyword: keyword.to_ascii_uppercase(), ..Default::default() };
    if !KEYWORDS.contains(&instruction.keyword.as_str()) {
        return Err(instruction.error(&format!("unknown instruction: {keyword}")));
    }
    rest = rest.trim_start();
    if matches!(instruction.keyword.as_str(), "ADD" | "COPY" | "FROM" | "HEALTHCHECK" | "RUN") {
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, tail) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
            let (name, value) = flag.split_once('=').unwrap_or((flag, "true"));
            instruction.flags.push((name.to_owned(), value.to_owned()));
            rest = tail.trim_start();
        }
    }
    rest.trim().clone_into(&mut instruction.arguments);
    check(&instruction)?;
    Ok(instruction)
}

fn check(instruction: &Instruction) -> Result<(), String> {
    let known: &[&str] = match instruction.keyword.as_str() {
        "ADD" | "COPY" => {
            &["from", "chown", "chmod", "link", "parents", "exclude", "checksum", "keep-git-dir", "unpack"]
        }
        "FROM" => &["platform"],
        "HEALTHCHECK" => &["interval", "timeout", "start-period", "start-interval", "retries"],
        "RUN" => &["mount", "network", "security", "device"],
        _ => &[],
    };
    if let Some((name, _)) = instruction.flags.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(instruction.error(&format!("unknown flag: --{name}")));
    }
    let keyword = &instruction.keyword;
    let words = instruction.arguments.split_whitespace().count();
    let is_json = instruction.arguments.starts_with('[');
    match (keyword.as_str(), words) {
        ("RUN", _) => Ok(()),
        ("COPY" | "ADD", 0..=1) if !is_json => Err(instruction.error(&format!(
            "{keyword} requires at least two arguments, but only one was provided. Destination could not be determined"
        ))),
        ("FROM", count) if count != 1 && count != 3 => {
            Err(instruction.error("FROM requires either one or three arguments"))
        }
        ("USER" | "STOPSIGNAL" | "WORKDIR", 0) => {
            Err(instruction.error(&format!("{keyword} requires exactly one argument")))
        }
        (_, 0) => Err(instruction.error(&format!("{keyword} requires at least one argument"))),
        _ => Ok(()),
    }
}

/// The names of an instruction's here-documents, and whether their indentation by tabs is taken away.
fn document_names(instruction: &Instruction) -> Vec<(String, bool)> {
    if !matches!(instruction.keyword.as_str(), "ADD" | "COPY" | "RUN") {
        return Vec::new();
    }
    let words = instruction.arguments.split_whitespace().filter_map(|word| word.strip_prefix("<<"));
    let names =
        words.map(|word| (word.trim_start_matches('-').trim_matches(['"', '\'']).to_owned(), word.starts_with('-')));
    names
        .filter(|(name, _)| {
            !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        })
        .collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The directive `# escape=` of the first lines.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let escapes = directives.filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    escapes.filter_map(|(_, value)| value.trim().chars().next()).next().unwrap_or('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_read_over_lines_comments_and_documents() {
        let text = "# syntax=docker/dockerfile:1\nfrom scratch AS base\n\nRUN a && \\\n  # why\n  b\n\
                    COPY --from=base --chown=1:2 /a \\\n /b\nCOPY <<EOF /etc/motd\nhello\n# not a comment\nEOF\nUSER 65532\n";
        let parsed = parse(text).unwrap();
        let words: Vec<_> = parsed.iter().map(|one| (one.line, one.keyword.as_str(), one.arguments.as_str())).collect();
        assert_eq!(
            words,
            [
                (2, "FROM", "scratch AS base"),
                (4, "RUN", "a && b"),
                (7, "COPY", "/a /b"),
                (9, "COPY", "<<EOF /etc/motd"),
                (13, "USER", "65532"),
            ]
        );
        assert_eq!((parsed[2].flag("from"), parsed[2].flag("chown")), (Some("base"), Some("1:2")));
        assert_eq!(parsed[3].documents, [("EOF".to_owned(), "hello\n# not a comment\n".to_owned())]);
    }

    #[test]
    fn what_buildkit_cannot_read_is_refused_in_its_words() {
        for (text, expected) in [
            ("", "file with no instructions"),
            ("FROM scratch\nCOPPY a b", "dockerfile parse error on line 2: unknown instruction: COPPY"),
            ("FROM scratch\nCOPY --form=x a b", "dockerfile parse error on line 2: unknown flag: --form"),
            ("FROM a b", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
            ("FROM scratch\nUSER", "dockerfile parse error on line 2: USER requires exactly one argument"),
            ("FROM scratch\nRUN <<EOF\nx", "dockerfile parse error on line 2: unterminated heredoc: EOF"),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn the_escape_can_be_chosen() {
        let parsed = parse("# escape=`\nFROM scratch\nCOPY a `\n b\n").unwrap();
        assert_eq!(parsed[1].arguments, "a b");
    }
}
