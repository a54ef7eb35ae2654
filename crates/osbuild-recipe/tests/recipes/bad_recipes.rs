//! What is wrong with a recipe is said at its place, with what to do, and all at once.

use std::path::Path;

use osbuild_recipe::parse;

/// A recipe that begins right; what follows is under test.
const BEGINNING: &str = "distribution: debian\nrelease: bookworm\narchitecture: amd64\n";

fn errors_of(text: &str) -> Vec<String> {
    match parse(text, Path::new("test.yaml")) {
        Ok(recipe) => panic!("accepted: {recipe:?}"),
        Err(errors) => errors.errors.iter().map(ToString::to_string).collect(),
    }
}

/// Checks the errors of lines that follow the beginning, so that the first of them is line 4.
#[track_caller]
fn check(lines: &str, expected: &[&str]) {
    assert_eq!(errors_of(&format!("{BEGINNING}{lines}")), expected);
}

#[test]
fn unknown_keys_get_a_suggestion() {
    check(
        "hostnmae: x\n",
        &["4:1: unknown key `hostnmae` in the recipe (did you mean `hostname`?)"],
    );
    check(
        "packages:\n  includes: [curl]\n",
        &["5:3: unknown key `includes` in `packages` (did you mean `include`?)"],
    );
    check(
        "users:\n  - name: lena\n    ssh_keys: []\n",
        &["6:5: unknown key `ssh_keys` in `users` (did you mean `ssh-keys`?)"],
    );
    check(
        "packages:\n  xyz: 1\n",
        &["5:3: unknown key `xyz` in `packages` (known keys: `base`, `exclude`, `include`)"],
    );
}

#[test]
fn all_errors_of_a_file_are_reported_in_order() {
    let errors = errors_of(
        "release: bookwurm\n\
         hostname: 12\n\
         timezone: Europe/Berln\n\
         locale: en_GB\n\
         outputs: [qcow]\n\
         colour: red\n\
         distribution: debian\n",
    );
    assert_eq!(
        errors,
        [
            "1:10: `bookwurm` is no known release of debian (known releases: `bookworm`, `trixie`)",
            "2:11: `hostname` must be text, not a number (put it in quotes)",
            "3:11: `Europe/Berln` is not a time zone (did you mean `Europe/Berlin`?)",
            "4:9: `en_GB` is not a UTF-8 locale (did you mean `en_GB.UTF-8`?)",
            "5:11: `qcow` is not known for `outputs` (did you mean `qcow2`?)",
            "6:1: unknown key `colour` in the recipe (known keys: `architecture`, `boot`, `build`, `disk`, \
             `distribution`, `files`, `groups`, `hostname`, `kernel`, `keymap`, `locale`, `name`, `outputs`, \
             `packages`, `release`, `repositories`, `services`, `timezone`, `users`)",
        ]
    );
}

#[test]
fn the_file_is_named_before_each_error() {
    let errors = parse("- a\n", Path::new("test.yaml")).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "test.yaml:1:1: the recipe must be a mapping, not a list"
    );
}

#[test]
fn a_recipe_needs_a_distribution_and_a_release() {
    assert_eq!(
        errors_of("hostname: x\n"),
        [
            "1:1: the recipe has no `distribution`",
            "1:1: the recipe has no `release`",
        ]
    );
    assert_eq!(
        errors_of(""),
        ["1:1: the recipe must be a mapping, not nothing"]
    );
}

#[test]
fn wrong_types_are_named() {
    check(
        "packages: [curl]\n",
        &["4:11: `packages` must be a mapping, not a list"],
    );
    check(
        "packages:\n  include: curl\n",
        &["5:12: `packages.include` must be a list, not text \
           (begin each item with `- ` on a line of its own, or write `[one, two]`)"],
    );
    check(
        "users:\n  - {name: a, uid: many}\n",
        &["5:20: `users.uid` must be a whole number, not text"],
    );
    check(
        "boot: {timeout: 99999}\n",
        &["4:17: `boot.timeout` is 99999, but must be between 0 and 3600"],
    );
}

