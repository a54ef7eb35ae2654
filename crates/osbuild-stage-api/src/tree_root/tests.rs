use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A tree with links that point at a directory beside it.
struct Hostile {
    directory: tempfile::TempDir,
    tree: TreeRoot,
}

fn hostile() -> Hostile {
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    let root = directory.path().join("tree");
    fs_err::create_dir(&outside).unwrap();
    fs_err::create_dir(&root).unwrap();
    fs_err::write(outside.join("file"), "untouched").unwrap();
    symlink(&outside, root.join("absolute")).unwrap();
    symlink("../outside", root.join("climbing")).unwrap();
    symlink(outside.join("file"), root.join("file")).unwrap();
    let tree = TreeRoot::open(&root).unwrap();
    Hostile { directory, tree }
}

#[test]
fn links_can_not_lead_out_of_the_tree() {
    let Hostile { directory, tree } = hostile();
    for path in [
        "absolute/file",
        "climbing/file",
        "file",
        "../outside/file",
        "/../../outside/file",
    ] {
        tree.read(path).unwrap_err();
        tree.write(path, "overwritten").unwrap_err();
        tree.append(path, "overwritten").unwrap_err();
        tree.chmod(path, 0o777).unwrap_err();
    }
    tree.create_dir("absolute/new", 0o777).unwrap_err();
    tree.symlink("x", "climbing/new").unwrap_err();
    assert!(!tree.exists("file").unwrap());
    assert!(tree.has_entry("file").unwrap());
    let outside = directory.path().join("outside");
    assert_eq!(
        osbuild_testing::tree::describe(&outside).unwrap(),
        "file 0644 \"untouched\"\n"
    );
}

#[test]
fn links_resolve_as_on_the_finished_system() {
    let Hostile { directory, tree } = hostile();
    let path = directory.path().join("outside");
    let relative = path.strip_prefix("/").unwrap();
    tree.create_dir_all(relative).unwrap();
    tree.write("absolute/file", "inside").unwrap();
    assert_eq!(
        tree.read_to_string(relative.join("file")).unwrap(),
        "inside"
    );
    assert_eq!(
        tree.real_path("absolute").unwrap(),
        tree.path().join(relative)
    );
    assert_eq!(
        fs_err::read_to_string(path.join("file")).unwrap(),
        "untouched"
    );
}

#[test]
fn entries_are_made_changed_and_removed() {
    let Hostile {
        directory: _directory,
        tree,
    } = hostile();
    tree.create_dir_all_mode("a/b/c", 0o700).unwrap();
    tree.create_dir_all("a/b/c").unwrap();
    tree.write("/a/b/c/one", "1").unwrap();
    tree.append("a/b/c/one", "2").unwrap();
    tree.hard_link("a/b/c/one", "a/two").unwrap();
    tree.symlink("two", "a/link").unwrap();
    tree.chmod("a/link", 0o4750).unwrap();
    tree.rename("a/b/c/one", "a/b/one").unwrap();
    assert_eq!(tree.read_link("a/link").unwrap(), Path::new("two"));
    assert_eq!(tree.read_dir("a").unwrap(), ["b", "link", "two"]);
    let described = osbuild_testing::tree::describe(&tree.path().join("a")).unwrap();
    assert_eq!(
        described,
        "b/ 0755\nb/c/ 0700\nb/one 4750 \"12\"\nlink -> two\ntwo 4750 \"12\"\n"
    );
    assert!(tree.remove_file("a/link").unwrap());
    assert!(!tree.remove_file("a/link").unwrap());
    tree.remove_dir("a/b/c").unwrap();
    assert_eq!(tree.lstat("a/two").unwrap().st_size, 2);
}

#[test]
fn an_existing_file_keeps_its_mode() {
    let Hostile {
        directory: _directory,
        tree,
    } = hostile();
    tree.write("secret", "a long text").unwrap();
    fs_err::set_permissions(tree.path().join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    tree.write("secret", "short").unwrap();
    let file = tree.path().join("secret");
    assert_eq!(fs_err::read_to_string(&file).unwrap(), "short");
    assert_eq!(
        fs_err::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
}

#[test]
fn errors_say_what_and_where() {
    let Hostile {
        directory: _directory,
        tree,
    } = hostile();
    let text = format!("{:#}", tree.read("/no/such").unwrap_err());
    assert_eq!(
        text,
        format!(
            "opening {}/no/such: No such file or directory (os error 2)",
            tree.path().display()
        )
    );
    let text = format!("{:#}", tree.create_dir("/", 0o777).unwrap_err());
    assert_eq!(
        text,
        format!(
            "creating the directory {}/: File exists (os error 17)",
            tree.path().display()
        )
    );
}

#[test]
fn programs_are_given_paths_that_stay_inside() {
    let Hostile {
        directory: _directory,
        tree,
    } = hostile();
    tree.create_dir("real", 0o777).unwrap();
    tree.symlink("/real/new", "real/link").unwrap();
    assert_eq!(
        tree.target_path("/real/new").unwrap(),
        tree.path().join("real/new")
    );
    assert!(
        tree.target_path("real/link")
            .unwrap_err()
            .to_string()
            .starts_with("not writing through")
    );
    tree.write("real/new", "").unwrap();
    assert_eq!(
        tree.target_path("real/link").unwrap(),
        tree.path().join("real/new")
    );
    assert_eq!(tree.target_path("/").unwrap(), tree.path());
    for path in ["absolute/new", "climbing/new", "file"] {
        tree.target_path(path).unwrap_err();
    }
}
