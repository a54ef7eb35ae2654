//! A tree that stages are working on.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use fs_err as fs;
use rustix::fs::{CWD, Mode, mkdirat};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::{self, AccessError, ReadAccess, WriteAccess};
use crate::accounting;
use crate::clamp;
use crate::commit::{commit_object, commit_step};
use crate::copy::{Blocks, CopyOptions, copy_tree};
use crate::export::{Ownership, Top};
use crate::inventory::failed_tree_name;
use crate::layers::{MAXIMUM_LAYERS, WritableView};
use crate::object::Object;
use crate::remove_tree::remove_tree;
use crate::snapshot::Snapshotter;
use crate::staging::Staging;
use crate::steps::StepRecord;
use crate::store::Store;
use crate::survey::survey;
use crate::view::View;

/// The mode of a new tree's top and of all that the store makes.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// What copying takes, measured on ext4 (`benches/cache.sh`): for each entry, and bytes in a second.
const COPY_OF_ENTRY: Duration = Duration::from_micros(40);
const COPIED_EACH_SECOND: f64 = 500e6;

/// A tree in the making; dropped, it is thrown away.
#[derive(Debug)]
pub struct TreeBuilder {
    store: Store,
    // Dropped before the directories that it is in and on.
    form: Form,
    staging: Staging,
    /// What the lower layers belong to.
    base: Option<Object>,
    created: i64,
    epoch: Option<i64>,
}

/// How the tree is kept while it is worked on.
#[derive(Debug)]
enum Form {
    /// All of it is in `data/tree`.
    Directory,
    /// A view of layers.
    Layers(WritableView),
    /// Going from one to the other has failed.
    Lost,
}

/// A tree that nobody works on any more.
pub(crate) struct Finished {
    pub(crate) store: Store,
    pub(crate) staging: Staging,
    /// The directories of the tree, the topmost first.
    pub(crate) stack: Vec<PathBuf>,
    /// What those belong to that are not in the staging.
    pub(crate) base: Option<Object>,
}

/// What `data/meta/info.json` says.
#[derive(Serialize, Deserialize)]
struct CreationInfo {
    created: i64,
}

impl TreeBuilder {
    /// Starts with an empty tree.
    pub(crate) fn empty(store: &Store) -> Result<Self> {
        let staging = Staging::create(&store.stages_dir())?;
        let data = staging.data();
        for directory in [&data, &data.join("tree"), &data.join("meta")] {
            make_directory(directory)?;
        }
        let created = now()?;
        let info = serde_json::to_vec(&CreationInfo { created })?;
        fs::write(data.join("meta/info.json"), info)?;
        Ok(Self {
            store: store.clone(),
            form: Form::Directory,
            staging,
            base: None,
            created,
            epoch: None,
        })
    }

    /// Starts with the tree and the metadata of an object, which stays as it is.
    pub(crate) fn from_object(store: &Store, object: &Object) -> Result<Self> {
        let is_layered = store.snapshotter()? == Snapshotter::Overlay
            && object.stack().len() < MAXIMUM_LAYERS
            && !is_special(object)?;
        if !is_layered {
            return Self::copy_of(store, &object.tree(), &object.data());
        }
        let mut builder = Self::with_metadata(store, &object.data())?;
        let view = WritableView::create(builder.staging.path(), object.stack().to_vec(), 1)
            .with_context(|| format!("starting from {}", object.id()))?;
        builder.form = Form::Layers(view);
        builder.base = Some(object.clone());
        Ok(builder)
    }

    /// Starts with a copy of a tree and the metadata in `data`.
    fn copy_of(store: &Store, tree: &Path, data: &Path) -> Result<Self> {
        let builder = Self::with_metadata(store, data)?;
        copy_tree(tree, &builder.staging.data().join("tree"), copying(store)?)
            .with_context(|| format!("starting from {}", data.display()))?;
        Ok(builder)
    }

