//! Users that a tree has already, changed with the build root's own programs.

use fs_err as fs;
use osbuild_testing::needs;
use serde_json::{Value, json};

use crate::archived_tree::{build_on, output};
use crate::workplace::{Ran, Workplace};

const FILES: [(&str, u32, &str); 3] = [
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000:Anna:/home/anna:/bin/sh\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\nadm:x:4:\nusers:x:100:\nanna:x:1000:\n",
    ),
    (
        "etc/shadow",
        0o600,
        "root:*:19000:0:99999:7:::\nanna:!:19000:0:99999:7:::\n",
    ),
];

/// Has the stage change users of a tree where `anna` is user 1000.
fn change(workplace: &Workplace, users: &Value) -> Ran {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, text) in FILES {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        archive
            .append_data(&mut header, path, text.as_bytes())
            .unwrap();
    }
    for folder in ["srv/anna", "home/anna"] {
        archive.append_dir(folder, workplace.path("")).unwrap();
    }
    let stage = json!({"type": "org.osbuild.users", "options": {"users": users}});
    build_on(workplace, archive.into_inner().unwrap(), &stage)
}

#[test]
fn a_user_that_exists_gets_the_properties_of_the_manifest() {
    needs![root, tool("usermod")];
    let workplace = Workplace::new();
    let users = json!({"anna": {
        "uid": 1000, "gid": 100, "groups": ["adm"], "description": "Anna A.", "home": "/srv/anna",
        "shell": "/bin/bash", "password": "$6$salt$hash", "key": "ssh-ed25519 A",
    }});
    let ran = change(&workplace, &users);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let read = |path: &str| fs::read_to_string(workplace.path("out/tree").join(path)).unwrap();
    assert_eq!(
        read("etc/passwd"),
        FILES[0].2.replace(
            "1000:1000:Anna:/home/anna:/bin/sh",
            "1000:100:Anna A.:/srv/anna:/bin/bash"
        )
    );
    assert_eq!(
        read("etc/group"),
        "root:x:0:\nadm:x:4:anna\nusers:x:100:\nanna:x:1000:\n"
    );
    assert!(read("etc/shadow").contains("anna:$6$salt$hash:"));
    assert_eq!(read("srv/anna/.ssh/authorized_keys"), "ssh-ed25519 A\n");
}

#[test]
fn a_user_that_exists_keeps_the_number() {
    needs![root];
    let workplace = Workplace::new();
    let ran = change(
        &workplace,
        &json!({"anna": {"uid": 1001, "shell": "/bin/bash"}}),
    );
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert_eq!(
        output(&ran),
        ["Error: can't set uid of existing user 'anna'"]
    );
    assert!(!workplace.path("out").exists(), "nothing was exported");
    workplace.assert_usable();
}
