//! Recipes with odd bytes and odd values: an answer with a place, never a panic, never all the memory.

use std::path::Path;

use osbuild_recipe::{RecipeErrors, parse, read_recipe};

/// A recipe that begins right; what follows is under test.
const BEGINNING: &str = "distribution: debian\nrelease: bookworm\narchitecture: amd64\n";

/// Reads a recipe of these bytes and gives the error without its folder.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    fs_err::write(&path, bytes).unwrap();
    let error = read_recipe(&path).expect_err("the recipe is wrong");
    error
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn bytes_that_are_no_text_have_a_place() {
    assert_eq!(
        refusal(b"distribution: debian\nname: caf\xe9\n"),
        "test.yaml:2:10: the recipe is not UTF-8 text (save it as UTF-8; `iconv -t UTF-8` converts it)"
    );
    assert_eq!(
        refusal(b"\xff\xfed\0i\0"),
        "test.yaml:1:1: the recipe is not UTF-8 text (save it as UTF-8; `iconv -t UTF-8` converts it)"
    );
}

#[test]
fn a_byte_order_mark_at_the_start_is_no_error() {
    let text = format!("\u{feff}{BEGINNING}");
    parse(&text, Path::new("test.yaml")).unwrap();
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.yaml");
    let file = fs_err::File::create(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = read_recipe(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` has 1048576 MiB, and a recipe may have 16 MiB at most; name large files with `source`",
            path.display()
        )
    );
}

#[test]
fn a_file_below_a_file_is_refused() {
    let text = format!(
        "{BEGINNING}files:\n  - {{path: /srv/a, content: x}}\n  - {{path: /srv/a/b, link: y}}\n"
    ) + "  - {path: /srv/ab, directory: true}\n  - {path: /srv/ab/c, content: z}\n";
    let errors = parse(&text, Path::new("test.yaml")).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "test.yaml:6:5: `/srv/a/b` can not lie in `/srv/a`, which `files` makes no directory"
    );
}

#[test]
fn sizes_and_numbers_that_no_disk_has_are_refused() {
    let disk = |partitions: &str| {
        let text = format!("{BEGINNING}disk:\n  partitions:\n{partitions}outputs: [raw]\n");
        parse(&text, Path::new("test.yaml"))
            .unwrap_err()
            .to_string()
    };
    let error = disk("    - {mountpoint: /, size: 8388608 TiB}\n");
    assert!(error.contains("the most that can be is 16 TiB"), "{error}");
    let many = "    - {type: swap, size: 1 MiB}\n".repeat(128) + "    - {mountpoint: /}\n";
    let error = disk(&many);
    assert!(
        error.contains("a GPT has room for 128 partitions, not 131"),
        "{error}"
    );
}

#[test]
fn files_where_the_running_system_mounts_something_are_refused() {
    let advice =
        "a unit in `/etc/systemd/system` or a file in `/etc/tmpfiles.d` can make it at each start";
    for (path, folder) in [
        ("/dev/null", "/dev"),
        ("/dev", "/dev"),
        ("/proc/sys/kernel/hostname", "/proc"),
        ("/sys/a", "/sys"),
        ("/run/lock/a", "/run"),
        ("/var/run/a", "/run"),
        ("/var/lock/a", "/run"),
    ] {
        let text = format!("{BEGINNING}files:\n  - {{path: {path}, content: x}}\n");
        let errors = parse(&text, Path::new("test.yaml")).unwrap_err();
        assert_eq!(
            errors.to_string(),
            format!(
                "test.yaml:5:12: `{path}` would never be seen: `{folder}` is filled anew whenever the \
                 system starts ({advice})"
            )
        );
    }
    for path in [
        "/devices",
        "/etc/dev/a",
        "/running/x",
        "/var/runner",
        "/srv/proc",
    ] {
        let text = format!("{BEGINNING}files:\n  - {{path: {path}, content: x}}\n");
        parse(&text, Path::new("test.yaml")).unwrap();
    }
}

/// Every key of a recipe, each with a value that is right.
const EVERYTHING: &[&str] = &[
    "name: {}",
    "hostname: {}",
    "locale: {}",
    "timezone: {}",
    "keymap: {}",
    "build: {}",
    "distribution: {}",
    "release: {}",
    "architecture: {}",
    "packages: {}",
    "packages: {base: {}}",
    "packages: {include: {}}",
    "packages: {include: [{}]}",
    "packages: {exclude: [{}]}",
    "repositories: {}",
    "repositories: [{}]",
    "repositories: [{mirror: {}}]",
    "repositories: [{mirror: 'https://a.example', suites: {}, components: {}, keyring: {}}]",
    "groups: {}",
    "groups: [{}]",
    "groups: [{name: a, gid: {}}]",
    "users: {}",
    "users: [{}]",
    "users: [{name: {}}]",
    "users: [{name: a, password: {}, ssh-keys: {}, groups: {}, sudo: {}}]",
    "users: [{name: a, ssh-keys: [{}], shell: {}, home: {}, description: {}, uid: {}, gid: {}}]",
    "services: {}",
    "services: {enable: {}, disable: [{}], mask: {}, target: {}}",
    "files: {}",
    "files: [{}]",
    "files: [{path: {}, content: x}]",
    "files: [{path: /a, content: {}, mode: {}, owner: {}, group: {}}]",
    "files: [{path: /a, link: {}}]",
    "files: [{path: /a, source: {}}]",
    "files: [{path: /a, directory: {}}]",
    "kernel: {}",
    "kernel: {package: {}, command-line: {}}",
    "kernel: {command-line: [{}]}",
    "boot: {}",
    "boot: {firmware: {}, timeout: {}}",
    "disk: {}",
    "disk: {table: {}, size: {}, free: {}, partitions: {}}",
    "disk: {partitions: [{}]}",
    "disk: {partitions: [{mountpoint: /, size: {}, free: {}}]}",
    "disk: {partitions: [{type: {}, mountpoint: {}, filesystem: {}, name: {}, label: {}, options: {}}]}",
    "outputs: {}",
    "outputs: [{}]",
    "outputs: [{format: {}, file: {}, compress: {}}]",
    "{}: x",
    "packages: {{}: x}",
];

#[test]
fn no_value_of_any_key_makes_it_panic() {
    let long = format!("'{}'", "long".repeat(100_000));
    let nested = format!("{}{}", "[".repeat(20), "]".repeat(20));
    let values = [
        "",
        "~",
        "true",
        "-1",
        "0",
        "0x7f",
        "18446744073709551615",
        "18446744073709551616",
        "-170141183460469231731687303715884105728",
        "340282366920938463463374607431768211456",
        "99999999999999999999 TiB",
        "18446744073709551615 TiB",
        "0 MiB",
        "-5 MiB",
        "1e300",
        "0.1",
        "''",
        "' '",
        "'\\'",
        "\"\\0\"",
        "\"\\n\"",
        "\"\\x1b[2J\"",
        "'é'",
        "'💾'",
        "'\u{202e}abc'",
        "'../../etc'",
        "'/..'",
        "'//'",
        "'%s%n'",
        "'$(reboot)'",
        "'--help'",
        "'-'",
        "'.'",
        "[]",
        "[[]]",
        "[~]",
        "{a: {b: {c: d}}}",
        "2001-01-01",
        &long,
        &nested,
    ];
    for line in EVERYTHING {
        for value in values {
            let text = format!("{BEGINNING}{}\n", line.replace("{}", value));
            // What is accepted is judged elsewhere; what is refused must have a place in the file.
            if let Err(RecipeErrors { errors, .. }) = parse(&text, Path::new("test.yaml")) {
                let lines = text.lines().count();
                for error in errors {
                    assert!(
                        error.message.chars().count() <= 401
                            && !error.message.contains(char::is_control),
                        "{error} in {line}"
                    );
                    assert!(
                        (1..=lines).contains(&error.line) && error.column >= 1,
                        "{error} in {line} with {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn cut_off_anywhere_a_recipe_is_still_answered() {
    let whole = include_str!("../../../../samples/server.yaml");
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        drop(parse(&whole[..end], Path::new("test.yaml")));
    }
}
