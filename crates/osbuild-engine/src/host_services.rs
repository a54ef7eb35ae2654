//! What a stage needs of the host: inputs, devices and mounts, made before it runs and undone after.
//!
//! Those that are built in are function calls; those of a library directory are programs that run as long as the stage.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, anyhow, ensure};
use indexmap::IndexMap;
use osbuild_host_modules::{
    DeviceRequest, InputRequest, MountRequest, ObjectSource, device, input, mount,
};
use osbuild_manifest::manifest::{Device, Input, Mount, Stage};
use osbuild_manifest::module::ModuleKind;
use osbuild_manifest::value::{Object, Value};
use osbuild_sandbox::build_root::{INPUTS, MOUNTS};
use osbuild_store::Object as StoreObject;

use crate::external::calls;
use crate::external::line_reader::LineSink;
use crate::external::service::{Service, ServiceCommand, Wait};
use crate::module_catalog::{ModuleCatalog, ModuleCode};
use crate::stage_arguments::{DEVICES, ServiceReplies, below, object};

/// The finished trees of this run and of the store, by id.
#[derive(Clone, Copy)]
pub(crate) struct Objects<'a> {
    pub(crate) store: &'a osbuild_store::Store,
    pub(crate) built: &'a Mutex<IndexMap<String, Arc<StoreObject>>>,
}

impl Objects<'_> {
    /// Gives the tree of this id, held open as long as the run needs it.
    pub(crate) fn get(&self, id: &str) -> Result<Option<Arc<StoreObject>>> {
        if let Some(object) = self.lock().get(id) {
            return Ok(Some(Arc::clone(object)));
        }
        let Some(object) = self.store.object(id)? else {
            return Ok(None);
        };
        let object = Arc::new(object);
        self.add(id, &object);
        Ok(Some(object))
    }

    /// Adds a tree that was built now.
    pub(crate) fn add(&self, id: &str, object: &Arc<StoreObject>) {
        self.lock().insert(id.to_owned(), Arc::clone(object));
    }

    /// Lets go of a tree that nothing needs any more. Unless the store keeps it, it is removed.
    pub(crate) fn forget(&self, id: &str) {
        let object = self.lock().shift_remove(id);
        // Removing a tree takes its time, others need not wait for.
        drop(object);
    }

    fn lock(&self) -> MutexGuard<'_, IndexMap<String, Arc<StoreObject>>> {
        self.built.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectSource for Objects<'_> {
    fn tree(&self, object_id: &str) -> Option<PathBuf> {
        match self.get(object_id) {
            Ok(object) => object.map(|object| object.tree()),
            Err(error) => {
                tracing::warn!(object_id, "opening a tree: {error:#}");
                None
            }
        }
    }

    fn downloads(&self) -> PathBuf {
        self.store.downloads_dir()
    }
}

/// Where the services of one stage work, on the host.
pub(crate) struct ServicePlaces<'a> {
    pub(crate) inputs: &'a Path,
    pub(crate) devices: &'a Path,
    pub(crate) mounts: &'a Path,
    pub(crate) tree: &'a Path,
}

/// What services are started with.
pub(crate) struct ServiceContext<'a> {
    pub(crate) places: ServicePlaces<'a>,
    pub(crate) objects: Objects<'a>,
    pub(crate) catalog: &'a ModuleCatalog,
    /// Where foreign inputs find the store; there if the stage has such inputs.
    pub(crate) store_socket: Option<PathBuf>,
    /// How long foreign modules are waited for.
    pub(crate) wait: Wait<'a>,
    /// Makes what takes the lines of a foreign module: `UID (MODULE): ` is to be put before each.
    pub(crate) sink: &'a dyn Fn(String) -> LineSink,
}

/// A service that could not do its work.
#[derive(Debug)]
pub(crate) struct ServiceFailure {
    /// `devices/org.osbuild.loopback`.
    pub(crate) module: String,
    pub(crate) error: anyhow::Error,
    /// The last lines that a foreign module printed.
    pub(crate) last_lines: Vec<String>,
}

/// What is undone when the stage is over.
enum Guard<'a> {
    BuiltIn(Box<dyn Send>),
    Foreign {
        module: String,
        service: Service<'a>,
    },
}

/// The running services of one stage; undone from the last to the first, at the latest on drop.
pub(crate) struct HostServices<'a> {
    context: &'a ServiceContext<'a>,
    guards: Vec<Guard<'a>>,
    opened: IndexMap<String, String>,
    pub(crate) replies: ServiceReplies,
}

impl Drop for HostServices<'_> {
    fn drop(&mut self) {
        for failure in self.undo() {
            tracing::warn!("{}: {:#}", failure.module, failure.error);
        }
    }
}

