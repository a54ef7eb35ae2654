//! Build roots: the tree whose programs stages use, with an `/etc` and `/var` prepared once.
//!
//! What a runner does (the linker's cache, system users, `/var` skeleton) depends on the build tree
//! alone, so it is done once for each tree and run; every stage is handed a fresh copy.
//!
//! A runner of a library directory, for a distribution that this program does not know, is run with every stage instead,
//! in an empty `/etc` and `/var`, as upstream does it (`docs/decisions/0004-foreign-modules.md`).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use osbuild_sandbox::build_root::{BuildRootRequest, KERNEL_COMMAND_LINE, Program};
use osbuild_sandbox::{
    CancelToken, CapabilitySet, DeviceDirectory, Executor, Limits, build_root_spec,
};
use osbuild_store::{Object, Ownership, Store, TemporaryDirectory, Top};

/// The name under which the built-in runner prepares a root.
const RUNNER: &str = "org.osbuild.linux";

/// Set in the environment of a runner that is to prepare `/etc` and `/var` and do nothing else.
const PREPARE_VARIABLE: &str = "OSBUILD_RUNNER_PREPARE";

/// What all stages of a run share.
pub(crate) struct SandboxShare {
    /// A copy of this program, so that replacing or overwriting the installed one changes nothing.
    pub(crate) program: PathBuf,
    /// A file with the content of `/proc/cmdline`.
    pub(crate) kernel_command_line: PathBuf,
    /// What this process may do.
    pub(crate) held_capabilities: CapabilitySet,
    pub(crate) executor: Executor,
    _directory: TemporaryDirectory,
}

impl SandboxShare {
    /// Makes the files that every stage of this run sees.
    pub(crate) fn create(store: &Store, program: &Path) -> Result<Self> {
        let directory = store.temporary("run")?;
        let copy = directory.path().join("osbuild");
        fs::copy(program, &copy)?;
        fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755))?;
        let kernel_command_line = directory.path().join("cmdline");
        fs::write(&kernel_command_line, KERNEL_COMMAND_LINE)?;
        Ok(Self {
            program: copy,
            kernel_command_line,
            held_capabilities: CapabilitySet::held()?,
            executor: Executor::from_environment()?,
            _directory: directory,
        })
    }

    /// Starts a request with what does not depend on the stage.
    pub(crate) fn request(
        &self,
        root: &BuildRoot,
        world: &StageWorld,
        tree: &Path,
        module: Program,
    ) -> BuildRootRequest {
        BuildRootRequest {
            root: root.path.clone(),
            boot: root.boot.clone(),
            etc: world.directory.path().join("etc"),
            var: world.directory.path().join("var"),
            devices: world.devices.path().to_owned(),
            kernel_command_line: self.kernel_command_line.clone(),
            tree: tree.to_owned(),
            metadata: world.directory.path().join("meta"),
            mounts: world.directory.path().join("mounts"),
            inputs: world.directory.path().join("inputs"),
            arguments: world.directory.path().join("arguments"),
            module,
            runner: root.runner.clone(),
            library: None,
            python_package: None,
            covered_files: Vec::new(),
            sockets: Vec::new(),
            capabilities: CapabilitySet::empty(),
            held_capabilities: self.held_capabilities,
            source_epoch: None,
            terminal: std::env::var("TERM").ok(),
            environment: Vec::new(),
        }
    }
}

/// The files on the host that one stage's sandbox is made of.
pub(crate) struct StageWorld {
    // Dropped before the directory that it is mounted in.
    pub(crate) devices: DeviceDirectory,
    pub(crate) directory: TemporaryDirectory,
}

impl StageWorld {
    /// Makes an empty world: no inputs, mounts or arguments yet.
    pub(crate) fn create(store: &Store) -> Result<Self> {
        let directory = store.temporary("stage")?;
        let path = directory.path();
        for name in ["inputs", "mounts"] {
            fs::create_dir(path.join(name))?;
        }
        for name in ["meta", "arguments"] {
            fs::write(path.join(name), "")?;
        }
        Ok(Self {
            devices: DeviceDirectory::create(path)?,
            directory,
        })
    }

