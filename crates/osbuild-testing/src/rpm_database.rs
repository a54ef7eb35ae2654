//! What an RPM database says, to be compared with another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Tags that tell when a package was installed.
const TIMES: [&str; 2] = ["\"Installtime\"", "\"Installtid\""];
/// Each such tag is three lines of XML.
const LINES_OF_TAG: usize = 3;

/// The database of a tree, read with this machine's `rpm`.
#[derive(Clone, Debug)]
pub struct RpmDatabase {
    root: PathBuf,
    path: String,
}

impl RpmDatabase {
    /// Names the database at a path of a tree.
    pub fn new(root: &Path, path: &str) -> Self {
        Self {
            root: root.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Prepares a call of `rpm` on the tree.
    pub fn rpm(&self) -> Command {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(&self.root);
        command.args(["--dbpath", &self.path]);
        command.stdin(Stdio::null());
        command
    }

    /// Returns what `rpm -Va` finds: nothing, where every file is as its package has it.
    pub fn verify(&self) -> Result<String> {
        // Its exit status says no more than its lines.
        let output = self.rpm().arg("-Va").output().context("running rpm -Va")?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Returns what is said of each package in this format, sorted.
    pub fn query(&self, format: &str) -> Result<Vec<String>> {
        let text = read(self.rpm().args(["-qa", "--qf", format]))?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        Ok(lines)
    }

    /// Returns every tag of every package but for when it was installed, sorted.
    pub fn headers(&self) -> Result<Vec<String>> {
        let xml = read(self.rpm().args(["-qa", "--xml"]))?;
        let mut headers: Vec<String> = xml.split("</rpmHeader>").map(without_times).collect();
        headers.sort();
        Ok(headers)
    }
}

fn without_times(header: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if TIMES.iter().any(|tag| line.contains(tag)) {
            lines.nth(LINES_OF_TAG - 2);
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

fn read(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8(output.stdout).with_context(|| format!("reading what {command:?} says"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_are_left_out() {
        let header = "<rpmHeader>\n  <rpmTag name=\"Name\">\n\t<string>a</string>\n  </rpmTag>\n  \
                      <rpmTag name=\"Installtime\">\n\t<integer>1</integer>\n  </rpmTag>\n  \
                      <rpmTag name=\"Size\">\n\t<integer>2</integer>\n  </rpmTag>";
        let expected = "<rpmHeader>\n  <rpmTag name=\"Name\">\n\t<string>a</string>\n  </rpmTag>\n  \
                        <rpmTag name=\"Size\">\n\t<integer>2</integer>\n  </rpmTag>";
        assert_eq!(without_times(header), expected);
    }
}
