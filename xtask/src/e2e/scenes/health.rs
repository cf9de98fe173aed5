//! Health as real servers tell it: nginx in front of three targets, a Prometheus, and the alarms and metrics of two emulated
//! CloudWatches.

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
use crate::e2e::moto::{self, Moto};
use crate::e2e::nginx::Nginx;
use crate::e2e::prometheus::{self, Prometheus};
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

/// Has CloudWatch, and whoever finds its alarms by their tags, asked of moto instead of ministack.
const OF_MOTO: [(&str, &str); 2] =
    [("AWS_ENDPOINT_URL_CLOUDWATCH", moto::URL), ("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API", moto::URL)];

/// `commit` is what both services run.
pub(super) fn play(stage: &Stage, folder: &Path, commit: &str) -> Result<()> {
    let certificate = Certificate::issue(&folder.join("certificate"), "127.0.0.1")?;
    std::fs::create_dir_all(folder.join("nginx")).context("cannot make nginx's folder")?;
    count(folder)?;
    let ready = format!("http://{COUNTED}/metrics");
    let nginx = Nginx::start(folder, &blocks(&certificate, [commit, OLD, commit])?, &ready)?;
    pages(stage, &certificate, &nginx, commit)?;
    let moto = Moto::start()?;
    alarms(stage, &moto, commit)?;
    let _prometheus = Prometheus::start(folder, COUNTED)?;
    metrics(stage, &moto, commit)
}

