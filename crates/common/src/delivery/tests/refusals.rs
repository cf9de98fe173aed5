//! What is said of a file that is wrong.

use super::{EXAMPLE, refused};

/// What is told of the example with something else in one place, for each place; without the hint, the same each time.
fn told(mistakes: &[(&str, &str)]) -> String {
    let tell = |(what, instead): &(&str, &str)| {
        assert_eq!(EXAMPLE.matches(what).count(), 1, "`{what}` should be in the example once");
        let told = refused(&EXAMPLE.replace(what, instead));
        let problems = told.strip_suffix("\nhint: mend the file: nothing was touched; the README describes every key");
        problems.expect("every refusal has the same hint").to_owned()
    };
    mistakes.iter().map(tell).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_unknown_or_missing_key_is_told_with_the_one_that_was_meant() {
    insta::assert_snapshot!(told(&[
        ("repository =", "repositry ="),
        ("require-non-root = true", "non-root = true"),
        ("name = \"payments\"", ""),
        ("container = \"app\"", ""),
        ("branch = \"main\"", "branch = \"main\"\nzzz = 1"),
        ("[services.auth.health]", "[services.auth.helth]"),
        ("[image-policy]", "[image]"),
    ]), @"
    delivery.toml:24: unknown key `repositry` in [services.auth]: did you mean `repository`?
    delivery.toml:39: unknown key `non-root` in [image-policy]: known are `max-size`, `max-compressed-size`, `require-non-root`, `require-healthcheck`, `required-files`, `refuse-secrets`, `require-scan`, `max-report-age`, `fail-on`, `ignore-unfixed`, `exceptions`
    delivery.toml:1: missing key `name` at the top
    delivery.toml:21: missing key `container` in [services.auth]
    delivery.toml:14: unknown key `zzz` in [environments.production]: known are `branch`, `region`, `account`, `cluster`, `role`, `variables`, `strategy`
    delivery.toml:33: unknown key `helth` in [services.auth]: did you mean `health`?
    delivery.toml:37: unknown key `image` at the top: did you mean `image-policy`?
    ");
}

#[test]
fn a_value_of_the_wrong_type_is_told_with_the_right_one() {
    insta::assert_snapshot!(told(&[
        ("\"apps/auth-service/prisma/migrations\"", "3"),
        ("after = []", "after = \"api\""),
        ("[\"CRITICAL\", \"HIGH\"]", "[\n  \"CRITICAL\",\n  1,\n]"),
        ("require-healthcheck = true", "require-healthcheck = \"yes\""),
        ("{ LOG_LEVEL = \"debug\" }", "{ LOG_LEVEL = \"debug\", CPU = 256 }"),
        ("{ LOG_LEVEL = \"debug\" }", "[]"),
        ("percent = 10", "percent = \"ten\""),
        ("percent = 10", "percent = 10, maximum-percent = -1"),
        ("branch = \"main\"", "branch = 2026-01-31"),
        ("branch = \"main\"", "branch = \" \""),
        ("[services.auth.health]", "[services.auth.health]\npasses = 0\nfailures = 1.5"),
    ]), @"
    delivery.toml:31: `sources` in [services.auth.migration]: expected text in quotes, found the number `3`
    delivery.toml:28: `after` in [services.auth]: expected a list in `[ ]`, found the text `api`
    delivery.toml:43: `fail-on` in [image-policy]: expected text in quotes, found the number `1`
    delivery.toml:40: `require-healthcheck` in [image-policy]: expected `true` or `false`, found the text `yes`
    delivery.toml:10: `CPU` in [environments.staging.variables]: expected text in quotes, found the number `256`
    delivery.toml:10: `variables` in [environments.staging]: expected a table, found a list
    delivery.toml:19: `percent` in [environments.production.strategy]: expected a number, found the text `ten`
    delivery.toml:19: `maximum-percent` in [environments.production.strategy]: expected a whole number from 0, found the number `-1`
    delivery.toml:13: `branch` in [environments.production]: expected text in quotes, found the date `2026-01-31`
    delivery.toml:13: `branch` in [environments.production]: it is blank: give it a value or leave the key out
    2 problems:
    - delivery.toml:34: `passes` in [services.auth.health]: expected a whole number from 1, found the number `0`
    - delivery.toml:35: `failures` in [services.auth.health]: expected a whole number from 1, found the number `1.5`
    ");
}

#[test]
fn a_value_that_breaks_its_rule_is_told_with_the_rule() {
    insta::assert_snapshot!(told(&[
        ("\"payments/auth-service\"", "\"Payments\""),
        ("[services.auth]", "[services.\"au th\"]"),
        ("\"payments-staging\"", "\"arn:aws:ecs:eu-west-1:111122223333:cluster/payments\""),
        ("{ LOG_LEVEL = \"debug\" }", "{ LOG_LEVEL = \"debug\", LOG-FORMAT = \"x\", COMMIT = \"x\" }"),
        ("\"500MB\"", "\"500\""),
        ("bake = \"5m\"", "bake = 5"),
        ("bake = \"5m\"", "bake = \"90s\""),
        ("bake = \"5m\"", "bake = \"5 minutes\""),
        ("\"apps/auth-service/Dockerfile\"", "\"../Dockerfile\""),
        ("\"https://auth.${ENVIRONMENT}.example.com/health\"", "\"auth/health\"\ninterval = \"0s\""),
        ("[\"npx\", \"prisma\", \"migrate\", \"deploy\"]", "[]"),
        ("[\"status == 200\", \"json(/version) == '${COMMIT}'\"]", "[]"),
    ]), @r#"
    delivery.toml:24: `repository` in [services.auth]: `Payments` is not an ECR repository name: use lower-case letters, digits, `.`, `_`, `-` and `/`, from 2 to 256, without the registry's host and without a tag
    4 problems:
    - delivery.toml:21: [services]: `au th` is not a service: use letters, digits, `-` and `_`, at most 64
    - delivery.toml:29: missing key `repository` in [services.auth]
    - delivery.toml:29: missing key `container` in [services.auth]
    - delivery.toml:29: [services.auth] has neither `path` nor `project`: say where its sources are
    delivery.toml:8: `cluster` in [environments.staging]: `arn:aws:ecs:eu-west-1:111122223333:cluster/payments` is not a cluster name: use letters, digits, `-` and `_`, at most 255 (an ARN is not a name)
    2 problems:
    - delivery.toml:10: [environments.staging.variables]: `LOG-FORMAT` is not a variable: use letters, digits and `_`, not starting with a digit
    - delivery.toml:10: [environments.staging.variables]: `COMMIT` is set by every delivery and cannot be set here
    delivery.toml:38: `max-size` in [image-policy]: `500` is not a size: write a number and its unit, as in `500MB` or `1.5GiB`
    delivery.toml:19: `bake` in [environments.production.strategy]: `5` has no unit: write `5s` or `5m`
    delivery.toml:19: `bake` in [environments.production.strategy]: ECS counts in whole minutes, at most a day: write it as `5m`
    delivery.toml:19: `bake` in [environments.production.strategy]: `5 minutes` is not a duration: write a number and `ms`, `s`, `m` or `h`, as in `15m`
    delivery.toml:23: `dockerfile` in [services.auth]: `../Dockerfile` is not a path of the repository: it must not leave the repository by `..`
    2 problems:
    - delivery.toml:34: `url` in [services.auth.health]: `auth/health` is not a URL: start it with `https://`
    - delivery.toml:35: `interval` in [services.auth.health]: it must be more than nothing
    delivery.toml:30: `command` in [services.auth.migration]: it is empty: write the program and its arguments, as in `["npm", "run", "migrate"]`
    delivery.toml:35: `expect` in [services.auth.health]: it is empty, and any answer would do: leave it out to expect `status == 200`
    "#);
}

#[test]
fn an_unknown_word_is_told_with_the_nearest() {
    insta::assert_snapshot!(told(&[
        ("\"canary\"", "\"canry\""),
        ("\"canary\"", "\"fast\""),
        ("\"if-pending\"", "\"pending\""),
        ("\"HIGH\"]", "\"high\"]"),
    ]), @"
    delivery.toml:19: `kind` in [environments.production.strategy]: unknown word `canry`: did you mean `canary`?
    delivery.toml:19: `kind` in [environments.production.strategy]: unknown word `fast`: known are `rolling`, `blue-green`, `linear`, `canary`
    delivery.toml:32: `when` in [services.auth.migration.backup]: unknown word `pending`: did you mean `if-pending`?
    delivery.toml:41: `fail-on` in [image-policy]: unknown word `high`: did you mean `HIGH`?
    ");
}

#[test]
fn keys_that_need_or_exclude_each_other_are_told() {
    insta::assert_snapshot!(told(&[
        ("percent = 10, ", ""),
        ("percent = 10, ", "percent = 0, "),
        ("percent = 10, ", "percent = nan, "),
        ("\"canary\"", "\"rolling\", step = \"1m\""),
        ("percent = 10, ", "percent = 10, minimum-healthy-percent = 100, maximum-percent = 100, "),
        ("percent = 10, ", "percent = 10, minimum-healthy-percent = 101, maximum-percent = 99, "),
        ("path = \"apps/auth-service\"", "path = \"apps/auth-service\"\nproject = \"auth\""),
        ("path = \"apps/auth-service\"", ""),
        ("rds-instance = ", "rds-cluster = \"x\", rds-instance = "),
        ("rds-instance = \"payments-auth-${ENVIRONMENT}\", ", ""),
        ("url = \"https://auth.${ENVIRONMENT}.example.com/health\"", ""),
        ("role = \"arn:aws:iam::444455556666:", "role = \"arn:aws:iam::111122223333:"),
    ]), @"
    delivery.toml:19: `percent` in [environments.production.strategy]: it is missing: say how much traffic moves at a time, as in `percent = 10`
    delivery.toml:19: `percent` in [environments.production.strategy]: `0` is not within 0.1 and 100
    delivery.toml:19: `percent` in [environments.production.strategy]: `NaN` is not within 0.1 and 100
    2 problems:
    - delivery.toml:19: `step` in [environments.production.strategy]: only `canary` and `linear` move traffic in steps
    - delivery.toml:19: `percent` in [environments.production.strategy]: only `canary` and `linear` move traffic in steps
    delivery.toml:19: `maximum-percent` in [environments.production.strategy]: with a minimum of 100 as well, ECS may neither start nor stop a task
    2 problems:
    - delivery.toml:19: `minimum-healthy-percent` in [environments.production.strategy]: `101` is more than 100
    - delivery.toml:19: `maximum-percent` in [environments.production.strategy]: `99` is less than 100
    delivery.toml:21: [services.auth] has both `path` and `project`: keep one
    delivery.toml:21: [services.auth] has neither `path` nor `project`: say where its sources are
    delivery.toml:32: [services.auth.migration.backup] has both `rds-instance` and `rds-cluster`: keep one
    delivery.toml:32: [services.auth.migration.backup] has neither `rds-instance` nor `rds-cluster`: name the database to back up
    delivery.toml:35: `expect` in [services.auth.health]: there is no `url` whose answer could be as expected
    delivery.toml:17: `role` in [environments.production]: it lives in account 111122223333, but `account` is 444455556666
    ");
}

#[test]
fn a_reference_to_nothing_or_to_itself_is_told() {
    insta::assert_snapshot!(told(&[
        ("after = []", "after = [\"auht\"]"),
        ("after = []", "after = [\"auth\"]\ndepends-on = [\"web\"]\n[services.api]\npath = \".\"\nrepository = \"api\"\ncontainer = \"api\"\nafter = [\n  \"auht\",\n]"),
        ("after = []", "after = [\"web\"]\n[services.api]\npath = \".\"\nrepository = \"api\"\ncontainer = \"api\"\nafter = [\"auth\"]\nservice = \"auth-service\"\n[services.web]\nafter = [\"api\"]\nrepository = \"WEB\""),
        ("branch = \"main\"", "branch = \"develop\""),
        ("https://auth.${ENVIRONMENT}", "https://auth.${ENVIROMENT}"),
        ("https://auth.${ENVIRONMENT}", "https://auth.${STAGE}"),
        ("https://auth.${ENVIRONMENT}", "https://auth.${ENVIRONMENT"),
        ("https://auth.${ENVIRONMENT}", "https://auth.${STAGE:-x}"),
        ("https://auth.${ENVIRONMENT}", "https://auth.$${ENVIRONMENT}.${ONLY}\"\n# \""),
    ]), @"
    delivery.toml:28: `after` in [services.auth]: there is no service `auht`: nothing else is known
    3 problems:
    - delivery.toml:28: `after` in [services.auth]: it goes in a circle: auth → auth
    - delivery.toml:29: `depends-on` in [services.auth]: there is no service `web`: known are `api`
    - delivery.toml:35: `after` in [services.api]: there is no service `auht`: did you mean `auth`?
    5 problems:
    - delivery.toml:28: `after` in [services.auth]: it goes in a circle: auth → web → api → auth
    - delivery.toml:34: `service` in [services.api]: [services.auth] is the ECS service `auth-service` already
    - delivery.toml:35: missing key `container` in [services.web]
    - delivery.toml:35: [services.web] has neither `path` nor `project`: say where its sources are
    - delivery.toml:37: `repository` in [services.web]: `WEB` is not an ECR repository name: use lower-case letters, digits, `.`, `_`, `-` and `/`, from 2 to 256, without the registry's host and without a tag
    delivery.toml:13: `branch` in [environments.production]: [environments.staging] follows `develop` already
    delivery.toml:34: `url` in [services.auth.health]: unknown variable `${ENVIROMENT}`: did you mean `ENVIRONMENT`?
    delivery.toml:34: `url` in [services.auth.health]: unknown variable `${STAGE}`: known are `COMMIT`, `IMAGE`, `ENVIRONMENT`, `SERVICE`, `ACCOUNT`, `REGION`, `LOG_LEVEL`
    delivery.toml:34: `url` in [services.auth.health]: `${ENVIRONMENT.example.com/health` has no closing `}`
    delivery.toml:34: `url` in [services.auth.health]: `${STAGE:-x}` is not a variable: write `$${` for a `${` that is meant
    delivery.toml:34: `url` in [services.auth.health]: unknown variable `${ONLY}`: known are `COMMIT`, `IMAGE`, `ENVIRONMENT`, `SERVICE`, `ACCOUNT`, `REGION`, `LOG_LEVEL`
    ");
}

#[test]
fn a_variable_has_to_be_known_in_every_environment() {
    let elsewhere = EXAMPLE.replace("https://auth.", "https://${HOST}.${LOG_LEVEL}.");
    insta::assert_snapshot!(refused(&elsewhere.replace("{ LOG_LEVEL = \"info\" }", "{ HOST = \"auth\" }")), @"
    2 problems:
    - delivery.toml:34: `url` in [services.auth.health]: `${HOST}` is not among the `variables` of environment `staging`
    - delivery.toml:34: `url` in [services.auth.health]: `${LOG_LEVEL}` is not among the `variables` of environment `production`
    hint: mend the file: nothing was touched; the README describes every key
    ");
}

#[test]
fn all_that_is_wrong_with_a_file_is_told_at_once() {
    insta::assert_snapshot!(refused(
        r#"
name = "Payments"
[environments.staging]
branch = "develop"
regoin = "eu-west-1"
strategy = { kind = "canary", bake = "10s" }
[services.auth]
after = ["api"]
[services.api]
path = "/api"
repository = "API"
container = "api"
after = ["auth"]
health = { url = "https://${HOST}", interval = 5 }
"#
    ), @"
    13 problems:
    - delivery.toml:2: `name` at the top: `Payments` is not a delivery name: use lower-case letters, digits and `-`, at most 64
    - delivery.toml:3: missing key `cluster` in [environments.staging]
    - delivery.toml:5: unknown key `regoin` in [environments.staging]: did you mean `region`?
    - delivery.toml:6: `percent` in [environments.staging.strategy]: it is missing: say how much traffic moves at a time, as in `percent = 10`
    - delivery.toml:6: `bake` in [environments.staging.strategy]: ECS counts in whole minutes, at most a day: write it as `5m`
    - delivery.toml:7: missing key `repository` in [services.auth]
    - delivery.toml:7: missing key `container` in [services.auth]
    - delivery.toml:7: [services.auth] has neither `path` nor `project`: say where its sources are
    - delivery.toml:8: `after` in [services.auth]: it goes in a circle: auth → api → auth
    - delivery.toml:10: `path` in [services.api]: `/api` is not a path of the repository: write it relative to the root, without a leading `/`
    - delivery.toml:11: `repository` in [services.api]: `API` is not an ECR repository name: use lower-case letters, digits, `.`, `_`, `-` and `/`, from 2 to 256, without the registry's host and without a tag
    - delivery.toml:14: `url` in [services.api.health]: unknown variable `${HOST}`: known are `COMMIT`, `IMAGE`, `ENVIRONMENT`, `SERVICE`, `ACCOUNT`, `REGION`
    - delivery.toml:14: `interval` in [services.api.health]: `5` has no unit: write `5s` or `5m`
    hint: mend the file: nothing was touched; the README describes every key
    ");
    insta::assert_snapshot!(refused(""), @"
    3 problems:
    - delivery.toml:1: missing key `name` at the top
    - delivery.toml:1: `environments` at the top: there are none: add a table `[environments.NAME]`
    - delivery.toml:1: `services` at the top: there are none: add a table `[services.NAME]`
    hint: mend the file: nothing was touched; the README describes every key
    ");
    insta::assert_snapshot!(refused("[[services]]\nservices = 1\n[environments]\n"), @"
    3 problems:
    - delivery.toml:1: missing key `name` at the top
    - delivery.toml:1: `services` at the top: expected a table, found a list
    - delivery.toml:3: `environments` at the top: there are none: add a table `[environments.NAME]`
    hint: mend the file: nothing was touched; the README describes every key
    ");
}

#[test]
fn what_is_not_toml_is_told_with_its_line_and_column() {
    insta::assert_snapshot!(refused("name = payments\n[services.auth\npath = 'ä' 'b'\n"), @"
    3 problems:
    - delivery.toml:1:8: this is not TOML: string values must be quoted, expected literal string
    - delivery.toml:2:15: this is not TOML: unclosed table, expected `]`
    - delivery.toml:3:12: this is not TOML: unexpected key or value, expected newline, `#`
    hint: see https://toml.io for how tables, lists and text are written
    ");
    insta::assert_snapshot!(refused("name = 'a'\r\nname = 'b'"), @"
    delivery.toml:2:1: this is not TOML: duplicate key
    hint: see https://toml.io for how tables, lists and text are written
    ");
}
