"""Compares two trees with Debian packages: what mmdebstrap made and what org.osbuild.deb made.

Prints each difference, grouped by what it is; `--expected FILE` names patterns of differences that are known
(docs/deb-stage.md explains them) and makes any other one an error.
"""

import argparse
import fnmatch
import os
import re
import stat
import subprocess
import sys


def entries(root):
    """Every entry of a tree, by its path, with what is compared."""
    found = {}
    inodes = {}
    for directory, names, files in os.walk(root):
        for name in names + files:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            relative = "/" + os.path.relpath(path, root)
            found[relative] = info
            if stat.S_ISREG(info.st_mode) and info.st_nlink > 1:
                inodes.setdefault(info.st_ino, []).append(relative)
    return found, {path: sorted(paths) for paths in inodes.values() for path in paths}


def content(root, path):
    with open(root + path, "rb") as file:
        return file.read()


def attributes(path):
    names = os.listxattr(path, follow_symlinks=False)
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def stanzas(text):
    for stanza in text.strip().split("\n\n"):
        fields = re.findall(r"^([^\s:]+):(.*(?:\n[ \t].*)*)", stanza, re.M)
        yield {name: sorted(value.split("\n")) if name == "Conffiles" else value for name, value in fields}


def compare_status(one, other, report):
    """dpkg's status, field by field."""
    def read(root):
        text = content(root, "/var/lib/dpkg/status").decode()
        return {(fields["Package"], fields["Architecture"]): fields for fields in stanzas(text)}
    left, right = read(one), read(other)
    for key in sorted(set(left) | set(right)):
        fields_left, fields_right = left.get(key, {}), right.get(key, {})
        for field in sorted(set(fields_left) | set(fields_right)):
            if fields_left.get(field) != fields_right.get(field):
                report("status", f"{key[0]} {field}", fields_left.get(field), fields_right.get(field))


def compare_initramfs(one, other, path, report):
    """The members of an initramfs: the archive itself holds times and numbers of inodes."""
    def read(root):
        command = f"mkdir /tmp/initramfs && unmkinitramfs {path} /tmp/initramfs"
        subprocess.run(["chroot", root, "sh", "-ec", command], check=True)
        return root + "/tmp/initramfs"
    left, right = read(one), read(other)
    compare_entries(left, right, lambda kind, what, a, b: report(f"initramfs {kind}", path + what, a, b), times=False)
    for directory in (left, right):
        subprocess.run(["rm", "-rf", "--one-file-system", directory], check=True)


def compare_entries(one, other, report, times=True, special=None):
    left, left_links = entries(one)
    right, right_links = entries(other)
    for path in sorted(set(left) | set(right)):
        a, b = left.get(path), right.get(path)
        if b is None:
            report("missing", path, "", "")
            continue
        if a is None:
            report("additional", path, "", "")
            continue
        if stat.S_IFMT(a.st_mode) != stat.S_IFMT(b.st_mode):
            report("type", path, oct(a.st_mode), oct(b.st_mode))
            continue
        for kind, x, y in (
            ("mode", oct(a.st_mode), oct(b.st_mode)),
            ("owner", (a.st_uid, a.st_gid), (b.st_uid, b.st_gid)),
            ("device", a.st_rdev, b.st_rdev),
            ("attributes", attributes(one + path), attributes(other + path)),
            ("hard links", left_links.get(path), right_links.get(path)),
        ):
            if x != y:
                report(kind, path, x, y)
        if stat.S_ISLNK(a.st_mode):
            x, y = os.readlink(one + path), os.readlink(other + path)
            if x != y:
                report("link", path, x, y)
        elif stat.S_ISREG(a.st_mode) and content(one, path) != content(other, path):
            if special and special(path):
                continue
            report("content", path, a.st_size, b.st_size)
        # What was made by scripts has the time of the run in both; what packages brought has theirs.
        if times and int(a.st_mtime) != int(b.st_mtime):
            now = max(int(a.st_mtime), int(b.st_mtime))
            if now - min(int(a.st_mtime), int(b.st_mtime)) > 86400:
                report("time", path, int(a.st_mtime), int(b.st_mtime))


def verify(root, report):
    """dpkg's own checks, by the dpkg of the tree."""
    for arguments in (["--audit"], ["-V"]):
        command = ["chroot", root, "dpkg", *arguments]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.decode()
        for line in output.splitlines():
            report(f"dpkg {arguments[0]}", line, "", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expected")
    parser.add_argument("mmdebstrap")
    parser.add_argument("osbuild")
    arguments = parser.parse_args()
    expected = []
    if arguments.expected:
        with open(arguments.expected, encoding="utf-8") as file:
            expected = [line.split("#")[0].strip() for line in file]
    unexpected = 0
    count = 0

    def report(kind, what, left, right):
        nonlocal unexpected, count
        count += 1
        line = f"{kind} {what}"
        is_known = any(pattern and fnmatch.fnmatchcase(line, pattern) for pattern in expected)
        unexpected += not is_known
        values = f": {left!r} / {right!r}" if left != "" or right != "" else ""
        print(f"{'known  ' if is_known else 'DIFFERS'} {line}{values}")

    one, other = (os.path.realpath(tree) for tree in (arguments.mmdebstrap, arguments.osbuild))

    def special(path):
        if path == "/var/lib/dpkg/status":
            compare_status(one, other, report)
            return True
        if path.startswith("/boot/initrd.img-"):
            compare_initramfs(one, other, path, report)
            return True
        if path == "/var/lib/dpkg/triggers/File":
            return sorted(content(one, path).split(b"\n")) == sorted(content(other, path).split(b"\n"))
        return False

    compare_entries(one, other, report, special=special)
    for root in (one, other):
        print(f"dpkg --audit and dpkg -V of {os.path.basename(root)}:")
        verify(root, report)
    print(f"{count} differences, {unexpected} not known")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
