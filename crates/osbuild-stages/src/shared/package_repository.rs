//! Repositories as `dnf` and `yum` are told of them: a configuration file, with keys beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A repository of a manifest.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PackageRepository {
    metalink: Option<String>,
    mirrorlist: Option<String>,
    baseurl: Option<String>,
    gpgkey: Option<String>,
}

/// A configuration that lasts as long as this does.
#[derive(Debug)]
pub(crate) struct Configuration {
    directory: tempfile::TempDir,
    file: &'static str,
}

impl PackageRepository {
    /// Returns the address that a cache is named after.
    pub(crate) fn address(&self) -> Option<&str> {
        [&self.metalink, &self.mirrorlist, &self.baseurl]
            .into_iter()
            .find_map(|address| address.as_deref())
    }

    fn section(&self, id: &str, directory: &Path) -> Result<String> {
        // Without a name there is a warning.
        let mut text = format!("[{id}]\nname={id}\n");
        for (option, address) in [
            ("metalink", &self.metalink),
            ("mirrorlist", &self.mirrorlist),
            ("baseurl", &self.baseurl),
        ] {
            let Some(address) = address.as_ref().filter(|address| !address.is_empty()) else {
                continue;
            };
            ensure!(
                !address.contains('\n'),
                "the {option} of {id} has several lines"
            );
            writeln!(text, "{option}={address}").context("writing the configuration")?;
        }
        if let Some(key) = &self.gpgkey {
            let file = directory.join(format!("{id}.asc"));
            fs_err::write(&file, key)?;
            let file = file.display();
            writeln!(text, "gpgcheck=1\ngpgkey=file://{file}")
                .context("writing the configuration")?;
        }
        Ok(text)
    }
}

impl Configuration {
    /// Writes the repositories as `repo0`, `repo1`, … to a file of this name, after some first lines.
    pub(crate) fn write(
        file: &'static str,
        first: &str,
        repositories: &[PackageRepository],
    ) -> Result<Self> {
        let directory = tempfile::tempdir().context("making a temporary directory")?;
        let mut text = first.to_owned();
        for (number, repository) in repositories.iter().enumerate() {
            text.push_str(&repository.section(&id(number), directory.path())?);
        }
        fs_err::write(directory.path().join(file), text)?;
        Ok(Self { directory, file })
    }

    /// Returns where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join(self.file)
    }
}

/// How a repository is called in the configuration.
pub(crate) fn id(number: usize) -> String {
    format!("repo{number}")
}
