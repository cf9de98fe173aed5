use proptest::prelude::*;

use super::*;
use crate::files::tests::Made;

/// What a build passes.
#[derive(Default)]
struct Build<'b> {
    arguments: &'b [(&'b str, &'b str)],
    target: Option<&'b str>,
    contexts: &'b [&'b str],
}

impl Build<'_> {
    fn read(&self, text: &str) -> Result<Recipe, Problem> {
        let arguments = self.arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let contexts = self.contexts.iter().map(|context| (*context).to_owned()).collect();
        read("Dockerfile", text, &arguments, self.target, &contexts)
    }

    /// The sources as `line pattern`, with what is special about them, and the images as `line reference`.
    fn check(&self, text: &str, sources: &[&str], images: &[&str]) {
        let recipe = self.read(text).unwrap();
        assert_eq!(recipe.sources.iter().map(told).collect::<Vec<_>>(), sources, "{text}");
        let found: Vec<String> =
            recipe.images.iter().map(|Image { reference, line }| format!("{line} {reference}")).collect();
        assert_eq!(found, images, "{text}");
    }
}

fn told(source: &Source) -> String {
    let Source { origin, pattern, exclude, is_final, line, by } = source;
    let mut told = format!("{line} {pattern}");
    match origin {
        Origin::Context => {}
        Origin::Named(name) => told.push_str(&format!(" in {name}")),
        Origin::Remote(address) => assert_eq!(address, pattern),
    }
    if matches!(origin, Origin::Remote(_)) {
        told.push_str(" remote");
    }
    match by {
        By::Copy => {}
        By::Add => told.push_str(" added"),
        By::Mount => told.push_str(" mounted"),
        By::From => told.push_str(" from"),
    }
    exclude.iter().for_each(|pattern| told.push_str(&format!(" without {pattern}")));
    if !is_final {
        told.push_str(" (not final)");
    }
    told
}

#[track_caller]
fn check_renamed(build: &Build<'_>, text: &str, images: &[(&str, &str)], written: &str) {
    let images = images.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned())).collect();
    assert_eq!(build.read(text).unwrap().with_images(text, &images).as_deref(), Ok(written));
}

#[test]
fn what_is_named_can_be_another_image() {
    let images = [("shop/base:1", "b:2"), ("shared", "s:2"), ("tools", "t:2")];
    check_renamed(
        &Build::default(),
        "\u{feff}ARG TAG=1\nARG BASE=shop/base:${TAG}\nFROM --platform=linux/amd64 ${BASE} AS build\nRUN <<E\na longer text than nothing\nE\nCOPY --from=shared / /\nRUN --mount=target=/t,from=tools \\\n  true <<E\nFROM x\nE\nFROM scratch\nCOPY --from=build / /\nCOPY --from=0 / /\nFROM build\nCOPY --chown=1 --from=shared a b\n",
        &images,
        "\u{feff}ARG TAG=1\nARG BASE=shop/base:${TAG}\nFROM --platform=linux/amd64 b:2 AS build\nRUN <<E\na longer text than nothing\nE\nCOPY --from=s:2 / /\nRUN --mount=target=/t,from=t:2 \\\n  true <<E\nFROM x\nE\nFROM scratch\nCOPY --from=build / /\nCOPY --from=0 / /\nFROM build\nCOPY --chown=1 --from=s:2 a b\n",
    );
    // What is not known of a name is no obstacle.
    let unknown = "ARG TARGETARCH\nFROM shop/base:$TARGETARCH\n";
    check_renamed(&Build::default(), unknown, &[("shop/base:*", "b:2")], "ARG TARGETARCH\nFROM b:2\n");
    // A named context wins over a stage, and over an image.
    let contexts = Build { contexts: &["docs", "alpine"], ..Build::default() };
    check_renamed(
        &contexts,
        "FROM node AS docs\nFROM docker.io/library/alpine:latest\nCOPY --from=docs / /\n",
        &[("docs", "d:2"), ("alpine", "a:2")],
        "FROM node AS docs\nFROM a:2\nCOPY --from=d:2 / /\n",
    );
    // What a stage does to those that are `FROM` it stands once, and is done by each.
    check_renamed(
        &Build::default(),
        "FROM a AS x\nONBUILD COPY --from=shared / /\nFROM x AS y\nFROM x\nCOPY --from=y / /\n",
        &[("shared", "s:2")],
        "FROM a AS x\nONBUILD COPY --from=s:2 / /\nFROM x AS y\nFROM x\nCOPY --from=y / /\n",
    );
}

