//! `osbuild cache`: what a store holds, and what is done with it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Subcommand};
use fs_err as fs;
use osbuild_store::{CacheEntry, EntryKind, MaximumSize, Prune, Store, StoreOptions, Verified};

use crate::build_record::BuildRecord;
use crate::failure::{Failure, FailureKind, Failures};
use crate::printable::printable;
use crate::store_place::{default_store, tell_what_is_passed_over};
use crate::tell;

mod downloads;

/// Characters of a key or id that are shown: enough to tell thousands apart.
const SHOWN_NAME: usize = 12;
/// Damaged files of one entry that are named.
const SHOWN_DAMAGE: usize = 5;

/// `osbuild cache`.
#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    /// Directory of downloads and built trees
    #[arg(long, visible_alias = "cache", value_name = "DIR", global = true, default_value_os_t = default_store())]
    store: PathBuf,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is kept, the last used first, and the builds that `osbuild resume` can go on with
    Ls,
    /// Tell how much space is used: by each tree of its own, shared with others, and by downloads
    Du,
    /// Remove trees that no build uses right now and that are not pinned, and with --all or --older-than forget the builds
    /// to go on with
    Prune(PruneArguments),
    /// Keep trees, and what they stand on, until they are unpinned
    Pin(NameArguments),
    /// Let trees go like any others
    Unpin(NameArguments),
    /// Remove trees now, and what stands on them, even if they are pinned
    Remove(NameArguments),
    /// Compare every download with its checksum and every tree with what it was, and remove what is damaged
    Verify {
        /// Only tell
        #[arg(long)]
        keep: bool,
    },
    /// Copy downloads to a new store, for a machine without network: its builds use it with --store
    ExportSources(downloads::ExportArguments),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct PruneArguments {
    /// Those not used for so long: a number and one of s, m, h, d, w
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Those used longest ago, until all trees take no more than this
    #[arg(long, value_name = "SIZE")]
    to_size: Option<MaximumSize>,

    /// All
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct NameArguments {
    /// Ids or keys, or how they begin
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Does what the command says.
pub(crate) fn run(arguments: &CacheArguments) -> Result<(), Failures> {
    let place = &arguments.store;
    tell_what_is_passed_over(place);
    match &arguments.action {
        Action::Ls => {
            let store = Store::open_to_read(place)?;
            tell::data(&(listing(&store.entries()?) + &unfinished(&store)?));
        }
        Action::Du => tell::data(&usage(&Store::open_to_read(place)?)?),
        Action::Prune(what) => prune(&open(place)?, what)?,
        Action::Pin(names) => {
            let store = open(place)?;
            for name in &names.names {
                store.pin(&store.find_entry(name)?)?;
            }
        }
        Action::Unpin(names) => {
            let store = open(place)?;
            for name in &names.names {
                store.unpin(&store.find_entry(name)?)?;
            }
        }
        Action::Remove(names) => {
            let store = open(place)?;
            for name in &names.names {
                store.remove_entry(&store.find_entry(name)?)?;
            }
        }
        Action::Verify { keep } => return verify(place, *keep),
        Action::ExportSources(export) => downloads::export(&Store::open_to_read(place)?, export)?,
    }
    Ok(())
}

/// Opens a store to change it. It has to be there: a mistyped name makes none.
fn open(place: &Path) -> Result<Store> {
    drop(Store::open_to_read(place)?);
    Store::open(place, &StoreOptions::default())
}

fn listing(entries: &[CacheEntry]) -> String {
    let mut text = format!(
        "{:19}  {:10}  {:>9}  {:>9}  {:12}  {}\n",
        "NAME", "KIND", "OWN", "SHARED", "USED", "WHAT"
    );
    for entry in entries {
        let kind = match entry.kind {
            EntryKind::Checkpoint => "checkpoint",
            EntryKind::Step => "step",
            EntryKind::Failed => "failed",
        };
        let mut what = entry.record.as_ref().map_or_else(String::new, |record| {
            let what = format!("{} in {}", record.stage_type, record.pipeline);
            printable(&what).into_owned()
        });
        if entry.is_pinned {
            what += " (pinned)";
        }
        if !entry.is_usable {
            what += " (not usable)";
        }
        text += format!(
            "{:19}  {kind:10}  {:>9}  {:>9}  {:12}  {what}",
            short(&entry.name),
            bytes(entry.size),
            bytes(entry.shared_size),
            age(entry.last_used),
        )
        .trim_end();
        text.push('\n');
    }
    text
}

fn usage(store: &Store) -> Result<String> {
    let entries = store.entries()?;
    let mut text = listing(&entries);
    let sum = |kind: EntryKind| -> (usize, u64) {
        let of_kind = entries.iter().filter(|entry| entry.kind == kind);
        let sizes: Vec<u64> = of_kind.map(|entry| entry.size).collect();
        (sizes.len(), sizes.iter().sum())
    };
    let (checkpoints, checkpoint_bytes) = sum(EntryKind::Checkpoint);
    let (steps, step_bytes) = sum(EntryKind::Step);
    let (failed, failed_bytes) = sum(EntryKind::Failed);
    let downloads = store.downloads_size()?;
    let limit = match store.maximum_size() {
        MaximumSize::Bytes(limit) => bytes(limit),
        MaximumSize::Unlimited => "unlimited".to_owned(),
    };
    text += &format!(
        "\ncheckpoints  {:>9}  {checkpoints}\nsteps        {:>9}  {steps}\nfailed       {:>9}  {failed}\ntrees        {:>9}  of {limit}\ndownloads    {:>9}\n",
        bytes(checkpoint_bytes),
        bytes(step_bytes),
        bytes(failed_bytes),
        bytes(checkpoint_bytes + step_bytes + failed_bytes),
        bytes(downloads),
    );
    Ok(text)
}

fn prune(store: &Store, arguments: &PruneArguments) -> Result<()> {
    let what = match (arguments.older_than, arguments.to_size) {
        (Some(age), _) => Prune::NotUsedSince(
            SystemTime::now()
                .checked_sub(age)
                .unwrap_or(SystemTime::UNIX_EPOCH),
        ),
        (_, Some(MaximumSize::Bytes(limit))) => Prune::ToSize(limit),
        (_, Some(MaximumSize::Unlimited)) => return Ok(()),
        (None, None) => Prune::All,
    };
    match what {
        Prune::NotUsedSince(moment) => store.forget_builds_before(moment)?,
        Prune::All => store.forget_builds_before(SystemTime::now())?,
        // They take no space worth speaking of.
        Prune::ToSize(_) => {}
    }
    let freed = store.prune(what)?;
    tell::note(&format!("freed {}", bytes(freed)));
    Ok(())
}

/// Checks everything; tells what is wrong on standard output.
fn verify(place: &Path, keep: bool) -> Result<(), Failures> {
    let store = if keep {
        Store::open_to_read(place)?
    } else {
        open(place)?
    };
    let mut damaged = 0_usize;
    for entry in store.entries()? {
        match store.verify(&entry)? {
            Verified::Whole => {}
            Verified::Recorded => tell::note(&format!(
                "{}: nothing was noted of it; from now on changes will be found",
                short(&entry.name)
            )),
            Verified::Damaged(damage) => {
                damaged += 1;
                tell::data(&damage_text(&entry, &damage));
                if !keep {
                    store.remove_entry(&entry)?;
                }
            }
        }
    }
    for file in downloads::damaged(&store.downloads_dir())? {
        damaged += 1;
        tell::data(&format!("{}: not what its name says\n", file.display()));
        if !keep {
            fs::remove_file(&file).context("removing a damaged download")?;
        }
    }
    if damaged == 0 {
        return Ok(());
    }
    let ending = if keep {
        "run this without --keep to remove them"
    } else {
        "they are removed; the next build makes them again"
    };
    let error = anyhow!("{damaged} things in the store were damaged");
    Err(Failure::new(FailureKind::Build, error)
        .with_hint(ending)
        .into())
}

fn damage_text(entry: &CacheEntry, damage: &[String]) -> String {
    let mut text = String::new();
    for line in damage.iter().take(SHOWN_DAMAGE) {
        text += &format!("{}: {line}\n", short(&entry.name));
    }
    if damage.len() > SHOWN_DAMAGE {
        text += &format!(
            "{}: and {} more\n",
            short(&entry.name),
            damage.len() - SHOWN_DAMAGE
        );
    }
    text
}

/// Cuts a name so that it still names one thing: what all of a kind begin with does not count.
fn short(name: &str) -> &str {
    let prefix = name.find('-').map_or(0, |dash| dash + 1);
    name.get(..prefix + SHOWN_NAME).unwrap_or(name)
}

/// Lists the builds that can be gone on with; nothing if there are none.
fn unfinished(store: &Store) -> Result<String> {
    let builds = store.unfinished_builds()?;
    if builds.is_empty() {
        return Ok(String::new());
    }
    let mut text = "\nBuilds for `osbuild resume`:\n".to_owned();
    for build in builds {
        let what = match BuildRecord::read(&build.content) {
            Ok(record) if build.is_running => format!("{}: running", record.file.display()),
            Ok(record) => record.summary(),
            Err(error) => format!("not usable: {error}"),
        };
        let what = printable(&what);
        text += &format!("{:12}  {:12}  {what}\n", build.id, age(build.noted));
    }
    Ok(text)
}

/// Writes a number of bytes for people.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Writes how long ago something was; a time to come, which a clock that was set back can leave, is now.
fn age(moment: SystemTime) -> String {
    let seconds = moment.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..60 => "just now".to_owned(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no age: write a number and one of s, m, h, d, w");
    let (number, factor) = [
        ("s", 1),
        ("m", 60),
        ("h", 3600),
        ("d", 86_400),
        ("w", 604_800),
    ]
    .iter()
    .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
    .ok_or_else(error)?;
    let number: u64 = number.trim().parse().map_err(|_| error())?;
    number
        .checked_mul(factor)
        .map(Duration::from_secs)
        .ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_are_written_for_people() {
        assert_eq!(bytes(0), "0.0 KiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(20 << 30), "20.0 GiB");
        let ago = |seconds| age(SystemTime::now() - Duration::from_secs(seconds));
        assert_eq!(
            [ago(1), ago(180), ago(7300), ago(200_000)],
            ["just now", "3 min ago", "2 h ago", "2 days ago"]
        );
        assert_eq!(
            age(SystemTime::now() + Duration::from_mins(150)),
            "just now"
        );
    }

    #[test]
    fn a_shown_name_still_names_one_thing() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(short(&id), "0123456789ab");
        assert_eq!(short(&format!("failed-{id}")), "failed-0123456789ab");
    }

    #[test]
    fn ages_are_read() {
        assert_eq!(parse_age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_age("2w"), Ok(Duration::from_hours(336)));
        for text in ["", "7", "d", "-1d", "1.5h", "99999999999999999999w"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
    }
}
