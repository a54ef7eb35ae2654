//! What is remembered of a build, so that `osbuild resume` can go on with it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use osbuild_engine::execute::ExportRequest;
use osbuild_engine::module_catalog::ModuleCatalog;
use osbuild_fetch::{Algorithm, Hasher};
use osbuild_manifest::manifest::{Manifest, StageId};
use osbuild_store::{RememberedBuild, Store, Top};
use serde::{Deserialize, Serialize};

use crate::command_line::RepositoryArguments;
use crate::failure::Failure;
use crate::known_packages::KnownPackages;
use crate::manifest_command::{open_catalog, open_named_catalog};
use crate::shell_word::shell_word;
use crate::store_place::default_store;

/// The version of the format. A program refuses records of any other.
const FORMAT: u32 = 2;
/// Characters of an id: enough to tell the few builds apart that are remembered.
const ID_LENGTH: usize = 12;

/// Which command began a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BegunBy {
    /// `osbuild build`, which has built-in modules only.
    Build,
    /// `osbuild MANIFEST`.
    Manifest,
}

/// A tree to hand out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RecordedExport {
    /// Name or id of the pipeline.
    pub(crate) pipeline: String,
    /// Where its content goes, an absolute path.
    pub(crate) destination: PathBuf,
    /// Whether that directory's own attributes are left alone.
    pub(crate) keeps_directory: bool,
}

/// A build as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BuildRecord {
    /// The version of this format.
    pub(crate) format: u32,
    /// The version of the program that wrote this.
    pub(crate) program: String,
    /// The command that began the build.
    pub(crate) begun_by: BegunBy,
    /// The recipe or manifest, an absolute path; `-` for standard input.
    pub(crate) file: PathBuf,
    /// SHA-256 of that file when the build began; none for standard input.
    pub(crate) file_digest: Option<String>,
    /// The whole manifest, that of a recipe with the packages that were chosen.
    pub(crate) manifest: String,
    /// The trees to hand out.
    pub(crate) exports: Vec<RecordedExport>,
    /// What will be there afterwards.
    pub(crate) results: Vec<PathBuf>,
    /// Directory that results are put in.
    pub(crate) output: Option<PathBuf>,
    /// Ids of stages whose trees are to be kept.
    pub(crate) checkpoints: Vec<String>,
    /// `--libdir`.
    pub(crate) library: Option<PathBuf>,
    /// `--mirror`.
    pub(crate) mirror: Option<String>,
    /// `--keyring`.
    pub(crate) keyring: Option<PathBuf>,
    /// `--stage-timeout`, in seconds.
    pub(crate) stage_timeout: Option<u64>,
    /// Pipelines that run side by side at most.
    pub(crate) jobs: NonZeroUsize,
    /// Directory for sockets.
    pub(crate) run_directory: PathBuf,
    /// What is known of the packages of a recipe.
    pub(crate) packages: KnownPackages,
    /// What ended it; none as long as it runs, and of one that was killed.
    pub(crate) ended: Option<String>,
}

impl BuildRecord {
    /// Begins a record of a build with nothing but what every build has.
    ///
    /// # Errors
    /// The working directory is gone.
    pub(crate) fn new(begun_by: BegunBy, file: &Path, manifest: String) -> Result<Self> {
        let is_stdin = file == Path::new("-");
        let file = if is_stdin {
            file.to_owned()
        } else {
            absolute(file)?
        };
        Ok(Self {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            begun_by,
            file_digest: digest_of_file(&file),
            file,
            manifest,
            exports: Vec::new(),
            results: Vec::new(),
            output: None,
            checkpoints: Vec::new(),
            library: None,
            mirror: None,
            keyring: None,
            stage_timeout: None,
            jobs: NonZeroUsize::MIN,
            run_directory: PathBuf::new(),
            packages: KnownPackages::default(),
            ended: None,
        })
    }

    /// Sets what is handed out.
    ///
    /// # Errors
    /// The working directory is gone.
    pub(crate) fn with_exports(
        mut self,
        exports: &[ExportRequest],
        results: &[PathBuf],
        output: Option<&Path>,
    ) -> Result<Self> {
        self.exports = exports
            .iter()
            .map(|export| {
                Ok(RecordedExport {
                    pipeline: export.pipeline.clone(),
                    destination: absolute(&export.destination)?,
                    keeps_directory: export.top == Top::AsItIs,
                })
            })
            .collect::<Result<_>>()?;
        self.results = results
            .iter()
            .map(|result| absolute(result))
            .collect::<Result<_>>()?;
        self.output = output.map(absolute).transpose()?;
        Ok(self)
    }

