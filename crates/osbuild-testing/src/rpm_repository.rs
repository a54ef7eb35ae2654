//! RPM packages and repositories of them, small enough for a test to say what is in them.
//!
//! Needs the programs `rpmbuild`; `rpmsign` and `gpg` for signing; `createrepo_c` for repositories.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::needs::find_program;
use crate::server::{Answer, Server};

/// When keys are made and packages signed, where that matters.
const PAST: &str = "20200101T000000";

/// What a file of a package is.
#[derive(Clone, Debug)]
enum Content {
    Text(String),
    Symlink(String),
    HardLink(String),
    Copy(PathBuf),
}

/// A package to be built.
#[derive(Clone, Debug)]
pub struct Package {
    name: String,
    preamble: String,
    files: Vec<(String, Content)>,
    sections: String,
    listing: String,
}

impl Package {
    /// Begins a package of version 1.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            preamble: String::new(),
            files: Vec::new(),
            sections: String::new(),
            listing: String::new(),
        }
    }

    /// Adds a line of the preamble, such as `Requires: other`.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        writeln!(self.preamble, "{line}").expect("writing to a string does not fail");
        self
    }

    /// Adds a file with the mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.file_as("%attr(0644,root,root)", path, content)
    }

    /// Adds a file with these directives, such as `%doc` or `%attr(4755,root,root)`. The content `-> /x` stands for a
    /// symbolic link, `= /x` for another name of a file that came before.
    #[must_use]
    pub fn file_as(mut self, directives: &str, path: &str, content: &str) -> Self {
        let content = if let Some(target) = content.strip_prefix("-> ") {
            Content::Symlink(target.to_owned())
        } else if let Some(other) = content.strip_prefix("= ") {
            Content::HardLink(other.to_owned())
        } else {
            Content::Text(content.to_owned())
        };
        self.files.push((path.to_owned(), content));
        self.entry(&format!("{directives} {path}"))
    }

    /// Adds a file of this machine, with its mode, where it is here.
    #[must_use]
    pub fn copy(mut self, path: &str) -> Self {
        let source = Content::Copy(PathBuf::from(path));
        self.files.push((path.to_owned(), source));
        self.entry(path)
    }

    /// Returns the package's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a line to the list of files, such as `%dir /etc/a`; directories that are named are made.
    #[must_use]
    pub fn entry(mut self, line: &str) -> Self {
        writeln!(self.listing, "{line}").expect("writing to a string does not fail");
        self
    }

    /// Adds a script in rpm's own Lua: `section` is `pre`, `triggerin`, …; `after` follows the name of the package.
    #[must_use]
    pub fn lua(mut self, section: &str, after: &str, script: &str) -> Self {
        let name = &self.name;
        writeln!(
            self.sections,
            "%{section} -n {name} -p <lua> {after}\n{script}"
        )
        .expect("writing to a string does not fail");
        self
    }

    fn spec(&self) -> String {
        let Self {
            name,
            preamble,
            sections,
            listing,
            ..
        } = self;
        let architecture = if preamble.contains("BuildArch:") {
            ""
        } else {
            "BuildArch: noarch\n"
        };
        format!(
            "%package -n {name}\nSummary: {name}\n{architecture}{preamble}\n%description -n {name}\n{name}\n\
             {sections}\n%files -n {name}\n%defattr(-,root,root,-)\n{listing}\n"
        )
    }
}

/// Builds packages with a single `rpmbuild`; returns their files in the given order.
pub fn build(packages: &[Package], directory: &Path) -> Result<Vec<PathBuf>> {
    let work = tempfile::tempdir()?;
    let root = work.path().join("root");
    fs_err::create_dir(&root)?;
    for package in packages {
        lay_out(package, &root)?;
    }
    // All in one specification: a start of rpmbuild takes longer than a small package.
    let mut spec = "%global debug_package %{nil}\n%global __os_install_post %{nil}\n\
        Name: set\nVersion: 1\nRelease: 1\nSummary: set\nLicense: none\nBuildArch: noarch\n%description\nset\n"
        .to_owned();
    spec.extend(packages.iter().map(Package::spec));
    let file = work.path().join("set.spec");
    fs_err::write(&file, spec)?;
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    run(Command::new("rpmbuild")
        .args(["-bb", "--quiet", "--noprep", "--nocheck", "--buildroot"])
        .arg(&root)
        .args(define("_topdir", &work.path().display().to_string()))
        .args(define("_rpmdir", &directory.display().to_string()))
        .args(define("_build_name_fmt", "%%{NAME}.rpm"))
        .args(define("_build_id_links", "none"))
        .args(define("_buildhost", "test.invalid"))
        .args(define("_binary_payload", "w3.zstdio"))
        .args(define("_unpackaged_files_terminate_build", "0"))
        // Packages of programs of this machine are for this machine only.
        .args(define("_binaries_in_noarch_packages_terminate_build", "0"))
        .args(define("__spec_install_pre", "%{nil}"))
        .args(define("__spec_clean_body", "%{nil}"))
        .args(define("_use_internal_dependency_generator", "0"))
        .args(define("__find_requires", "%{nil}"))
        .args(define("__find_provides", "%{nil}"))
        .arg(&file))?;
    Ok(packages
        .iter()
        .map(|package| directory.join(format!("{}.rpm", package.name)))
        .collect())
}

