//! The words of commands that may name a file or a script.

use std::collections::BTreeSet;

/// Adds the words of a command, in the shell's form.
pub(super) fn mention(command: &str, escape: char, mentions: &mut BTreeSet<String>) {
    let mut lines = command.lines();
    let first = lines.next().into_iter();
    // Comments between the lines of an instruction are no part of it; what a shell takes for one names nothing either.
    let lines = first.chain(lines.filter(|line| !line.trim_start().starts_with('#')));
    for line in lines {
        let line = line.trim_end().trim_end_matches(escape);
        let is_end = |letter: char| letter.is_whitespace() || ";&|()<>`\"'{},[]".contains(letter);
        line.split(is_end).for_each(|word| add(word, mentions));
    }
}

fn add(word: &str, mentions: &mut BTreeSet<String>) {
    let mut words = vec![word];
    // `--config=nginx.conf`, `NODE_OPTIONS=--require=./tracing.js`
    words.extend(word.match_indices('=').map(|(end, _)| &word[end + 1..]));
    for mut word in words {
        while let Some(rest) = word.strip_prefix("./") {
            word = rest;
        }
        let word = word.trim_end_matches('/');
        let is_name = |letter: char| letter.is_alphanumeric() || "._-/:@+~%!#*?".contains(letter);
        let is_option = word.starts_with('-');
        if !is_option && word.chars().all(is_name) && word.chars().any(char::is_alphanumeric) {
            mentions.insert(word.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &str, words: &[&str]) {
        let mut mentions = BTreeSet::new();
        mention(command, '\\', &mut mentions);
        assert_eq!(mentions.iter().map(String::as_str).collect::<Vec<_>>(), words, "{command}");
    }

    #[test]
    fn words_are_taken_as_a_shell_takes_them() {
        check("npm run build:prod", &["build:prod", "npm", "run"]);
        check("sh ./scripts/install.sh&&rm -rf /tmp/x;", &["/tmp/x", "rm", "scripts/install.sh", "sh"]);
        check("node \"./dist/main.js\" 'a b'", &["a", "b", "dist/main.js", "node"]);
        check("nginx -c --config=conf/nginx.conf", &["conf/nginx.conf", "nginx"]);
        check("a \\\n  # not/this\n  && b/c \\\n", &["a", "b/c"]);
        check("$(cat VERSION) | tee > out/", &["VERSION", "cat", "out", "tee"]);
        check("$HOME/x -v ...", &[]);
        check("cd apps/auth/ && ././x", &["apps/auth", "cd", "x"]);
        check("", &[]);
    }
}
