//! Whether KVM works here: `/dev/kvm` can be there and hang every guest.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A guest that works says so at once.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
const WORD: u8 = b'K';
/// Writes `K` to the serial port, then ends the machine through its debug device:
/// `mov dx,0x3f8; mov al,'K'; out dx,al; mov dx,0xf4; out dx,al; hlt; jmp $-1`.
const PROBE_CODE: [u8; 13] = [
    0xba, 0xf8, 0x03, 0xb0, WORD, 0xee, 0xba, 0xf4, 0x00, 0xee, 0xf4, 0xeb, 0xfd,
];
const SECTOR: usize = 512;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// The whole processor of the host: with KVM nothing of it costs more than the rest.
const KVM: [&str; 4] = ["-accel", "kvm", "-cpu", "host"];

/// Returns QEMU's arguments for the fastest way that works; probed once.
pub(crate) fn arguments() -> [&'static str; 4] {
    static WORKS: OnceLock<bool> = OnceLock::new();
    if *WORKS.get_or_init(|| probe().unwrap_or(false)) {
        KVM
    } else {
        // With `max` the guest uses extensions (AES, AVX, five levels of page tables) that cost more to emulate than
        // what it does without them: a login came 12 % later.
        ["-accel", "tcg,thread=multi", "-cpu", "qemu64"]
    }
}

/// Lets a guest of one sector say a word, with the very arguments of the others: where one virtual machine is in another,
/// some processors work and some do not.
fn probe() -> Result<bool> {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    if device.is_err() {
        return Ok(false);
    }
    let directory = tempfile::tempdir()?;
    let disk = directory.path().join("probe.img");
    fs_err::write(&disk, boot_sector())?;
    let mut child = Command::new("qemu-system-x86_64")
        .args(KVM)
        .args(["-m", "16", "-display", "none", "-monitor", "none"])
        .args(["-serial", "stdio", "-nic", "none"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .arg("-drive")
        .arg(format!("file={},format=raw,if=ide", disk.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting qemu-system-x86_64")?;
    let has_ended = wait(&mut child, PROBE_PATIENCE);
    child
        .kill()
        .and_then(|()| child.wait())
        .context("ending the probe")?;
    let mut said = Vec::new();
    if has_ended && let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut said)?;
    }
    Ok(said.contains(&WORD))
}

fn boot_sector() -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    sector[..PROBE_CODE.len()].copy_from_slice(&PROBE_CODE);
    sector[SECTOR - SIGNATURE.len()..].copy_from_slice(&SIGNATURE);
    sector
}

fn wait(child: &mut Child, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return true;
        }
        std::thread::sleep(POLL);
    }
    false
}