/// Puts a package's files where rpmbuild takes them from; `%dir`s and links of the list are made.
fn lay_out(package: &Package, root: &Path) -> Result<()> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    for line in package.listing.lines().filter(|line| line.contains("%dir")) {
        let path = line
            .split_whitespace()
            .last()
            .context("an entry is empty")?;
        fs_err::create_dir_all(below(path))?;
    }
    for (path, content) in &package.files {
        let file = below(path);
        fs_err::create_dir_all(file.parent().context("a file is in a directory")?)?;
        match content {
            Content::Text(text) => fs_err::write(file, text)?,
            Content::Symlink(target) => fs_err::os::unix::fs::symlink(target, file)?,
            Content::HardLink(other) => fs_err::hard_link(below(other), file)?,
            Content::Copy(source) => drop(fs_err::copy(source, file)?),
        }
    }
    Ok(())
}

/// A key that signs packages.
#[derive(Debug)]
pub struct SigningKey {
    home: tempfile::TempDir,
    clock: Vec<String>,
}

impl SigningKey {
    /// Makes a key that does not expire.
    pub fn generate() -> Result<Self> {
        Self::make("never", Vec::new())
    }

    /// Makes a key that has expired in 2020, with which packages are signed before that.
    pub fn generate_expired() -> Result<Self> {
        let clock = ["--faked-system-time", PAST].map(str::to_owned);
        Self::make("1w", clock.to_vec())
    }

    fn make(expiry: &str, clock: Vec<String>) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let key = Self { home, clock };
        run(key
            .gpg()
            .args(["--passphrase", "", "--quick-generate-key"])
            .args(["packager@test.invalid", "rsa2048", "sign", expiry]))?;
        Ok(key)
    }

    /// Returns the public key, in ASCII armour.
    pub fn public(&self) -> Result<String> {
        let output = run(self.gpg().args(["--armor", "--export"]))?;
        String::from_utf8(output).context("exporting a key")
    }

    /// Signs packages.
    pub fn sign(&self, packages: &[PathBuf]) -> Result<()> {
        let home = self.home.path().display();
        let gpg = find_program("gpg").context("signing needs gpg")?;
        run(Command::new("rpmsign")
            .args(["--define", "_gpg_name packager@test.invalid"])
            .args(["--define", &format!("_gpg_path {home}")])
            .args(["--define", &format!("__gpg {}", gpg.display())])
            .args([
                "--define",
                &format!("_gpg_sign_cmd_extra_args --batch {}", self.clock.join(" ")),
            ])
            .arg("--addsign")
            .args(packages))?;
        Ok(())
    }

    fn gpg(&self) -> Command {
        let mut command = Command::new("gpg");
        command
            .args(["--batch", "--quiet", "--homedir"])
            .arg(self.home.path())
            .args(&self.clock);
        command
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        // The agent would go on for ever in a directory that is no more.
        let stopped = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .status();
        assert!(
            stopped.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the agent of gpg can be stopped"
        );
    }
}

/// Makes the metadata of a repository in a directory of packages.
pub fn create_repository(directory: &Path) -> Result<()> {
    run(Command::new("createrepo_c")
        .args(["--quiet", "--no-database"])
        .arg(directory))?;
    Ok(())
}

/// Serves a directory with all that is in it below a path such as `/repo`.
pub fn serve(directory: &Path, server: &Server, path: &str) -> Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let below = format!("{path}/{}", entry.file_name().display());
        if entry.file_type()?.is_dir() {
            serve(&entry.path(), server, &below)?;
        } else {
            server.answer(&below, [Answer::File(fs_err::read(entry.path())?)]);
        }
    }
    Ok(())
}

/// Writes a metalink to the metadata of a repository, with mirrors in order of preference.
pub fn metalink(directory: &Path, mirrors: &[String]) -> Result<String> {
    let content = fs_err::read(directory.join("repodata/repomd.xml"))?;
    let timestamp = String::from_utf8_lossy(&content);
    let timestamp = timestamp
        .split_once("<revision>")
        .and_then(|(_, rest)| rest.split_once("</revision>"))
        .context("the metadata has no revision")?
        .0
        .to_owned();
    let mut urls = String::new();
    for (at, mirror) in mirrors.iter().enumerate() {
        let preference = 100 - at;
        writeln!(
            urls,
            "<url protocol=\"http\" type=\"http\" preference=\"{preference}\">{mirror}/repodata/repomd.xml</url>"
        )?;
    }
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\n\
         <files><file name=\"repomd.xml\"><mm0:timestamp>{timestamp}</mm0:timestamp><size>{}</size>\n\
         <verification><hash type=\"sha256\">{}</hash></verification>\n\
         <resources maxconnections=\"1\">\n{urls}</resources></file></files></metalink>\n",
        content.len(),
        hexadecimal(&Sha256::digest(&content)),
    ))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command:?}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {complaints}");
    Ok(output.stdout)
}
