//! Asks the sources of a manifest for their items, one source after the other, the items of a source at the same time.
//!
//! Sources of a library directory are programs; all of them run until the last is done, as upstream has it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};
use osbuild_host_modules::{ItemHints, SourceEvent, SourceRequest, source};
use osbuild_manifest::manifest::{Manifest, Source};
use osbuild_manifest::module::ModuleKind;
use osbuild_sandbox::CancelToken;
use osbuild_store::Store;
use serde_json::{Map, Value};

use crate::event::{Event, FetchProgress};
use crate::external::calls;
use crate::external::service::{Service, ServiceCommand, Wait};
use crate::module_catalog::{ModuleCatalog, ModuleCode};
use crate::outcome::{FailedAt, Outcome, SourceOutcome, SourceResult};

/// What sources are asked with.
#[derive(Clone, Copy)]
pub(crate) struct FetchContext<'a> {
    pub(crate) store: &'a Store,
    pub(crate) catalog: &'a ModuleCatalog,
    pub(crate) cancel: &'a CancelToken,
    /// What the caller knows of items.
    pub(crate) hints: &'a ItemHints,
    /// The rank of items that are wanted early; a source is asked for those with a low one first, for the rest at last.
    /// None keeps the order of the manifest.
    pub(crate) urgency: Option<&'a HashMap<String, usize>>,
}

/// Who is told how fetching goes.
pub(crate) trait FetchListener {
    /// Takes what users are told of.
    fn event(&mut self, event: Event);
    /// An item is in the cache.
    fn arrived(&mut self, item: &str);
}

/// Tells whether every source of a manifest is built in, so that it tells of each item when it is there.
pub(crate) fn tell_of_items(manifest: &Manifest, catalog: &ModuleCatalog) -> bool {
    manifest.sources.iter().all(|source| {
        let code = catalog.code(ModuleKind::Source, &source.name);
        matches!(code, Some(ModuleCode::BuiltIn))
    })
}

/// Asks every source of the manifest.
pub(crate) fn fetch_sources(
    manifest: &Manifest,
    context: &FetchContext<'_>,
    listener: &mut dyn FetchListener,
    outcome: &mut Outcome,
) -> Result<()> {
    let (sender, receiver) = channel();
    let mut fetch = Fetch {
        context,
        sender,
        receiver,
        running: Vec::new(),
        listener,
    };
    let result = fetch.all(manifest, outcome);
    fetch.stop();
    result
}

/// What a source's thread tells the one that waits for it.
enum Message {
    /// Something happened at the source with this index.
    Event(usize, SourceEvent),
    /// The source that was asked last is done.
    Done,
}

struct Fetch<'a> {
    context: &'a FetchContext<'a>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// Foreign sources, by the order in which they were started.
    running: Vec<Service<'a>>,
    listener: &'a mut dyn FetchListener,
}

impl<'a> Fetch<'a> {
    fn all(&mut self, manifest: &Manifest, outcome: &mut Outcome) -> Result<()> {
        let mut sources: Vec<(usize, &Source)> = manifest.sources.iter().enumerate().collect();
        if self.context.urgency.is_some() {
            // What the manifest itself holds keeps nobody waiting.
            sources.sort_by_key(|(_, source)| source.name != "org.osbuild.inline");
        }
        for (index, source) in sources {
            if self.context.cancel.is_cancelled() {
                outcome.failure = Some(FailedAt::Interrupted);
                return Ok(());
            }
            self.listener.event(Event::SourceStarted { source: index });
            let result = Arc::new(self.one(index, source)?);
            self.listener.event(Event::SourceFinished {
                source: index,
                outcome: Arc::clone(&result),
            });
            outcome.sources.push(SourceOutcome::clone(&result));
            if !result.success && self.context.cancel.is_cancelled() {
                outcome.failure = Some(FailedAt::Interrupted);
                return Ok(());
            }
            if !result.success {
                // The others are asked all the same, as upstream does: one run tells all that is missing.
                let failure = FailedAt::Source { source: index };
                outcome.failure.get_or_insert(failure);
            }
        }
        Ok(())
    }

    fn one(&mut self, index: usize, source: &Source) -> Result<SourceOutcome> {
        match self.context.catalog.code(ModuleKind::Source, &source.name) {
            Some(ModuleCode::File(file)) => Ok(self.ask_foreign(index, source, &file)),
            Some(ModuleCode::BuiltIn) | None => self.ask_built_in(index, source),
        }
    }

