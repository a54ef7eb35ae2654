//! A disk image running in QEMU.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::accelerator;
use super::console::Console;
use super::patience;

const MEMORY_MIB: &str = "1024";
/// Debian's place and Fedora's; each with its store of variables.
const UEFI_FIRMWARE: [(&str, &str); 4] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2",
        "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
];
/// Told apart from what the shell echoes of the command line, where each is two words.
const BEGIN: (&str, &str) = ("OUTPUT_BEG", "INS_HERE");
const END: (&str, &str) = ("OUTPUT_EN", "DS_HERE");

/// What starts the boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// The BIOS of old.
    Bios,
    /// UEFI, with an empty store of variables: it finds the disk's fallback program.
    Uefi,
}

/// A machine that runs an image; it is killed when this is dropped. The image is not written to.
#[derive(Debug)]
pub struct BootedImage {
    child: Child,
    console: Console,
    started: Instant,
    /// Holds the firmware's variables.
    _directory: tempfile::TempDir,
}

/// What a command in the machine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandResult {
    /// Its exit status.
    pub status: i32,
    /// What it wrote, without the kernel's messages and the last line end.
    pub output: String,
}

impl BootedImage {
    /// Starts a machine from a disk image, raw or qcow2.
    pub fn boot(image: &Path, firmware: Firmware) -> Result<Self> {
        let directory = tempfile::tempdir().context("making a temporary directory")?;
        let variables = firmware_variables(firmware, directory.path())?;
        // A test that is killed takes its machine along.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"])
            .args(arguments(image, variables.as_ref()))
            .args(accelerator::arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting qemu-system-x86_64 through setpriv")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            bail!("QEMU has no console")
        };
        let console = Console::new(input, output, patience::deadline());
        Ok(Self {
            child,
            console,
            started: Instant::now(),
            _directory: directory,
        })
    }

    /// Logs in at the prompt, and waits until everything has been started.
    pub fn login(&mut self, user: &str, password: &str) -> Result<()> {
        self.console.expect(&["login: "])?;
        self.console.send_line(user)?;
        self.console.expect(&["Password: "])?;
        self.console.send_line(password)?;
        let (answer, _) = self.console.expect(&["Login incorrect", "$ ", "# "])?;
        ensure!(answer != 0, "`{user}` can not log in with that password");
        // No prompt, colours, pager, echo: what comes from here on is output.
        self.console
            .send_line("PS1= PS2=; unset PROMPT_COMMAND; export TERM=dumb SYSTEMD_PAGER= SYSTEMD_COLORS=0; stty -echo cols 500")?;
        self.run("true")?;
        Ok(())
    }

    /// Runs a shell command as the user that is logged in.
    pub fn run(&mut self, command: &str) -> Result<CommandResult> {
        self.console.send_line(&format!(
            "printf '\\n%s%s\\n' {} {}; {{ {command}\n}} 2>&1; printf '\\n%s%s %s;\\n' {} {} $?",
            BEGIN.0, BEGIN.1, END.0, END.1
        ))?;
        self.console.expect(&[&format!("{}{}", BEGIN.0, BEGIN.1)])?;
        let (_, output) = self.console.expect(&[&format!("{}{} ", END.0, END.1)])?;
        let (_, status) = self.console.expect(&[";"])?;
        let status = status
            .parse()
            .with_context(|| format!("reading the status `{status}` of `{command}`"))?;
        Ok(CommandResult {
            status,
            output: without_kernel_messages(&output),
        })
    }

    /// Runs a shell command that must succeed, and returns what it wrote.
    pub fn read(&mut self, command: &str) -> Result<String> {
        let CommandResult { status, output } = self.run(command)?;
        ensure!(
            status == 0,
            "`{command}` ended with status {status}: {output}"
        );
        Ok(output)
    }

    /// Says how long the machine has been running.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns everything that came over the console.
    pub fn console_text(&self) -> &str {
        self.console.text()
    }
}

impl Drop for BootedImage {
    fn drop(&mut self) {
        // Both fail only for a machine that has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        self.console.finish();
    }
}

fn firmware_variables(firmware: Firmware, directory: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
    if firmware == Firmware::Bios {
        return Ok(None);
    }
    let present = UEFI_FIRMWARE
        .iter()
        .find(|(code, _)| Path::new(code).exists());
    let (code, variables) =
        present.context("there is no UEFI firmware: package `ovmf` (Fedora: `edk2-ovmf`)")?;
    let copy = directory.join("variables");
    fs_err::copy(variables, &copy)?;
    Ok(Some((PathBuf::from(code), copy)))
}

/// QEMU's arguments; changes to the disk go to a temporary file.
fn arguments(image: &Path, firmware: Option<&(PathBuf, PathBuf)>) -> Vec<String> {
    let format = |path: &Path| {
        if path.extension().is_some_and(|suffix| suffix == "qcow2") {
            "qcow2"
        } else {
            "raw"
        }
    };
    let mut arguments: Vec<String> = [
        "-machine",
        "q35",
        "-m",
        MEMORY_MIB,
        // Linux 6.12 patches its code while it runs; with more than one processor that hangs or crashes under
        // QEMU 7.2's TCG.
        "-smp",
        "1",
        "-no-reboot",
    ]
    .into_iter()
    .chain([
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
        "-device",
        "virtio-rng-pci",
    ])
    .chain(["-nic", "user,model=virtio-net-pci,restrict=on"])
    .map(str::to_owned)
    .collect();
    let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
    if let Some((code, variables)) = firmware {
        let format = format(code);
        add(
            "-drive",
            format!(
                "if=pflash,format={format},readonly=on,file={}",
                code.display()
            ),
        );
        add(
            "-drive",
            format!("if=pflash,format={format},file={}", variables.display()),
        );
    }
    add(
        "-drive",
        format!(
            "if=none,id=disk,snapshot=on,format={},file={}",
            format(image),
            image.display()
        ),
    );
    add("-device", "virtio-blk-pci,drive=disk".to_owned());
    arguments
}

/// The kernel writes to the console whenever it likes, in lines that begin with the time.
fn without_kernel_messages(output: &str) -> String {
    let is_kernel = |line: &str| {
        let time = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        time.is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok())
    };
    let lines = output.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .filter(|line| !is_kernel(line))
        .collect::<Vec<_>>()
        .join("\n")
        .trim_matches('\n')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_never_written_to() {
        let firmware = (PathBuf::from("/code.fd"), PathBuf::from("/variables"));
        let line = arguments(Path::new("/a.qcow2"), Some(&firmware)).join(" ");
        assert_eq!(
            line,
            "-machine q35 -m 1024 -smp 1 -no-reboot -display none -monitor none -serial stdio -device virtio-rng-pci \
             -nic user,model=virtio-net-pci,restrict=on -drive if=pflash,format=raw,readonly=on,file=/code.fd \
             -drive if=pflash,format=raw,file=/variables \
             -drive if=none,id=disk,snapshot=on,format=qcow2,file=/a.qcow2 -device virtio-blk-pci,drive=disk"
        );
    }

    #[test]
    fn the_kernel_does_not_get_into_the_output() {
        let output = "\r\nroot\r\n[   12.345678] virtio: hello\r\n[x] kept\r\n";
        assert_eq!(without_kernel_messages(output), "root\n[x] kept");
    }
}
