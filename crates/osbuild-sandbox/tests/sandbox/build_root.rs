//! What the contract of the build root promises to a stage.

use osbuild_sandbox::{CapabilitySet, Executor};

use crate::support::{Fixture, output, run};

pub(crate) fn what_a_stage_sees(executor: Executor) {
    let seen = output(
        executor,
        r#"
        env | grep -v '^_=' | sort
        readlink /proc/self/fd/0
        [ "$(readlink /proc/$$/fd/1)" = "$(readlink /proc/$$/fd/2)" ] && echo "one pipe"
        echo "pid $$, uid $UID, cwd $PWD, argument 0 $0"
        ls /dev
        cat /proc/cmdline
        cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' '
        ls /run/osbuild /run/osbuild/api /run/osbuild/bin /run/osbuild/inputs
        touch /usr/x /sys/x 2>&1
        echo 1 2>&1 > /proc/sys/kernel/printk
        true
        "#,
    );
    let seen = seen.replace("fuse\n", "");
    let expected = "\
LC_CTYPE=C.UTF-8
PATH=/usr/sbin:/usr/bin
PWD=/
PYTHONPATH=/run/osbuild/lib
PYTHONUNBUFFERED=1
SHLVL=1
TERM=dumb
container=bwrap-osbuild
/dev/null
one pipe
pid 2, uid 0, cwd /, argument 0 /run/osbuild/bin/org.osbuild.test
full
null
random
shm
tty
urandom
zero
root=/dev/osbuild
lo
/run/osbuild:
api
bin
inputs
meta
mounts
tree

/run/osbuild/api:
arguments

/run/osbuild/bin:
org.osbuild.test

/run/osbuild/inputs:
packages
";
    let refusals = seen
        .strip_prefix(expected)
        .unwrap_or_else(|| panic!("{seen}"));
    assert!(
        refusals.contains("touch: cannot touch '/usr/x': Read-only file system"),
        "{seen}"
    );
    assert!(
        refusals.contains("touch: cannot touch '/sys/x': Read-only file system"),
        "{seen}"
    );
    assert!(
        refusals.contains("/proc/sys/kernel/printk: Read-only file system"),
        "{seen}"
    );

    let capabilities = output(executor, "grep CapEff /proc/self/status | cut -f2");
    let expected = CapabilitySet::stage_default().intersection(CapabilitySet::held().unwrap());
    assert_eq!(capabilities, format!("{:016x}\n", expected.bits()));
}

pub(crate) fn tree_is_writable_and_inputs_are_not(executor: Executor) {
    let fixture = Fixture::new();
    let mut request = fixture.request();
    request.source_epoch = Some("1234".to_owned());
    request.capabilities = ["CAP_MAC_ADMIN".parse().unwrap()].into_iter().collect();
    let mut spec = osbuild_sandbox::build_root_spec(&request);
    let script = r#"
        cd /run/osbuild
        echo tree > tree/file && echo '{"a": 1}' > meta && echo mounts > mounts/file && echo etc > /etc/file
        cat inputs/packages/one; echo
        for file in inputs/new inputs/packages/one api/arguments; do
            (echo x >> $file) 2>&1 | sed 's/.*line [0-9]*: //'
        done
        echo $SOURCE_DATE_EPOCH
        mknod tree/null c 1 3 && (echo x > tree/null) 2>&1 | sed 's/.*line [0-9]*: //'
        echo x > /dev/null
    "#;
    spec.command.extend(["-c".into(), script.into()]);
    let (finished, output) = run(executor, &spec);
    assert!(finished.success(), "{output}");
    let expected = "\
package
inputs/new: Read-only file system
inputs/packages/one: Read-only file system
api/arguments: Read-only file system
1234
tree/null: Permission denied
";
    assert_eq!(output, expected);
    let read = |name: &str| fs_err::read_to_string(fixture.path(name)).unwrap();
    assert_eq!(read("tree/file"), "tree\n");
    assert_eq!(read("meta"), "{\"a\": 1}\n");
    assert_eq!(read("mounts/file"), "mounts\n");
    assert_eq!(read("etc/file"), "etc\n");
}