    /// Runs a built-in source on a thread of its own and hands its events on in this one.
    fn ask_built_in(&mut self, index: usize, description: &Source) -> Result<SourceOutcome> {
        let module = source(&description.name)
            .with_context(|| format!("no source `{}` is built in", description.name))?;
        let request = SourceRequest {
            items: &self.in_order(description.items.to_serde()),
            options: &description.options.to_serde(),
            hints: self.context.hints,
            cache: &self.context.store.downloads_dir(),
            cancel: self.context.cancel,
        };
        let sender = self.sender.clone();
        let outcome = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let sender = EndSender(sender);
                module.download(&request, &|event| sender.event(index, event))
            });
            self.pass_on();
            worker.join()
        });
        let outcome =
            outcome.map_err(|_| anyhow::anyhow!("source `{}` panicked", description.name))?;
        let results = outcome.results.into_iter().map(|result| SourceResult {
            checksum: result.checksum,
            cached: result.cached,
            error: result.error,
        });
        Ok(SourceOutcome {
            source: index,
            source_type: outcome.source_type.to_owned(),
            success: outcome.success,
            results: results.collect(),
        })
    }

    /// Puts the items first that are wanted first.
    fn in_order(&self, items: Map<String, Value>) -> Map<String, Value> {
        let Some(urgency) = self.context.urgency else {
            return items;
        };
        let mut items: Vec<_> = items.into_iter().collect();
        items.sort_by_key(|(item, _)| urgency.get(item).copied().unwrap_or(usize::MAX));
        items.into_iter().collect()
    }

    /// Starts a foreign source, asks it, and leaves it running.
    fn ask_foreign(&mut self, index: usize, description: &Source, file: &Path) -> SourceOutcome {
        let mut service = match self.start(index, description, file) {
            Ok(service) => service,
            Err(error) => return failed(index, description, &error),
        };
        let arguments = calls::download_arguments(description, &self.context.store.downloads_dir());
        let sender = self.sender.clone();
        let reply = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let _sender = EndSender(sender);
                service.call("download", arguments)
            });
            self.pass_on();
            worker.join()
        });
        let reply = reply
            .unwrap_or_else(|_| Err(anyhow::anyhow!("calling it panicked")))
            .and_then(|reply| calls::download_reply(&reply));
        let outcome = match reply {
            Ok(download) => SourceOutcome {
                source: index,
                source_type: download.source_type,
                success: download.success,
                results: download.results,
            },
            Err(error) => failed(index, description, &error),
        };
        self.running.push(service);
        outcome
    }

    fn start(&self, index: usize, description: &Source, file: &Path) -> Result<Service<'a>> {
        let uid = format!("source/{}", description.name);
        let command = ServiceCommand {
            uid: &uid,
            file,
            python_path: self.context.catalog.python_path(),
        };
        let wait = Wait {
            limit: None,
            start: Instant::now(),
            cancel: self.context.cancel,
        };
        let sender = self.sender.clone();
        let sink = move |line: &str| {
            let event = SourceEvent::Log(line.to_owned());
            send(&sender, Message::Event(index, event));
        };
        Service::start(&command, wait, Box::new(sink))
    }

    /// Hands events on until a source is done.
    fn pass_on(&mut self) {
        while let Ok(Message::Event(index, event)) = self.receiver.recv() {
            self.tell(index, event);
        }
    }

    fn tell(&mut self, source: usize, event: SourceEvent) {
        let event = match event {
            SourceEvent::Arrived { checksum } => return self.listener.arrived(&checksum),
            SourceEvent::Log(line) => Event::SourceLog {
                source,
                line,
                is_warning: false,
            },
            SourceEvent::Warning(line) => Event::SourceLog {
                source,
                line,
                is_warning: true,
            },
            SourceEvent::Progress {
                bytes_done,
                bytes_total,
                files_done,
                files_total,
            } => Event::SourceProgress {
                source,
                progress: FetchProgress {
                    bytes_done,
                    bytes_total: bytes_total.unwrap_or_default(),
                    files_done: files_done as u64,
                    files_total: files_total as u64,
                },
            },
        };
        self.listener.event(event);
    }

    /// Stops foreign sources, the last one first.
    fn stop(&mut self) {
        while let Some(service) = self.running.pop() {
            drop(service);
        }
        while let Ok(message) = self.receiver.try_recv() {
            if let Message::Event(index, event) = message {
                self.tell(index, event);
            }
        }
    }
}

/// Tells of the end when it is dropped, also by a panic.
struct EndSender(Sender<Message>);

impl EndSender {
    fn event(&self, index: usize, event: SourceEvent) {
        send(&self.0, Message::Event(index, event));
    }
}

impl Drop for EndSender {
    fn drop(&mut self) {
        send(&self.0, Message::Done);
    }
}

fn send(sender: &Sender<Message>, message: Message) {
    if sender.send(message).is_err() {
        tracing::debug!("a source spoke after its end");
    }
}

/// Says that a source could not even say what failed.
fn failed(index: usize, description: &Source, error: &anyhow::Error) -> SourceOutcome {
    SourceOutcome {
        source: index,
        source_type: description.name.clone(),
        success: false,
        results: vec![SourceResult {
            checksum: None,
            cached: None,
            error: Some(format!("sources/{}: {error:#}", description.name)),
        }],
    }
}
