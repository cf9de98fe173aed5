//! Here-documents of `RUN`, wherever in the command they begin: the parser knows those at its start alone
//! (<https://docs.docker.com/reference/dockerfile/#here-documents>).

use std::collections::BTreeMap;

use super::expand;

/// A Dockerfile without the here-documents of its `RUN`s. Every line is still where it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lifted {
    pub(super) text: String,
    /// What the here-documents say, by the line of the instruction, from 1.
    pub(super) bodies: BTreeMap<usize, String>,
}

/// Takes the here-documents out; the error is the line, from 1, and what is wrong.
pub(super) fn lift(text: &str, escape: char) -> Result<Lifted, (usize, String)> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut lifted = Lifted { text: String::with_capacity(text.len()), bodies: BTreeMap::new() };
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        let (instruction, end) = instruction(&lines, at, escape);
        at = end;
        let raw = lines[first..end].concat();
        let keyword = keyword(&instruction);
        if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
            lifted.text.push_str(&raw);
            continue;
        }
        let heredocs: Vec<Heredoc> =
            expand::words(&instruction, escape).iter().filter_map(|word| heredoc(word)).collect();
        let bodies = at;
        for Heredoc { name, strips_tabs, .. } in &heredocs {
            at = closing(&lines, at, name, *strips_tabs)
                .ok_or_else(|| (first + 1, format!("the here-document `{name}` does not end")))?;
        }
        if keyword == "RUN" && !heredocs.is_empty() {
            // `:` is the shell's command that does nothing.
            lifted.text.push_str(&heredocs.iter().fold(raw, |raw, found| raw.replacen(&found.word, ":", 1)));
            lifted.text.push_str(&"\n".repeat(at - bodies));
            lifted.bodies.insert(first + 1, lines[bodies..at].concat());
        } else {
            lifted.text.push_str(&raw);
            lifted.text.extend(lines[bodies..at].iter().copied());
        }
    }
    Ok(lifted)
}

/// The escape character: `# escape=` says it, among the directives on top.
pub(super) fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.strip_prefix('#')?.split_once('='));
    let directives = directives.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
    let mut directives = directives.take_while(|(name, _)| matches!(name.as_str(), "syntax" | "escape" | "check"));
    let escape = directives.find(|(name, _)| name == "escape");
    if escape.is_some_and(|(_, value)| value == "`") { '`' } else { '\\' }
}

/// The instruction that begins at a line, as one line, and the line after it.
fn instruction(lines: &[&str], start: usize, escape: char) -> (String, usize) {
    let mut instruction = String::new();
    let mut at = start;
    while let Some(line) = lines.get(at) {
        at += 1;
        let line = line.trim_end();
        let is_blank = line.is_empty() || line.trim_start().starts_with('#');
        if is_blank && at - 1 > start {
            continue;
        }
        match line.strip_suffix(escape) {
            Some(line) if !is_blank => instruction.push_str(line),
            _ => {
                instruction.push_str(line);
                break;
            }
        }
    }
    (instruction, at)
}

/// An instruction's name, and behind `ONBUILD` the next.
fn keyword(instruction: &str) -> String {
    let mut words = instruction.split_whitespace().map(str::to_ascii_uppercase);
    words.find(|word| word != "ONBUILD").unwrap_or_default()
}

struct Heredoc {
    word: String,
    name: String,
    strips_tabs: bool,
}

/// `<<EOF`, `3<<-"EOF"`.
fn heredoc(word: &str) -> Option<Heredoc> {
    let rest = word.trim_start_matches(|letter: char| letter.is_ascii_digit()).strip_prefix("<<")?;
    let (name, strips_tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    let name: String = name.chars().filter(|letter| !matches!(letter, '"' | '\'' | '\\')).collect();
    let is_heredoc = !name.is_empty() && !name.contains('<');
    is_heredoc.then(|| Heredoc { word: word.to_owned(), name, strips_tabs })
}

/// The line after the one that ends a here-document.
fn closing(lines: &[&str], start: usize, name: &str, strips_tabs: bool) -> Option<usize> {
    let is_end = |line: &&str| {
        let line = line.trim_end_matches(['\n', '\r']);
        if strips_tabs { line.trim_start_matches('\t') == name } else { line == name }
    };
    lines.get(start..)?.iter().position(is_end).map(|place| start + place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, left: &str, bodies: &[(usize, &str)]) {
        let bodies = bodies.iter().map(|(line, body)| (*line, (*body).to_owned())).collect();
        assert_eq!(lift(text, escape(text)), Ok(Lifted { text: left.to_owned(), bodies }), "{text}");
    }

    #[test]
    fn the_lines_stay_and_the_documents_go() {
        check("FROM a\nRUN b\n", "FROM a\nRUN b\n", &[]);
        // The reference's own cases.
        check("RUN <<EOF\na\nEOF\nCMD b", "RUN :\n\n\nCMD b", &[(1, "a\nEOF\n")]);
        check("RUN <<-EOT\n\techo\n\tEOT\n", "RUN :\n\n\n", &[(1, "\techo\n\tEOT\n")]);
        check("RUN python3 <<EOF > /x\nCOPY a b\nEOF", "RUN python3 : > /x\n\n\n", &[(1, "COPY a b\nEOF")]);
        check("RUN <<A cat && <<B cat\n1\nA\n2\nB\n", "RUN : cat && : cat\n\n\n\n\n", &[(1, "1\nA\n2\nB\n")]);
        check("RUN a \\\n # no\n\n <<'E'\r\nb\r\nE\r\n", "RUN a \\\n # no\n\n :\r\n\n\n", &[(1, "b\r\nE\r\n")]);
        check("onbuild run <<E\nE\n", "onbuild run :\n\n", &[(1, "E\n")]);
        // What is in a `COPY` is no `RUN`, and stays for the parser.
        check("COPY <<E /x\nRUN <<F\nE\n", "COPY <<E /x\nRUN <<F\nE\n", &[]);
        // No here-documents.
        check(
            "RUN echo \"a <<b\" $((1<<2)) x <<<word\n# RUN <<E\n",
            "RUN echo \"a <<b\" $((1<<2)) x <<<word\n# RUN <<E\n",
            &[],
        );
        check("# escape=`\nRUN a `\n<<E\nb\nE", "# escape=`\nRUN a `\n:\n\n\n", &[(2, "b\nE")]);
        check("# a\n# escape=`\nRUN `\n", "# a\n# escape=`\nRUN `\n", &[]);
    }

    #[test]
    fn one_without_an_end_is_named_with_its_line() {
        assert_eq!(lift("FROM a\nRUN <<E\n", '\\'), Err((2, "the here-document `E` does not end".to_owned())));
    }
}
