//! The socket `store`: inputs, which run on the host, find trees and downloads through it.

use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use osbuild_host_modules::ObjectSource;
use osbuild_manifest::value::Value;
use osbuild_sandbox::Access;
use osbuild_sandbox::mount::{MountGuard, bind};
use osbuild_store::TemporaryDirectory;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::external::api_server::{ApiError, Endpoint};
use crate::host_services::Objects;
use crate::stage_arguments::object;

/// Shows inputs what is in the store; what it mounts and makes lasts as long as itself.
pub(crate) struct StoreApi<'a> {
    objects: Objects<'a>,
    // In this order: mounts first, then the directory that they may be in.
    mounts: Vec<MountGuard>,
    temporary: Option<TemporaryDirectory>,
}

impl<'a> StoreApi<'a> {
    /// Makes one that has not shown anything yet.
    pub(crate) fn new(objects: Objects<'a>) -> Self {
        Self {
            objects,
            mounts: Vec::new(),
            temporary: None,
        }
    }

    /// Gives the path of a tree; null if there is none.
    fn read_tree(&self, request: &Value) -> Result<Value, ApiError> {
        let tree = self.objects.tree(&text(request, "object-id")?);
        Ok(reply(tree.as_deref()))
    }

    /// Shows a part of a tree somewhere.
    fn read_tree_at(&mut self, request: &Value) -> Result<Value, ApiError> {
        let id = text(request, "object-id")?;
        let target = text(request, "target")?;
        let part = text(request, "subtree")?;
        let Some(tree) = self.objects.tree(&id) else {
            return Ok(reply(None));
        };
        match show(&tree, &part, Path::new(&target)) {
            Ok(mount) => {
                self.mounts.push(mount);
                Ok(reply(Some(Path::new(&target))))
            }
            Err(error) => Ok(object([("error", format!("{error:#}").into())]).into()),
        }
    }

    fn make_directory(&mut self, request: &Value) -> Result<Value, ApiError> {
        let affix = |member: &str| match request.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => text(request, member).map(Some),
        };
        let prefix = affix("prefix")?.unwrap_or_else(|| "tmp".to_owned());
        let suffix = affix("suffix")?.unwrap_or_default();
        let made = self.make_directory_named(&prefix, &suffix)?;
        Ok(reply(Some(&made)))
    }

    fn make_directory_named(&mut self, prefix: &str, suffix: &str) -> Result<PathBuf> {
        ensure!(
            !prefix.contains('/') && !suffix.contains('/'),
            "the name of a directory holds a slash"
        );
        let temporary = match &self.temporary {
            Some(temporary) => temporary,
            None => self
                .temporary
                .insert(self.objects.store.temporary("store-server")?),
        };
        let made = tempfile::Builder::new()
            .prefix(prefix)
            .suffix(suffix)
            .tempdir_in(temporary.path())
            .context("making a directory in the store")?;
        Ok(made.keep())
    }

    /// Gives the path of the downloads of a kind, whether there are any or not.
    fn source(&self, request: &Value) -> Result<Value, ApiError> {
        let name = text(request, "name")?;
        if !is_below(Path::new(&name)) {
            return Err(ApiError {
                kind: "ValueError",
                text: format!("`{name}` is no kind of content"),
            });
        }
        Ok(reply(Some(&self.objects.downloads().join(name))))
    }
}

impl Endpoint for StoreApi<'_> {
    fn name(&self) -> &'static str {
        "store"
    }

    fn request(
        &mut self,
        request: &Value,
        _: &mut Vec<OwnedFd>,
    ) -> Result<Option<Value>, ApiError> {
        let reply = match text(request, "method")?.as_str() {
            "read-tree" => self.read_tree(request),
            "read-tree-at" => self.read_tree_at(request),
            "mkdtemp" => self.make_directory(request),
            "source" => self.source(request),
            other => Err(ApiError {
                kind: "ValueError",
                text: format!("Invalid RPC call: `{other}`"),
            }),
        };
        reply.map(Some)
    }

    fn misuse(&mut self, problem: &str) {
        tracing::warn!("socket `store`: {problem}");
    }
}

/// Shows a part of a tree at `target`, read-only. Links are followed as the finished system would.
fn show(tree: &Path, part: &str, target: &Path) -> Result<MountGuard> {
    let part = part.trim_start_matches('/');
    if part.is_empty() {
        return bind(tree, target, Access::ReadOnly);
    }
    if Path::new(part)
        .components()
        .any(|component| component == Component::ParentDir)
    {
        bail!("`{part}` leads upwards");
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let tree = openat(CWD, tree, flags | OFlags::DIRECTORY, Mode::empty())
        .with_context(|| format!("opening {}", tree.display()))?;
    let found = openat2(&tree, part, flags, Mode::empty(), ResolveFlags::IN_ROOT)
        .with_context(|| format!("the tree has no `{part}`"))?;
    let source = format!("/proc/self/fd/{}", found.as_raw_fd());
    bind(Path::new(&source), target, Access::ReadOnly)
}

fn is_below(path: &Path) -> bool {
    let mut components = path.components();
    components.next().is_some()
        && path
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

fn text(request: &Value, member: &str) -> Result<String, ApiError> {
    let value = request
        .get(member)
        .ok_or_else(|| ApiError::missing(member))?;
    value.as_str().map(str::to_owned).ok_or_else(|| ApiError {
        kind: "TypeError",
        text: format!("`{member}` is not text"),
    })
}

fn reply(path: Option<&Path>) -> Value {
    let path = path.map_or(Value::Null, |path| {
        OsString::from(path).to_string_lossy().into_owned().into()
    });
    object([("path", path)]).into()
}
