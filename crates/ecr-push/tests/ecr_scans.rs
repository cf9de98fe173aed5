//! `gate: ecr`: what ECR finds once an image is there keeps the tags from moving, and the run from succeeding.

use std::time::Duration;

use insta::assert_snapshot;
use stage::{COMMIT, Ran, steady};
use world::{Fault, RepositorySeed, ScanSeed};

use crate::shop::{Shop, as_wanted, shop};

const INPUTS: [(&str, &str); 3] = [("services", "auth"), ("tags", "main"), ("gate", "ecr")];

/// A shop where ECR's scans show this. Time passes quickly once the action begins to ask for them.
async fn scanning(stages: Vec<ScanSeed>) -> Shop {
    let shop = shop().await;
    shop.stage.world.scans_show("shop/auth", stages);
    shop.pause_at("DescribeImageScanFindings");
    shop
}

fn found(findings: &[(&str, &str, &str)]) -> Vec<serde_json::Value> {
    findings.iter().map(|(severity, id, package)| ScanSeed::basic(severity, id, package)).collect()
}

/// How long a run waits for ECR.
async fn push(shop: &Shop) -> (Ran, Duration) {
    let before = shop.stage.world.now();
    let (ran, _) = shop.push(&INPUTS).await;
    (ran, Duration::try_from(shop.stage.world.now().duration_since(before)).unwrap())
}

fn check_pushed(shop: &Shop, ran: &Ran) {
    assert_eq!((ran.output("result"), ran.exit_code), ("pushed", 0), "{}", ran.log);
    assert_eq!(shop.digest("shop/auth", "main"), shop.digest("shop/auth", COMMIT));
}

fn check_blocked(shop: &Shop, ran: &Ran) -> String {
    assert_eq!((ran.output("result"), ran.output("tags"), ran.exit_code), ("blocked", "", 1), "{}", ran.log);
    assert_eq!(ran.output("digest"), shop.digest("shop/auth", COMMIT), "the image is there");
    assert_eq!(shop.digest("shop/auth", "main"), "", "and no tag moved to it");
    steady(&ran.annotations().join("\n"))
}

#[tokio::test]
async fn a_scan_that_finds_nothing_grave_lets_the_tags_move() {
    let minor = found(&[("MEDIUM", "CVE-2026-1", "bash"), ("INFORMATIONAL", "CVE-2026-2", "bash")]);
    let stages = vec![
        ScanSeed::after(4, "IN_PROGRESS"),
        ScanSeed::after(20, "COMPLETE"),
        ScanSeed::after(28, "COMPLETE").with(minor),
    ];
    let shop = scanning(stages).await;
    let (ran, took) = push(&shop).await;
    check_pushed(&shop, &ran);
    assert!((25..35).contains(&took.as_secs()), "{took:?}");
    assert_snapshot!("scanned_log", steady(&ran.log));
    assert_snapshot!("scanned_summary", steady(&ran.summary));
}

