//! What was chosen last for a question, kept beside the package lists: as long as the repositories have not changed, and
//! this program has not, the answer is the same, and no list needs to be unpacked and searched.
//!
//! ```text
//! CACHE/
//!   chosen-0a1b…ff      the answer to the question with this SHA-256: one line with the SHA-256 of the
//!                       rest, then the JSON of `Choice`
//! ```

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use osbuild_packages::deb::repository::{Repository as Archive, RepositoryState};
use osbuild_packages::deb::solve::Pin;
use serde::{Deserialize, Serialize};

use crate::lock::{LockedPackage, digest};
use crate::replace_file::replace_file;
use crate::solve::PackageRequest;

/// This program, as the kernel knows it.
const PROGRAM: &str = "/proc/self/exe";

/// All that is asked; the state of the repositories is part of the answer, so that a new one takes the place of the old.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    pub(super) archives: &'a [Archive],
    pub(super) alternatives: &'a [Vec<String>],
    pub(super) pins: &'a [Pin],
    pub(super) architecture: &'a str,
    pub(super) requests: &'a [PackageRequest],
}

/// What the answer holds for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Circumstances {
    /// The SHA-256 of each release file; none for repositories that are passed over.
    releases: Vec<Option<String>>,
    /// The program that chose: device, inode, size, and when it was changed in seconds and nanoseconds.
    program: (u64, u64, u64, i64, i64),
}

impl Circumstances {
    /// Those of now.
    pub(super) fn now(states: &[Option<RepositoryState>]) -> Result<Self> {
        let program = fs_err::metadata(PROGRAM)?;
        let release = |state: &RepositoryState| state.release_sha256.clone();
        Ok(Self {
            releases: states
                .iter()
                .map(|state| state.as_ref().map(release))
                .collect(),
            program: (
                program.dev(),
                program.ino(),
                program.size(),
                program.ctime(),
                program.ctime_nsec(),
            ),
        })
    }
}

/// A question that was answered.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    circumstances: Circumstances,
    /// The packages of each request.
    packages: Vec<Vec<LockedPackage>>,
}

/// Gives the last answer if it holds.
pub(super) fn read(
    cache: &Path,
    question: &Question<'_>,
    now: &Circumstances,
) -> Result<Option<Vec<Vec<LockedPackage>>>> {
    let path = path(cache, question)?;
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!("packages are chosen anew: {error}");
            return Ok(None);
        }
    };
    let whole = text
        .split_once('\n')
        .filter(|(noted, rest)| *noted == digest(rest.as_bytes()));
    let Some((_, rest)) = whole else {
        tracing::warn!(path = %path.display(), "a choice of packages is damaged and is made again");
        return Ok(None);
    };
    // Another version of this program may have written it.
    let choice = serde_json::from_str::<Choice>(rest).ok();
    Ok(choice
        .filter(|choice| choice.circumstances == *now)
        .map(|choice| choice.packages))
}

/// Keeps an answer; readers see all of it or nothing.
pub(super) fn keep(
    cache: &Path,
    question: &Question<'_>,
    circumstances: Circumstances,
    packages: &[Vec<LockedPackage>],
) -> Result<()> {
    let path = path(cache, question)?;
    let choice = Choice {
        circumstances,
        packages: packages.to_vec(),
    };
    let rest = serde_json::to_string(&choice)?;
    let text = format!("{}\n{rest}", digest(rest.as_bytes()));
    replace_file(&path, &text).with_context(|| format!("writing {}", path.display()))
}

fn path(cache: &Path, question: &Question<'_>) -> Result<PathBuf> {
    let digest = digest(&serde_json::to_vec(question)?);
    let digest = digest.trim_start_matches("sha256:");
    Ok(cache.join(format!("chosen-{digest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sha256: &str) -> RepositoryState {
        RepositoryState {
            date: None,
            release_sha256: sha256.to_owned(),
        }
    }

    #[test]
    fn an_answer_holds_for_its_question_and_state_only() {
        let cache = tempfile::tempdir().unwrap();
        let archives = [Archive::new("http://mirror.invalid", "stable", &["main"])];
        let question = |architecture| Question {
            archives: &archives,
            alternatives: &[],
            pins: &[],
            architecture,
            requests: &[],
        };
        let packages = vec![vec![LockedPackage {
            name: "tool".to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
            urls: vec!["http://mirror.invalid/tool.deb".to_owned()],
            sha256: "0".repeat(64),
            size: 1,
        }]];
        let now = |sha256| Circumstances::now(&[Some(state(sha256)), None]).unwrap();
        let read = |architecture, sha256| {
            read(cache.path(), &question(architecture), &now(sha256)).unwrap()
        };
        assert_eq!(read("amd64", "one"), None);
        keep(cache.path(), &question("amd64"), now("one"), &packages).unwrap();
        assert_eq!(read("amd64", "one"), Some(packages));
        assert_eq!(read("amd64", "two"), None);
        assert_eq!(read("arm64", "one"), None);
        let path = path(cache.path(), &question("amd64")).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, text.replace("tool", "tooI")).unwrap();
        assert_eq!(read("amd64", "one"), None);
    }
}