    /// Gives the place of a part of this world.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// A tree to run stages in.
pub(crate) struct BuildRoot {
    path: PathBuf,
    boot: Option<PathBuf>,
    /// What prepares the root for every stage anew, if it is not built in.
    runner: Option<Program>,
    /// Holds the prepared `etc` and `var`.
    template: TemporaryDirectory,
    /// Keeps the tree from being evicted.
    _object: Option<Arc<Object>>,
}

impl BuildRoot {
    /// Prepares the host (`object` is none) or a built tree to be a build root. With a `runner` that is not built in,
    /// nothing is prepared.
    pub(crate) fn prepare(
        store: &Store,
        share: &SandboxShare,
        object: Option<Arc<Object>>,
        runner: Option<Program>,
        cancel: &CancelToken,
    ) -> Result<Self> {
        let path = object
            .as_ref()
            .map_or_else(|| PathBuf::from("/"), |object| object.tree());
        if !path.join("usr").is_dir() {
            bail!("the build tree has no /usr, so no stage can run in it");
        }
        let boot = path.join("boot");
        let has_boot =
            object.is_some() && fs::symlink_metadata(&boot).is_ok_and(|boot| boot.is_dir());
        let template = store.temporary("root")?;
        fs::create_dir(template.path().join("etc"))?;
        let temporary = template.path().join("var/tmp");
        fs::create_dir_all(&temporary)?;
        fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o1777))?;
        let root = Self {
            path,
            boot: has_boot.then_some(boot),
            runner,
            template,
            _object: object,
        };
        if root.runner.is_none() {
            root.run_runner(store, share, cancel)
                .context("preparing the build root")?;
        }
        Ok(root)
    }

    /// Tells whether every stage is run by a runner of a library directory.
    pub(crate) fn has_foreign_runner(&self) -> bool {
        self.runner.is_some()
    }

    /// Lets the runner write into the template itself.
    fn run_runner(&self, store: &Store, share: &SandboxShare, cancel: &CancelToken) -> Result<()> {
        let world = StageWorld::create(store)?;
        let empty_tree = world.place("tree");
        fs::create_dir(&empty_tree)?;
        let module = Program {
            name: RUNNER.to_owned(),
            path: share.program.clone(),
        };
        let mut request = share.request(self, &world, &empty_tree, module);
        request.etc = self.template.path().join("etc");
        request.var = self.template.path().join("var");
        request.environment = vec![(PREPARE_VARIABLE.into(), "1".into())];
        let mut output = Vec::new();
        let limits = Limits {
            timeout: None,
            cancel,
        };
        let finished = share
            .executor
            .run(&build_root_spec(&request), &limits, &mut |bytes| {
                output.extend_from_slice(bytes);
            })?;
        if !finished.success() {
            bail!(
                "the runner ended with {:?}; its output:\n{}",
                finished.reason,
                String::from_utf8_lossy(&output)
            );
        }
        Ok(())
    }

    /// Puts fresh copies of the prepared `/etc` and `/var` into a stage's world.
    pub(crate) fn copy_into(&self, world: &StageWorld) -> Result<()> {
        for name in ["etc", "var"] {
            let template = self.template.path().join(name);
            let place = world.place(name);
            osbuild_store::export(&template, &place, Ownership::Preserve, Top::OfTree)?;
        }
        Ok(())
    }
}

/// The build roots of a run: each is prepared by the first pipeline that asks, others wait for it.
#[derive(Default)]
pub(crate) struct BuildRoots {
    by_id: Mutex<BTreeMap<RootKey, RootCell>>,
}

/// The id of the tree, and the runner's file if it is not built in.
type RootKey = (Option<String>, Option<PathBuf>);

/// Holds a root once it is prepared; its lock is held while someone prepares it.
type RootCell = Arc<Mutex<Option<Arc<BuildRoot>>>>;

impl BuildRoots {
    /// Gives the root of a build tree (`None`: the host) with a runner (`None`: the built-in one).
    pub(crate) fn get(
        &self,
        id: Option<&str>,
        runner: Option<&Path>,
        prepare: impl FnOnce() -> Result<BuildRoot>,
    ) -> Result<Arc<BuildRoot>> {
        let key = (id.map(str::to_owned), runner.map(Path::to_owned));
        let cell = Arc::clone(lock(&self.by_id).entry(key).or_default());
        let mut root = lock(&cell);
        if let Some(root) = &*root {
            return Ok(Arc::clone(root));
        }
        let prepared = Arc::new(prepare()?);
        *root = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Lets go of the roots of a build tree that no further pipeline asks for.
    pub(crate) fn forget(&self, id: &str) {
        lock(&self.by_id).retain(|(tree, _), _| tree.as_deref() != Some(id));
    }
}

/// A panic of another pipeline leaves these maps whole, so its poison says nothing here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
