//! Which file of the host this program was shown in the sandbox from.
//!
//! Upstream's engine shows stages and assemblers under the same names in the same place, and some names are those of
//! both: `org.osbuild.tar`. All modules that `osbuild modules export` writes are links to one program, which is there
//! under two names, so the kernel's table of mounts tells which of the two was meant. A file of its own for assemblers
//! would cost the size of the program; a script needs an interpreter, which a build root need not have.

use std::path::{Path, PathBuf};

use super::ASSEMBLER_FOLDER;

/// The name of the program that assemblers are links to.
pub const ASSEMBLER_PROGRAM: &str = "osbuild-assembler";

/// What the kernel adds to the name of a file that was replaced meanwhile.
const DELETED: &str = "//deleted";
/// Fields of a line of mountinfo, counted from 0 (`proc_pid_mountinfo(5)`).
const ROOT_FIELD: usize = 3;
const MOUNT_POINT_FIELD: usize = 4;

/// Tells whether the program at this path of the sandbox was shown from the name that assemblers are links to.
pub(super) fn is_assembler_program(program: &Path) -> bool {
    fs_err::read_to_string("/proc/self/mountinfo")
        .inspect_err(|error| tracing::debug!("{error}"))
        .is_ok_and(|table| bound_file(&table, program).is_some_and(|file| is_of_assembler(&file)))
}

/// Where links were copied as files, the folder tells.
fn is_of_assembler(file: &Path) -> bool {
    let folder = file.parent().and_then(Path::file_name);
    file.ends_with(ASSEMBLER_PROGRAM) || folder.is_some_and(|folder| folder == ASSEMBLER_FOLDER)
}

/// Gives the file that is mounted at a path, as a path in its own file system. Of several mounts the last counts.
fn bound_file(mountinfo: &str, path: &Path) -> Option<PathBuf> {
    let fields = |line: &str| -> Option<(String, String)> {
        let fields: Vec<&str> = line.split(' ').take(MOUNT_POINT_FIELD + 1).collect();
        Some((
            unescaped(fields.get(ROOT_FIELD)?),
            unescaped(fields.get(MOUNT_POINT_FIELD)?),
        ))
    };
    let (root, _) = mountinfo
        .lines()
        .filter_map(fields)
        .rfind(|(_, mount_point)| Path::new(mount_point) == path)?;
    Some(PathBuf::from(root.strip_suffix(DELETED).unwrap_or(&root)))
}

/// Spaces and such are written as three octal digits after a backslash.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .split_at_checked(3)
            .map(|(code, rest)| (u8::from_str_radix(code, 8), rest))
        {
            Some((Ok(byte), rest)) => {
                text.push(char::from(byte));
                text.push_str(rest);
            }
            _ => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
30 1 0:25 / / rw,relatime - overlay overlay rw
41 30 8:1 /usr/lib/osbuild/bin/osbuild /run/osbuild/bin/org.osbuild.xz ro - ext4 /dev/sda1 rw
42 30 8:1 /my\\040lib/bin/osbuild /run/osbuild/bin/org.osbuild.tar ro - ext4 /dev/sda1 rw
43 30 8:1 /my\\040lib/bin/osbuild-assembler//deleted /run/osbuild/bin/org.osbuild.tar ro - ext4 /dev/sda1 rw
";

    #[test]
    fn the_last_mount_at_a_path_names_the_file() {
        let file = |path: &str| bound_file(TABLE, Path::new(path));
        for (path, expected) in [
            (
                "/run/osbuild/bin/org.osbuild.xz",
                Some("/usr/lib/osbuild/bin/osbuild"),
            ),
            (
                "/run/osbuild/bin/org.osbuild.tar",
                Some("/my lib/bin/osbuild-assembler"),
            ),
            ("/run/osbuild/bin/org.osbuild.noop", None),
            ("/", Some("/")),
        ] {
            assert_eq!(file(path).as_deref(), expected.map(Path::new), "{path}");
        }
        assert_eq!(bound_file("garbage\n\n1 2 3 4\n", Path::new("/x")), None);
    }

    #[test]
    fn the_second_name_and_the_folder_mean_an_assembler() {
        for (file, expected) in [
            ("/lib/bin/osbuild-assembler", true),
            ("/lib/assemblers/org.osbuild.tar", true),
            ("/lib/stages/org.osbuild.tar", false),
            ("/lib/bin/osbuild", false),
            ("/", false),
        ] {
            assert_eq!(is_of_assembler(Path::new(file)), expected, "{file}");
        }
    }

    #[test]
    fn escaped_characters_are_read() {
        assert_eq!(unescaped(r"/a\040b\134c\12"), "/a b\\c\\12");
    }

    #[test]
    fn this_test_is_no_assembler() {
        assert!(!is_assembler_program(Path::new(
            "/run/osbuild/bin/org.osbuild.tar"
        )));
    }
}