    /// Starts with a copy of the metadata in `data`, and no tree yet.
    fn with_metadata(store: &Store, data: &Path) -> Result<Self> {
        let staging = Staging::create(&store.stages_dir())?;
        let own = staging.data();
        make_directory(&own)?;
        make_directory(&own.join("meta"))?;
        for entry in fs::read_dir(data.join("meta"))? {
            let entry = entry?;
            fs::copy(entry.path(), own.join("meta").join(entry.file_name()))?;
        }
        let info: CreationInfo = serde_json::from_slice(&fs::read(own.join("meta/info.json"))?)
            .context("reading when the tree was begun")?;
        Ok(Self {
            store: store.clone(),
            form: Form::Directory,
            staging,
            base: None,
            // A clock that was set back since would make all that is written now look old.
            created: info.created.min(now()?),
            epoch: None,
        })
    }

    /// Sets the time, in seconds, that everything gets that was written since the tree was begun: when it is kept,
    /// handed on, or sealed.
    #[must_use]
    pub fn with_epoch(mut self, epoch: Option<i64>) -> Self {
        self.epoch = epoch;
        self
    }

    /// Gives the top of the tree. It is elsewhere after each change of the builder.
    pub fn tree(&self) -> PathBuf {
        match &self.form {
            Form::Layers(view) => view.path(),
            Form::Directory | Form::Lost => self.staging.data().join("tree"),
        }
    }

    /// Opens the tree to change it.
    ///
    /// # Errors
    /// Someone has it open, in this process or another.
    pub fn write(&self) -> Result<WriteAccess, AccessError> {
        let lock = access::lock_to_write(self.staging.path())?;
        Ok(WriteAccess::new(self.tree(), lock))
    }

    /// Opens the tree to read it as it is now.
    ///
    /// # Errors
    /// Someone has it open to write.
    pub fn read(&self) -> Result<ReadAccess, AccessError> {
        let lock = access::lock_to_read(self.staging.path())?;
        let view = View::of(&self.store, &[self.tree()])?;
        Ok(ReadAccess::new(view, lock))
    }

    /// Notes what a stage left.
    pub fn write_metadata(&self, stage_id: &str, metadata: &Value) -> Result<()> {
        check_id(stage_id)?;
        let path = self.staging.data().join(format!("meta/{stage_id}.json"));
        fs::write(path, serde_json::to_vec(metadata)?)?;
        Ok(())
    }

    /// Seals what was done so far, so that [`TreeBuilder::roll_back`] comes back to here; tells whether it can.
    ///
    /// Only overlays can do that.
    pub fn seal(&mut self) -> Result<bool> {
        let _alone = access::lock_to_write(self.staging.path())?;
        if self.store.snapshotter()? != Snapshotter::Overlay {
            return Ok(false);
        }
        let mut stack = match std::mem::replace(&mut self.form, Form::Lost) {
            Form::Layers(view) => self.finish_view(view)?,
            Form::Directory => {
                let tree = self.staging.data().join("tree");
                if survey(&tree)?.is_special {
                    self.form = Form::Directory;
                    return Ok(false);
                }
                self.clamp(&tree)?;
                vec![tree]
            }
            Form::Lost => bail!("the tree is lost"),
        };
        if stack.len() >= MAXIMUM_LAYERS {
            self.flatten(&stack)?;
            stack = vec![self.staging.data().join("tree")];
        }
        self.open_view(stack)?;
        Ok(true)
    }

    /// Throws away what was done since the tree was sealed or, as long as it was not, begun; tells whether it could.
    pub fn roll_back(&mut self) -> Result<bool> {
        let _alone = access::lock_to_write(self.staging.path())?;
        match std::mem::replace(&mut self.form, Form::Lost) {
            Form::Layers(view) => {
                let stack = view.abandon()?;
                self.open_view(stack)?;
                Ok(true)
            }
            other => {
                self.form = other;
                Ok(false)
            }
        }
    }