impl<'a> HostServices<'a> {
    /// Maps the inputs, opens the devices and makes the mounts of a stage, in this order (upstream's).
    pub(crate) fn start(
        stage: &Stage,
        context: &'a ServiceContext<'a>,
    ) -> Result<Self, ServiceFailure> {
        let mut services = Self {
            context,
            guards: Vec::new(),
            opened: IndexMap::new(),
            replies: ServiceReplies::default(),
        };
        for (name, input) in &stage.inputs {
            services
                .map_input(name, input)
                .map_err(|error| services.failure(ModuleKind::Input, &input.kind, name, error))?;
        }
        for (name, device) in &stage.devices {
            services
                .open_device(name, device)
                .map_err(|error| services.failure(ModuleKind::Device, &device.kind, name, error))?;
        }
        for mount in &stage.mounts {
            services.mount(mount).map_err(|error| {
                services.failure(ModuleKind::Mount, &mount.kind, &mount.name, error)
            })?;
        }
        Ok(services)
    }

    /// Undoes everything, from the last to the first; gives what could not be.
    pub(crate) fn stop(mut self) -> Vec<ServiceFailure> {
        self.undo()
    }

    fn undo(&mut self) -> Vec<ServiceFailure> {
        let mut failures = Vec::new();
        while let Some(guard) = self.guards.pop() {
            match guard {
                Guard::BuiltIn(guard) => drop(guard),
                Guard::Foreign { module, service } => {
                    if let Err(error) = service.stop() {
                        let last_lines = Vec::new();
                        failures.push(ServiceFailure {
                            module,
                            error,
                            last_lines,
                        });
                    }
                }
            }
        }
        failures
    }

    /// Says which service failed. A foreign one that did is the last that was started.
    fn failure(
        &self,
        kind: ModuleKind,
        module: &str,
        name: &str,
        error: anyhow::Error,
    ) -> ServiceFailure {
        let module = module_name(kind, module);
        let last_lines = match self.guards.last() {
            Some(Guard::Foreign {
                module: last,
                service,
            }) if *last == module => service.last_lines(),
            _ => Vec::new(),
        };
        ServiceFailure {
            module,
            error: error.context(format!("`{name}`")),
            last_lines,
        }
    }

    /// Gives the file of a module that is not built in.
    fn foreign(&self, kind: ModuleKind, module: &str) -> Option<PathBuf> {
        match self.context.catalog.code(kind, module) {
            Some(ModuleCode::File(file)) => Some(file),
            Some(ModuleCode::BuiltIn) | None => None,
        }
    }

    /// Starts a foreign module and calls the one method it has.
    fn call(
        &mut self,
        kind: ModuleKind,
        module: &str,
        file: &Path,
        name: &str,
        method: &str,
        arguments: Value,
    ) -> Result<Value> {
        let uid = format!("{}/{name}", kind.noun());
        let sink = (self.context.sink)(format!("{uid} ({module}): "));
        let command = ServiceCommand {
            uid: &uid,
            file,
            python_path: self.context.catalog.python_path(),
        };
        let mut service = Service::start(&command, self.context.wait, sink)?;
        let reply = service.call(method, arguments);
        self.guards.push(Guard::Foreign {
            module: module_name(kind, module),
            service,
        });
        reply
    }

    fn map_input(&mut self, name: &str, description: &Input) -> Result<()> {
        // The schema's pattern has no end: `a/../../x` matches it, and would be made on the host.
        ensure!(
            calls::stays_below(Path::new(name)),
            "the name of an input is a path that does not lead upwards"
        );
        let target = self.context.places.inputs.join(name);
        fs_err::create_dir_all(&target)?;
        let reply = match self.foreign(ModuleKind::Input, &description.kind) {
            Some(file) => self.map_foreign_input(name, description, &file, &target)?,
            None => self.map_built_in_input(description, &target)?,
        };
        self.replies.inputs.insert(name, Value::Object(reply));
        Ok(())
    }

    fn map_foreign_input(
        &mut self,
        name: &str,
        description: &Input,
        file: &Path,
        target: &Path,
    ) -> Result<Object> {
        let store = self.context.store_socket.as_deref();
        let store = store.context("there is no socket for the store")?;
        let arguments = calls::map_arguments(description, target, store);
        let kind = ModuleKind::Input;
        let reply = self.call(kind, &description.kind, file, name, "map", arguments)?;
        calls::map_reply(reply, self.context.places.inputs)
    }

    fn map_built_in_input(&mut self, description: &Input, target: &Path) -> Result<Object> {
        let module = input(&description.kind).context("no such input is built in")?;
        let references = description
            .references
            .iter()
            .map(|(reference, options)| (reference.clone(), options.to_serde()))
            .collect();
        let mapped = module.map(&InputRequest {
            origin: description.origin.as_str(),
            references: &references,
            target,
            options: &description.options.to_serde(),
            objects: &self.context.objects,
        })?;
        let guards = mapped.guards.into_iter().map(Guard::BuiltIn);
        self.guards.extend(guards);
        let relative = mapped
            .path
            .strip_prefix(self.context.places.inputs)
            .map_err(|_| {
                anyhow!(
                    "the input's path {} has the wrong prefix",
                    mapped.path.display()
                )
            })?;
        let mut reply = object([("path", below(INPUTS, relative).into())]);
        if let Some(data) = mapped.data {
            reply.insert("data", Value::from_serde(&data));
        }
        Ok(reply)
    }

