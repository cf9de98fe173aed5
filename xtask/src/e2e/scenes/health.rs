//! Health as real servers tell it: nginx in front of three targets, a Prometheus, and a CloudWatch that evaluates its alarms.

use std::fmt::Write;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::open;
use crate::e2e::aws_api::{AwsApi, REGION};
use crate::e2e::certificate::Certificate;
use crate::e2e::monorepo::{AUTH, CHECKOUT, ENVIRONMENT, Monorepo};
use crate::e2e::nginx::Nginx;
use crate::e2e::prometheus::{self, Prometheus};
use crate::e2e::runner::Completed;
use crate::e2e::stage::Stage;
use crate::e2e::workflow::Workflow;
use crate::poll;

/// Where nginx answers over TLS, and where Prometheus finds what the shop counts.
const PAGES: &str = "https://127.0.0.1:18443";
const COUNTED: &str = "127.0.0.1:18080";
const OLD: &str = "0000000000000000000000000000000000000000";

/// The services whose health is asked about: one is well, and one is not.
const WELL: &str = AUTH;
const ILL: &str = CHECKOUT;

/// `commit` is what both services run.
pub(super) fn play(stage: &Stage, folder: &Path, commit: &str) -> Result<()> {
    let certificate = Certificate::issue(&folder.join("certificate"), "127.0.0.1")?;
    std::fs::create_dir_all(folder.join("nginx")).context("cannot make nginx's folder")?;
    count(folder)?;
    let serve = |versions| Nginx::start(folder, &blocks(&certificate, versions)?, &format!("http://{COUNTED}/metrics"));
    let pages = Pages::of(stage, &certificate, commit)?;
    let nginx = serve([commit, OLD, commit])?;
    pages.one_by_one()?;
    open("nginx: three targets, one of them with the version before");
    pages.three_targets("undecided", &["2 of 3"])?;
    drop(nginx);
    let _nginx = serve([commit; 3])?;
    open("nginx: the same three, all of them new");
    pages.three_targets("healthy", &[])?;
    alarms(stage, commit)?;
    let _prometheus = Prometheus::start(folder, COUNTED)?;
    metrics(stage, commit)
}

/// URLs alone, from a repository without a delivery file.
struct Pages<'a> {
    commit: &'a str,
    /// Trusts nginx's certificate.
    trusting: Workflow,
    /// Does not.
    strange: Workflow,
}

impl<'a> Pages<'a> {
    fn of(stage: &Stage, certificate: &Certificate, commit: &'a str) -> Result<Self> {
        let repository = Monorepo::blank(stage.place("pages"))?;
        let head = repository.head()?;
        let run = || stage.push_to(&repository, &head, &head, &[]);
        let trusting = run()?;
        let root = trusting.file("pages.pem", &certificate.certificate)?;
        Ok(Self { commit, trusting: trusting.with("SSL_CERT_FILE", &root), strange: run()? })
    }

    /// What nginx has to say, and what of it is believed.
    fn one_by_one(&self) -> Result<()> {
        open("nginx: HTTP/2 over TLS, under a private root");
        let page = format!("{PAGES}/protocol");
        let modern = "status == 200\nheader(x-protocol) == 'HTTP/2.0'\ncertificate > 1d";
        self.ask(&self.trusting, &[("url", &page), ("expect", modern)], "healthy", &[])?;
        open("nginx: a certificate that nobody here knows");
        self.ask(&self.strange, &[("url", &page)], "unhealthy", &["certificate"])?;
        open("nginx: a page that redirects to the login");
        self.ask(&self.trusting, &[("url", &format!("{PAGES}/account"))], "unhealthy", &["302", "/login"])
    }

    /// Behind one address, three targets in turn.
    fn three_targets(&self, result: &str, words: &[&str]) -> Result<()> {
        let page = format!("{PAGES}/health");
        let version = "header(x-version) == '${COMMIT}'";
        let three =
            [("url", page.as_str()), ("expect", version), ("distinct", "3"), ("distinct-by", "header(x-instance)")];
        self.ask(&self.trusting, &three, result, words)
    }

    fn ask(&self, workflow: &Workflow, with: &[(&str, &str)], result: &str, words: &[&str]) -> Result<()> {
        let soon = [("commit", self.commit), ("interval", "200ms"), ("timeout", "10s"), ("failures", "2")];
        let inputs: Vec<_> = soon.iter().chain(with).copied().collect();
        says(&workflow.step("health-gate", &inputs, result)?, words)
    }
}