    /// Says that the build goes on with another file, or the same as it is now.
    ///
    /// # Errors
    /// The working directory is gone.
    pub(crate) fn of_file(self, file: &Path) -> Result<Self> {
        let fresh = Self::new(self.begun_by, file, String::new())?;
        Ok(Self {
            file: fresh.file,
            file_digest: fresh.file_digest,
            program: fresh.program,
            ..self
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// It is damaged, or of a version of the program that writes others.
    pub(crate) fn read(content: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version =
            serde_json::from_slice(content).context("what is remembered of it is damaged")?;
        if version.format != FORMAT {
            bail!(
                "another version of osbuild remembered it, in format {}: this one reads format {FORMAT}",
                version.format
            );
        }
        serde_json::from_slice(content).context("what is remembered of it is damaged")
    }

    /// Gives the build its name: the same for all that one command, file and destination were asked for, so that one
    /// that succeeds settles those that failed before.
    pub(crate) fn id(&self) -> String {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut add = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        add(match self.begun_by {
            BegunBy::Build => b"build",
            BegunBy::Manifest => b"manifest",
        });
        add(self.file.as_os_str().as_encoded_bytes());
        if self.file == Path::new("-") {
            add(self.manifest.as_bytes());
        }
        for export in &self.exports {
            add(export.pipeline.as_bytes());
            add(export.destination.as_os_str().as_encoded_bytes());
        }
        hasher.finish().hex()[..ID_LENGTH].to_owned()
    }

    /// Opens the modules that the build began with.
    pub(crate) fn catalog(&self) -> Result<ModuleCatalog> {
        match self.begun_by {
            BegunBy::Build => open_named_catalog(self.library.as_deref()),
            BegunBy::Manifest => open_catalog(self.library.as_deref()),
        }
    }

    /// Gives where packages come from.
    pub(crate) fn repository(&self) -> RepositoryArguments {
        RepositoryArguments {
            mirror: self.mirror.clone(),
            keyring: self.keyring.clone(),
        }
    }

    /// Gives what is handed out as the engine is asked for it.
    pub(crate) fn export_requests(&self) -> Vec<ExportRequest> {
        let exports = self.exports.iter().map(|export| ExportRequest {
            pipeline: export.pipeline.clone(),
            destination: export.destination.clone(),
            top: if export.keeps_directory {
                Top::AsItIs
            } else {
                Top::OfTree
            },
        });
        exports.collect()
    }

    /// Finds the checkpoints in a manifest; those of stages that it no longer has are left out.
    pub(crate) fn checkpoints(&self, manifest: &Manifest) -> BTreeSet<StageId> {
        let stages = manifest.pipelines.iter();
        stages
            .flat_map(|pipeline| &pipeline.stages)
            .filter(|stage| {
                self.checkpoints
                    .iter()
                    .any(|wanted| wanted == stage.id.as_str())
            })
            .map(|stage| stage.id.clone())
            .collect()
    }

    /// Gives the time that a stage may take.
    pub(crate) fn stage_timeout(&self) -> Option<Duration> {
        self.stage_timeout.map(Duration::from_secs)
    }

    /// Tells whether the file is not what it was when the build began.
    pub(crate) fn is_file_changed(&self) -> bool {
        self.file_digest.is_some() && digest_of_file(&self.file) != self.file_digest
    }

    /// Says in a line what was built and how it ended.
    pub(crate) fn summary(&self) -> String {
        let ended = self.ended.as_deref().unwrap_or("was killed");
        format!("{}: {ended}", self.file.display())
    }

    /// Remembers the build in its store from now on. That this fails is no reason not to build.
    pub(crate) fn remember(self, store: &Store) -> Remembered {
        let id = self.id();
        self.remember_as(id, store)
    }

    /// Remembers the build under the name of one that it goes on with.
    pub(crate) fn remember_as(mut self, id: String, store: &Store) -> Remembered {
        self.ended = None;
        let build = serde_json::to_vec(&self)
            .map_err(|error| anyhow!(error))
            .and_then(|content| store.remember_build(&id, &content));
        let (build, is_taken) = match build {
            Ok(build) => {
                let is_taken = build.is_none();
                (build, is_taken)
            }
            Err(error) => {
                tracing::warn!("this build can not be gone on with if it fails: {error:#}");
                (None, false)
            }
        };
        Remembered {
            record: self,
            id,
            build,
            is_taken,
            store: store.root().to_owned(),
        }
    }
}

/// A build that is remembered, while it runs.
pub(crate) struct Remembered {
    record: BuildRecord,
    id: String,
    /// None if it could not be remembered.
    build: Option<RememberedBuild>,
    is_taken: bool,
    store: PathBuf,
}

impl Remembered {
    /// Tells whether another process runs this very build.
    pub(crate) fn is_running_elsewhere(&self) -> bool {
        self.is_taken
    }

    /// Forgets a build that succeeded, or notes what ended it. Gives the command that goes on with it.
    pub(crate) fn end(mut self, failure: Option<&Failure>) -> Option<String> {
        let build = self.build.take()?;
        let Some(failure) = failure else {
            if let Err(error) = build.forget() {
                tracing::debug!("the build can not be forgotten: {error:#}");
            }
            return None;
        };
        let ended = format!("{:#}", failure.source);
        self.record.ended = ended.lines().next().map(str::to_owned);
        let noted = serde_json::to_vec(&self.record)
            .map_err(|error| anyhow!(error))
            .and_then(|content| build.note(&content));
        if let Err(error) = noted {
            tracing::debug!("how the build ended can not be noted: {error:#}");
        }
        Some(resume_command(&self.store, Some(&self.id)))
    }
}

/// Gives the command that goes on with a build.
pub(crate) fn resume_command(store: &Path, id: Option<&str>) -> String {
    let mut command = "osbuild resume".to_owned();
    if let Some(id) = id {
        command += &format!(" {id}");
    }
    command + &store_option(store)
}

/// Gives the option that names a store, if it has to be named.
pub(crate) fn store_option(store: &Path) -> String {
    let is_default = std::path::absolute(default_store()).is_ok_and(|default| default == store);
    if is_default {
        return String::new();
    }
    format!(" --store {}", shell_word(&store.to_string_lossy()))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("finding {}", path.display()))
}

fn digest_of_file(path: &Path) -> Option<String> {
    if path == Path::new("-") {
        return None;
    }
    let content = fs_err::read(path)
        .inspect_err(|error| tracing::debug!(%error, "digesting what is built"))
        .ok()?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&content);
    Some(hasher.finish().hex().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(file: &str, destination: &str) -> BuildRecord {
        let exports = [ExportRequest {
            pipeline: "tree".to_owned(),
            destination: destination.into(),
            top: Top::AsItIs,
        }];
        BuildRecord::new(BegunBy::Build, Path::new(file), "{}".to_owned())
            .unwrap()
            .with_exports(&exports, &[], None)
            .unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let written = record("/no/such.json", "/out");
        let content = serde_json::to_vec(&written).unwrap();
        assert_eq!(BuildRecord::read(&content).unwrap(), written);
    }

    #[test]
    fn records_of_other_versions_and_damaged_ones_are_refused() {
        let error = |content: &str| BuildRecord::read(content.as_bytes()).unwrap_err();
        assert_eq!(
            error(r#"{"format": 1, "more": []}"#).to_string(),
            "another version of osbuild remembered it, in format 1: this one reads format 2"
        );
        for content in ["", "{", "[]", r#"{"format": 2}"#] {
            assert_eq!(
                error(content).to_string(),
                "what is remembered of it is damaged"
            );
        }
    }

    #[test]
    fn the_name_is_that_of_the_work_and_not_of_the_text() {
        let mut changed = record("/a.json", "/out");
        changed.manifest = "{ }".to_owned();
        assert_eq!(changed.id(), record("/a.json", "/out").id());
        assert_ne!(record("/a.json", "/other").id(), changed.id());
        assert_ne!(record("/b.json", "/out").id(), changed.id());
        let (mut one, two) = (record("-", "/out"), record("-", "/out"));
        one.manifest = "{ }".to_owned();
        assert_ne!(one.id(), two.id());
    }
}