    /// Puts all of the tree into one directory, for a stage that writes what overlays do not let it write.
    pub fn make_plain(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.form, Form::Lost) {
            Form::Layers(view) => {
                let stack = self.finish_view(view)?;
                self.flatten(&stack)
            }
            other => {
                self.form = other;
                Ok(())
            }
        }
    }

    /// Keeps a copy of the tree as it is now under `id`, and goes on.
    pub fn checkpoint(&self, id: &str) -> Result<Object> {
        let tree = self.read()?;
        Self::copy_of(&self.store, tree.path(), &self.staging.data())?
            .with_epoch(self.epoch)
            .commit(id)
    }

    /// Keeps a copy of the tree as a stage that failed left it, in place of the one that it left before; gives where it
    /// is, none if the store has no room.
    ///
    /// # Errors
    /// Someone uses the one that it left before, or the copy can not be made.
    pub fn keep_failed(&self, stage_id: &str) -> Result<Option<PathBuf>> {
        let name = failed_tree_name(stage_id);
        check_id(&name)?;
        let place = self.store.objects_dir().join(&name);
        let is_there = place.symlink_metadata().is_ok();
        if is_there && accounting::remove_object(self.store.root(), &place)?.is_none() {
            bail!("{} is in use", place.display());
        }
        let tree = self.read()?;
        // Its times stay: they may tell what went wrong.
        let copy = Self::copy_of(&self.store, tree.path(), &self.staging.data())?;
        let object = copy.commit(&name)?;
        self.store.tidy_failed_trees()?;
        Ok(object.is_kept().then(|| place.join("data/tree")))
    }

    /// Finishes the tree and keeps it under `id`, by renaming it; a tree in layers is copied before.
    ///
    /// If the store has no room the object is there for this run only ([`Object::is_kept`]); if another build
    /// has finished the same tree meanwhile, that one is given.
    pub fn commit(mut self, id: &str) -> Result<Object> {
        check_id(id)?;
        self.make_plain()?;
        commit_object(self.finish()?, id)
    }

    /// Keeps the tree as it is now as the step of a key, and goes on. `parts` is what the key was made of.
    ///
    /// It is not kept if there is no room, or if it stands on a tree that is not kept.
    pub fn store_step(self, key: &str, record: &StepRecord, parts: &Value) -> Result<Self> {
        check_id(key)?;
        let (store, epoch) = (self.store.clone(), self.epoch);
        if matches!(self.form, Form::Directory) && store.snapshotter()? != Snapshotter::Overlay {
            let copy = Self::copy_of(&store, &self.tree(), &self.staging.data())?;
            commit_step(copy.with_epoch(epoch).finish()?, key, record, parts)?;
            return Ok(self);
        }
        let object = commit_step(self.finish()?, key, record, parts)?;
        Ok(Self::from_object(&store, &object)?.with_epoch(epoch))
    }

    /// Estimates how long [`TreeBuilder::store_step`] takes.
    pub fn storing_cost(&self) -> Result<Duration> {
        let snapshotter = self.store.snapshotter()?;
        if snapshotter == Snapshotter::Overlay {
            return Ok(Duration::ZERO);
        }
        let survey = survey(&self.tree())?;
        let entries = COPY_OF_ENTRY * u32::try_from(survey.entries).unwrap_or(u32::MAX);
        let content = match snapshotter {
            Snapshotter::Copy => Duration::from_secs_f64(survey.size as f64 / COPIED_EACH_SECOND),
            Snapshotter::Overlay | Snapshotter::Reflink => Duration::ZERO,
        };
        Ok(entries + content)
    }

    /// Finishes the tree and keeps it as the step of a key: see [`TreeBuilder::store_step`]. What is not kept is there
    /// for this run only.
    pub fn finish_step(self, key: &str, record: &StepRecord, parts: &Value) -> Result<Object> {
        check_id(key)?;
        commit_step(self.finish()?, key, record, parts)
    }

    /// Finishes the tree without keeping it beyond this run.
    pub fn keep_floating(self, id: &str) -> Result<Object> {
        self.finish()?.float(id)
    }

    /// Ends the work on the tree.
    fn finish(mut self) -> Result<Finished> {
        let _alone = access::lock_to_write(self.staging.path())?;
        let stack = match std::mem::replace(&mut self.form, Form::Lost) {
            Form::Layers(view) => self.finish_view(view)?,
            Form::Directory => {
                let tree = self.staging.data().join("tree");
                self.clamp(&tree)?;
                vec![tree]
            }
            Form::Lost => bail!("the tree is lost"),
        };
        access::forget(self.staging.path())?;
        Ok(Finished {
            store: self.store,
            staging: self.staging,
            stack,
            base: self.base,
        })
    }

    /// Ends a view; gives its layers.
    fn finish_view(&self, view: WritableView) -> Result<Vec<PathBuf>> {
        let below = view.below();
        let stack = view.finish()?;
        if stack.len() > below {
            // The layer alone: touching a file through a view would copy it.
            self.clamp(&stack[0])?;
        }
        Ok(stack)
    }

    fn clamp(&self, top: &Path) -> Result<()> {
        match self.epoch {
            Some(epoch) => clamp::clamp_times(top, self.created, epoch),
            None => Ok(()),
        }
    }

    fn open_view(&mut self, stack: Vec<PathBuf>) -> Result<()> {
        let layers = self.staging.path().join("layers");
        let own = stack.iter().filter(|layer| layer.starts_with(&layers));
        let number = own.count() + 1;
        self.form = Form::Layers(WritableView::create(self.staging.path(), stack, number)?);
        Ok(())
    }

    /// Copies the tree of these layers into one directory of its own.
    fn flatten(&mut self, stack: &[PathBuf]) -> Result<()> {
        let (tree, flat) = (
            self.staging.data().join("tree"),
            self.staging.data().join("flat"),
        );
        copy_tree(
            View::of(&self.store, stack)?.path(),
            &flat,
            copying(&self.store)?,
        )
        .context("putting layers into one directory")?;
        remove_tree(&tree)?;
        remove_tree(&self.staging.path().join("layers"))?;
        fs::rename(flat, tree)?;
        self.base = None;
        self.form = Form::Directory;
        Ok(())
    }
}

