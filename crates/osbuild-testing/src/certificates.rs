//! Certificates for servers and clients of tests, made with `openssl`.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// Makes `NAME.pem` and `NAME.key` in the directory: an authority, `ca`, and what it signed, `server` for 127.0.0.1 and
/// `client`. They hold for two days.
pub fn make_certificates(directory: &Path) -> Result<()> {
    openssl(
        directory,
        &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -subj /CN=ca -days 2"),
    )?;
    let extensions = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n";
    fs_err::write(directory.join("extensions"), extensions)?;
    for name in ["server", "client"] {
        openssl(
            directory,
            &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        )?;
        openssl(
            directory,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                 -extfile extensions -out {name}.pem"
            ),
        )?;
    }
    Ok(())
}

fn openssl(directory: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .output()?;
    ensure!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
