//! ARNs and identifiers, in the forms that ECS gives them. Nothing is random: the same story mints the
//! same identifiers.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::state::State;

impl State {
    /// The ARN of an ECS resource of this account and region.
    pub(crate) fn ecs_arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{}:{resource}", self.region, self.account)
    }
}

/// A task's identifier, and a container's runtime's: 32 hexadecimal digits.
pub(super) fn task_id(state: &mut State) -> String {
    hexadecimal(&mint(state)[..16])
}

/// A deployment's identifier, the same that its tasks carry as `startedBy`.
pub(super) fn deployment_id(state: &mut State) -> String {
    format!("ecs-svc/{}", digits(state))
}

/// The last part of a service revision's ARN: 19 digits.
pub(super) fn digits(state: &mut State) -> String {
    let [a, b, c, d, e, f, g, h, ..] = mint(state);
    let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (1_000_000_000_000_000_000 + number % 8_000_000_000_000_000_000).to_string()
}

/// The last part of a service deployment's ARN: 21 characters.
pub(super) fn service_deployment_id(state: &mut State) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    mint(state)[..21].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
}

/// A lifecycle hook's identifier: `ecs-pause-` and 43 characters.
pub(super) fn hook_id(state: &mut State, kind: &str) -> String {
    format!("ecs-{kind}-{}", URL_SAFE_NO_PAD.encode(mint(state)))
}

/// A UUID, as events, containers and attachments have.
pub(super) fn uuid(state: &mut State) -> String {
    let digits = hexadecimal(&mint(state)[..16]);
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// An elastic network interface's identifier.
pub(super) fn network_interface_id(state: &mut State) -> String {
    format!("eni-{}", &hexadecimal(&mint(state)[..9])[..17])
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that were never minted before in this world.
fn mint(state: &mut State) -> [u8; 32] {
    state.ecs.minted += 1;
    Sha256::digest(format!("world {}", state.ecs.minted)).into()
}
