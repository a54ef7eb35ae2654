//! From a call to the module and back.

use std::fs::FileTimes;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use indexmap::IndexMap;
use osbuild_manifest::module::ModuleKind;
use osbuild_sandbox::{CancelToken, PacketSocket};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Print;
use super::protocol::{self, Call, CallError};
use super::store_client::StoreClient;
use crate::sources::FILES;
use crate::table::{self, HostModule};
use crate::{
    DeviceRequest, InputRequest, ItemHints, MountRequest, SourceEvent, SourceOutcome,
    SourceRequest, SourceResult,
};

/// A module and what it did so far.
pub(super) struct Service<'a> {
    module: &'static HostModule,
    print: Print<'a>,
    guards: Vec<Box<dyn Send>>,
}

#[derive(Deserialize)]
struct Download {
    items: Map<String, Value>,
    options: Value,
    cache: PathBuf,
}

#[derive(Deserialize)]
struct Copy {
    items: Map<String, Value>,
    cache: PathBuf,
    dst_cache: PathBuf,
}

#[derive(Deserialize)]
struct MapInput {
    origin: String,
    refs: IndexMap<String, Value>,
    target: PathBuf,
    options: Value,
    api: Api,
}

#[derive(Deserialize)]
struct Api {
    store: PathBuf,
}

#[derive(Deserialize)]
struct OpenDevice {
    dev: PathBuf,
    tree: PathBuf,
    parent: Option<String>,
    options: Value,
}

#[derive(Deserialize)]
struct MakeMount {
    source: Option<PathBuf>,
    target: Option<String>,
    root: PathBuf,
    tree: PathBuf,
    options: Value,
}

impl<'a> Service<'a> {
    pub(super) fn new(module: &'static HostModule, print: Print<'a>) -> Self {
        Self {
            module,
            print,
            guards: Vec::new(),
        }
    }

    /// Carries out what a packet asks for; gives the packet to answer with.
    pub(super) fn answer(&mut self, text: &[u8], socket: &PacketSocket) -> String {
        protocol::answer(protocol::call(text).and_then(|call| self.call(call, socket)))
    }

    /// Undoes everything, from the last to the first.
    pub(super) fn undo(&mut self) {
        while let Some(guard) = self.guards.pop() {
            drop(guard);
        }
    }

    fn call(&mut self, call: Call, socket: &PacketSocket) -> Result<Value, CallError> {
        let Call { method, arguments } = call;
        let done = match (self.module.kind, method.as_str()) {
            (ModuleKind::Source, "download") => self.download(arguments, socket),
            (ModuleKind::Source, "copy") => self.copy(arguments),
            (ModuleKind::Input, "map") => self.map(arguments),
            (ModuleKind::Device, "open") => self.open(arguments),
            (ModuleKind::Device, "close") => {
                self.undo();
                Ok(Value::Null)
            }
            (ModuleKind::Mount, "mount") => self.mount(arguments),
            _ => return Err(CallError::Protocol(anyhow!("Unknown method"))),
        };
        done.map_err(CallError::Failed)
    }

    fn download(&self, arguments: Value, socket: &PacketSocket) -> Result<Value> {
        let arguments: Download = read(arguments)?;
        let source = table::source(self.module.name).context("no such source is built in")?;
        let cancel = CancelToken::new()?;
        let request = SourceRequest {
            items: &arguments.items,
            options: &arguments.options,
            hints: &ItemHints::default(),
            cache: &arguments.cache,
            cancel: &cancel,
        };
        let outcome = until_gone(socket, &cancel, || {
            source.download(&request, &|event| {
                if let SourceEvent::Log(line) | SourceEvent::Warning(line) = event {
                    (self.print)(&line);
                }
            })
        })?;
        Ok(results(&outcome))
    }

    /// Copies downloaded files to the cache of another store (upstream's tool `osbuild-store` asks for it).
    fn copy(&self, arguments: Value) -> Result<Value> {
        let arguments: Copy = read(arguments)?;
        let (from, to) = (arguments.cache.join(FILES), arguments.dst_cache.join(FILES));
        fs_err::create_dir_all(&to)?;
        let copied = arguments.items.keys().map(|item| {
            // The schemas of these sources allow checksums only; this is not checked against them.
            let copied = if item.contains('/') {
                Err(format!("`{item}` is not the name of a downloaded file"))
            } else {
                copy_file(&from.join(item), &to.join(item)).map_err(|error| format!("{error:#}"))
            };
            SourceResult {
                checksum: Some(item.clone()),
                cached: None,
                error: copied.err(),
            }
        });
        Ok(results(&SourceOutcome::new(
            self.module.name,
            copied.collect(),
        )))
    }

