#!/usr/bin/env python3
"""Packs files of this Debian machine into RPM packages, one for each of its own packages, all with one rpmbuild.

usage: rpm-set.py COUNT MEGABYTES DIRECTORY

Takes COUNT packages that follow each other by size, the largest whose files are not more than MEGABYTES together;
only what is below /usr, and no path twice. No scriptlets.
"""
import contextlib
import functools
import os
import re
import shutil
import stat
import subprocess
import sys

RESERVED = re.compile(r"[\s\\*?{}\[\]%\"'$]")


def packages():
    """Yields (name, version) of each installed package."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n"]
    for line in subprocess.run(query, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        status, name, version = line.split("\t")
        if status.startswith("ii"):
            yield name, version


def listings(names):
    """Returns what each package has below /usr, {name: [(path, lstat)]}."""
    # One call: the answers come in order, with an empty line between.
    command = ["dpkg-query", "-L", *names]
    answers = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n\n")
    return {name: list(entries(answer.splitlines())) for name, answer in zip(names, answers, strict=True)}


@functools.cache
def is_real(directory):
    """Tells whether a directory is reached without links."""
    return os.path.realpath(directory) == directory


def entries(paths):
    """Yields (path, lstat) of what is below /usr and can be written into a spec file."""
    for path in sorted(set(paths)):
        if path.startswith("/usr/") and not RESERVED.search(path) and is_real(os.path.dirname(path)):
            with contextlib.suppress(FileNotFoundError):
                yield path, os.lstat(path)


def choose(count, limit):
    """Chooses packages, {name: (version, [(path, lstat)])}."""
    found = {}
    versions = dict(packages())
    for name, content in listings(versions).items():
        size = sum(status.st_size for _, status in content if stat.S_ISREG(status.st_mode))
        if any(not stat.S_ISDIR(status.st_mode) for _, status in content):
            found[name] = (size, versions[name], content)
    ranked = sorted((size, name) for name, (size, _, _) in found.items())
    windows = [ranked[start:start + count] for start in range(len(ranked) - count + 1)]
    fitting = [window for window in windows if sum(size for size, _ in window) <= limit]
    if not fitting:
        sys.exit(f"rpm-set.py: no {count} of {len(ranked)} packages fit")
    chosen, taken = {}, set()
    for _, name in fitting[-1]:
        _, version, content = found[name]
        content = [(path, status) for path, status in content if stat.S_ISDIR(status.st_mode) or path not in taken]
        taken.update(path for path, status in content if not stat.S_ISDIR(status.st_mode))
        chosen[name] = (version, content)
    return chosen, sum(size for size, _ in fitting[-1])


def spec(chosen):
    """Writes one spec file with a subpackage for each."""
    lines = [
        "%global debug_package %{nil}", "%global __os_install_post %{nil}", "%global _build_id_links none",
        "%global _unpackaged_files_terminate_build 0", "%global _binary_payload w3.zstdio",
        "%global source_date_epoch_from_changelog 0", "%global _buildhost bench.invalid",
        "Name: bench-set", "Version: 1", "Release: 1", "Summary: A set to measure with", "License: none",
        "AutoReqProv: no", "%description", "A set to measure with.",
    ]
    for name, (version, content) in chosen.items():
        version = re.sub(r"^\d+:", "", version).replace("-", "_")
        lines += [f"%package -n {name}", f"Version: {re.sub(r'[^A-Za-z0-9._+~]', '_', version)}",
                  f"Summary: {name}", "AutoReqProv: no", f"%description -n {name}", name, f"%files -n {name}",
                  "%defattr(-,root,root,-)"]
        for path, status in content:
            lines.append(("%dir " if stat.S_ISDIR(status.st_mode) else "") + path)
    return "\n".join(lines) + "\n"


def copy(chosen, root):
    """Copies the files to a build root."""
    for _, content in chosen.values():
        for path, status in content:
            target = root + path
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if stat.S_ISDIR(status.st_mode):
                os.makedirs(target, exist_ok=True)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(path), target)
            elif stat.S_ISREG(status.st_mode):
                shutil.copy2(path, target)


def main():
    """Chooses, copies, builds."""
    count, megabytes, directory = int(sys.argv[1]), int(sys.argv[2]), os.path.abspath(sys.argv[3])
    chosen, total = choose(count, megabytes * 1_000_000)
    root, work = f"{directory}/root", f"{directory}/work"
    os.makedirs(work)
    copy(chosen, root)
    with open(f"{work}/set.spec", "w", encoding="utf8") as file:
        file.write(spec(chosen))
    build = ["rpmbuild", "-bb", "--quiet", "--buildroot", root, "--noprep", "--nocheck",
                    "--define", f"_topdir {work}", "--define", f"_rpmdir {directory}",
                    "--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
                    "--define", "__spec_install_pre %{nil}", "--define", "__spec_clean_body %{nil}",
                    # Looking into every file for what it needs would take longer than all else.
                    "--define", "_use_internal_dependency_generator 0",
                    "--define", "__find_requires %{nil}", "--define", "__find_provides %{nil}",
                    "--define", "__check_files %{nil}",
                    f"{work}/set.spec"]
    # It warns of these generators once for each package.
    built = subprocess.run(build, check=False, stderr=subprocess.PIPE, text=True)
    if built.returncode != 0:
        sys.exit(f"rpm-set.py: rpmbuild failed:\n{built.stderr}")
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(work)
    print(f"{len(chosen)} packages with {total / 1e6:.0f} MB of files in {directory}")


if __name__ == "__main__":
    main()
