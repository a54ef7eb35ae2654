//! `osbuild cache` as a person uses it: making room, and taking downloads to a machine without network.

use std::path::Path;
use std::time::{Duration, SystemTime};

use fs_err as fs;
use osbuild_testing::deb_repository::sha256;
use osbuild_testing::needs;
use osbuild_testing::server::{Answer, Server};
use osbuild_testing::tree::describe;
use serde_json::{Value, json};

use crate::workplace::{Ran, Workplace};

const DAY: Duration = Duration::from_hours(24);

fn cache(workplace: &Workplace, arguments: &[&str]) -> Ran {
    let mut command = workplace.command(&["cache", "--store", "store"]);
    command.args(arguments);
    workplace.run(command)
}

/// Builds a tree of one large file, and says under which name it is kept.
fn keep_tree(workplace: &Workplace, mebibytes: u8) -> String {
    let before = kept(workplace);
    let content = vec![mebibytes; usize::from(mebibytes) << 20];
    let server = Server::start().unwrap();
    server.answer("/file", [Answer::File(content.clone())]);
    workplace.write("image.json", manifest(&server, &content).to_string());
    assert_eq!(workplace.build("image.json"), Ran::silent());
    fs::remove_dir_all(workplace.path("out")).unwrap();
    let mut new: Vec<String> = kept(workplace);
    new.retain(|name| !before.contains(name));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

fn kept(workplace: &Workplace) -> Vec<String> {
    let mut names = names(&workplace.path("store/steps"));
    names.sort();
    names
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect()
        },
    )
}

/// As if a tree had last been used so long ago.
fn age(workplace: &Workplace, name: &str, age: Duration) {
    let then = SystemTime::now() - age;
    let lock = workplace.path("store/steps").join(name).join("object.lock");
    let lock = fs::OpenOptions::new().write(true).open(lock).unwrap();
    let times = std::fs::FileTimes::new()
        .set_accessed(then)
        .set_modified(then);
    lock.set_times(times).unwrap();
}

fn booked(workplace: &Workplace) -> u64 {
    let text = fs::read_to_string(workplace.path("store/cache.size")).unwrap();
    text.parse().unwrap()
}