#[test]
fn invalid_yaml_has_a_line_and_a_column() {
    let errors = parse("hostname: [a\nlocale: b\n", Path::new("x.yaml")).unwrap_err();
    let [error] = errors.errors.as_slice() else {
        panic!("one error was expected: {errors}");
    };
    assert!(error.message.starts_with("not valid YAML: "), "{error}");
    assert_eq!((error.line, error.column), (2, 7), "{error}");
}

#[test]
fn passwords_must_be_hashes_and_are_not_repeated() {
    check(
        "users:\n  - name: lena\n    password: hunter2\n",
        &["6:15: `users.password` is not a password hash \
           (make a hash with `openssl passwd -6` and write it in single quotes)"],
    );
}

#[test]
fn users_and_groups_are_named_once_and_well() {
    check(
        "groups: [web, web]\nusers:\n  - name: lena\n  - name: lena\n  - name: Bad Name\n",
        &[
            "4:15: group `web` is named twice",
            "7:11: user `lena` is named twice",
            "8:11: `Bad Name` is not a user name \
             (use up to 32 lower-case letters, digits, `_` and `-`, beginning with a letter)",
        ],
    );
}

#[test]
fn a_user_cannot_share_the_name_of_a_group_of_every_system() {
    check(
        "users:\n  - name: operator\n  - {name: staff, gid: 50}\n",
        &[
            "5:11: user `operator` cannot have a group of its own: every system has a group of that name \
           (choose another name, or make that group the user's own with `gid: 37`)",
        ],
    );
}

#[test]
fn accounts_that_cannot_be_made_are_told_before_anything_is_built() {
    check(
        "groups:\n  - lena\n  - {name: ada, gid: 2000}\nusers:\n  - name: lena\n  - name: ada\n  - {name: eve, gid: 2000}\n",
        &[
            "8:11: user `lena` gets a group of its own, but `groups` has `lena`, too \
           (leave it out of `groups`: it is made with the user)",
            "9:11: user `ada` gets a group of its own, but `groups` has `ada`, too \
           (make that group the user's own with `gid: 2000`)",
        ],
    );
    check(
        "groups:\n  - sudo\n  - {name: mine, gid: 27}\n  - www-data\n",
        &[
            "5:5: group `sudo` cannot be made: every system has it (leave it out)",
            "6:12: group `mine` has the number of `sudo`, which every system has",
            "7:5: group `www-data` cannot be made: every system has it (leave it out)",
        ],
    );
    check(
        "groups: [{name: a, gid: 1500}, {name: b, gid: 1500}]\nusers:\n  - {name: c, uid: 1500}\n  - {name: d, uid: 1500, gid: 65534}\n",
        &[
            "4:39: `a` and `b` both have the `gid` 1500",
            "7:12: `c` and `d` both have the `uid` 1500",
        ],
    );
    check(
        "users:\n  - {name: lena, gid: 1234}\n  - {name: ada, uid: 1300}\n  - {name: eve, uid: 1301, gid: 1300}\n",
        &[
            "5:12: no group has the number 1234, which is to be the group of `lena` \
           (make one: `groups: [{name: lena, gid: 1234}]`)",
        ],
    );
    check(
        "users:\n  - {name: lena, description: \"a\\0b\"}\n",
        &[
            "5:31: `users.description` must not contain `:`, line breaks or other control characters",
        ],
    );
}

#[test]
fn nothing_is_mounted_where_the_system_could_not_start() {
    for (path, reason) in [
        ("/dev", "`/dev` is filled anew whenever the system starts"),
        (
            "/run/data",
            "`/run` is filled anew whenever the system starts",
        ),
        (
            "/var/run",
            "`/run` is filled anew whenever the system starts",
        ),
        ("/etc", "the system needs it to mount anything"),
        ("/lib", "the system needs it to mount anything"),
    ] {
        let disk = format!(
            "disk:\n  partitions:\n    - {{name: a, filesystem: ext4, mountpoint: /}}\n    \
             - {{name: b, size: 1 GiB, filesystem: ext4, mountpoint: {path}}}\n"
        );
        let expected = format!("7:7: `{path}` can be no mount point: {reason}");
        check(&format!("{disk}outputs: [raw]\n"), &[&expected]);
    }
}