    fn open_device(&mut self, name: &str, description: &Device) -> Result<()> {
        let parent = description
            .parent
            .as_ref()
            .and_then(|parent| self.opened.get(parent))
            .cloned();
        let (path, reply) = match self.foreign(ModuleKind::Device, &description.kind) {
            Some(file) => {
                let places = &self.context.places;
                let arguments = calls::open_arguments(
                    description,
                    places.devices,
                    places.tree,
                    parent.as_deref(),
                );
                let kind = ModuleKind::Device;
                let reply = self.call(kind, &description.kind, &file, name, "open", arguments)?;
                calls::open_reply(reply)?
            }
            None => self.open_built_in_device(description, parent.as_deref())?,
        };
        self.opened.insert(name.to_owned(), path);
        self.replies.devices.insert(name, Value::Object(reply));
        Ok(())
    }

    fn open_built_in_device(
        &mut self,
        description: &Device,
        parent: Option<&str>,
    ) -> Result<(String, Object)> {
        let module = device(&description.kind).context("no such device is built in")?;
        let opened = module.open(&DeviceRequest {
            dev: self.context.places.devices,
            tree: self.context.places.tree,
            parent,
            options: &description.options.to_serde(),
        })?;
        self.guards.push(Guard::BuiltIn(opened.guard));
        let path = below(DEVICES, Path::new(&opened.path));
        let mut reply = object([("path", path.into())]);
        for (key, value) in &opened.reply {
            if key != "path" {
                reply.insert(key.as_str(), Value::from_serde(value));
            }
        }
        Ok((opened.path, reply))
    }

    fn mount(&mut self, description: &Mount) -> Result<()> {
        let reply = match self.foreign(ModuleKind::Mount, &description.kind) {
            Some(file) => {
                let source = self.foreign_mount_source(description);
                let places = &self.context.places;
                let arguments = calls::mount_arguments(
                    description,
                    source.as_deref(),
                    places.mounts,
                    places.tree,
                );
                let (kind, name) = (ModuleKind::Mount, description.name.as_str());
                let reply = self.call(kind, &description.kind, &file, name, "mount", arguments)?;
                calls::mount_reply(&reply, self.context.places.mounts)?
            }
            None => self.mount_built_in(description)?,
        };
        self.replies
            .mounts
            .insert(description.name.as_str(), Value::Object(reply));
        Ok(())
    }

    fn mount_built_in(&mut self, description: &Mount) -> Result<Object> {
        let module = mount(&description.kind).context("no such mount is built in")?;
        let source = self.mount_source(description);
        let places = &self.context.places;
        let mounted = module.mount(&MountRequest {
            source: source.as_deref(),
            target: description.target.as_deref().unwrap_or_default(),
            root: places.mounts,
            tree: places.tree,
            options: &description.options.to_serde(),
        })?;
        self.guards.push(Guard::BuiltIn(mounted.guard));
        let mut reply = Object::new();
        if let Some(path) = mounted.path {
            let relative = path
                .strip_prefix(self.context.places.mounts)
                .map_err(|_| anyhow!("the mount's path {} has the wrong prefix", path.display()))?;
            reply.insert("path", below(MOUNTS, relative).into());
        }
        Ok(reply)
    }

    /// Gives the node of the device to mount, with `pN` for a partition.
    fn mount_node(&self, description: &Mount) -> Option<(&str, String)> {
        let node = self.opened.get(description.device.as_ref()?)?;
        let partition = match description.partition_number() {
            Some(partition) => format!("{node}p{partition}"),
            None => node.clone(),
        };
        Some((node, partition))
    }

    /// Gives the device to mount: its node in the stage's `/dev`, else in the host's.
    fn mount_source(&self, description: &Mount) -> Option<PathBuf> {
        let (_, node) = self.mount_node(description)?;
        let own = self.context.places.devices.join(&node);
        if own.exists() {
            Some(own)
        } else {
            Some(Path::new(DEVICES).join(node))
        }
    }

    /// Gives the device to mount as upstream chooses it: that of the host's `/dev` if the device, not the partition,
    /// is there, since some programs look for it by that name. A partition that only the stage's `/dev` has is found.
    fn foreign_mount_source(&self, description: &Mount) -> Option<PathBuf> {
        let (device, node) = self.mount_node(description)?;
        let own = self.context.places.devices.join(&node);
        let of_host = Path::new(DEVICES).join(&node);
        let is_on_host = Path::new(DEVICES).join(device).exists();
        if is_on_host && (of_host.exists() || !own.exists()) {
            Some(of_host)
        } else {
            Some(own)
        }
    }
}

fn module_name(kind: ModuleKind, module: &str) -> String {
    format!("{}/{module}", kind.folder())
}