/// A URL alone: what nginx has to say, and what of it is believed.
fn pages(stage: &Stage, certificate: &Certificate, nginx: &Nginx, commit: &str) -> Result<()> {
    let repository = Monorepo::blank(stage.place("pages"))?;
    let head = repository.head()?;
    let trusting = stage.push_to(&repository, &head, &head, &[])?;
    let root = trusting.file("pages.pem", &certificate.certificate)?;
    let trusting = trusting.with("SSL_CERT_FILE", &root);
    let soon = [("commit", commit), ("interval", "200ms"), ("timeout", "10s"), ("failures", "2")];
    let ask = |workflow: &Workflow, with: &[(&str, &str)], result: &str, words: &[&str]| {
        let inputs: Vec<_> = soon.iter().chain(with).copied().collect();
        let gate = workflow.step("health-gate", &inputs, result)?;
        match words.iter().find(|words| !gate.summary.contains(**words)) {
            None => Ok(()),
            Some(words) => bail!("`{words}` is not in the summary:\n{}", gate.summary),
        }
    };
    open("nginx: HTTP/2 over TLS, under a private root");
    let page = format!("{PAGES}/protocol");
    let modern = "status == 200\nheader(x-protocol) == 'HTTP/2.0'\ncertificate > 1d";
    ask(&trusting, &[("url", &page), ("expect", modern)], "healthy", &[])?;
    open("nginx: a certificate that nobody here knows");
    let strange = stage.push_to(&repository, &head, &head, &[])?;
    ask(&strange, &[("url", &page)], "unhealthy", &["certificate"])?;
    open("nginx: a page that redirects to the login");
    ask(&trusting, &[("url", &format!("{PAGES}/account"))], "unhealthy", &["302"])?;
    open("nginx: three targets, one of them with the version before");
    let page = format!("{PAGES}/health");
    let version = "header(x-version) == '${COMMIT}'";
    let three = [("url", page.as_str()), ("expect", version), ("distinct", "3"), ("distinct-by", "header(x-instance)")];
    ask(&trusting, &three, "undecided", &["2 of 3"])?;
    nginx.reload(&blocks(certificate, [commit; 3])?)?;
    open("nginx: the same three, all of them new");
    ask(&trusting, &three, "healthy", &[])
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

/// ministack evaluates its alarms; moto's are set, and found by their tags.
fn alarms(stage: &Stage, moto: &Moto, commit: &str) -> Result<()> {
    let text = ["alarms = [\"${SERVICE}-errors\"]", "interval = \"1s\""].join("\n");
    stage.repository.write("alarms.toml", &delivery([&text, &text]))?;
    stage
        .repository
        .write("tags.toml", &delivery([&text.replace("${SERVICE}-errors", "tag:service=${SERVICE}"); 2]))?;
    open("alarms that ministack evaluates");
    for service in [WELL, ILL] {
        put_alarm(stage.aws(), service)?;
        put_errors(stage.aws(), service)?;
        wait_for_alarm(stage.aws(), service, if service == ILL { "ALARM" } else { "OK" })?;
    }
    let workflow = stage.push_to(&stage.repository, commit, commit, &[])?;
    expect_verdicts(&workflow, &[("config", "alarms.toml")], &[&format!("{ILL}-errors")])?;
    open("alarms of moto's, by their tags");
    for service in [WELL, ILL] {
        put_alarm(moto.api, service)?;
        let state = if service == ILL { "ALARM" } else { "OK" };
        let name = format!("{service}-errors");
        let parameters = [("AlarmName", name.as_str()), ("StateValue", state), ("StateReason", "set by hand")];
        moto.api.cloudwatch("SetAlarmState", &parameters)?;
    }
    let workflow = stage.push_to(&stage.repository, commit, commit, &OF_MOTO)?;
    expect_verdicts(&workflow, &[("config", "tags.toml")], &[&format!("{ILL}-errors")])
}

/// Two gates at once, for a minute has to be over: one that Prometheus tells of what is wrong, one that moto does.
fn metrics(stage: &Stage, moto: &Moto, commit: &str) -> Result<()> {
    let errors = "[services.${SERVICE}.health.metrics.errors]\nnamespace = \"Shop\"\nmetric = \"Errors\"\ndimensions = { Service = \"${SERVICE}\" }\nstatistic = \"Sum\"\nfail = 50\nperiod = \"1m\"\npoints = 1\n";
    let failed = "[services.${SERVICE}.health.metrics.failed]\nprometheus = \"max(failed_ratio{service='${SERVICE}'})\"\nfail = 0.1\nperiod = \"1m\"\npoints = 1\n";
    let ours = format!("prometheus = \"{}\"\nsettle = \"1s\"\ninterval = \"2s\"\n", prometheus::URL);
    let of = |metric: &str| {
        [WELL, ILL]
            .map(|service| ours.clone() + &metric.replace("[services.${SERVICE}.", &format!("[services.{service}.")))
    };
    let [well, ill] = of(failed);
    stage.repository.write("prometheus.toml", &delivery([&well, &ill]))?;
    let [well, ill] = of(errors);
    stage.repository.write("cloudwatch.toml", &delivery([&well, &ill]))?;
    open("what Prometheus and CloudWatch measured");
    let prometheus = stage.push_to(&stage.repository, commit, commit, &[])?;
    let cloudwatch = stage.push_to(&stage.repository, commit, commit, &OF_MOTO)?;
    let (watching, is_over) = mpsc::channel();
    std::thread::scope(|scope| {
        let errors = scope.spawn(|| keep_failing(moto.api, is_over));
        let other = scope.spawn(|| expect_verdicts(&prometheus, &[("config", "prometheus.toml")], &["failed", "0.5"]));
        let gate = expect_verdicts(&cloudwatch, &[("config", "cloudwatch.toml")], &["errors", "100"]);
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
    match words.iter().find(|words| !gate.summary.contains(**words)) {
        None => Ok(()),
        Some(words) => bail!("`{words}` is not in the summary:\n{}", gate.summary),
    }
}

/// An alarm on a service's errors, with a tag that names the service.
fn put_alarm(api: AwsApi, service: &str) -> Result<()> {
    let name = format!("{service}-errors");
    let parameters = [
        ("AlarmName", name.as_str()),
        ("Namespace", "Shop"),
        ("MetricName", "Errors"),
        ("Dimensions.member.1.Name", "Service"),
        ("Dimensions.member.1.Value", service),
        ("Statistic", "Sum"),
        ("Period", "60"),
        ("EvaluationPeriods", "1"),
        ("Threshold", "50"),
        ("ComparisonOperator", "GreaterThanThreshold"),
        ("Tags.member.1.Key", "service"),
        ("Tags.member.1.Value", service),
    ];
    api.cloudwatch("PutMetricAlarm", &parameters).map(drop)
}

/// The errors of one moment: a hundred of the service that is ill.
fn put_errors(api: AwsApi, service: &str) -> Result<()> {
    let parameters = [
        ("Namespace", "Shop"),
        ("MetricData.member.1.MetricName", "Errors"),
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