#[test]
fn an_image_that_is_not_named_is_told() {
    let images = [("a".to_owned(), "b".to_owned()), ("base".to_owned(), "c".to_owned())].into();
    let recipe = Build::default().read("FROM a AS base\nFROM base\n").unwrap();
    assert_eq!(recipe.with_images("FROM a AS base\nFROM base\n", &images), Err(vec!["base"]));
}

fn check(text: &str, sources: &[&str], images: &[&str]) {
    Build::default().check(text, sources, images);
}

/// After `FROM a`, on line 2.
fn check_line(line: &str, sources: &[&str]) {
    let recipe = Build::default().read(&format!("FROM scratch\n{line}\n")).unwrap();
    assert_eq!(recipe.sources.iter().map(told).collect::<Vec<_>>(), sources, "{line}");
    assert_eq!(recipe.remarks, [], "{line}");
}

#[test]
fn sources_are_what_copy_and_add_take() {
    check_line("COPY . .", &["2 ."]);
    check_line("copy a b/ /x/", &["2 a", "2 b/"]);
    check_line("COPY [\"a b\", \"c\", \"/x\"]", &["2 a b", "2 c"]);
    check_line("COPY --link --chown=1:1 --chmod=755 a /", &["2 a"]);
    check_line("COPY --exclude=*.md --exclude=a/** . /x", &["2 . without *.md without a/**"]);
    check_line("COPY --parents ./x/./y/**/*.txt /", &["2 ./x/./y/**/*.txt"]);
    check_line("COPY a/**/b /", &["2 a/*/b"]);
    check_line("COPY \\\n  a \\\n# no\n\n  # nor this\n  b \\\n  /x", &["2 a", "2 b"]);
    check_line("COPY a \\  \r\n b /x\r", &["2 a", "2 b"]);
    check_line("COPY <<EOF /x\nCOPY a /\nEOF", &[]);
    check_line("COPY <<A b <<-'C' /x\nCOPY c /\nA\n\tC\nCOPY d /", &["2 b", "6 d"]);
    check_line("COPY \"a\" 'b' /", &["2 a", "2 b"]);
    check_line("ADD a.tar.gz /x", &["2 a.tar.gz added"]);
    check_line("ADD --checksum=sha256:ab https://x.org/a.zip /x", &["2 https://x.org/a.zip remote added"]);
    check_line(
        "ADD --keep-git-dir=true git@github.com:a/b.git#v1:docs /x",
        &["2 git@github.com:a/b.git#v1:docs remote added"],
    );
    check_line("COPY package*.json ./", &["2 package*.json"]);
    check_line("COPY arr[[]0].txt /", &["2 arr[[]0].txt"]);
    check_line("ONBUILD COPY a /", &[]);
    check_line(
        "LABEL a=COPY\nEXPOSE 80\nUSER a\nVOLUME /a\nWORKDIR /a\nSTOPSIGNAL 9\nSHELL [\"a\"]\nMAINTAINER a b",
        &[],
    );
}

#[test]
fn mounts_read_what_they_bind() {
    check_line("RUN --mount=type=bind,source=a,target=/b c", &["2 a mounted (not final)"]);
    check_line("RUN --mount=src=a,dst=/b c", &["2 a mounted (not final)"]);
    check_line("RUN --mount=target=. c", &["2 . mounted (not final)"]);
    check_line(
        "RUN --mount=type=bind,target=/x --mount=type=bind,source=b,target=/b,rw c",
        &["2 . mounted (not final)", "2 b mounted (not final)"],
    );
    check_line(
        "RUN --mount=type=cache,target=/a --mount=type=secret,id=b,source=x --mount=type=ssh \\\n --mount=type=tmpfs,target=/c d",
        &[],
    );
    check_line("RUN --network=none --security=insecure a", &[]);
    check(
        "FROM a\nRUN --mount=from=b:1,target=/b c\nRUN --mount=type=cache,from=c,target=/c d",
        &[],
        &["1 a", "2 b:1", "3 c"],
    );
}