#[test]
fn sudo_asks_for_a_password_only_when_there_is_one() {
    check(
        "users: [{name: a, sudo: true}]\n",
        &["4:25: `sudo` would ask for a password the user has not \
           (give the user a `password`, or write `sudo: without-password`)"],
    );
    check(
        "users: [{name: a, sudo: sometimes}]\n",
        &["4:25: `users.sudo` must be true, false or `without-password`, not text"],
    );
}

#[test]
fn ssh_keys_are_public_keys() {
    check(
        "users:\n  - name: a\n    ssh-keys:\n      - hello\n      - |\n        -----BEGIN OPENSSH PRIVATE KEY-----\n",
        &[
            "7:9: `users.ssh-keys` holds something that is no public key \
             (use one line of a `.pub` file, like `ssh-ed25519 AAAA… name@host`)",
            "9:9: `users.ssh-keys` holds a private key (use the public key, from the file that ends in `.pub`)",
        ],
    );
}

#[test]
fn packages_have_names_and_stand_on_one_side() {
    check(
        "packages:\n  include: [curl, Curl, wget=1.2]\n  exclude: [curl]\n",
        &[
            "5:19: `Curl` is not a package name \
             (write a name like `curl`, in `include` perhaps with a version like `curl=7.88.1-10`)",
            "6:13: `curl` is both included and excluded",
        ],
    );
}

#[test]
fn repositories_have_a_mirror() {
    check(
        "repositories:\n  - suites: [bookworm]\n  - mirror: example.org/debian\n",
        &[
            "5:5: `repositories` has no `mirror`",
            "6:13: `example.org/debian` is not a mirror \
             (write an address that begins with https://, http:// or file:///)",
        ],
    );
}

#[test]
fn recipes_of_rpm_packages_name_repositories_and_keys() {
    let beginning = "distribution: fedora\nrelease: 43\narchitecture: amd64\noutputs: [tar]\n";
    let check = |lines: &str, expected: &[&str]| {
        assert_eq!(errors_of(&format!("{beginning}{lines}")), expected);
    };
    check("", &["1:1: the recipe has no `repositories`"]);
    check(
        "repositories:\n  - mirror: https://a.example\n  - {mirror: https://b.example, keyring: k, suites: [a]}\n\
         packages:\n  base: required\n  include: [a*, 'R']\n",
        &[
            "6:5: `repositories` has no `keyring`",
            "7:45: unknown key `suites` in `repositories` (known keys: `keyring`, `mirror`)",
            "9:3: unknown key `base` in `packages` (known keys: `exclude`, `include`)",
            "10:13: `a*` is not a package name \
             (write a name like `curl`, in `include` perhaps with a version like `curl=7.88.1-10`)",
        ],
    );
}

#[test]
fn disks_of_rpm_packages_do_not_start_yet() {
    let text = "distribution: centos\nrelease: 10\narchitecture: amd64\n\
                repositories: [{mirror: https://a.example, keyring: k}]\n";
    assert_eq!(
        errors_of(text),
        ["1:15: no boot loader can be set up for centos \
             (write `boot: {firmware: none}`, or make archives only)",]
    );
    let without = format!("{text}boot: {{firmware: none}}\n");
    assert!(parse(&without, Path::new("test.yaml")).is_ok());
}

#[test]
fn files_have_one_content_and_an_octal_mode() {
    check(
        "files:\n  - path: /a\n  - {path: /b, content: x, source: y}\n  - {path: /c, content: x, mode: 644}\n\
         \x20 - {path: d, content: x}\n  - {path: /e, content: x}\n  - {path: /e, directory: true}\n",
        &[
            "5:5: `files` needs one thing to put at the path \
             (write one of `content`, `source`, `link` and `directory: true`)",
            "6:5: `files` needs one thing to put at the path \
             (write one of `content`, `source`, `link` and `directory: true`)",
            "7:34: `files.mode` must be octal, not a number \
             (write permissions in octal with a leading 0, like `0644`)",
            "8:12: `d` is no path of a file (write it from `/`, without `..` and without a slash at the end)",
            "10:12: file `/e` is named twice",
        ],
    );
}

#[test]
fn units_are_not_enabled_and_masked_at_once() {
    check(
        "services: {enable: [ssh], mask: [ssh], disable: [a b]}\n",
        &[
            "4:34: `ssh` is enabled as well",
            "4:50: `a b` is not a unit name (write it as systemctl takes it, like `ssh` or `fstrim.timer`)",
        ],
    );
}

