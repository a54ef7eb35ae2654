//! Whatever a program can find out about its sandbox, it finds the same in both.

use osbuild_sandbox::Executor;

use crate::support::output;

/// Everything that the contract of the build root names.
const PROBE: &str = r#"
echo "== mounts"
# The tmpfs of the root is a directory of a larger one under bubblewrap: the fourth field is left out.
while read -r _ _ _ _ target flags rest; do
    rest=${rest#*- }
    echo "$target $flags ${rest%% *}"
done < /proc/self/mountinfo
echo "== environment"
# The shell sets _ itself.
env | grep -v '^_=' | sort
echo "== process"
grep -E '^(Cap|NoNewPrivs|Seccomp|SigBlk|SigIgn|Uid|Gid|Groups|Umask|NSpid)' /proc/self/status
pwd
ls -l /proc/self/fd | sed 's/.* \([0-9]* -> .*\)/\1/' | sed 's/pipe:.*/pipe/; s/\/proc\/[0-9]*/\/proc\/PID/'
echo "== processes"
for process in /proc/[0-9]*; do echo "${process#/proc/}"; done | grep -cx '[0-9]*'
cut -d' ' -f5,6,7 /proc/$$/stat | tr ' ' '\n' | grep -c '^0$'
ps -o pid,ppid,sid,tpgid -p $$ 2>/dev/null | tail -1
echo "== init"
grep -E '^(CapEff|CapPrm|NoNewPrivs|Uid)' /proc/1/status
echo "== network"
cut -d: -f1 /proc/net/dev | tail -n +3
(exec 3<>/dev/tcp/127.0.0.1/9) 2>&1 | sed 's/.*: //'
(exec 3<>/dev/tcp/192.0.2.1/9) 2>&1 | sed 's/.*: //'
echo "== devices"
ls -lA --time-style=+ /dev | tail -n +2
echo "== files"
ls -lAd --time-style=+ / /bin /dev/shm /etc /lib /lib64 /proc/cmdline /run /run/osbuild /run/osbuild/* /run/osbuild/*/* /sbin /tmp /usr /var
cat /proc/cmdline
echo "== writable"
for path in / /boot /dev /dev/shm /etc /proc/sys/kernel/printk /proc/sysrq-trigger /proc/cmdline /run /sys /tmp /usr /var /run/osbuild/*; do
    test -w "$path" && echo "$path"
done
true
"#;

pub(crate) fn both_executors_show_the_same() {
    let namespaces = output(Executor::Namespaces, PROBE);
    let bubblewrap = output(Executor::Bubblewrap, PROBE);
    assert!(namespaces.contains("== writable\n/\n"), "{namespaces}");
    let (ours, theirs) = (sorted_mounts(&namespaces), sorted_mounts(&bubblewrap));
    assert_eq!(ours, theirs);
}

/// Orders the lines of the mounts: two mounts side by side may come either way.
fn sorted_mounts(probe: &str) -> Vec<String> {
    let (mounts, rest) = probe.split_once("== environment").unwrap();
    // Bubblewrap can only show the host's, which has no noexec.
    let mut lines: Vec<_> = mounts
        .lines()
        .map(|line| {
            line.replace(
                "/proc/sys ro,nosuid,nodev,noexec,",
                "/proc/sys ro,nosuid,nodev,",
            )
        })
        .collect();
    lines.sort_unstable();
    lines.extend(rest.lines().map(str::to_owned));
    lines
}
