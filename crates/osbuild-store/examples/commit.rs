//! Prints what trees of a store cost: `commit DIRECTORY [files]`. The directory is made and then removed.
#![expect(clippy::print_stdout, reason = "it is a measurement")]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use osbuild_store::{Store, StoreOptions, remove_tree};

const RUNS: usize = 30;
/// The size of a usual small file of an operating system.
const FILE_SIZE: usize = 4096;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .context("usage: commit DIRECTORY [files]")?;
    let files = arguments.next().map_or(Ok(20), |text| text.parse())?;
    let directory = Path::new(&directory);
    fs_err::create_dir(directory)?;
    let result = measure(directory, files);
    remove_tree(directory)?;
    result
}

fn measure(directory: &Path, files: usize) -> Result<()> {
    let store = Store::open(directory, &StoreOptions::default())?;
    let (mut commits, mut copies) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        let builder = store.new_tree()?;
        for file in 0..files {
            let folder = builder.tree().join(format!("{}", file / 100));
            fs_err::create_dir_all(&folder)?;
            fs_err::write(folder.join(format!("{file}")), [0; FILE_SIZE])?;
        }
        let started = Instant::now();
        let object = builder.commit(&format!("object-{run}"))?;
        commits.push(started.elapsed());
        let started = Instant::now();
        let copy = store.new_tree_from(&object)?;
        copies.push(started.elapsed());
        drop(copy);
    }
    report(&format!("commit of {files} files"), commits);
    report(&format!("new tree from {files} files"), copies);
    let started = Instant::now();
    store.flush()?;
    report(
        &format!("flush of {RUNS} such objects"),
        vec![started.elapsed()],
    );
    Ok(())
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{what}: fastest {:.2} ms, middle {:.2} ms, slowest {:.2} ms",
        milliseconds(times[0]),
        milliseconds(times[times.len() / 2]),
        milliseconds(times[times.len() - 1]),
    );
}