#[test]
fn only_the_stages_that_the_target_needs_count() {
    let text = "FROM a AS Base\nCOPY base /\nFROM b AS unused\nCOPY unused /\nFROM base AS build\nCOPY build /\n\
                FROM c AS tools\nCOPY tools /\nFROM d AS run\nCOPY --from=BUILD /x /\nRUN --mount=from=tools,target=/t t\n\
                FROM run\nCOPY last /\n";
    check(
        text,
        &["2 base (not final)", "6 build (not final)", "8 tools (not final)", "13 last"],
        &["1 a", "7 c", "9 d"],
    );
    Build { target: Some("build"), ..Build::default() }.check(text, &["2 base", "6 build"], &["1 a"]);
    Build { target: Some("Unused"), ..Build::default() }.check(text, &["4 unused"], &["3 b"]);
    Build { target: Some("1"), ..Build::default() }.check(text, &["4 unused"], &["3 b"]);
    Build { target: Some(""), contexts: &["tools"], ..Build::default() }.check(
        text,
        &["2 base (not final)", "6 build (not final)", "11 . in tools mounted (not final)", "13 last"],
        &["1 a", "9 d"],
    );
    let told = Build { target: Some("nope"), ..Build::default() }.read(text).unwrap_err();
    assert_eq!(told.to_string(), "Dockerfile: there is no stage `nope`, which is to be built");
}

#[test]
fn stages_are_named_numbered_or_images() {
    check("FROM scratch\nCOPY --from=0 a /\nCOPY --from=nginx:1 /a /b", &[], &["3 nginx:1"]);
    check(
        "FROM a\nCOPY a /\nFROM scratch\nCOPY --from=0 /a /\nCOPY --from=a /a /",
        &["2 a (not final)"],
        &["1 a", "5 a"],
    );
    // A stage may be called as the image that it is from; one that comes later is not meant by `FROM`.
    check("FROM node AS node\nFROM node\nCOPY a /", &["3 a"], &["1 node"]);
    check("FROM b\nCOPY a /\nFROM a AS b\nCOPY b /", &["4 b"], &["3 a"]);
    // The last of one name wins.
    check("FROM a AS x\nCOPY a /\nFROM b AS x\nCOPY b /\nFROM x\n", &["4 b"], &["3 b"]);
    // What goes in a circle ends.
    check("FROM a AS x\nCOPY --from=y /a /\nFROM b AS y\nCOPY --from=x /b /\nCOPY c /", &["5 c"], &["1 a", "3 b"]);
    check("FROM --platform=$BUILDPLATFORM a:1@sha256:ab AS x", &[], &["1 a:1@sha256:ab"]);
    check("FROM registry.local:5000/acme/base:1\n", &[], &["1 registry.local:5000/acme/base:1"]);
}

#[test]
fn named_contexts_win() {
    let build = Build { contexts: &["libs", "alpine"], ..Build::default() };
    build.check("FROM scratch\nCOPY --from=libs a b /", &["2 a in libs", "2 b in libs"], &[]);
    build.check("FROM scratch\nRUN --mount=from=libs,source=c,target=/c x", &["2 c in libs mounted (not final)"], &[]);
    build.check("FROM docker.io/library/alpine:latest\nCOPY a /", &["1 . in alpine from", "2 a"], &[]);
    build.check("FROM alpine:3", &[], &["1 alpine:3"]);
    build.check("FROM a AS libs\nCOPY x /\nFROM libs\nCOPY a /", &["3 . in libs from", "4 a"], &[]);
}