    fn map(&mut self, arguments: Value) -> Result<Value> {
        let arguments: MapInput = read(arguments)?;
        let input = table::input(self.module.name).context("no such input is built in")?;
        let store = StoreClient::connect(&arguments.api.store)?;
        let mapped = input.map(&InputRequest {
            origin: &arguments.origin,
            references: &arguments.refs,
            target: &arguments.target,
            options: &arguments.options,
            objects: &store,
        })?;
        self.guards.extend(mapped.guards);
        let mut reply = json!({"path": text(&mapped.path)?});
        if let Some(data) = mapped.data {
            reply["data"] = data;
        }
        Ok(reply)
    }

    fn open(&mut self, arguments: Value) -> Result<Value> {
        let arguments: OpenDevice = read(arguments)?;
        let device = table::device(self.module.name).context("no such device is built in")?;
        let opened = device.open(&DeviceRequest {
            dev: &arguments.dev,
            tree: &arguments.tree,
            parent: arguments.parent.as_deref(),
            options: &arguments.options,
        })?;
        self.guards.push(opened.guard);
        let mut reply = Map::new();
        reply.insert("path".to_owned(), opened.path.into());
        for (key, value) in opened.reply {
            reply.entry(key).or_insert(value);
        }
        Ok(reply.into())
    }

    fn mount(&mut self, arguments: Value) -> Result<Value> {
        let arguments: MakeMount = read(arguments)?;
        let mount = table::mount(self.module.name).context("no such mount is built in")?;
        let mounted = mount.mount(&MountRequest {
            source: arguments.source.as_deref(),
            target: arguments.target.as_deref().unwrap_or_default(),
            root: &arguments.root,
            tree: &arguments.tree,
            options: &arguments.options,
        })?;
        self.guards.push(mounted.guard);
        mounted
            .path
            .map_or(Ok(Value::Null), |path| Ok(text(&path)?.into()))
    }
}

fn read<T: serde::de::DeserializeOwned>(arguments: Value) -> Result<T> {
    serde_json::from_value(arguments).context("reading the arguments of the call")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// Copies a file with its times, as upstream does; it is never there by half.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().context("a file is in a directory")?;
    let part = tempfile::Builder::new()
        .prefix(".unverified-")
        .tempfile_in(directory)?;
    let mut source = fs_err::File::open(from)?;
    std::io::copy(&mut source, &mut part.as_file())?;
    let metadata = source.metadata()?;
    part.as_file().set_permissions(metadata.permissions())?;
    let times = FileTimes::new()
        .set_accessed(metadata.accessed()?)
        .set_modified(metadata.modified()?);
    part.as_file().set_times(times)?;
    part.persist(to)?;
    Ok(())
}

/// Does something long, and ends it early when whoever asked for it has gone.
fn until_gone<T>(
    socket: &PacketSocket,
    cancel: &CancelToken,
    work: impl FnOnce() -> T,
) -> Result<T> {
    let is_done = CancelToken::new()?;
    Ok(thread::scope(|scope| {
        scope.spawn(|| {
            if is_gone_before(socket, &is_done) {
                cancel.cancel();
            }
        });
        // Also if the work panics: the scope waits for the thread.
        let _done = CancelOnDrop(&is_done);
        work()
    }))
}

struct CancelOnDrop<'a>(&'a CancelToken);

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Waits until the other end is closed, or the work is done.
fn is_gone_before(socket: &PacketSocket, is_done: &CancelToken) -> bool {
    loop {
        let mut descriptors = [
            // Hanging up is always told of; packets that wait are not asked for.
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::empty()),
            PollFd::from_borrowed_fd(is_done.wakeup(), PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) => return !is_done.is_cancelled() && !descriptors[0].revents().is_empty(),
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::debug!("watching the connection: {error}");
                return false;
            }
        }
    }
}

/// Writes the outcome of a source as upstream's sources do.
fn results(outcome: &SourceOutcome) -> Value {
    let source = outcome.source_type;
    let output = if outcome.success {
        format!("source {source} finished successfully")
    } else {
        let last = outcome
            .results
            .last()
            .and_then(|result| result.error.as_deref());
        format!(
            "source {source} finished unsuccessfully: {}",
            last.unwrap_or("None")
        )
    };
    let results: Vec<Value> = outcome.results.iter().map(result).collect();
    json!({
        "name": format!("source {source}"),
        "source_type": source,
        "success": outcome.success,
        "output": output,
        "results": results,
    })
}

fn result(result: &SourceResult) -> Value {
    let mut metadata = Map::new();
    if let Some(checksum) = &result.checksum {
        metadata.insert("checksum".to_owned(), checksum.as_str().into());
    }
    if let Some(cached) = result.cached {
        metadata.insert("cached".to_owned(), cached.into());
    }
    json!({
        "success": result.error.is_none(),
        "metadata": metadata,
        "error": result.error.as_deref().unwrap_or_default(),
    })
}
