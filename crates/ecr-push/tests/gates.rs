//! What an image has to pass before anything is touched: the rules about itself, and scanners' reports about it.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::Value;
use stage::{COMMIT, Ran, steady};

use crate::shop::{Shop, shop};

/// A run of `auth` that is blocked, and touches nothing.
async fn blocked(shop: &Shop, inputs: &[(&str, &str)]) -> Ran {
    let inputs: Vec<(&str, &str)> = [("services", "auth")].into_iter().chain(inputs.iter().copied()).collect();
    let (ran, writes) = shop.push(&inputs).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
    assert_eq!(writes, [""; 0]);
    assert_eq!(shop.digest("shop/auth", COMMIT), "");
    ran
}

fn annotation(ran: &Ran) -> String {
    steady(&ran.annotations().join("\n"))
}

#[tokio::test]
async fn findings_that_an_update_mends_block_and_are_told_package_by_package() {
    let shop = shop().await;
    let found = [
        ("CRITICAL", "CVE-2026-1", "openssl", "1.1"),
        ("HIGH", "CVE-2026-2", "openssl", "1.1"),
        ("HIGH", "CVE-2026-3", "zlib", "1.3.1"),
        ("CRITICAL", "CVE-2026-4", "perl", ""),
        ("LOW", "CVE-2026-5", "bash", "5.3"),
    ];
    shop.scan("scan.json", "auth", &found).await;
    let ran = blocked(&shop, &[("scan-report", "scan.json")]).await;
    assert_snapshot!("findings_annotation", annotation(&ran));
    assert_snapshot!("findings_summary", steady(&ran.summary));
}

#[tokio::test]
async fn an_image_without_grave_findings_is_pushed_and_its_findings_are_told() {
    let shop = shop().await;
    shop.add_to_delivery(
        "[[image-policy.exceptions]]\nid = \"CVE-2026-1\"\nreason = \"not reachable: no TLS server\"\nexpires = 2999-12-31\n\
         [[image-policy.exceptions]]\nid = \"CVE-2020-9\"\nreason = \"was mended\"\nexpires = \"2999-01-01\"\n\
         [[image-policy.exceptions]]\nid = \"CVE-2020-8\"\nreason = \"until the next release\"\nexpires = \"2020-01-01\"\n",
    );
    let found = [
        ("CRITICAL", "CVE-2026-1", "openssl", "1.1"),
        ("HIGH", "CVE-2026-4", "perl", ""),
        ("LOW", "CVE-2026-5", "bash", "5.3"),
    ];
    shop.scan("reports/auth.json", "auth", &found).await;
    shop.scan("reports/api.json", "api", &[]).await;
    let (ran, _) = shop.push(&[("scan-report", "reports")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_snapshot!("let_through_summary", steady(&ran.summary));
    let images: Value = serde_json::from_str(ran.output("images")).unwrap();
    let scan = &images["auth"]["scans"][0];
    assert_eq!([&scan["excepted"], &scan["unfixed"], &scan["minor"], &scan["blocking"]], [1, 1, 1, 0]);
}

#[tokio::test]
async fn an_exception_that_is_over_lets_nothing_through() {
    let shop = shop().await;
    shop.add_to_delivery(
        "[[image-policy.exceptions]]\nid = \"CVE-2026-1\"\nreason = \"until the next release\"\nexpires = \"2020-01-01\"\n",
    );
    shop.scan("scan.json", "auth", &[("CRITICAL", "CVE-2026-1", "openssl", "1.1")]).await;
    let ran = blocked(&shop, &[("scan-report", "scan.json")]).await;
    assert_snapshot!("expired_annotation", annotation(&ran));
    assert!(ran.summary.contains("ended on 2020-01-01: renew it, or take it out"), "{}", ran.summary);
}

#[tokio::test]
async fn no_report_and_reports_of_something_else_block_with_the_command_that_makes_one() {
    let shop = shop().await;
    let missing = blocked(&shop, &[("scan-report", "scan.json")]).await;
    assert_snapshot!("missing_report", annotation(&missing));
    assert_snapshot!("no_report", annotation(&blocked(&shop, &[("gate", "report")]).await));
    shop.scan("other.json", "api", &[]).await;
    assert_snapshot!("foreign_report", annotation(&blocked(&shop, &[("scan-report", "other.json")]).await));
    shop.scan("scan.json", "auth", &[]).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(25 * 60 * 60)).await;
    tokio::time::resume();
    assert_snapshot!("old_report", annotation(&blocked(&shop, &[("scan-report", "scan.json")]).await));
}

#[tokio::test]
async fn a_policy_that_asks_for_a_scan_gets_one() {
    let shop = shop().await;
    shop.add_to_delivery("[image-policy]\nrequire-scan = true\n");
    assert_snapshot!("not_scanned", annotation(&blocked(&shop, &[]).await));
    shop.scan("scan.json", "auth", &[]).await;
    let (ran, _) = shop.push(&[("services", "auth"), ("scan-report", "scan.json")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
}

#[tokio::test]
async fn a_service_s_own_rules_are_kept_like_those_of_all() {
    let shop = shop().await;
    shop.add_to_delivery("[services.auth.image-policy]\nrequired-files = [\"remoteEntry.js\"]\n");
    assert_snapshot!("service_policy", annotation(&blocked(&shop, &[]).await));
    let (ran, _) = shop.push(&[("services", "api")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
}

#[tokio::test]
async fn everything_that_does_not_pass_is_told_at_once() {
    let shop = shop().await;
    let dockerfile = "FROM scratch\nENV DB_PASSWORD=hunter2\nCOPY app /app\n";
    shop.build_by("auth", "1", Some(COMMIT), dockerfile).await;
    shop.scan("scan.json", "auth", &[("HIGH", "CVE-2026-1", "openssl", "1.1")]).await;
    let ran = blocked(&shop, &[("scan-report", "scan.json")]).await;
    for rule in ["require-non-root", "require-healthcheck", "refuse-secrets", "fail-on"] {
        assert!(ran.summary.contains(&format!("| `{rule}` |")), "{rule}: {}", ran.summary);
    }
    assert!(!ran.summary.contains("hunter2") && !ran.log.contains("hunter2"));
}

#[tokio::test]
async fn an_image_that_is_too_big_in_the_registry_gets_no_tag() {
    let shop = shop().await;
    shop.add_to_delivery("[image-policy]\nmax-compressed-size = \"10B\"\n");
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
    assert_eq!(shop.digest("shop/auth", "main"), "");
    assert_snapshot!("too_big_annotation", annotation(&ran));
    // Nor does a second run make it right.
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
}
