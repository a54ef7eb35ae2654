//! `org.osbuild.files`: single files, downloaded or out of a pipeline's tree.

use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use osbuild_sandbox::Access;
use osbuild_sandbox::mount::MountGuard;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use crate::sources::FILES;
use crate::{InputModule, InputRequest, MappedInput};

const FROM_SOURCE: &str = "org.osbuild.source";

/// The module.
#[derive(Debug)]
pub struct Files;

impl InputModule for Files {
    fn map(&self, request: &InputRequest<'_>) -> Result<MappedInput> {
        let mut files = Map::new();
        let mut guards: Vec<Box<dyn Send>> = Vec::new();
        for (reference, options) in request.references {
            let name = if request.origin == FROM_SOURCE {
                link_download(request, reference)?
            } else {
                let (name, guard) = bind_file(request, reference, options)?;
                guards.push(Box::new(guard));
                name
            };
            files.insert(name, metadata(options));
        }
        Ok(MappedInput {
            path: request.target.to_owned(),
            data: Some(json!({ "files": files })),
            guards,
        })
    }
}

fn metadata(options: &Value) -> Value {
    options
        .get("metadata")
        .cloned()
        .unwrap_or_else(|| json!({}))
}

/// Makes a downloaded file appear in the target, under its checksum.
fn link_download(request: &InputRequest<'_>, reference: &str) -> Result<String> {
    if !is_plain_name(reference) {
        bail!("`{reference}` is not the name of a downloaded file");
    }
    let source = request.objects.downloads().join(FILES).join(reference);
    link_or_copy(&source, &request.target.join(reference))
        .with_context(|| format!("providing the downloaded file {reference}"))?;
    Ok(reference.to_owned())
}

/// Links cost nothing; where the file systems differ, or a file has as many links as there can be, a copy does.
fn link_or_copy(source: &Path, target: &Path) -> io::Result<()> {
    match fs_err::hard_link(source, target) {
        Err(error)
            if matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP)
            ) =>
        {
            tracing::debug!("copying instead of linking: {error}");
            fs_err::copy(source, target).map(|_| ())
        }
        other => other,
    }
}

/// Makes a file of a pipeline's tree appear in the target, under its own path.
fn bind_file(
    request: &InputRequest<'_>,
    reference: &str,
    options: &Value,
) -> Result<(String, MountGuard)> {
    let file = options
        .get("file")
        .and_then(Value::as_str)
        .with_context(|| format!("the reference to pipeline {reference} names no `file`"))?;
    let name = file.trim_start_matches('/');
    let relative = relative_path(name).with_context(|| format!("`{file}` is no path of a file"))?;
    let tree = request
        .objects
        .tree(reference)
        .with_context(|| format!("Unknown pipeline '{reference}'"))?;
    let source = open_in_root(&tree, &relative)
        .with_context(|| format!("opening `{file}` in the tree of pipeline {reference}"))?;
    let target = request.target.join(&relative);
    if let Some(parent) = target.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&target)?;
    // The open file, not its path: a link in the tree must not lead to a file of the host.
    let opened = PathBuf::from(format!("/proc/self/fd/{}", source.as_raw_fd()));
    let guard = osbuild_sandbox::mount::bind(&opened, &target, Access::ReadOnly)
        .with_context(|| format!("showing `{file}` of pipeline {reference}"))?;
    Ok((name.to_owned(), guard))
}

fn open_in_root(root: &Path, path: &Path) -> io::Result<std::os::fd::OwnedFd> {
    let root = fs_err::File::open(root)?;
    Ok(openat2(
        &root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT,
    )?)
}

fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    )
}

/// The path without dots; none if it is empty or leads upwards.
fn relative_path(name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}