impl Finished {
    /// Makes it readable as long as the object exists.
    pub(crate) fn float(self, id: &str) -> Result<Object> {
        Object::floating(&self.store, id, self.staging, self.stack, self.base)
    }
}

/// Tells whether the tree of an object can not be a layer.
fn is_special(object: &Object) -> Result<bool> {
    match (object.is_special(), object.stack()) {
        (Some(is_special), _) => Ok(is_special),
        (None, [only]) => Ok(survey(only)?.is_special),
        (None, _) => Ok(false),
    }
}

fn copying(store: &Store) -> Result<CopyOptions> {
    Ok(CopyOptions {
        ownership: Ownership::Preserve,
        blocks: match store.snapshotter()? {
            Snapshotter::Copy => Blocks::Copied,
            Snapshotter::Overlay | Snapshotter::Reflink => Blocks::Shared,
        },
        top: Top::OfTree,
    })
}

fn now() -> Result<i64> {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(elapsed.as_secs() as i64)
}

fn make_directory(path: &Path) -> Result<()> {
    mkdirat(CWD, path, DIRECTORY_MODE)
        .and_then(|()| rustix::fs::chmod(path, DIRECTORY_MODE))
        .with_context(|| format!("making directory {}", path.display()))
}

/// Refuses an id that would lead somewhere else when taken for a file name.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let is_name = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_name {
        bail!("`{id}` can not be the name of an object");
    }
    Ok(())
}