#[test]
fn what_was_not_used_for_long_makes_room() {
    needs![root];
    let workplace = Workplace::new();
    let [old, middle, new] = [1, 2, 4].map(|mebibytes| keep_tree(&workplace, mebibytes));
    for (name, days) in [(&old, 30), (&middle, 10), (&new, 2)] {
        age(&workplace, name, days * DAY);
    }
    let all = booked(&workplace);
    assert!(all > 7 << 20, "{all}");

    let ran = cache(&workplace, &["prune", "--older-than", "5w"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "freed 0.0 KiB\n"));
    assert_eq!(kept(&workplace).len(), 3);
    let ran = cache(&workplace, &["prune", "--older-than", "2w"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "freed 1.0 MiB\n"));
    let mut left = vec![middle.clone(), new.clone()];
    left.sort();
    assert_eq!(kept(&workplace), left);

    // A use counts, whatever is older.
    age(&workplace, &middle, Duration::ZERO);
    let ran = cache(&workplace, &["prune", "--to-size", "5MiB"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "freed 4.0 MiB\n"));
    assert_eq!(kept(&workplace), [middle.as_str()]);
    let ran = cache(&workplace, &["prune", "--to-size", "5MiB"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "freed 0.0 KiB\n"));
    assert!((2 << 20..3 << 20).contains(&booked(&workplace)));

    for (arguments, message) in [
        (
            ["prune", "--older-than", "soon"].as_slice(),
            "invalid value 'soon' for '--older-than <AGE>'",
        ),
        (
            &["prune", "--to-size", "much"],
            "invalid value 'much' for '--to-size <SIZE>'",
        ),
        (
            &["prune"],
            "the following required arguments were not provided",
        ),
    ] {
        let ran = cache(&workplace, arguments);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
    assert_eq!(kept(&workplace), [middle.as_str()]);
}

/// A manifest whose tree is one file of a server.
fn manifest(server: &Server, content: &[u8]) -> Value {
    let checksum = format!("sha256:{}", sha256(content));
    json!({
        "version": "2",
        "pipelines": [{"name": "tree", "stages": [{
            "type": "org.osbuild.copy",
            "inputs": {"file": {
                "type": "org.osbuild.files",
                "origin": "org.osbuild.source",
                "references": [checksum],
            }},
            "options": {"paths": [{"from": format!("input://file/{checksum}"), "to": "tree:///file"}]},
        }]}],
        "sources": {"org.osbuild.curl": {"items": {checksum: server.url("/file")}}},
    })
}

#[test]
fn a_machine_without_network_builds_from_exported_downloads() {
    needs![root];
    let workplace = Workplace::new();
    for content in ["one", "two"] {
        let server = Server::start().unwrap();
        server.answer("/file", [Answer::File(content.into())]);
        let file = format!("{content}.json");
        workplace.write(&file, manifest(&server, content.as_bytes()).to_string());
        assert_eq!(workplace.build(&file), Ran::silent());
        fs::remove_dir_all(workplace.path("out")).unwrap();
    }
    // The servers are gone. A name with all that an address has to quote.
    let part = "taken away %41 #1";
    assert_eq!(
        cache(&workplace, &["export-sources", part, "two.json"]),
        Ran::silent()
    );
    assert_eq!(cache(&workplace, &["export-sources", "all"]), Ran::silent());
    let files = |store: &str| {
        let mut names = names(&workplace.path(store).join("sources/org.osbuild.files"));
        names.sort();
        names
    };
    let two = format!("sha256:{}", sha256(b"two"));
    assert_eq!(files(part), [two.as_str()]);
    assert_eq!(files("all"), files("store"));
    for store in [part, "all"] {
        let mut command = workplace.command(&["build", "two.json", "--quiet", "--output", "out"]);
        command.args(["--store", store]);
        assert_eq!(workplace.run(command), Ran::silent());
        assert_eq!(
            describe(&workplace.path("out")).unwrap(),
            "file 0644 \"two\"\n"
        );
        fs::remove_dir_all(workplace.path("out")).unwrap();
    }
    // Again, over what is there.
    assert_eq!(cache(&workplace, &["export-sources", "all"]), Ran::silent());
}

#[test]
fn only_whole_downloads_are_exported() {
    needs![root];
    let workplace = Workplace::new();
    let server = Server::start().unwrap();
    server.answer("/file", [Answer::File("one".into())]);
    workplace.write("one.json", manifest(&server, b"one").to_string());
    let ran = cache(&workplace, &["export-sources", "taken", "one.json"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (1, "error: opening the store store: there is no store\n")
    );
    workplace.assert_usable();
    let name = format!("sha256:{}", sha256(b"one"));
    let ran = cache(&workplace, &["export-sources", "taken", "one.json"]);
    assert_eq!(
        (ran.code, ran.stderr),
        (
            1,
            format!(
                "error: {name} is not in the store: build the manifest once, or run `osbuild` on it without --export\n"
            )
        )
    );
    assert!(!workplace.path("taken").exists());

    let folder = workplace.path("store/sources/org.osbuild.files");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&name), "damaged").unwrap();
    fs::write(folder.join(".unverified-x"), "not whole").unwrap();
    let other = workplace.path("store/sources/com.example.trees");
    fs::create_dir_all(other.join("one/below")).unwrap();
    fs::write(other.join("one/below/file"), "content").unwrap();
    for arguments in [
        ["export-sources", "taken"].as_slice(),
        &["export-sources", "taken", "one.json"],
    ] {
        let ran = cache(&workplace, arguments);
        assert_eq!(ran.code, 1);
        assert!(
            ran.stderr.starts_with(&format!(
                "error: copying {name} (`osbuild cache verify` removes what is damaged): "
            )),
            "{}",
            ran.stderr
        );
        assert_eq!(
            names(&workplace.path("taken/sources/org.osbuild.files")),
            [""; 0]
        );
    }
    cache(&workplace, &["verify"]);
    assert_eq!(
        cache(&workplace, &["export-sources", "taken"]),
        Ran::silent()
    );
    assert_eq!(
        describe(&workplace.path("taken/sources")).unwrap(),
        "com.example.trees/ 0755\ncom.example.trees/one/ 0755\ncom.example.trees/one/below/ 0755\n\
         com.example.trees/one/below/file 0644 \"content\"\norg.osbuild.files/ 0755\n"
    );
}
