//! A certificate that is its own root.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{Run, program};

/// A server's certificate and its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Issues one for a host, by its name or its address, valid for two days.
    pub(crate) fn issue(folder: &Path, host: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let issued = Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        program("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={host}")])
            .args(["-addext", &format!("subjectAltName={kind}:{host}")])
            // A server that calls itself an authority is not believed by the actions' TLS.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&issued.key)
            .arg("-out")
            .arg(&issued.certificate)
            .read()
            .context("cannot make a certificate; install openssl")?;
        Ok(issued)
    }
}