#[test]
fn triggers_are_done_by_the_stage_that_is_from_theirs() {
    check("FROM a AS b\nONBUILD COPY x /\nONBUILD ENV D=y\nFROM b AS c\nCOPY $D /\nFROM c", &["2 x", "5 y"], &["1 a"]);
    check("FROM a AS b\nONBUILD COPY x /\n", &[], &["1 a"]);
}

#[test]
fn variables_have_their_scope() {
    // Before the first FROM: for FROM lines, and for a stage that declares them again.
    check("ARG V=1\nARG W=${V}-x\nFROM a:$W\nCOPY a${V:-none} /\nARG V\nCOPY b$V /", &["4 a*", "6 b1"], &["3 a:1-x"]);
    check("ARG V=1\nFROM scratch\nARG V=2\nCOPY a$V /", &["4 a2"], &[]);
    check("FROM scratch\nARG A\nCOPY a$A /\nENV A=b\nCOPY a${A} /", &["3 a", "5 ab"], &[]);
    check("FROM scratch\nARG A=1\nENV A=2\nARG A=3\nCOPY $A /", &["5 2"], &[]);
    check(
        "FROM scratch\nENV A b c\nENV D=1 E=\"x y\" F=$D\nCOPY [\"$A\", \"$E\", \"f$F\", \"/\"]",
        &["4 b c", "4 x y", "4 f"],
        &[],
    );
    check("FROM scratch AS a\nARG A=1\nENV B=2\nFROM a\nCOPY $A$B /", &["5 12"], &[]);
    check("# escape=`\nFROM scratch\nCOPY a`\n b /\nCOPY \\$x /", &["3 a", "3 b", "5 \\"], &[]);
    let build = Build { arguments: &[("V", "9"), ("TARGETARCH", "arm64")], ..Build::default() };
    build.check("ARG V=1\nFROM a:$V\nARG V\nCOPY $V /", &["4 9"], &["2 a:9"]);
    build.check("FROM scratch\nCOPY a$V /", &["2 a"], &[]);
    build.check("FROM scratch\nARG V=2 W=3\nCOPY a$V$W /", &["3 a93"], &[]);
    build.check("FROM a AS x-amd64\nFROM b AS x-arm64\nFROM x-$TARGETARCH\nCOPY a /", &["4 a"], &["2 b"]);
}

#[test]
fn what_is_unknown_matches_all_and_says_so() {
    let recipe = Build::default().read("FROM a\nCOPY apps/$APP/x$V.json ${W} /\nCOPY $APP$V/x /").unwrap();
    assert_eq!(recipe.sources.iter().map(told).collect::<Vec<_>>(), ["2 apps/**/x*.json", "2 **", "3 **/x"]);
    let remarks: Vec<String> = recipe.remarks.iter().map(ToString::to_string).collect();
    assert_eq!(remarks.len(), 5);
    assert_eq!(
        remarks[0],
        "Dockerfile:2: what `APP` is cannot be told from the file, so that anything is taken to match"
    );
    // Any of the stages may be meant.
    check(
        "FROM a AS x-amd64\nCOPY a /\nFROM b AS x-arm64\nCOPY b /\nFROM c AS y\nFROM x-$TARGETARCH\n",
        &["2 a", "4 b"],
        &["1 a", "3 b"],
    );
    check("ARG TARGETARCH\nFROM acme/base-$TARGETARCH:1", &[], &["2 acme/base-*:1"]);
    // A pattern that is broken leaves nothing out.
    let recipe = Build::default().read("FROM a\nCOPY --exclude=[b . /").unwrap();
    assert_eq!((recipe.sources[0].exclude.len(), recipe.remarks[0].line), (0, Some(2)));
}

