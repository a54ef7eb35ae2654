//! One initramfs instead of one per package that asks for it.
//!
//! The kernel's `postinst` makes one, and a trigger makes it again once all is configured; only the last one stays.
//! While packages are configured a stand-in notes what `update-initramfs` is asked for, and leaves an empty file where
//! the image will be, for the scripts that look for it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::environment::Environment;

/// Removed with all else in `/run`.
const NOTES: &str = "/run/osbuild-update-initramfs";

/// What stands in for `update-initramfs`; its options are those of initramfs-tools.
pub(super) const STAND_IN: &str = r#"#!/bin/sh
set -e
# Hooks of newer kernels ask who would make the image, and do nothing unless it is this.
if [ "${1-}" = --version ]; then
	dpkg-query --show --showformat='initramfs-tools ${Version}\n' initramfs-tools 2>/dev/null || echo initramfs-tools
	exit
fi
mode= version= directory=/boot
while getopts k:cudvtb:h option; do
	case $option in
	c | u | d) mode=$option ;;
	k) version=$OPTARG ;;
	b) directory=$OPTARG ;;
	esac
done
image=$directory/initrd.img-$version
echo "$mode $directory $version" >>/run/osbuild-update-initramfs
case $mode in
c) [ -e "$image" ] || : >"$image" ;;
d) rm -f "$image" ;;
esac
echo "update-initramfs: put off until all packages are configured"
"#;

/// What there is to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Requests {
    /// Images to make: directory and version.
    create: BTreeSet<(String, String)>,
    /// Images to renew; an empty version is the newest one.
    update: BTreeSet<(String, String)>,
}

impl Requests {
    fn parse(notes: &str) -> Self {
        let mut requests = Self::default();
        for line in notes.lines() {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (mode, image) = (word(), (word(), word()));
            match mode.as_str() {
                "c" => drop(requests.create.insert(image)),
                "u" => drop(requests.update.insert(image)),
                "d" => drop(requests.create.remove(&image)),
                _ => {}
            }
        }
        // A new image needs no renewal; without a version the newest image is meant, which is one of them.
        if !requests.create.is_empty() {
            let create = &requests.create;
            requests
                .update
                .retain(|image| !create.contains(image) && !image.1.is_empty() && image.1 != "all");
        }
        requests
    }
}

/// Does what was put off; tells whether there was something.
pub(super) fn make(environment: &Environment<'_>) -> Result<bool> {
    let Some(notes) = environment.tree().read_if_exists(NOTES)? else {
        return Ok(false);
    };
    let requests = Requests::parse(&String::from_utf8_lossy(&notes));
    for (mode, images) in [("-c", &requests.create), ("-u", &requests.update)] {
        for (directory, version) in images {
            run(environment, mode, directory, version)?;
        }
    }
    Ok(true)
}

fn run(environment: &Environment<'_>, mode: &str, directory: &str, version: &str) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // For zstd(1), which would use one: mkinitramfs passes no number of threads.
    let variables = [("ZSTD_NBTHREADS", threads.to_string())];
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let mut command = environment
        .command(&variables, "update-initramfs")
        .arg(mode);
    if !version.is_empty() {
        command = command.args(["-k", version]);
    }
    command
        .args(["-b", directory])
        .run()
        .with_context(|| format!("making the initramfs {directory}/initrd.img-{version}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// trixie's `/etc/kernel/postinst.d/initramfs-tools` makes no image unless the first word is this.
    #[test]
    fn the_stand_in_says_whose_place_it_takes() {
        let answer = Command::new("sh")
            .args(["-c", STAND_IN, "update-initramfs", "--version"])
            .output()
            .unwrap();
        assert!(answer.status.success());
        let text = String::from_utf8(answer.stdout).unwrap();
        assert_eq!(text.split_whitespace().next(), Some("initramfs-tools"));
    }

    fn images(images: &[(&str, &str)]) -> BTreeSet<(String, String)> {
        images
            .iter()
            .map(|(directory, version)| ((*directory).to_owned(), (*version).to_owned()))
            .collect()
    }

    #[test]
    fn an_image_is_made_once() {
        for (notes, create, update) in [
            (
                "c /boot 6.1\nu /boot \nc /boot 6.1\n",
                &[("/boot", "6.1")][..],
                &[][..],
            ),
            ("u /boot \n", &[], &[("/boot", "")]),
            (
                "c /boot 6.1\nu /boot 5.10\n",
                &[("/boot", "6.1")],
                &[("/boot", "5.10")],
            ),
            ("c /boot 6.1\nu /boot all\n", &[("/boot", "6.1")], &[]),
            ("c /boot 6.1\nd /boot 6.1\n", &[], &[]),
            ("", &[], &[]),
        ] {
            let expected = Requests {
                create: images(create),
                update: images(update),
            };
            assert_eq!(Requests::parse(notes), expected, "{notes:?}");
        }
    }
}
