//! A second AWS, by other people: moto, for RDS. It is asked where `AWS_ENDPOINT_URL_<SERVICE>` says so.
//! <https://docs.getmoto.org/en/latest/docs/server_mode.html>

use anyhow::Result;

use super::aws_api::{ACCOUNT, AwsApi};
use super::server::{Server, tied};
use crate::process::say;
use crate::tools;

/// Where it answers.
pub(crate) const URL: &str = "http://127.0.0.1:4567";

/// moto, running with empty state. Stopped when dropped.
pub(crate) struct Moto {
    pub(crate) api: AwsApi,
    _server: Server,
}

impl Moto {
    pub(crate) fn start() -> Result<Self> {
        let mut command = tied(tools::python("moto_server")?);
        command.args(["-H", "127.0.0.1", "-p", "4567"]).env("MOTO_ACCOUNT_ID", ACCOUNT);
        let server = Server::start("moto", &mut command, || {
            ureq::get(format!("{URL}/moto-api/data.json")).call()?;
            Ok(())
        })?;
        say(format!("moto answers on {URL}"));
        Ok(Self { api: AwsApi(URL), _server: server })
    }
}