#[tokio::test]
async fn a_scan_without_findings_counts_once_it_has_settled() {
    let shop = scanning(vec![ScanSeed::after(0, "COMPLETE")]).await;
    let (ran, took) = push(&shop).await;
    check_pushed(&shop, &ran);
    assert!((30..40).contains(&took.as_secs()), "{took:?}");
    // Once is enough: a run that comes later does not wait.
    shop.stage.on_answer(|_, _| {});
    let (again, took) = push(&shop).await;
    assert_eq!((again.output("result"), again.exit_code), ("unchanged", 0), "{}", again.log);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn what_ecr_finds_blocks_this_run_and_the_next() {
    let grave =
        found(&[("CRITICAL", "CVE-2026-1", "openssl"), ("HIGH", "CVE-2026-2", "zlib"), ("LOW", "CVE-2026-3", "bash")]);
    let shop = scanning(vec![ScanSeed::after(0, "COMPLETE").with(grave)]).await;
    let (ran, _) = push(&shop).await;
    assert_snapshot!("ecr_blocked_annotation", check_blocked(&shop, &ran));
    assert_snapshot!("ecr_blocked_summary", steady(&ran.summary));
    shop.stage.on_answer(|_, _| {});
    let (again, _) = push(&shop).await;
    check_blocked(&shop, &again);
}

#[tokio::test]
async fn hundreds_of_findings_come_page_by_page() {
    let mut many: Vec<serde_json::Value> =
        (0..1_200).map(|number| ScanSeed::basic("LOW", &format!("CVE-2026-{number}"), "bash")).collect();
    many.push(ScanSeed::basic("CRITICAL", "CVE-2026-9999", "openssl"));
    let shop = scanning(vec![ScanSeed::after(0, "COMPLETE").with(many)]).await;
    let (ran, _) = push(&shop).await;
    assert!(check_blocked(&shop, &ran).contains("CRITICAL CVE-2026-9999"), "{}", ran.log);
    assert!(ran.summary.contains("**1 block**, 1200 let through (ECR)"), "{}", ran.summary);
}

/// A shop whose registry scans by Inspector, which finds these after a while.
async fn inspected(findings: Vec<serde_json::Value>) -> Shop {
    let stages = vec![
        ScanSeed::after(8, "PENDING"),
        ScanSeed::after(30, "ACTIVE"),
        ScanSeed::after(42, "ACTIVE").with(findings),
    ];
    let shop = scanning(stages).await;
    shop.stage.world.scan_registry("ENHANCED", &[("CONTINUOUS_SCAN", "*")]);
    shop
}

#[tokio::test]
async fn inspector_tells_which_findings_have_a_fix() {
    let shop = inspected(vec![
        ScanSeed::enhanced("CRITICAL", "CVE-2026-1", "openssl", ""),
        ScanSeed::enhanced("UNTRIAGED", "CVE-2026-2", "bash", "5.3"),
    ])
    .await;
    let (ran, took) = push(&shop).await;
    check_pushed(&shop, &ran);
    assert!(took >= Duration::from_secs(72), "Inspector has to settle: {took:?}");
}

#[tokio::test]
async fn what_inspector_finds_blocks() {
    let shop = inspected(vec![ScanSeed::enhanced("HIGH", "CVE-2026-3", "zlib", "1.3.1")]).await;
    let (ran, _) = push(&shop).await;
    assert_snapshot!("inspector_annotation", check_blocked(&shop, &ran));
}

#[tokio::test]
async fn a_scan_that_nobody_asked_for_is_asked_for() {
    let shop = scanning(vec![ScanSeed::after(5, "COMPLETE").with(found(&[("LOW", "CVE-2026-1", "bash")]))]).await;
    shop.stage.world.set_up_repository(RepositorySeed { scan_on_push: false, ..as_wanted("shop/auth") });
    let (ran, _) = push(&shop).await;
    check_pushed(&shop, &ran);
    let starts = shop.stage.world.writes().iter().filter(|name| *name == "ecr:StartImageScan").count();
    assert_eq!(starts, 1);
}

#[tokio::test]
async fn a_registry_that_does_not_scan_the_repository_blocks_after_a_while() {
    let shop = scanning(Vec::new()).await;
    shop.stage.world.scan_registry("ENHANCED", &[("CONTINUOUS_SCAN", "bank/*")]);
    let (ran, took) = push(&shop).await;
    assert_snapshot!("not_covered_annotation", check_blocked(&shop, &ran));
    assert!((300..320).contains(&took.as_secs()), "{took:?}");
}

/// What a person reads where a scan ends with this status.
async fn ended(status: &str) -> String {
    let shop = scanning(vec![ScanSeed::after(3, status)]).await;
    let (ran, took) = push(&shop).await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    check_blocked(&shop, &ran)
}

#[tokio::test]
async fn a_scan_that_failed_blocks() {
    assert_snapshot!("scan_failed", ended("FAILED").await);
}

#[tokio::test]
async fn an_image_that_ecr_cannot_scan_is_blocked() {
    assert_snapshot!("scan_unsupported_image", ended("UNSUPPORTED_IMAGE").await);
}

#[tokio::test]
async fn findings_that_cannot_be_had_block() {
    assert_snapshot!("scan_findings_unavailable", ended("FINDINGS_UNAVAILABLE").await);
}

#[tokio::test]
async fn an_image_that_is_too_old_for_inspector_is_blocked() {
    assert_snapshot!("scan_eligibility_expired", ended("SCAN_ELIGIBILITY_EXPIRED").await);
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_waited_for_and_then_blocks() {
    let shop = scanning(vec![ScanSeed::after(0, "REPLICATING")]).await;
    let (ran, took) = push(&shop).await;
    assert_snapshot!("unknown_status", check_blocked(&shop, &ran));
    assert!((1700..1810).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn a_role_that_may_not_read_findings_is_told_the_permission() {
    let shop = scanning(Vec::new()).await;
    shop.stage.world.script("ecr:DescribeImageScanFindings", Fault::Denied, 1);
    let (ran, _) = push(&shop).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("failed", 3), "{}", ran.log);
    assert_snapshot!("findings_denied", steady(&ran.annotations().join("\n")));
    assert_eq!(shop.digest("shop/auth", "main"), "");
}

#[tokio::test]
async fn one_blocked_image_holds_back_the_tags_of_all() {
    let shop = scanning(vec![ScanSeed::after(0, "COMPLETE").with(found(&[("HIGH", "CVE-2026-1", "openssl")]))]).await;
    shop.stage
        .world
        .scans_show("shop/api", vec![ScanSeed::after(0, "COMPLETE").with(found(&[("LOW", "CVE-2026-2", "bash")]))]);
    let (ran, _) = shop.push(&[("tags", "main"), ("gate", "ecr")]).await;
    assert_eq!((ran.output("result"), ran.exit_code), ("blocked", 1), "{}", ran.log);
    assert_eq!([shop.digest("shop/auth", "main"), shop.digest("shop/api", "main")], ["", ""]);
}

/// A run that expects a signature, where ECR's shows this.
async fn signed(stages: &[(u64, &str)]) -> (Shop, Ran) {
    let shop = shop().await;
    shop.stage.world.sign_images("shop/auth", stages);
    shop.add_to_delivery("signed = true");
    shop.pause_at("DescribeImageSigningStatus");
    let (ran, _) = shop.push(&[("services", "auth"), ("tags", "main")]).await;
    (shop, ran)
}

#[tokio::test]
async fn ecr_s_signature_is_waited_for_where_it_is_expected() {
    let (shop, ran) = signed(&[(2, "IN_PROGRESS"), (9, "COMPLETE")]).await;
    check_pushed(&shop, &ran);
    assert!(ran.summary.contains("*auth: signed by `delivery`*"), "{}", ran.summary);
}

#[tokio::test]
async fn a_signature_that_failed_blocks() {
    let (shop, ran) = signed(&[(2, "IN_PROGRESS"), (9, "FAILED")]).await;
    assert_snapshot!("signing_failed", check_blocked(&shop, &ran));
}

#[tokio::test]
async fn an_image_that_nobody_signs_is_blocked() {
    let (shop, ran) = signed(&[]).await;
    assert_snapshot!("not_signed", check_blocked(&shop, &ran));
}
