//! What a stage needs of the host: inputs, devices and mounts, made before it runs and undone after.

use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, Result, anyhow, ensure};
use indexmap::IndexMap;
use osbuild_host_modules::{
    DeviceRequest, InputRequest, MountRequest, ObjectSource, device, input, mount,
};
use osbuild_manifest::manifest::{Device, Input, Mount, Stage};
use osbuild_manifest::value::{Object, Value};
use osbuild_sandbox::build_root::{INPUTS, MOUNTS};
use osbuild_store::Object as StoreObject;

use crate::stage_arguments::{DEVICES, ServiceReplies, below, object};

/// The finished trees of this run and of the store, by id.
pub(crate) struct Objects<'a> {
    pub(crate) store: &'a osbuild_store::Store,
    pub(crate) built: &'a Mutex<IndexMap<String, std::sync::Arc<StoreObject>>>,
}

impl Objects<'_> {
    /// Gives the tree of this id, held open until the end of the run.
    pub(crate) fn get(&self, id: &str) -> Result<Option<std::sync::Arc<StoreObject>>> {
        if let Some(object) = self.lock().get(id) {
            return Ok(Some(std::sync::Arc::clone(object)));
        }
        let Some(object) = self.store.object(id)? else {
            return Ok(None);
        };
        let object = std::sync::Arc::new(object);
        self.add(id, &object);
        Ok(Some(object))
    }

    /// Adds a tree that was built now.
    pub(crate) fn add(&self, id: &str, object: &std::sync::Arc<StoreObject>) {
        self.lock()
            .insert(id.to_owned(), std::sync::Arc::clone(object));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IndexMap<String, std::sync::Arc<StoreObject>>> {
        self.built
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
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

/// A service that could not do its work.
#[derive(Debug)]
pub(crate) struct ServiceFailure {
    /// `devices/org.osbuild.loopback`.
    pub(crate) module: String,
    pub(crate) error: anyhow::Error,
}

/// The running services of one stage; undone from the last to the first on drop.
#[derive(Default)]
pub(crate) struct HostServices {
    guards: Vec<Box<dyn Send>>,
    opened: IndexMap<String, String>,
    pub(crate) replies: ServiceReplies,
}

impl Drop for HostServices {
    fn drop(&mut self) {
        while let Some(guard) = self.guards.pop() {
            drop(guard);
        }
    }
}

impl HostServices {
    /// Maps the inputs, opens the devices and makes the mounts of a stage, in this order (upstream's).
    pub(crate) fn start(
        stage: &Stage,
        places: &ServicePlaces<'_>,
        objects: &Objects<'_>,
    ) -> Result<Self, ServiceFailure> {
        let mut services = Self::default();
        for (name, input) in &stage.inputs {
            services
                .map_input(name, input, places, objects)
                .map_err(|error| failure("inputs", &input.kind, name, error))?;
        }
        for (name, device) in &stage.devices {
            services
                .open_device(name, device, places)
                .map_err(|error| failure("devices", &device.kind, name, error))?;
        }
        for mount in &stage.mounts {
            services
                .mount(mount, places)
                .map_err(|error| failure("mounts", &mount.kind, &mount.name, error))?;
        }
        Ok(services)
    }

    fn map_input(
        &mut self,
        name: &str,
        description: &Input,
        places: &ServicePlaces<'_>,
        objects: &Objects<'_>,
    ) -> Result<()> {
        let module = input(&description.kind).context("no such input is built in")?;
        // The schema's pattern has no end: `a/../../x` matches it, and would be made on the host.
        ensure!(
            is_relative(name),
            "the name of an input is a path that does not lead upwards"
        );
        let target = places.inputs.join(name);
        fs_err::create_dir_all(&target)?;
        let references = description
            .references
            .iter()
            .map(|(reference, options)| (reference.clone(), options.to_serde()))
            .collect();
        let mapped = module.map(&InputRequest {
            origin: description.origin.as_str(),
            references: &references,
            target: &target,
            options: &description.options.to_serde(),
            objects,
        })?;
        self.guards.extend(mapped.guards);
        let relative = mapped.path.strip_prefix(places.inputs).map_err(|_| {
            anyhow!(
                "the input's path {} has the wrong prefix",
                mapped.path.display()
            )
        })?;
        let mut reply = object([("path", below(INPUTS, relative).as_str().into())]);
        if let Some(data) = mapped.data {
            reply.insert("data", Value::from_serde(&data));
        }
        self.replies.inputs.insert(name, Value::Object(reply));
        Ok(())
    }

    fn open_device(
        &mut self,
        name: &str,
        description: &Device,
        places: &ServicePlaces<'_>,
    ) -> Result<()> {
        let module = device(&description.kind).context("no such device is built in")?;
        let parent = description
            .parent
            .as_ref()
            .and_then(|parent| self.opened.get(parent))
            .map(String::as_str);
        let opened = module.open(&DeviceRequest {
            dev: places.devices,
            tree: places.tree,
            parent,
            options: &description.options.to_serde(),
        })?;
        self.guards.push(opened.guard);
        let mut reply = Object::new();
        let path = below(DEVICES, Path::new(&opened.path));
        reply.insert("path", path.as_str().into());
        for (key, value) in &opened.reply {
            if key != "path" {
                reply.insert(key.as_str(), Value::from_serde(value));
            }
        }
        self.opened.insert(name.to_owned(), opened.path);
        self.replies.devices.insert(name, Value::Object(reply));
        Ok(())
    }

    fn mount(&mut self, description: &Mount, places: &ServicePlaces<'_>) -> Result<()> {
        let module = mount(&description.kind).context("no such mount is built in")?;
        let source = self.mount_source(description, places);
        let mounted = module.mount(&MountRequest {
            source: source.as_deref(),
            target: description.target.as_deref().unwrap_or_default(),
            root: places.mounts,
            tree: places.tree,
            options: &description.options.to_serde(),
        })?;
        self.guards.push(mounted.guard);
        let mut reply = Object::new();
        if let Some(path) = mounted.path {
            let relative = path
                .strip_prefix(places.mounts)
                .map_err(|_| anyhow!("the mount's path {} has the wrong prefix", path.display()))?;
            reply.insert("path", below(MOUNTS, relative).as_str().into());
        }
        self.replies
            .mounts
            .insert(description.name.as_str(), Value::Object(reply));
        Ok(())
    }

    /// Gives the device to mount: its node in the stage's `/dev`, else in the host's, with `pN` for a partition.
    fn mount_source(&self, description: &Mount, places: &ServicePlaces<'_>) -> Option<PathBuf> {
        let node = self.opened.get(description.device.as_ref()?)?;
        let node = match description.partition_number() {
            Some(partition) => format!("{node}p{partition}"),
            None => node.clone(),
        };
        let own = places.devices.join(&node);
        if own.exists() {
            Some(own)
        } else {
            Some(Path::new(DEVICES).join(node))
        }
    }
}

/// Tells whether a path stays below the directory it is joined to.
fn is_relative(path: &str) -> bool {
    let mut components = Path::new(path).components();
    !path.is_empty() && components.all(|component| matches!(component, Component::Normal(_)))
}

fn failure(kind: &str, module: &str, name: &str, error: anyhow::Error) -> ServiceFailure {
    ServiceFailure {
        module: format!("{kind}/{module}"),
        error: error.context(format!("`{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::is_relative;

    #[test]
    fn names_of_inputs_stay_below_their_folder() {
        for name in ["tree", "packages.x", "a/b"] {
            assert!(is_relative(name), "{name}");
        }
        for name in ["", "/", "/etc", "..", "../x", "a/../../x", "./a"] {
            assert!(!is_relative(name), "{name}");
        }
    }
}