/// nginx before three targets, which answer with these versions, and the page of what the shop counts.
fn blocks(certificate: &Certificate, versions: [&str; 3]) -> Result<String> {
    let mut text = String::from("  upstream targets {");
    for port in 18081..=18083 {
        write!(text, " server 127.0.0.1:{port};")?;
    }
    let (chain, key) = (certificate.certificate.display(), certificate.key.display());
    write!(
        text,
        " }}
  server {{
    listen 127.0.0.1:18443 ssl http2;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location = /protocol {{ add_header x-protocol $server_protocol; return 200 ok; }}
    location = /account {{ return 302 /login; }}
    location = /login {{ return 200 'Who are you?'; }}
    location = /health {{ proxy_pass http://targets; }}
  }}
  server {{ listen {COUNTED}; default_type text/plain; location = /metrics {{ root .; }} }}
"
    )?;
    for (port, version) in (18081..).zip(versions) {
        writeln!(
            text,
            "  server {{ listen 127.0.0.1:{port}; location / {{ add_header x-version {version}; add_header x-instance {port}; return 200 ok; }} }}"
        )?;
    }
    Ok(text)
}

/// What the shop counts, as Prometheus reads it: the one service fails half of what it is asked for.
fn count(folder: &Path) -> Result<()> {
    let text = format!("failed_ratio{{service=\"{WELL}\"}} 0\nfailed_ratio{{service=\"{ILL}\"}} 0.5\n");
    std::fs::write(folder.join("nginx/metrics"), text).context("cannot write what the shop counts")
}

/// Alarms that CloudWatch evaluates from what was measured.
fn alarms(stage: &Stage, commit: &str) -> Result<()> {
    let health = "alarms = [\"${SERVICE}-errors\"]\ninterval = \"1s\"".to_owned();
    stage.repository.write("alarms.toml", &delivery([&health, &health]))?;
    for service in [WELL, ILL] {
        put_alarm(stage.aws(), service)?;
        put_errors(stage.aws(), service)?;
        wait_for_alarm(stage.aws(), service, if service == ILL { "ALARM" } else { "OK" })?;
    }
    open("an alarm went off");
    let workflow = stage.push_to(&stage.repository, commit, commit, &[])?;
    expect_verdicts(&workflow, &[("config", "alarms.toml")], &[&format!("{ILL}-errors")])
}

/// Two gates at once, for a minute has to be over: one that Prometheus tells of what is wrong, one that CloudWatch does.
fn metrics(stage: &Stage, commit: &str) -> Result<()> {
    let errors = "[services.${SERVICE}.health.metrics.errors]\nnamespace = \"Shop\"\nmetric = \"Errors of ${SERVICE}\"\ndimensions = { Service = \"${SERVICE}\" }\nstatistic = \"Sum\"\nfail = 50\nperiod = \"1m\"\npoints = 1\nsustained = 1\n";
    let failed = "[services.${SERVICE}.health.metrics.failed]\nprometheus = \"max(failed_ratio{service='${SERVICE}'})\"\nfail = 0.1\nperiod = \"1m\"\npoints = 1\nsustained = 1\n";
    let ours = format!("prometheus = \"{}\"\nsettle = \"1s\"\ninterval = \"2s\"\n", prometheus::URL);
    let of = |metric: &str| [WELL, ILL].map(|service| ours.clone() + &metric.replace("${SERVICE}", service));
    let [well, ill] = of(failed);
    stage.repository.write("prometheus.toml", &delivery([&well, &ill]))?;
    let [well, ill] = of(errors);
    stage.repository.write("cloudwatch.toml", &delivery([&well, &ill]))?;
    open("what Prometheus and CloudWatch measured");
    let prometheus = stage.push_to(&stage.repository, commit, commit, &[])?;
    let cloudwatch = stage.push_to(&stage.repository, commit, commit, &[])?;
    let (watching, is_over) = mpsc::channel();
    std::thread::scope(|scope| {
        let errors = scope.spawn(|| keep_failing(stage.aws(), is_over));
        let other = scope.spawn(|| expect_verdicts(&prometheus, &[("config", "prometheus.toml")], &["failed", "0.5"]));
        let gate = expect_verdicts(&cloudwatch, &[("config", "cloudwatch.toml")], &["errors", "beyond the limit"]);
        let other = other.join().map_err(|_| anyhow::anyhow!("the thread of the other gate has died"))?;
        drop(watching);
        let errors = errors.join().map_err(|_| anyhow::anyhow!("the thread that fails has died"))?;
        gate.and(other).and(errors)
    })
}

/// A delivery file of the two services with more about the health of each.
fn delivery(health: [&String; 2]) -> String {
    let mut text = format!(
        "name = \"payments\"\n\n[environments.{ENVIRONMENT}]\nbranch = \"main\"\nregion = \"{REGION}\"\ncluster = \"payments-{ENVIRONMENT}\"\n"
    );
    for (service, health) in [WELL, ILL].iter().zip(health) {
        text += &format!(
            "\n[services.{service}]\npath = \"apps/{service}\"\nrepository = \"payments/{service}\"\ncontainer = \"app\"\n\n[services.{service}.health]\n{health}\n"
        );
    }
    text
}

/// The gate finds the one service healthy and the other not, and says of that one these words.
fn expect_verdicts(workflow: &Workflow, with: &[(&str, &str)], words: &[&str]) -> Result<()> {
    let gate = workflow.step("health-gate", with, "unhealthy")?;
    let verdicts = gate.outputs.get("verdicts").context("there is no output `verdicts`")?;
    let verdicts: Value = serde_json::from_str(verdicts)?;
    let of = |service: &str| verdicts.get(service).and_then(Value::as_str);
    if (of(WELL), of(ILL)) != (Some("healthy"), Some("unhealthy")) {
        bail!("the verdicts are {verdicts}, expected {WELL} to be healthy and {ILL} not:\n{}", gate.summary);
    }
    says(&gate, words)
}

/// The summary has these words.
fn says(gate: &Completed, words: &[&str]) -> Result<()> {
    match words.iter().find(|words| !gate.summary.contains(**words)) {
        None => Ok(()),
        Some(words) => bail!("`{words}` is not in the summary:\n{}", gate.summary),
    }
}

/// What a service's errors are called. ministack's alarms do not tell dimensions apart.
fn metric_of(service: &str) -> String {
    format!("Errors of {service}")
}

/// An alarm on a service's errors.
fn put_alarm(api: AwsApi, service: &str) -> Result<()> {
    let (name, metric) = (format!("{service}-errors"), metric_of(service));
    let parameters = [
        ("AlarmName", name.as_str()),
        ("Namespace", "Shop"),
        ("MetricName", &metric),
        ("Dimensions.member.1.Name", "Service"),
        ("Dimensions.member.1.Value", service),
        ("Statistic", "Sum"),
        ("Period", "60"),
        ("EvaluationPeriods", "1"),
        ("Threshold", "50"),
        ("ComparisonOperator", "GreaterThanThreshold"),
    ];
    api.cloudwatch("PutMetricAlarm", &parameters).map(drop)
}

/// The errors of one moment: a hundred of the service that is ill.
fn put_errors(api: AwsApi, service: &str) -> Result<()> {
    let metric = metric_of(service);
    let parameters = [
        ("Namespace", "Shop"),
        ("MetricData.member.1.MetricName", metric.as_str()),
        ("MetricData.member.1.Dimensions.member.1.Name", "Service"),
        ("MetricData.member.1.Dimensions.member.1.Value", service),
        ("MetricData.member.1.Value", if service == ILL { "100" } else { "1" }),
        ("MetricData.member.1.Unit", "Count"),
    ];
    api.cloudwatch("PutMetricData", &parameters).map(drop)
}

fn wait_for_alarm(api: AwsApi, service: &str, state: &str) -> Result<()> {
    poll::until(&format!("{state} of the alarm of {service}"), Duration::from_secs(60), || {
        let name = format!("{service}-errors");
        let answer = api.cloudwatch("DescribeAlarms", &[("AlarmNames.member.1", &name)])?;
        if answer.contains(&format!("<StateValue>{state}</StateValue>")) { Ok(()) } else { bail!("it is: {answer}") }
    })
}

/// Has the errors measured every few seconds for as long as somebody watches.
fn keep_failing(api: AwsApi, is_over: Receiver<()>) -> Result<()> {
    loop {
        [WELL, ILL].into_iter().try_for_each(|service| put_errors(api, service))?;
        if is_over.recv_timeout(Duration::from_secs(3)) == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
}
