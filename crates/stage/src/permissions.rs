//! Every scenario proves that the policy which the action prints allows what the action asks of AWS.

use std::path::Path;

use common::manifest::Action;
use world::World;

/// What AWS asks no permission for: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>, and the
/// exchange of an OpenID Connect token, which the role's trust policy decides.
const FREE: [&str; 2] = ["sts:GetCallerIdentity", "sts:AssumeRoleWithWebIdentity"];

/// Where each scenario leaves what it asked for, a file a call: `cargo xtask check` holds the policies against it.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/scenarios");

/// Fails the test if a call since `from` is not in the action's policy.
pub(crate) fn check(action: &Action, world: &World, from: usize) {
    let calls = world.calls();
    let is_aws = |name: &&str| is_permission(name) && !FREE.contains(name);
    for name in calls.iter().skip(from).map(|call| call.name.as_str()).filter(is_aws) {
        let is_allowed = action.iam.iter().any(|(allowed, _)| *allowed == name);
        assert!(is_allowed, "{} asks for `{name}`, which is not in the policy that it prints", action.name);
        let folder = Path::new(SCENARIOS).join(action.name);
        let noted = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), ""));
        assert!(noted.is_ok(), "cannot note `{name}` in {}: {noted:?}", folder.display());
    }
}

/// Whether a call is an API's operation, as IAM writes it: `ecs:UpdateService`. GitHub's, the registry's and the engine's are not.
fn is_permission(name: &str) -> bool {
    let Some((service, operation)) = name.split_once(':') else { return false };
    service.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        && operation.starts_with(|first: char| first.is_ascii_uppercase())
        && operation.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