#[test]
fn arguments_are_those_that_change_something() {
    let build = Build { arguments: &[("A", "1"), ("NOWHERE", "1"), ("UNUSED", "1")], ..Build::default() };
    let text = "ARG BASE=node\nARG IDLE=1\nFROM x AS unused\nARG UNUSED\nFROM $BASE\nARG A=0\nARG B=b\nARG C\nARG TARGETARCH\n";
    let recipe = build.read(text).unwrap();
    let known = |value: &str| Some(value.to_owned());
    let expected = [("A", known("1")), ("B", known("b")), ("BASE", known("node")), ("C", None), ("TARGETARCH", None)];
    assert_eq!(recipe.arguments, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn mentions_are_the_words_of_needed_commands() {
    let recipe = Build::default()
        .read(
            "FROM a AS unused\nRUN unused\nFROM b\nRUN npm ci && \\\n  # not\n  node ./scripts/a.mjs\n\
             RUN <<EOF\nsh tools/b.sh\nEOF\nRUN cat > /c <<'EOF'\nc.conf;\nEOF\n\
             HEALTHCHECK --interval=1s CMD [\"node\", \"health.js\"]\nENTRYPOINT [\"sh\", \"-c\", \"exec run.sh\"]\nCMD d\n",
        )
        .unwrap();
    let expected = ["/c", "EOF", "a", "b.sh", "c.conf"];
    for word in ["npm", "ci", "node", "scripts/a.mjs", "tools/b.sh", "c.conf", "health.js", "run.sh", "d"] {
        assert!(recipe.mentions.contains(word), "{word} in {:?}", recipe.mentions);
    }
    for word in ["unused", "not", "--interval", expected[3]] {
        assert!(!recipe.mentions.contains(word), "{word} in {:?}", recipe.mentions);
    }
}

#[test]
fn directives_and_byte_order_marks_are_no_instructions() {
    check(
        "\u{feff}# syntax=docker/dockerfile:1\r\n# check=skip=all\r\n\r\n# a\r\nFROM a\r\nCOPY b /\r\n",
        &["6 b"],
        &["5 a"],
    );
}

#[test]
fn what_is_broken_is_named_with_its_line() {
    let check = |text: &str, message: &str| {
        assert_eq!(Build::default().read(text).unwrap_err().to_string(), message, "{text}");
    };
    check("", "Dockerfile: not a Dockerfile: expected at least one FROM instruction");
    check("ARG A\n", "Dockerfile: not a Dockerfile: expected at least one FROM instruction");
    check("FROM a\nNOPE b\n", "Dockerfile:2: not a Dockerfile: unknown instruction 'NOPE'");
    check("FROM a\nCOPY b\n", "Dockerfile:2: not a Dockerfile: COPY instruction requires at least two arguments");
    check("RUN a\n", "Dockerfile:1: not a Dockerfile: expected FROM");
    check("FROM a\nRUN b <<E\n", "Dockerfile:2: the here-document `E` does not end");
    check("FROM a\nCOPY <<E /b\n", "Dockerfile:2: the here-document `E` does not end");
}

proptest! {
    #[test]
    fn any_text_is_read_or_is_a_problem(text in any::<String>()) {
        let _ = Build::default().read(&text);
    }

    #[test]
    fn any_dockerfile_is_read_or_is_a_problem(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "FROM ", "ARG ", "ENV ", "COPY ", "ADD ", "RUN ", "ONBUILD ", "CMD ", "HEALTHCHECK ", "SHELL ", "AS ", "a", "b ", "0",
            "=", "$a", "${a", ":-", ":+", "}", "'", "\"", "\\", "`", "\n", "\r\n", "#", "# escape=`\n", "<<", "<<E ", "<<-\"E\"\n",
            "E\n", "[", "]", ",", "--from=", "--mount=", "--exclude=", "--parents ", "type=", "source=", "*", "**", "/", "..", "é",
            "\0", "\t", "\u{b}", "\\u00", "https://",
        ]), 0..60),
        starts in any::<bool>(),
    ) {
        let text = format!("{}{}", if starts { "FROM a AS b\n" } else { "" }, words.concat());
        let made = Made::new(&[("a/b", ""), ("a/é/0", ""), ("b", "")]);
        let build = Build { contexts: &["a"], ..Build::default() };
        if let Ok(recipe) = build.read(&text) {
            for source in recipe.sources {
                source.matched(&made.files(), "a");
            }
        }
    }
}