#[test]
fn a_disk_has_one_root() {
    check(
        "disk:\n  partitions:\n    - {mountpoint: /srv, size: 1 GiB}\n",
        &["5:3: no partition has the mount point `/` (add one with `mountpoint: /`)"],
    );
    check(
        "disk:\n  partitions:\n    - {name: a, mountpoint: /, size: 1 GiB}\n    - {name: b, mountpoint: /, size: 1 GiB}\n",
        &["7:7: `/` is the mount point of `a` and of `b`"],
    );
    check(
        "disk:\n  partitions:\n    - {mountpoint: /, filesystem: fat}\n",
        &["6:7: FAT cannot hold a root file system (use `ext4`)"],
    );
}

#[test]
fn one_partition_fits_the_rest_has_sizes() {
    check(
        "disk:\n  partitions:\n    - mountpoint: /\n    - {mountpoint: /srv, size: fit}\n",
        &["7:7: `srv` and `root` both have the size `fit` (give all but one a size, like `2 GiB`)"],
    );
    check(
        "disk:\n  size: 1 GiB\n  partitions:\n    - {mountpoint: /, size: 2 GiB}\n",
        &[
            "5:3: the partitions need 2115 MiB at least, the disk has 1 GiB \
           (make `disk.size` larger, or leave it out)",
        ],
    );
}

#[test]
fn sizes_have_units() {
    check(
        "disk:\n  size: 10G\n  free: 5\n  partitions:\n    - {mountpoint: /, size: 1500 KiB}\n",
        &[
            "5:9: `10G` is not a size (did you mean `10 GiB`?)",
            "6:9: `5` is not a size (add a unit, like `5 MiB`)",
            "8:29: `1500 KiB` is not a whole number of MiB",
        ],
    );
}

#[test]
fn an_mbr_has_its_limits() {
    check(
        "disk:\n  table: mbr\n  partitions:\n    - {type: bios-boot}\n    - mountpoint: /\n    - {type: swap, size: 1 GiB}\n    \
         - {mountpoint: /srv, size: 1 GiB}\n",
        &[
            "5:3: an MBR has room for four partitions only (write `table: gpt`)",
            "7:7: an MBR has no BIOS boot partition (leave it out: GRUB lies before the first partition)",
        ],
    );
}

#[test]
fn a_disk_without_an_output_is_pointed_at() {
    check(
        "disk: {size: 4 GiB}\noutputs: [tar]\n",
        &["1:1: the recipe has a `disk` but no output is made of it \
           (add `qcow2` or `raw` to `outputs`, or leave `disk` out)"],
    );
}

#[test]
fn outputs_differ_in_format_and_name() {
    check(
        "outputs:\n  - qcow2\n  - {format: qcow2, file: b.qcow2}\n  - {format: raw, file: test.qcow2}\n  - {format: tar, file: a/b}\n",
        &[
            "6:5: output format `qcow2` is named twice",
            "7:5: output file `test.qcow2` is named twice",
            "8:25: `a/b` is not a file name (name a file; the folder is chosen by `osbuild build --output`)",
        ],
    );
}

#[test]
fn the_root_file_system_is_not_named_on_the_command_line() {
    check(
        "kernel: {command-line: [quiet, root=/dev/sda1]}\n",
        &[
            "4:32: `kernel.command-line` sets `root=` (leave it out: the root file system is found by its UUID)",
        ],
    );
}

#[test]
fn boot_loaders_are_for_pcs_only() {
    let beginning = "distribution: debian\nrelease: trixie\narchitecture: arm64\n";
    assert_eq!(
        errors_of(beginning),
        ["3:15: no boot loader can be set up for arm64 \
          (write `boot: {firmware: none}`, or make archives only)"]
    );
    let archive = format!("{beginning}outputs: [tar]\n");
    assert!(parse(&archive, Path::new("test.yaml")).is_ok());
}

#[test]
fn only_some_formats_compress_themselves() {
    check(
        "outputs: [{format: tar, compress: true}]\n",
        &["4:35: only `qcow2` images can `compress` themselves \
           (choose a format like `raw.zst` or `tar.xz`)"],
    );
}
